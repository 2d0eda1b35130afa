# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An installation is an attempt, a change is what altered the system: what V(last) is, and what is kept."""

from __future__ import annotations

import os
import subprocess
import typing as t

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._calls.backup import backup, environment
from ansible_collections.intellistream.sage.plugins.module_utils._calls.checkpoint import CheckpointRequest, checkpoint
from ansible_collections.intellistream.sage.plugins.module_utils._calls.rollback import rollback
from ansible_collections.intellistream.sage.plugins.module_utils._records import ledger
from ansible_collections.intellistream.sage.plugins.module_utils._records.installation import PHASES
from ansible_collections.intellistream.sage.plugins.module_utils._records.session import Engine
from ansible_collections.intellistream.sage.plugins.module_utils._reports.report import report
from ansible_collections.intellistream.sage.plugins.module_utils._undo import redo
from ansible_collections.intellistream.sage.plugins.module_utils._undo.rollback import RollbackRequest
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils.recorded import verified
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils.sagehost import SageHost
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils.tinyvenv import TinyVenv
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils.tree import Snapshot, changes, snapshot

if t.TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def host(tmp_path: Path) -> SageHost:
    return SageHost(tmp_path).make()


def _fail_early(host: SageHost, version: str) -> None:
    """An upgrade that fails before anything is captured: its index is dead."""
    inputs = {"python_deps": {"version": version}}
    host.call(inputs=inputs, transitions=[{"phase": "python_deps", "status": "started"}])
    host.call(transitions=[{"phase": "python_deps", "status": "failed", "data": "no index"}])


def _no_change(host: SageHost, version: str) -> None:
    """A rerun with other inputs that finds everything as it is to be, with the captures that the role makes first."""
    files = {"kind": "files", "paths": [str(host.file)]}
    venv = {"kind": "venv", "path": str(host.venv.path)}
    started = {"phase": PHASES[0], "status": "started", "capture": [venv, files]}
    host.call(inputs={PHASES[0]: {"pin": version}}, transitions=[started])
    verified(host.engine)
    host.call(transitions=[{"phase": name, "status": "completed"} for name in PHASES])


def _last(host: SageHost) -> dict[str, t.Any]:
    return t.cast("dict[str, t.Any]", rollback(host.engine, RollbackRequest("last"), False))


def test_e1_last_never_goes_past_an_upgrade_that_failed_early(host: SageHost) -> None:
    host.install("1")
    works = snapshot(host.data)
    _fail_early(host, "2")
    result = _last(host)
    assert changes(works, snapshot(host.data)) == {}
    assert not result["changed"]
    assert "changed nothing" in result["msg"]


def test_e1_last_never_goes_past_what_was_undone(host: SageHost) -> None:
    """As after an atomic run that was aborted."""
    host.install("1")
    works = snapshot(host.data)
    host.install("2")
    assert _last(host)["changed"]
    again = _last(host)
    assert changes(works, snapshot(host.data)) == {}
    assert not again["changed"]
    assert "rolled back already" in again["msg"]


def test_e1_last_never_goes_past_a_run_that_changed_nothing(host: SageHost) -> None:
    host.install("1")
    works = snapshot(host.data)
    _no_change(host, "2")
    result = _last(host)
    assert changes(works, snapshot(host.data)) == {}
    assert not result["changed"]
    assert "changed nothing" in result["msg"]


def test_e4_an_attempt_that_was_undone_without_anything_to_undo_is_no_change(host: SageHost) -> None:
    """As the role rescues an upgrade that fails once requirements.txt was captured, and before anything is changed."""
    before = snapshot(host.data)
    first = host.install("1")
    files = {"kind": "files", "paths": [str(host.file)]}
    started = {"phase": "python_deps", "status": "started", "capture": [files]}
    host.call(inputs={"python_deps": {"version": "2"}}, transitions=[started])
    host.call(transitions=[{"phase": "python_deps", "status": "failed", "data": "no index"}])
    rollback(host.engine, RollbackRequest("python_deps"), False)
    assert not host.history()[-1].altered
    assert "changed nothing" in _last(host)["msg"]
    done = subprocess.run(
        ["sh", f"{host.engine.path}/rollback.sh", "--yes"], capture_output=True, text=True, check=False
    )
    assert f"({first})" in done.stdout
    assert changes(before, snapshot(host.data)) == {}


def test_e4_reruns_that_change_nothing_prune_no_upgrade(host: SageHost) -> None:
    host.install("1")
    before = snapshot(host.data)
    upgrade = host.install("2")
    for number in range(5):
        _no_change(host, str(number))
    assert host.clean(installations=1)["pruned"] != []
    with open(host.engine.path + "/rollback.sh", encoding="utf-8") as stream:
        assert f"tid='{upgrade}'" in stream.read()
    rollback(host.engine, RollbackRequest(upgrade), False)
    assert changes(before, snapshot(host.data)) == {}


@pytest.mark.parametrize("pruned", [False, True])
def test_e7_what_rests_on_an_upgrade_that_is_undone_is_not_in_force(host: SageHost, pruned: bool) -> None:
    """A run that had changed nothing was in force after the upgrade before it was undone, and all of it was drift."""
    first = host.install("1")
    upgrade = host.install("2")
    _no_change(host, "pin")
    attempt = host.history()[-1].install_id
    if pruned:
        assert host.clean()["pruned"]
    assert not report(host.engine, None, True)["progress"]["can_rollback"]
    undone = rollback(host.engine, RollbackRequest(upgrade), False)
    told = report(host.engine, None, True)
    assert (told["in_force"], told["status"]) == (first, "rolled_back")
    assert told["resume"] is not None
    assert told["resume"]["state"] == "finished"
    assert not told["progress"]["can_rollback"]
    # Undone in turn, all is as before.
    assert undone["redo_point"] is not None
    rollback(host.engine, RollbackRequest(undone["redo_point"]), False)
    told = report(host.engine, None, True)
    assert (told["in_force"], told["status"]) == (attempt, "completed")
    assert told["resume"] is not None
    assert told["resume"]["state"] == "finished"


def _outside(host: SageHost, number: int, by: str = "hook") -> str:
    """A point outside of installations, and a change of a file of its own."""
    path = host.path / f"other{number}"
    point = backup(host.engine, [{"kind": "files", "paths": [str(path)]}], None, f"apt: {number}", False, by)
    path.write_text(str(number))
    return str(point["rollback_point"]["id"])


@pytest.mark.slow
@pytest.mark.parametrize("by", ["hook", "hand"])
def test_e5_a_call_reads_no_more_after_many_points(host: SageHost, by: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines of the ledger that a call reads are counted."""
    host.install("1")
    read: list[bytes] = []
    parse = ledger._parse

    def counted(line: bytes) -> ledger.LedgerLine:
        read.append(line)
        return parse(line)

    def update() -> int:
        read.clear()
        host.call(transitions=[{"phase": "cleanup", "status": "completed", "data": str(len(host.changes()))}])
        return len(read)

    def point(number: int) -> int:
        read.clear()
        _outside(host, number, by)
        return len(read)

    monkeypatch.setattr(ledger, "_parse", counted)
    point(0)
    few = update() - len(host.changes())
    for number in range(1, 70):
        point(number)
    many = point(70)
    for number in range(71, 150):
        point(number)
    # What looks for a point of the same making has its bound.
    assert point(150) <= many + 2
    # The history that the test itself asked for is not counted.
    history = len(host.changes())
    read.clear()
    host.call(transitions=[{"phase": "cleanup", "status": "completed", "data": "later"}])
    assert history == 152
    assert len(read) < few + 20


def test_e5_points_of_hooks_are_pruned_and_the_installation_stays(host: SageHost) -> None:
    installation = host.install("1")
    points = [_outside(host, number) for number in range(8)]
    by_hand = [_outside(host, number, "hand") for number in range(10, 14)]
    done = host.clean(installations=3)
    assert done["pruned"] == [*points[:5], by_hand[0]]
    assert host.stored() == sorted([f"{installation}.1", *points[5:], *by_hand[1:]])
    result = rollback(host.engine, RollbackRequest(installation), False)
    assert by_hand[0] in result["inexact"][0]
    assert not result["exact"]
    assert changes(host.before[installation], snapshot(host.data)) == {}
    left = [(host.path / f"other{number}").exists() for number in (0, 7, 10, 11, 13)]
    assert left == [True, True, True, False, False]


def test_e5_a_host_that_only_makes_points_has_no_installation(host: SageHost) -> None:
    point = _outside(host, 0, "hand")
    hook = _outside(host, 1)
    told = report(host.engine, None, True)
    assert (told["exists"], told["install_id"], told["status"]) == (True, None, None)
    assert [(one["origin"], one["tid"]) for one in told["transactions"]] == [
        ("hook", hook.partition(".")[0]),
        ("hand", point.partition(".")[0]),
    ]
    assert not os.path.exists(host.engine.path + "/install_progress.json")
    # The hook's is no last.
    assert rollback(host.engine, RollbackRequest("last"), False)["undone"] == [point]
    assert (not (host.path / "other0").exists(), (host.path / "other1").exists()) == (True, True)
    assert "rolled back already" in _last(host)["msg"]
    kept = report(host.engine, None, True)["transactions"][0]["rollback_points"][0]["id"]
    rollback(host.engine, RollbackRequest(kept), False)
    assert (host.path / "other0").read_text() == "0"
    assert rollback(host.engine, RollbackRequest(hook), False)["undone"] == [hook]
    assert not (host.path / "other1").exists()


def test_e5_rollback_sh_does_what_it_can_after_a_run_of_apt(host: SageHost) -> None:
    installation = host.install("1")
    _outside(host, 0)
    done = subprocess.run(
        ["sh", f"{host.engine.path}/rollback.sh", "--yes"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert changes(host.before[installation], snapshot(host.data)) == {}
    assert (host.path / "other0").read_text() == "0"
    # It is put on record by the next call, whatever came since.
    _outside(host, 1)
    recover = checkpoint(host.engine, CheckpointRequest(None, True, {}, [], recover=True), False)["recover"]
    assert recover is not None
    rollback(host.engine, RollbackRequest(recover["to"]), False)
    assert host.history()[-1].status == "rolled_back"
    assert changes(host.before[installation], snapshot(host.data)) == {}


def test_e1_what_was_interrupted_is_finished_and_nothing_more(host: SageHost, monkeypatch: pytest.MonkeyPatch) -> None:
    host.install("1")
    works = snapshot(host.data)
    hook = _outside(host, 0)
    monkeypatch.setattr(redo, "restored", _interrupt)
    with pytest.raises(KeyboardInterrupt):
        rollback(host.engine, RollbackRequest(hook), False)
    monkeypatch.undo()
    recover = checkpoint(host.engine, CheckpointRequest(None, True, {}, [], recover=True), False)["recover"]
    assert recover is not None
    rollback(host.engine, RollbackRequest(recover["to"]), False)
    assert not (host.path / "other0").exists()
    assert changes(works, snapshot(host.data)) == {}
    assert host.history()[-1].status == "completed"


def _interrupt(*args: t.Any) -> t.NoReturn:
    raise KeyboardInterrupt


def _alone(root: Path) -> dict[str, t.Any]:
    """sage_backup with a description alone."""
    return t.cast("dict[str, t.Any]", backup(Engine(str(root)), environment(str(root)), None, "before I try", False))


def _root(tmp_path: Path) -> tuple[Path, TinyVenv]:
    root = tmp_path / "root"
    venv = TinyVenv(root / ".sage" / "venv")
    venv.make()
    venv.install("pack", "1.0")
    venv.install("other", "1.0")
    venv.install("gone", "1.0")
    (root / "requirements.txt").write_text("pack\n")
    return root, venv


def _try(root: Path, venv: TinyVenv) -> None:
    venv.install("pack", "2.0")
    venv.uninstall("gone")
    (root / "requirements.txt").unlink()
    (root / "requirements.txt").write_text("pack==2.0\n")
    (root / "pyproject.toml").write_text("[project]\n")


def _without_state(root: Path) -> Snapshot:
    return {path: what for path, what in snapshot(root).items() if not path.startswith(".sage/checkpoints")}


@pytest.mark.parametrize("by_script", [False, True])
def test_e6_a_description_alone_captures_the_environment_and_what_says_what_is_in_it(
    tmp_path: Path, by_script: bool
) -> None:
    root, venv = _root(tmp_path)
    assert _alone(root)["rollback_point"]["files"] > 3
    assert _alone(root)["changed"] is False
    before = _without_state(root)
    _try(root, venv)
    if by_script:
        done = subprocess.run(
            ["sh", str(root / ".sage/checkpoints/rollback.sh"), "--yes"], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert changes(before, _without_state(root)) == {}
    result = rollback(Engine(str(root)), RollbackRequest("last"), False)
    assert result["exact"]
    assert changes(before, _without_state(root)) == {}


def test_e6_what_came_since_goes_again(tmp_path: Path) -> None:
    root, venv = _root(tmp_path)
    _alone(root)
    before = _without_state(root)
    _try(root, venv)
    venv.install("new", "1.0")
    result = rollback(Engine(str(root)), RollbackRequest("last"), False)
    assert result["exact"]
    assert "new 1.0" in result["plan"]["erase"]
    assert changes(before, _without_state(root)) == {}


def test_e6_a_point_that_does_not_cover_the_change_is_not_called_exact(tmp_path: Path) -> None:
    """Case E6: an environment without distributions, and three of them changed: it was exact, with +0/-0."""
    root, venv = _root(tmp_path)
    before = snapshot(venv.path)
    spec = {"kind": "venv", "path": str(venv.path)}
    backup(Engine(str(root)), [spec], None, "nothing said", False)
    _try(root, venv)
    venv.install("new", "1.0")
    predicted = rollback(Engine(str(root)), RollbackRequest("last"), True)
    done = subprocess.run(
        ["sh", str(root / ".sage/checkpoints/rollback.sh"), "--yes"], capture_output=True, text=True, check=False
    )
    assert "exact" not in done.stdout.split()
    assert "partial" in done.stdout.split()
    assert not predicted["exact"]
    assert [line.partition(" in ")[0] for line in predicted["inexact"]] == ["gone", "new", "pack"]
    # By the table from before, not by what somebody said.
    assert changes(before, snapshot(venv.path)) == {}


def test_e6_an_environment_that_nobody_else_changed_is_exact_all_the_same(tmp_path: Path) -> None:
    root, venv = _root(tmp_path)
    backup(Engine(str(root)), [{"kind": "venv", "path": str(venv.path)}], None, "nothing said", False)
    assert rollback(Engine(str(root)), RollbackRequest("last"), False)["exact"]


@pytest.mark.slow
@pytest.mark.parametrize("by_script", [False, True])
def test_e8_files_inside_of_a_clone_come_back_with_it(tmp_path: Path, by_script: bool) -> None:
    """The role captures both before it updates the clone."""
    clone = tmp_path / "src"
    git = ["git", "-C", str(clone), "-c", "user.name=x", "-c", "user.email=x@x"]
    clone.mkdir()
    subprocess.run([*git, "init", "-q"], check=True)
    paths = [str(clone / name) for name in ("requirements.txt", "pyproject.toml")]
    (clone / "pyproject.toml").write_text("[project]\n")
    (clone / "other").write_text("1\n")
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "commit", "-qm", "1"], check=True)
    (clone / "pyproject.toml").write_text("[project]\n# mine\n")
    engine = Engine(str(tmp_path / "root"))
    (tmp_path / "root").mkdir()
    capture = [{"kind": "git", "path": str(clone)}, {"kind": "files", "paths": paths}]

    def call(status: str, **more: t.Any) -> None:
        transitions: t.Any = [{"phase": "submodule_sync", "status": status, **more}]
        if status == "completed":
            transitions.insert(0, {"phase": PHASES[0], "status": status})
        checkpoint(engine, CheckpointRequest({"submodule_sync": {"v": 1}}, True, {}, transitions), False)

    call("started", capture=capture)
    before = {path: what for path, what in snapshot(clone).items() if not path.startswith(".git")}
    subprocess.run([*git, "checkout", "-q", "."], check=True)
    (clone / "pyproject.toml").write_text("[project]\nname = 'x'\n")
    (clone / "requirements.txt").write_text("pack\n")
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "commit", "-qm", "2"], check=True)
    call("completed")
    if by_script:
        done = subprocess.run(
            ["sh", f"{engine.path}/rollback.sh", "--yes"], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
    assert rollback(engine, RollbackRequest("last"), False)["exact"]
    after = {path: what for path, what in snapshot(clone).items() if not path.startswith(".git")}
    assert changes(before, after) == {}
