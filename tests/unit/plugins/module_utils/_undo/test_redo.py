# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A rollback that is itself undone, and targets on both sides of it; whole trees compared."""

from __future__ import annotations

import datetime as dt
import os
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._base import clock, fork
from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import ConflictError, RollbackError
from ansible_collections.intellistream.sage.plugins.module_utils._calls.checkpoint import CheckpointRequest as Wanted
from ansible_collections.intellistream.sage.plugins.module_utils._calls.checkpoint import checkpoint
from ansible_collections.intellistream.sage.plugins.module_utils._calls.rollback import rollback
from ansible_collections.intellistream.sage.plugins.module_utils._footprint import table
from ansible_collections.intellistream.sage.plugins.module_utils._records.installation import PHASES, Installation
from ansible_collections.intellistream.sage.plugins.module_utils._records.session import Engine
from ansible_collections.intellistream.sage.plugins.module_utils._undo.rollback import RollbackRequest
from ansible_collections.intellistream.sage.plugins.module_utils._venv.resource import VenvResource
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils.tinyvenv import TinyVenv
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils.tree import changes, snapshot

if TYPE_CHECKING:
    from pathlib import Path

    from ansible_collections.intellistream.sage.plugins.plugin_utils._events import Transition
    from ansible_collections.intellistream.sage.plugins.plugin_utils._structures import RollbackResult
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils.recorded import verified


class Host:
    """A root, an environment in it, a file, and installations that change both."""

    def __init__(self, path: Path) -> None:
        self.path = path
        (path / "root").mkdir()
        (path / "data").mkdir()
        self.engine = Engine(str(path / "root"))
        self.venv = TinyVenv(path / "data" / "venv")
        self.file = path / "data" / "config"

    def look(self) -> dict[str, Any]:
        """Everything that installations change, independently of the engine."""
        return snapshot(self.path / "data")

    def install(self, inputs: str, **versions: str) -> str:
        """An installation with a phase that makes the environment and one that fills it; returns its id."""
        venv: dict[str, Any] = {"kind": "venv", "path": str(self.venv.path)}
        pins = [{"name": name, "version": version} for name, version in versions.items()]
        first: Transition = {
            "phase": PHASES[0],
            "status": "started",
            "capture": [venv, {"kind": "files", "paths": [str(self.file)]}],
        }
        self.call(inputs, first)
        if not self.venv.path.exists():
            self.venv.make()
        self.file.write_text(inputs)
        self.call(
            inputs,
            {"phase": PHASES[0], "status": "completed"},
            {"phase": PHASES[2], "status": "started", "capture": [{**venv, "distributions": pins}]},
        )
        for name, version in versions.items():
            self.venv.install(name, version)
        verified(self.engine)
        done: list[Transition] = [{"phase": phase, "status": "completed"} for phase in PHASES[1:]]
        return str(self.call(inputs, *done)["install_id"])

    def call(self, inputs: str, *transitions: Transition) -> dict[str, Any]:
        """One call of the module."""
        wanted = {PHASES[0]: {"want": inputs}}
        return {**checkpoint(self.engine, Wanted(wanted, True, {}, list(transitions)), False)}

    def undo(self, to: str | None = "last", **options: Any) -> RollbackResult:
        """A rollback, predicted first."""
        predicted = rollback(self.engine, RollbackRequest(str(to), **options), True)
        result = rollback(self.engine, RollbackRequest(str(to), **options), False)
        assert predicted == {**result, "redo_point": None}
        return result

    def redo_point(self) -> str:
        """What the latest rollback had captured; empty when none has."""
        with self.engine.reading() as session:
            points = [change.points[0] for change in session.history() if change.origin == "rollback"]
        return str(points[-1]["point"]) if points else ""

    def interrupted(self) -> bool:
        """A rollback began and has not ended."""
        with self.engine.reading() as session:
            return session.interrupted

    def now(self) -> Installation:
        """The current installation."""
        with self.engine.reading() as session:
            assert session.installation is not None
            return session.installation


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def test_there_and_back_as_often_as_wanted(host: Host) -> None:
    states = [host.look()]
    first = host.install("one", pack="1.0", other="1.0")
    states.append(host.look())
    second = host.install("two", pack="2.0", fresh="1.0")
    states.append(host.look())
    undone = host.undo()
    assert changes(states[1], host.look()) == {}
    assert host.now().status == "rolled_back"
    # A second time changes nothing, and does not bring anything back.
    assert host.undo()["changed"] is False
    again = host.undo(undone["redo_point"])
    assert changes(states[2], host.look()) == {}
    assert host.now().status == "completed"
    assert again["redo_point"] is not None
    host.undo(second)
    assert changes(states[1], host.look()) == {}
    all_undone = host.undo(first)
    assert changes(states[0], host.look()) == {}
    host.undo(all_undone["redo_point"])
    assert changes(states[1], host.look()) == {}
    host.undo(undone["redo_point"])
    assert changes(states[2], host.look()) == {}
    host.undo(first)
    assert changes(states[0], host.look()) == {}


def test_going_back_past_a_rollback(host: Host) -> None:
    """What a rollback undid, and the rollback, cancel each other."""
    before = host.look()
    first = host.install("one", pack="1.0")
    host.install("two", pack="2.0", fresh="1.0")
    host.undo()
    host.install("three", pack="3.0", more="1.0")
    host.undo(first)
    assert changes(before, host.look()) == {}


def test_what_a_rollback_brought_back_goes_again(host: Host) -> None:
    """What it went back through had been rolled back before, and is no less kept for that."""
    first = host.install("one", pack="1.0")
    second = host.install("two", fresh="1.0")
    host.undo(f"{first}.2")
    bare = host.look()
    part = host.undo(f"{second}.2")
    assert host.venv.installed() == {"pack": "1.0"}
    host.undo(part["redo_point"])
    assert changes(bare, host.look()) == {}


def test_what_cannot_be_kept_whole_is_not_kept_in_part(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """A point with the file alone would be named as the way back of the environment too."""
    # What was written just before the capture would be copied.
    monkeypatch.setattr(table, "GRANULE_NS", 0)
    monkeypatch.setattr(VenvResource, "watched", property(lambda _self: False, lambda _self, _value: None))
    host.install("one", pack="1.0")
    spec = {"kind": "venv", "path": str(host.venv.path), "distributions": [{"name": "pack", "version": "2.0"}]}
    files = {"kind": "files", "paths": [str(host.file)]}
    host.call("two", {"phase": PHASES[0], "status": "started", "capture": [spec, files]})
    # The store has it as a hard link, so that what it was is lost, and no rollback ends without a difference.
    (host.venv.site / "pack" / "__init__.py").write_text("of somebody")
    data = host.venv.site / "pack" / "data" / "1.0.txt"
    data.unlink()
    host.file.write_text("two")
    verified(host.engine)
    done: list[Transition] = [{"phase": phase, "status": "completed"} for phase in PHASES]
    host.call("two", *done)
    with pytest.raises(RollbackError, match="has lost what it was"):
        host.undo(force=True)
    kept = host.redo_point()
    assert kept
    host.file.write_text("three")
    data.unlink()
    with pytest.raises(RollbackError, match="has lost what it was"):
        rollback(host.engine, RollbackRequest(host.now().points[0]["point"], force=True), False)
    assert host.redo_point() == kept


def test_redo_after_another_installation(host: Host) -> None:
    """Going back to a rollback's point goes back past what came after it too."""
    host.install("one", pack="1.0")
    host.install("two", pack="2.0", fresh="1.0")
    wanted = host.look()
    undone = host.undo()
    host.install("three", pack="3.0", more="1.0")
    host.undo(undone["redo_point"])
    assert changes(wanted, host.look()) == {}


def test_a_removed_environment_comes_back_whole(host: Host) -> None:
    host.install("one", pack="1.0")
    host.venv.install("handmade", "1.0")
    with pytest.raises(ConflictError, match="handmade"):
        host.undo()
    wanted = host.look()
    undone = host.undo(force=True)
    assert not host.venv.path.exists()
    host.undo(undone["redo_point"])
    assert changes(wanted, host.look()) == {}


def test_somebody_else_in_between_is_a_conflict(host: Host) -> None:
    host.install("one", pack="1.0")
    host.install("two", pack="2.0", fresh="1.0")
    undone = host.undo()
    host.venv.install("fresh", "7.0")
    before = host.look()
    with pytest.raises(ConflictError, match=r"fresh 7\.0"):
        rollback(host.engine, RollbackRequest(str(undone["redo_point"])), False)
    assert changes(before, host.look()) == {}


def test_failed_work_is_not_kept(host: Host) -> None:
    before = host.look()
    host.install("one", pack="1.0")
    with host.engine.session() as session:
        session.move(PHASES[4], "failed")
        session.commit()
    assert host.undo()["redo_point"] is None
    assert changes(before, host.look()) == {}


def test_a_full_store_does_not_stop_a_rollback(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.install("one", pack="1.0")
    before = host.look()
    host.install("two", pack="2.0")
    real = os.fstatvfs

    def full(fd: int) -> os.statvfs_result:
        return os.statvfs_result([*real(fd)[:4], 0, *real(fd)[5:10]])

    monkeypatch.setattr(os, "fstatvfs", full)
    assert host.undo()["redo_point"] is None
    assert changes(before, host.look()) == {}


def test_broken_is_kept_beside(host: Host) -> None:
    first = host.install("one", pack="1.0")
    host.undo(keep_broken=True)
    assert not host.venv.path.exists()
    kept = host.venv.path.with_name(f"venv.broken-{first}")
    assert (kept / "pyvenv.cfg").exists()


def test_broken_upgrade_is_kept_beside(host: Host) -> None:
    host.install("one", pack="1.0")
    before = host.look()
    second = host.install("two", pack="2.0", fresh="1.0")
    broken = TinyVenv(host.venv.path.with_name(f"venv.broken-{second}"))
    wanted = snapshot(host.venv.path)
    assert host.undo(keep_broken=True)["kept"] == [f"{broken.path} (the environment as it was)"]
    assert changes(wanted, snapshot(broken.path)) == {}
    broken.remove()
    assert changes(before, host.look()) == {}


def test_what_was_added_earlier_stays(host: Host) -> None:
    host.install("one", pack="1.0")
    first = host.now()
    host.install("two", pack="2.0", fresh="1.0")
    with host.engine.reading() as session:
        second = session.history()[-1].points[-1]["time"]
    result = host.undo("last", erase_installed_after=second)
    assert result["kept"] == ["fresh 1.0"]
    assert host.venv.installed() == {"pack": "1.0", "fresh": "1.0"}
    assert first.install_id


def test_a_date_is_a_cut(host: Host) -> None:
    before = host.look()
    host.install("one", pack="1.0")
    middle = host.now().updated
    wanted = host.look()
    host.install("two", pack="2.0")
    host.undo(middle)
    assert changes(wanted, host.look()) == {}
    host.undo("2003-07-31 23:26")
    assert changes(before, host.look()) == {}


def test_undone_redone_and_undone_without_keeping(host: Host) -> None:
    """The last undo of the second installation is on no record of its own, and does not count twice."""
    before = host.look()
    first = host.install("one", pack="1.0")
    host.install("two", pack="2.0")
    undone = host.undo()
    host.undo(undone["redo_point"])
    host.undo(keep_broken=True)
    result = host.undo(first)
    assert result["redo_point"] is not None
    assert changes({**before}, {name: what for name, what in host.look().items() if ".broken-" not in name}) == {}


def test_by_two_processes(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is put back and verified is as much as one process alone would."""
    monkeypatch.setattr(fork, "_MANY", 2)
    monkeypatch.setattr(fork, "has_second_processor", lambda: True)
    host.install("one", pack="1.0", fresh="1.0")
    wanted = host.look()
    second = host.install("two", pack="2.0", fresh="2.0")
    newer = host.look()
    assert host.undo(second)["exact"] is True
    assert changes(wanted, host.look()) == {}
    host.undo(host.redo_point())
    assert changes(newer, host.look()) == {}


def test_a_clock_that_was_set_back(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was undone and not kept before an installation began stays before it, whatever the clock says."""
    wanted = host.look()
    host.install("one", pack="1.0")
    host.undo(keep_broken=True)
    now, hour = clock.now, dt.timedelta(hours=7)
    monkeypatch.setattr(clock, "now", lambda: (dt.datetime.fromisoformat(now()) - hour).isoformat("T", "milliseconds"))
    second = host.install("two", pack="2.0")
    host.undo(second)
    assert changes(wanted, {name: what for name, what in host.look().items() if ".broken-" not in name}) == {}
