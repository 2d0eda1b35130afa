# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Removing SAGE: the host as before the first installation, by an oracle that knows nothing of the collection."""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
import sys
import typing as t

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import (
    ForeignRecord,
    Leased,
    NotEnded,
    OthersLost,
    UnknownFormat,
    UnsafePath,
)
from ansible_collections.intellistream.sage.plugins.module_utils._calls.backup import backup
from ansible_collections.intellistream.sage.plugins.module_utils._calls.checkpoint import CheckpointRequest, checkpoint
from ansible_collections.intellistream.sage.plugins.module_utils._calls.rollback import rollback
from ansible_collections.intellistream.sage.plugins.module_utils._deadman_switch import mark as deadman_switch_mark
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem import private
from ansible_collections.intellistream.sage.plugins.module_utils._records import lease
from ansible_collections.intellistream.sage.plugins.module_utils._records import ledger as records_ledger
from ansible_collections.intellistream.sage.plugins.module_utils._records.installation import PHASES
from ansible_collections.intellistream.sage.plugins.module_utils._records.ledger import NAME as LEDGER
from ansible_collections.intellistream.sage.plugins.module_utils._records.session import Engine
from ansible_collections.intellistream.sage.plugins.module_utils._removal.remove import remove
from ansible_collections.intellistream.sage.plugins.module_utils._undo.rollback import RollbackRequest
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils.recorded import verified
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils.tinyvenv import TinyVenv
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils.tree import changes, snapshot

Result = dict[str, t.Any]
needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="needs git")


class Removable:
    """A host with an installation as the role makes one, at a root that need not have been there.

    :param top: of all that a test looks at.
    :ivar before: what was there before the first installation.
    """

    def __init__(self, top: pathlib.Path, name: str = "opt/sage", **settings: t.Any) -> None:
        self.top = top
        self.root = top / name
        self.engine = Engine(str(self.root), lock_timeout=5, **settings)
        (top / "neighbour").write_text("mine")
        self.before = snapshot(top)

    @property
    def hidden(self) -> pathlib.Path:
        """Where the collection keeps what it brings."""
        return self.root / ".sage"

    def call(self, *transitions: dict[str, t.Any], begins: bool = False) -> Result:
        """One call of sage_checkpoint."""
        return {
            **checkpoint(
                self.engine, CheckpointRequest({} if begins else None, True, {}, t.cast("t.Any", transitions)), False
            )
        }

    def begin(self, **more: t.Any) -> str:
        """An installation as far as its packages."""
        path = str(self.hidden / "venv")
        capture = [
            {"kind": "venv", "path": path, "distributions": [{"name": "isage", "version": "1.0"}]},
            *more.get("capture", []),
        ]
        result = self.call({"phase": PHASES[0], "status": "started", "capture": capture}, begins=True)
        if not os.path.lexists(path):
            TinyVenv(self.hidden / "venv").make().install("isage", "1.0")
        return str(result["install_id"])

    def install(self, **more: t.Any) -> str:
        """A whole installation, with all that one may leave."""
        install_id = self.begin(**more)
        tools = self.hidden / "tools" / "bin"
        tools.mkdir(parents=True, exist_ok=True)
        (tools / "uv").write_text("#!/bin/sh\n")
        (self.hidden / "build").mkdir(exist_ok=True)
        private.open_private(str(self.hidden / "wheelhouse"), create=True).close()
        (self.hidden / "wheelhouse" / "isage-1.0-py3-none-any.whl").write_text("wheel")
        (self.hidden / "pylock.toml").write_text('lock-version = "1.0"\ncreated-by = "intellistream.sage"\n')
        (self.hidden / "pins.txt").write_text("isage==1.0 \\\n    --hash=sha256:00\npyyaml[x]==6.0\n")
        verified(self.engine)
        self.call(*({"phase": name, "status": "completed"} for name in PHASES))
        return install_id

    def remove(self, keep_record: bool = False) -> Result:
        """Predicted, done, and the prediction was true."""
        sight = snapshot(self.top)
        predicted = remove(self.engine, keep_record, True)
        assert changes(sight, snapshot(self.top)) == {}
        result = remove(self.engine, keep_record, False)
        assert predicted == result
        return {**result}

    def differences(self) -> dict[str, tuple[object, object]]:
        """How the host differs from what it was before the first installation."""
        return changes(self.before, snapshot(self.top))


@pytest.fixture
def host(tmp_path: pathlib.Path) -> Removable:
    return Removable(tmp_path)


def _names(result: Result) -> set[str]:
    return {pathlib.Path(part["path"]).name for part in result["removed"]}


def test_the_host_is_as_before_the_first_installation(host: Removable) -> None:
    first = host.install()
    host.install()
    result = host.remove()
    assert host.differences() == {}
    assert _names(result) == {
        *("venv", "tools", "build", "wheelhouse", "pylock.toml", "pins.txt", "checkpoints", ".gitignore", ".sage"),
        *("sage", "opt"),
    }
    assert (result["stays"], result["unknown"], result["alternative"]) == ([], [], first)
    assert all(part["bytes"] > 0 for part in result["removed"] if part["path"].endswith(("venv", "checkpoints")))
    again = host.remove()
    assert (again["changed"], again["removed"]) == (False, [])


def test_what_is_there_before_or_is_somebodys_stays_and_is_named(tmp_path: pathlib.Path) -> None:
    hidden = tmp_path / "opt" / "sage" / ".sage"
    hidden.mkdir(parents=True, mode=0o750)
    (hidden / "settings.json").write_text("{}")
    (hidden / "tools").mkdir()
    (hidden / "tools" / "mine").write_text("")
    host = Removable(tmp_path)
    host.install()
    shutil.rmtree(hidden / "tools" / "bin")
    host.before = {**snapshot(tmp_path), **host.before}
    for name in [name for name in host.before if "/checkpoints" in name]:
        del host.before[name]
    result = host.remove()
    left = {str(path.relative_to(hidden)) for path in hidden.rglob("*")}
    assert left == {"settings.json", "tools", "tools/mine"}
    (stays,) = result["stays"]
    assert stays["path"] == str(hidden)
    assert "it holds what is not of SAGE: settings.json, tools" in stays["reason"]


def test_k10_what_others_put_into_the_environment_is_named_and_does_not_go_without_a_word(host: Removable) -> None:
    host.install()
    venv = TinyVenv(host.hidden / "venv")
    # Ours, though no RECORD lists them.
    (venv.site / "isage" / "__pycache__" / "more.cpython-311.pyc").write_bytes(b"byte code")
    (venv.site / "gone" / "__pycache__").mkdir(parents=True)
    (venv.site / "gone" / "__pycache__" / "x.cpython-311.pyc").write_bytes(b"byte code")
    (venv.site / "~sage").mkdir()
    (venv.path / "bin" / "python3").symlink_to("python")
    venv.install("pip", "25.0")
    assert remove(host.engine, False, True)["others"] == []
    # Others'.
    venv.install("rich", "14.2.0")
    (venv.site / "isage" / "__init__.py").write_text("hot = 'patch'\n")
    (venv.site / "sitecustomize.py").write_text("mine")
    for name in ("a.ipynb", "deeper/b.ipynb"):
        (venv.path / "notebooks" / name).parent.mkdir(parents=True, exist_ok=True)
        (venv.path / "notebooks" / name).write_text("precious")
    (venv.path / "inbox").mkdir()
    (host.hidden / "tools" / "notes").write_text("precious")
    others = {
        "rich 14.2.0": "a distribution that no installation of SAGE brought",
        str(venv.site / "isage" / "__init__.py"): "edited since it was installed",
        str(venv.site / "sitecustomize.py"): "a file",
        str(venv.path / "notebooks"): "a directory with 2 files",
        str(venv.path / "inbox"): "an empty directory",
        str(host.hidden / "tools" / "notes"): "a file",
    }
    sight = snapshot(host.top)
    for check_mode in (True, False):
        with pytest.raises(OthersLost, match="rich 14") as caught:
            remove(host.engine, False, check_mode)
        assert {each["path"]: each["description"] for each in caught.value.details["others"]} == others
        assert "sage_remove_others=true" in caught.value.advice
        # The lock alone tells who was there last.
        assert {path for path in changes(sight, snapshot(host.top)) if not path.endswith("/lock")} == set()
    result = remove(host.engine, False, False, remove_others=True)
    assert {each["path"]: each["description"] for each in result["others"]} == others
    assert host.differences() == {}


def test_k10_what_others_put_into_the_record_does_not_go_without_a_word(host: Removable) -> None:
    host.install()
    record = host.hidden / "checkpoints"
    assert remove(host.engine, False, True)["others"] == []
    precious = [record / name for name in ("mine.txt", "saved/dump.sql", "store/mine.txt", "logs/my.log")]
    for path in precious:
        path.parent.mkdir(exist_ok=True)
        path.write_text("precious")
    with pytest.raises(OthersLost, match=r"mine\.txt") as caught:
        remove(host.engine, False, False)
    named = {each["path"] for each in caught.value.details["others"]}
    assert named == {str(path) for path in precious if path.parent.name != "saved"} | {str(record / "saved")}
    assert str(record) in caught.value.what
    assert all(path.read_text() == "precious" for path in precious)
    assert remove(host.engine, True, True)["others"] == []
    remove(host.engine, False, False, remove_others=True)
    assert host.differences() == {}


@pytest.mark.parametrize("undone", [True, False])
def test_k10_what_was_installed_over_ours_by_hand_is_others(host: Removable, undone: bool) -> None:
    install_id = host.install()
    if undone:
        rollback(host.engine, RollbackRequest(to=install_id), False)
        TinyVenv(host.hidden / "venv").make().install("isage", "1.0")
    else:
        TinyVenv(host.hidden / "venv").install("isage", "1.1")
    with pytest.raises(OthersLost) as caught:
        remove(host.engine, False, True)
    told = "no installation of SAGE brought" if undone else "somebody installed in the place of 1.0"
    assert [each["description"] for each in caught.value.details["others"]] == [f"a distribution that {told}"]


def test_sizes_count_what_is_there_once(host: Removable) -> None:
    """As du does, which knows nothing of this."""
    host.install()
    host.install()
    (host.hidden / "tools" / "bin" / "uv").write_bytes(b"x" * 100_000)
    os.link(host.hidden / "tools" / "bin" / "uv", host.hidden / "venv" / "bin" / "uv")
    du = subprocess.run(["du", "-s", "-B1", str(host.root.parent)], check=True, capture_output=True, text=True)
    result = remove(host.engine, False, False, remove_others=True)
    assert sum(part["bytes"] for part in result["removed"]) == int(du.stdout.split()[0])


def test_what_the_user_put_into_the_root_stays(host: Removable) -> None:
    host.install()
    (host.root / "flows").mkdir()
    (host.root / "flows" / "mine.py").write_text("precious")
    result = host.remove()
    assert set(host.differences()) == {"opt", "opt/sage", "opt/sage/flows", "opt/sage/flows/mine.py"}
    assert [part["path"] for part in result["stays"]] == [str(host.root), str(host.root.parent)]
    assert "flows" in result["stays"][0]["reason"]


def test_an_empty_root_that_was_there_stays(tmp_path: pathlib.Path) -> None:
    (tmp_path / "opt" / "sage").mkdir(parents=True)
    host = Removable(tmp_path)
    host.install()
    result = host.remove()
    assert host.differences() == {}
    assert [(part["path"], part["reason"]) for part in result["stays"]] == [
        (str(host.root), "it was there before SAGE")
    ]


def test_the_record_is_kept_when_asked_and_an_installation_goes_on_from_it(host: Removable) -> None:
    first = host.install()
    result = host.remove(keep_record=True)
    assert not (host.hidden / "venv").exists()
    assert [part["description"] for part in result["stays"]] == ["the record"]
    with host.engine.reading() as session:
        assert session.installation is not None
        assert session.installation.install_id == first
    assert not host.remove(keep_record=True)["changed"]
    host.install()
    host.remove()
    assert host.differences() == {}


def test_a_record_and_a_store_elsewhere_go(tmp_path: pathlib.Path) -> None:
    host = Removable(tmp_path, checkpoint_dir=str(tmp_path / "var/lib/sage"), repackage_dir=str(tmp_path / "spool"))
    (tmp_path / "spool").mkdir()
    host.before = snapshot(tmp_path)
    host.install()
    assert list((tmp_path / "spool").iterdir())
    result = host.remove()
    assert host.differences() == {}
    assert "captured content" in {part["description"] for part in result["removed"]}


def test_a_moved_root(host: Removable, tmp_path: pathlib.Path) -> None:
    host.install()
    (tmp_path / "srv").mkdir()
    host.root.rename(tmp_path / "srv" / "other")
    host.root.parent.rmdir()
    moved = Removable(tmp_path, "srv/other")
    result = remove(moved.engine, False, False)
    assert not (tmp_path / "srv" / "other").exists()
    assert (tmp_path / "srv").is_dir()
    assert result["alternative"] is None


def test_a_copy_leaves_the_original_alone(host: Removable, tmp_path: pathlib.Path) -> None:
    host.install()
    shutil.copytree(host.root, tmp_path / "copy", symlinks=True)
    original = snapshot(host.root)
    result = remove(Engine(str(tmp_path / "copy"), lock_timeout=5), False, False)
    assert changes(original, snapshot(host.root)) == {}
    assert not (tmp_path / "copy" / ".sage" / "venv").exists()
    assert "is that of" in result["unknown"][0]


def test_the_record_of_another_root_is_refused(host: Removable, tmp_path: pathlib.Path) -> None:
    host.install()
    (tmp_path / "second").mkdir()
    with pytest.raises(ForeignRecord):
        remove(Engine(str(tmp_path / "second"), host.engine.path, 5), False, False)
    assert (host.hidden / "venv").exists()


@pytest.mark.parametrize("damage", ["ledger gone", "line changed", "environment gone", "empty mark"])
def test_damage_keeps_nothing_from_going(host: Removable, damage: str) -> None:
    host.install()
    ledger = pathlib.Path(host.engine.path, LEDGER)
    if damage == "ledger gone":
        ledger.unlink()
    elif damage == "line changed":
        ledger.write_bytes(ledger.read_bytes().replace(b'"completed"', b'"complEted"', 1))
    elif damage == "environment gone":
        shutil.rmtree(host.hidden / "venv")
    else:
        pathlib.Path(host.engine.path, private.MARK).write_bytes(b"")
    result = host.remove()
    known = damage in ("environment gone", "empty mark")
    assert bool(result["unknown"]) is not known
    left = set(host.differences())
    # Only the mark tells which directories were made.
    hidden = "opt/sage/.sage"
    stay = {"opt", "opt/sage", hidden, f"{hidden}/.gitignore", f"{hidden}/checkpoints"}
    assert left == (stay if "mark" in damage else set())


def test_a_record_of_another_version_is_refused(host: Removable) -> None:
    with pytest.MonkeyPatch.context() as patch:
        # What it wrote, that one reads.
        patch.setattr(records_ledger, "FORMAT", 9)
        host.install()
    with pytest.raises(UnknownFormat):
        remove(host.engine, False, False)
    assert (host.hidden / "venv").exists()


def test_what_has_not_ended_comes_first(host: Removable) -> None:
    install_id = host.begin()
    for check_mode in (True, False):
        with pytest.raises(NotEnded, match="is not finished") as caught:
            remove(host.engine, False, check_mode)
        assert f"sage_rollback_to={install_id}" in caught.value.advice
    with host.engine.session() as session:
        assert session.where is not None
        deadman_switch_mark.write(session.where, deadman_switch_mark.make(install_id, "0" * 16, 60))
    with pytest.raises(NotEnded, match="its dead-man's switch is armed"):
        remove(host.engine, False, False)
    rollback(host.engine, RollbackRequest(to=install_id), False)
    host.remove()
    assert host.differences() == {}


def test_a_script_that_was_run_is_recorded_first(host: Removable) -> None:
    host.install()
    pathlib.Path(host.engine.path, "rollback.begun").touch(mode=0o600)
    with pytest.raises(NotEnded, match=r"rollback\.sh began to take back"):
        remove(host.engine, False, False)


def test_another_run_is_at_work(host: Removable) -> None:
    host.install()
    with private.open_private(host.engine.path) as state:
        lease.take(state, lease.Run("other", user="ada", host="h"), held=True)
    for check_mode in (True, False):
        with pytest.raises(Leased, match="ada"):
            remove(host.engine, False, check_mode)
    assert (host.hidden / "venv").exists()


def test_x4_a_directory_that_was_never_marked_is_not_removed(host: Removable) -> None:
    named = host.top / "named"
    named.mkdir()
    (named / "customer.db").write_text("precious")
    with pytest.raises(UnsafePath, match="was not made by this collection"):
        remove(Engine(str(host.root), str(named), 5), False, False)
    assert (named / "customer.db").read_text() == "precious"


@pytest.mark.parametrize("name", ["venv", "tools", "wheelhouse", "build", "pylock.toml"])
def test_x4_no_link_is_followed(host: Removable, name: str) -> None:
    host.install()
    precious = host.top / "precious"
    (precious / "bin").mkdir(parents=True)
    (precious / "bin" / "uv").write_text("precious")
    (precious / private.MARK).write_text("made\n")
    sight = snapshot(precious)
    path = host.hidden / name
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    path.symlink_to(precious)
    result = host.remove()
    assert changes(sight, snapshot(precious)) == {}
    assert path.is_symlink()
    assert str(path) in {part["path"] for part in result["stays"]} or name in result["stays"][0]["reason"]


def test_what_others_can_write_to_is_refused(host: Removable) -> None:
    host.install()
    host.hidden.chmod(0o777)
    with pytest.raises(UnsafePath):
        remove(host.engine, False, False)
    assert (host.hidden / "venv").exists()


def test_a_switch_that_was_left_waiting_is_stopped(host: Removable) -> None:
    host.install()
    program = os.path.join(host.engine.path, deadman_switch_mark.PROGRAM)
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", program, "token"]) as waits:
        result = host.remove()
        assert f"the process {waits.pid}" in {part["path"] for part in result["removed"]}
        assert waits.wait(60) != 0
    assert host.differences() == {}


def _git(path: pathlib.Path, *arguments: str) -> str:
    options = ["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "protocol.file.allow=always"]
    return subprocess.run(
        ["git", *options, "-C", str(path), *arguments], check=True, capture_output=True, text=True
    ).stdout


def _origin(top: pathlib.Path) -> pathlib.Path:
    origin = top / "origin"
    origin.mkdir()
    _git(origin, "init", "-q", "-b", "main")
    (origin / "file").write_text("1")
    _git(origin, "add", "-A")
    _git(origin, "commit", "-q", "-m", "1")
    return origin


@pytest.mark.slow
@needs_git
@pytest.mark.parametrize("work", ["", "uncommitted", "committed", "there before", "not known"])
def test_a_clone_goes_unless_there_is_work_in_it(tmp_path: pathlib.Path, work: str) -> None:
    origin = _origin(tmp_path)
    clone = tmp_path / "opt" / "sage" / "src"
    if work == "there before":
        clone.parent.mkdir(parents=True)
        _git(tmp_path, "clone", "-q", str(origin), str(clone))
    host = Removable(tmp_path)
    host.begin(capture=[{"kind": "git", "path": str(clone)}])
    if work != "there before":
        _git(tmp_path, "clone", "-q", str(origin), str(clone))
    host.install()
    if work in ("uncommitted", "committed"):
        (clone / "file").write_text("mine")
    if work == "committed":
        _git(clone, "commit", "-qam", "mine")
    if work == "not known":
        pathlib.Path(host.engine.path, LEDGER).unlink()
    result = host.remove()
    assert clone.exists() is bool(work)
    if not work:
        assert host.differences() == {}
        return
    (reason,) = (part["reason"] for part in result["stays"] if part["path"] == str(clone))
    expected = {
        "uncommitted": "was changed or added and not committed",
        "committed": "has commits that are on no remote",
        "there before": "it was there before SAGE was installed",
        "not known": "whether an installation made it is not known any more",
    }
    assert expected[work] in reason
    if work == "there before":
        # What captures had pinned is let go.
        assert _git(clone, "for-each-ref", "refs/sage") == ""


@pytest.mark.slow
@needs_git
def test_what_a_repository_keeps_for_captures_is_let_go(host: Removable) -> None:
    origin = _origin(host.top)
    before = _git(origin, "for-each-ref")
    backup(host.engine, [{"kind": "git", "path": str(origin)}], None, "", False)
    assert "refs/sage/" in _git(origin, "for-each-ref")
    host.remove()
    assert _git(origin, "for-each-ref") == before
    assert not host.root.exists()


def test_packages_of_the_system_are_named_and_stay(host: Removable) -> None:
    host.install()
    with host.engine.session() as session:
        state = session.where
        assert state is not None
        resource = {"kind": "dpkg", "manifest": "0.json", "sha256": "", "files": 0, "bytes": 0}
        change = {"name": "python3.11-venv", "arch": "amd64", "before": None, "after": "3.11.2-6"}
        event = {
            "event": "captured",
            "point": f"{session.next_id()}.1",
            "phase": None,
            "description": "",
            "specs": [{"kind": "dpkg", "packages": ["python3.11-venv"]}],
            "resources": [{**resource, "changes": [change]}],
            "identity": session.identity,
        }
        session.add(t.cast("t.Any", event))
        session.commit()
    result = host.remove()
    (stays,) = result["stays"]
    assert stays["path"] == "[+] python3.11-venv 3.11.2-6"
    assert "roll back before SAGE is removed" in stays["reason"]
    assert host.differences() == {}


# What changes the file system, and what an interrupted run would not have done.
_STEPS = ("unlink", "rmdir", "rename", "replace", "link")


class Killed(BaseException):
    """The process ended here."""


def _killed_after(monkeypatch: pytest.MonkeyPatch, steps: int) -> None:
    left = [steps]

    def counted(name: str) -> t.Callable[..., t.Any]:
        real = getattr(os, name)

        def call(*arguments: t.Any, **named: t.Any) -> t.Any:
            if left[0] == 0:
                raise Killed(name)
            left[0] -= 1
            return real(*arguments, **named)

        return call

    for name in _STEPS:
        monkeypatch.setattr(os, name, counted(name))


@pytest.mark.crash
def test_killed_at_each_step_a_rerun_finishes(tmp_path: pathlib.Path) -> None:
    """An exception stands for the kill: what runs on the way out is seen to change nothing by the same count."""
    top = tmp_path / "host"
    top.mkdir()
    host = Removable(top)
    host.install()
    shutil.copytree(top, tmp_path / "installed", symlinks=True)
    steps, finished, unknown = 0, False, 0
    while not finished:
        shutil.rmtree(top)
        shutil.copytree(tmp_path / "installed", top, symlinks=True)
        with pytest.MonkeyPatch.context() as patch:
            _killed_after(patch, steps)
            try:
                remove(host.engine, False, False)
                finished = True
            except Killed:
                pass
        result = host.remove()
        left = set(host.differences())
        # At the very end nothing tells any more that these were made for it. They are empty, and named.
        assert left <= {"opt", "opt/sage", "opt/sage/.sage"}
        assert result["stays"] or left <= {"opt"}
        unknown += bool(left)
        assert not host.remove()["changed"]
        steps += 1
    assert steps > 40
    assert unknown <= 6
