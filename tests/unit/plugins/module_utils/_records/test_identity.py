# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Case E2: a record belongs to one root on one machine. A copy is refused; what was moved goes on."""

from __future__ import annotations

import pathlib
import shutil
import subprocess
import typing as t

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._base import host as base_host
from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import ForeignRecord, InputError
from ansible_collections.intellistream.sage.plugins.module_utils._calls.backup import backup
from ansible_collections.intellistream.sage.plugins.module_utils._calls.checkpoint import reset
from ansible_collections.intellistream.sage.plugins.module_utils._calls.rollback import rollback
from ansible_collections.intellistream.sage.plugins.module_utils._calls.verdict import look
from ansible_collections.intellistream.sage.plugins.module_utils._pruning.policy import Limits
from ansible_collections.intellistream.sage.plugins.module_utils._pruning.prune import retain
from ansible_collections.intellistream.sage.plugins.module_utils._records.session import Engine
from ansible_collections.intellistream.sage.plugins.module_utils._reports import report
from ansible_collections.intellistream.sage.plugins.module_utils._undo.rollback import RollbackRequest
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils.sagehost import SageHost
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils.tinyvenv import TinyVenv
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils.tree import changes, snapshot

WANTED = {"python_deps": {"version": "2"}}
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils.recorded import verified


class RootHost(SageHost):
    """One whose environment and files lie in its root, as the role has them.

    :param checkpoints: another place for the record.
    """

    def __init__(self, path: pathlib.Path, root: str = "root", checkpoints: str = "") -> None:
        super().__init__(path)
        self.root = path / root
        self.engine = Engine(str(self.root), str(path / checkpoints) if checkpoints else None, lock_timeout=5)
        self.data = self.root
        self.venv = TinyVenv(self.root / ".sage" / "venv")
        self.file = self.root / "config"

    def make(self) -> RootHost:
        """Create it, with two installations."""
        self.root.mkdir()
        self.venv.path.mkdir(parents=True)
        self.venv.make()
        activate = self.venv.path / "bin" / "activate"
        activate.write_text(f"VIRTUAL_ENV='{self.venv.path}'\nexport VIRTUAL_ENV\n")
        self.change("0")
        self.install("1")
        self.install("2")
        return self

    @property
    def checkpoints(self) -> pathlib.Path:
        """Where the record lies."""
        return pathlib.Path(self.engine.path)

    def everything(self) -> t.Any:
        """All files but those that looking touches."""
        return {name: facts for name, facts in snapshot(self.path).items() if not str(name).endswith("lock")}


def _calls(host: RootHost) -> dict[str, t.Callable[[], object]]:
    files = [{"kind": "files", "paths": [str(host.file)]}]
    return {
        "look": lambda: look(host.engine.root, host.engine.checkpoint_dir, WANTED),
        "begin": lambda: host.call(inputs=WANTED, transitions=[{"phase": "python_deps", "status": "started"}]),
        "dry": lambda: host.call(inputs=WANTED, check_mode=True),
        "move": lambda: host.call(transitions=[{"phase": "cleanup", "status": "failed"}]),
        "rollback": lambda: rollback(host.engine, RollbackRequest(), False),
        "predicted rollback": lambda: rollback(host.engine, RollbackRequest(), True),
        "backup": lambda: backup(host.engine, files, None, "by hand", False),
        "retention": lambda: retain(host.engine, Limits(installations=1), False),
        "report": lambda: report.report(host.engine, None, True),
    }


CALLS = ("look", "begin", "dry", "move", "rollback", "predicted rollback", "backup", "retention", "report")


def _copy(host: RootHost, name: str) -> RootHost:
    shutil.copytree(host.root, host.path / name, symlinks=True)
    return RootHost(host.path, name)


@pytest.mark.parametrize("call", CALLS)
def test_e2_a_copy_of_a_root_is_refused(tmp_path: pathlib.Path, call: str) -> None:
    """It said that all was installed, and its rollback changed the original."""
    host = RootHost(tmp_path).make()
    copy = _copy(host, "copy")
    before = host.everything()
    with pytest.raises(ForeignRecord, match=f"is that of {host.root} in .*, which still exists") as caught:
        _calls(copy)[call]()
    assert f"state=absent root={copy.root}" in caught.value.advice
    assert changes(before, host.everything()) == {}


@pytest.mark.parametrize("call", CALLS)
def test_e2_a_record_that_two_roots_share_is_refused(tmp_path: pathlib.Path, call: str) -> None:
    """Of a root that did not exist it said that all was installed."""
    host = RootHost(tmp_path, checkpoints="record").make()
    other = RootHost(tmp_path, "other", checkpoints="record")
    before = host.everything()
    with pytest.raises(ForeignRecord, match=f"belongs to {host.root}, not to {other.root}") as caught:
        _calls(other)[call]()
    assert "sage_checkpoint_dir" in caught.value.advice
    assert changes(before, host.everything()) == {}
    with pytest.raises(ForeignRecord):
        reset(other.engine, False)
    assert changes(before, host.everything()) == {}


@pytest.mark.parametrize("call", CALLS)
def test_e2_a_copy_of_a_checkpoint_directory_is_refused(tmp_path: pathlib.Path, call: str) -> None:
    host = RootHost(tmp_path, checkpoints="record").make()
    shutil.copytree(host.checkpoints, tmp_path / "other", symlinks=True)
    with pytest.raises(ForeignRecord, match="which still exists"):
        _calls(RootHost(tmp_path, checkpoints="other"))[call]()


@pytest.mark.parametrize("call", CALLS)
def test_e2_the_record_of_another_machine_is_refused(
    tmp_path: pathlib.Path, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A container may have no machine id.
    monkeypatch.setattr(base_host, "machine", lambda: "e" * 32)
    host = RootHost(tmp_path).make()
    monkeypatch.setattr(base_host, "machine", lambda: "f" * 32)
    with pytest.raises(ForeignRecord, match="another machine"):
        _calls(host)[call]()


def test_e2_the_advice_about_a_copy_helps(tmp_path: pathlib.Path) -> None:
    """Forgetting the copy's history leaves the original's, also the content that both name."""
    host = RootHost(tmp_path)
    host.engine.repackage_dir = str(tmp_path / "disk")
    host.make()
    copy = _copy(host, "copy")
    copy.engine.repackage_dir = host.engine.repackage_dir
    original = snapshot(host.root), snapshot(tmp_path / "disk")
    reset(copy.engine, False)
    assert changes(original[0], snapshot(host.root)) == {}
    assert changes(original[1], snapshot(tmp_path / "disk")) == {}
    was = snapshot(copy.root)
    name = copy.install("3")
    rollback(copy.engine, RollbackRequest(name), False)
    assert not copy.venv.path.samefile(host.venv.path)
    assert changes(_without_record(was), _without_record(snapshot(copy.root))) == {}
    assert changes(_without_record(original[0]), _without_record(snapshot(host.root))) == {}
    rollback(host.engine, RollbackRequest(), False)


def _without_record(tree: t.Mapping[t.Any, t.Any]) -> dict[t.Any, t.Any]:
    return {name: facts for name, facts in tree.items() if "checkpoints" not in str(name) and str(name) != ".sage"}


@pytest.mark.parametrize("checkpoints", ["", "record"])
def test_e2_a_moved_root_says_so_and_begins_with_its_environment(tmp_path: pathlib.Path, checkpoints: str) -> None:
    host = RootHost(tmp_path, checkpoints=checkpoints).make()
    host.root.rename(tmp_path / "new")
    moved = RootHost(tmp_path, "new", checkpoints)
    assert not look(moved.engine.root, moved.engine.checkpoint_dir, WANTED)["finished"]
    before = snapshot(moved.venv.path)
    venv = {"kind": "venv", "path": str(moved.venv.path), "distributions": []}
    started = {"phase": "environment_setup", "status": "started", "capture": [venv]}
    predicted = moved.call(inputs=WANTED, transitions=[started], check_mode=True)
    result = moved.call(inputs=WANTED, transitions=[started])
    [reason] = [each for each in result["resume"]["reasons"] if each["phase"] == "environment_setup"]
    assert reason["reason"] == f"the root was moved from {host.root} to {moved.root}"
    # Its scripts name its old path, so it is made anew: all of it was captured.
    assert not moved.venv.path.exists()
    # With what was in it, also when this is not known yet, or when the run is killed and begun again.
    for told in (result, moved.call(inputs=WANTED)):
        assert told["versions"]["pack"] == "2"
    assert predicted["moved"] == result["moved"] == [str(moved.venv.path)]
    TinyVenv(moved.venv.path).make()
    distributions = [{"name": "pack", "version": "2"}]
    deps = {"phase": "python_deps", "status": "started", "capture": [{**venv, "distributions": distributions}]}
    moved.call(transitions=[{"phase": "environment_setup", "status": "completed"}, deps])
    moved.venv.install("pack", "2")
    verified(moved.engine)
    moved.call(transitions=[{"phase": name, "status": "completed"} for name in result["phases"]])
    assert look(moved.engine.root, moved.engine.checkpoint_dir, WANTED)["finished"]
    assert [installed.identity["root"] for installed in moved.history()][-2:] == [str(moved.root)] * 2
    # rollback.sh does nothing by halves: it said "partial", with another reason, and ended with 0.
    everything = moved.everything()
    script = subprocess.run(
        ["sh", str(moved.checkpoints / "rollback.sh"), "--yes"], capture_output=True, text=True, check=False
    )
    assert script.returncode == 2, script.stdout
    assert "the environment was moved" in script.stderr
    assert "Roll back with Ansible: ansible-playbook " in script.stderr
    assert changes(everything, moved.everything()) == {}
    predicted_undo = rollback(moved.engine, RollbackRequest(), True)
    undone = rollback(moved.engine, RollbackRequest(), False)
    assert changes(before, snapshot(moved.venv.path)) == {}
    # It was no environment that works, so it is none now.
    for way_back in (predicted_undo, undone):
        assert not way_back["exact"]
        assert [line for line in way_back["inexact"] if f"which name {host.venv.path}" in line]
    # Undone, it is a moved environment again.
    assert moved.call(inputs=WANTED, check_mode=True)["resume"]["phase"] == "environment_setup"
    moved.call(inputs=WANTED, transitions=[started])
    assert not moved.venv.path.exists()
    rollback(moved.engine, RollbackRequest("environment_setup"), False)
    assert changes(before, snapshot(moved.venv.path)) == {}


def test_e2_nothing_from_before_a_move_is_put_back_under_another_name(tmp_path: pathlib.Path) -> None:
    host = RootHost(tmp_path).make()
    first = host.history()[0].install_id
    host.root.rename(tmp_path / "new")
    moved = RootHost(tmp_path, "new")
    # Somebody makes another one where it was.
    before = snapshot(moved.venv.path)
    for target in ("last", first, "python_deps"):
        with pytest.raises(InputError, match=f"was captured when the root was {host.root}"):
            rollback(moved.engine, RollbackRequest(target), False)
    assert changes(before, snapshot(moved.venv.path)) == {}
    point = backup(moved.engine, [{"kind": "files", "paths": [str(moved.file)]}], None, "since the move", False)[
        "rollback_point"
    ]
    # From then on the record says where it is, also once there is a root of the old name again.
    host.root.mkdir()
    moved.file.write_text("edited")
    rollback(moved.engine, RollbackRequest(point["id"]), False)
    assert moved.file.read_text() == "2"


def test_e5_a_point_made_where_the_root_was_for_a_while_bars_nothing(tmp_path: pathlib.Path) -> None:
    """Older targets were refused for good."""
    host = RootHost(tmp_path).make()
    first, second = (installed.install_id for installed in host.history())
    outside = tmp_path / "settings"
    outside.write_text("before")
    host.root.rename(tmp_path / "new")
    moved = RootHost(tmp_path, "new")

    def captured(path: pathlib.Path) -> str:
        point = backup(moved.engine, [{"kind": "files", "paths": [str(path)]}], None, "away", False)
        return str(point["rollback_point"]["id"])

    away, other = captured(moved.file), captured(outside)
    outside.write_text("after")
    moved.root.rename(host.root)
    with pytest.raises(InputError, match="cannot be put back where the root is now"):
        rollback(host.engine, RollbackRequest(away), False)
    # What lay outside of the root lies where it lay.
    assert rollback(host.engine, RollbackRequest(other), False)["exact"]
    assert outside.read_text() == "before"
    undone = rollback(host.engine, RollbackRequest(second), False)
    assert host.file.read_text() == "1"
    assert not undone["exact"]
    assert [line for line in undone["inexact"] if away in line]
    rollback(host.engine, RollbackRequest(first), False)
    assert host.file.read_text() == "0"


@pytest.mark.parametrize("state", ["started", "undoing"])
def test_e2_what_is_half_done_is_finished_where_it_began(tmp_path: pathlib.Path, state: str) -> None:
    host = RootHost(tmp_path).make()
    if state == "started":
        host.begin("3")
    else:
        with host.engine.session() as session:
            session.add(
                {
                    "event": "undoing",
                    "points": [point["point"] for point in session.required().points],
                    "phases": [],
                    "entire": True,
                    "force": False,
                    "redo": None,
                    "plan": {},
                }
            )
            session.commit()
    host.root.rename(tmp_path / "new")
    moved = RootHost(tmp_path, "new")
    with pytest.raises(ForeignRecord, match=r"was moved here from .* was not finished") as caught:
        moved.call(inputs=WANTED)
    assert f"Move {moved.root} back to {host.root}" in caught.value.advice
    moved.root.rename(host.root)
    rollback(host.engine, RollbackRequest(), False)
    assert host.file.read_text() == ("2" if state == "started" else "1")


def test_e2_a_root_by_another_name_is_the_same(tmp_path: pathlib.Path) -> None:
    """A link to it is no copy, whichever of the names was recorded."""
    host = RootHost(tmp_path).make()
    host.root.rename(tmp_path / "disk")
    host.root.symlink_to(tmp_path / "disk")
    assert look(host.engine.root, None, WANTED)["finished"]
    assert look(str(tmp_path / "disk"), None, WANTED)["finished"]


@pytest.mark.parametrize("gone", [False, True], ids=["copied", "moved"])
def test_e2_rollback_sh_refuses_in_a_copy(tmp_path: pathlib.Path, gone: bool) -> None:
    host = RootHost(tmp_path).make()
    copy = _copy(host, "copy")
    if gone:
        host.root.rename(tmp_path / "elsewhere")
    before = host.everything()
    script = subprocess.run(
        ["sh", str(copy.checkpoints / "rollback.sh"), "--yes"], capture_output=True, text=True, check=False
    )
    assert script.returncode == 2, script.stdout
    assert ("is gone" if gone else "is a copy, and would change the original") in script.stderr
    assert changes(before, host.everything()) == {}


def test_e2_rollback_sh_refuses_on_another_machine(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(base_host, "machine", lambda: "f" * 32)
        host = RootHost(tmp_path).make()
    before = host.everything()
    script = subprocess.run(
        ["sh", str(host.checkpoints / "rollback.sh"), "--yes"], capture_output=True, text=True, check=False
    )
    if not base_host.machine():
        pytest.skip("this machine has no id")
    assert script.returncode == 2, script.stdout
    assert "is of another machine" in script.stderr
    assert changes(before, host.everything()) == {}


def test_e2_rollback_sh_goes_back_no_further_than_the_move(tmp_path: pathlib.Path) -> None:
    host = RootHost(tmp_path).make()
    host.root.rename(tmp_path / "new")
    moved = RootHost(tmp_path, "new")
    moved.call(transitions=[{"phase": "cleanup", "status": "completed", "data": "recorded"}])
    script = subprocess.run(
        ["sh", str(moved.checkpoints / "rollback.sh"), "--yes"], capture_output=True, text=True, check=False
    )
    assert script.returncode == 2, script.stdout
    assert f"belongs to {host.root}" in script.stderr
