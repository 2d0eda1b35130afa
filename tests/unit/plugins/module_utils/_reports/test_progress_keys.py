# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The keys of install_progress.json in each situation: what they say of the host is so (E7)."""

from __future__ import annotations

import json
import typing as t

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._calls.checkpoint import (
    CheckpointRequest,
    checkpoint,
)
from ansible_collections.intellistream.sage.plugins.module_utils._calls.rollback import rollback
from ansible_collections.intellistream.sage.plugins.module_utils._calls.verdict import look
from ansible_collections.intellistream.sage.plugins.module_utils._records.installation import PHASES
from ansible_collections.intellistream.sage.plugins.module_utils._records.progress import KEYS
from ansible_collections.intellistream.sage.plugins.module_utils._reports.report import report
from ansible_collections.intellistream.sage.plugins.module_utils._undo.rollback import RollbackRequest
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils.sagehost import SageHost

if t.TYPE_CHECKING:
    from pathlib import Path

STANDARD = {"install_mode": "standard", "environment_name": ".sage/venv", "python_path": "/usr/bin/python3.11"}
DEV = {**STANDARD, "install_mode": "dev"}
FULL = {**STANDARD, "install_mode": "full", "python_path": "/usr/bin/python3.12"}
DONE = list(PHASES)
BROKEN = "python_deps: broken"


class Host(SageHost):
    """One whose callers give labels, as the role does, or none."""

    ids: list[str]
    labels: t.Mapping[str, str]

    def call(self, check_mode: bool = False, **values: t.Any) -> dict[str, t.Any]:
        request = CheckpointRequest(values.get("inputs"), True, self.labels, values.get("transitions") or [])
        return {**checkpoint(self.engine, request, check_mode)}

    def attempt(self, version: str, labels: t.Mapping[str, str], end: str = "completed") -> None:
        """An installation with these labels that is completed, or fails in its first phase."""
        self.labels = labels
        self.ids.append(self.begin(version))
        if end == "completed":
            self.end()
        else:
            self.call(transitions=[{"phase": "python_deps", "status": "failed", "data": {"message": "broken"}}])

    def unchanged(self, labels: t.Mapping[str, str], **captures: t.Any) -> None:
        """An installation that changes nothing."""
        self.labels = labels
        inputs = {"sage_packages": {"extra": str(len(self.ids))}, "python_deps": {"version": self.file.read_text()}}
        begun = self.call(inputs=inputs, transitions=[{"phase": "cleanup", "status": "started", **captures}])
        self.ids.append(begun["install_id"])
        self.end()

    def undo(self, number: int) -> None:
        """Back to before one of the installations."""
        assert rollback(self.engine, RollbackRequest(self.ids[number]), False)["exact"]

    def undo_phase(self) -> None:
        """What the policy checkpoint does."""
        assert rollback(self.engine, RollbackRequest("python_deps"), False)["exact"]

    def redo(self) -> None:
        """Take the last rollback back."""
        point = max(
            (point for change in self.changes() for point in change.active_points), key=lambda each: each["seq"]
        )
        assert rollback(self.engine, RollbackRequest(point["point"]), False)["exact"]


class Case(t.NamedTuple):
    """What the keys say.

    :ivar at: which of the installations they are of.
    """

    at: int
    completed: list[str]
    current: str
    failed: list[str]
    labels: t.Mapping[str, str]
    captured: bool
    can_rollback: bool
    error: str | None = None


def _fresh(host: Host) -> None:
    host.attempt("1", STANDARD)


def _running(host: Host) -> None:
    host.labels = STANDARD
    host.ids.append(host.begin("1"))


def _fresh_failed(host: Host) -> None:
    host.attempt("1", STANDARD, "failed")


def _fresh_undone(host: Host) -> None:
    _fresh_failed(host)
    host.undo(0)


def _upgrade(host: Host) -> None:
    _fresh(host)
    host.attempt("2", FULL)


def _upgrade_without_labels(host: Host) -> None:
    _fresh(host)
    host.attempt("2", {})


def _upgrade_of_mode(host: Host) -> None:
    _fresh(host)
    host.attempt("2", {"install_mode": "dev"})


def _failed(host: Host) -> None:
    _fresh(host)
    host.attempt("2", FULL, "failed")


def _failed_checkpoint(host: Host) -> None:
    _failed(host)
    host.undo_phase()


def _failed_transaction(host: Host) -> None:
    _failed(host)
    host.undo(1)


def _failed_twice(host: Host) -> None:
    _failed_transaction(host)
    host.attempt("3", DEV, "failed")
    host.undo(2)


def _failed_often(host: Host) -> None:
    _failed_twice(host)
    for version in "45":
        host.attempt(version, DEV, "failed")
        host.undo(-1)


def _after_a_failed_one(host: Host) -> None:
    _failed_transaction(host)
    host.attempt("2", {})


def _rolled_back(host: Host) -> None:
    _upgrade(host)
    host.undo(1)


def _rolled_back_two(host: Host) -> None:
    _fresh(host)
    host.attempt("2", FULL)
    host.attempt("3", DEV)
    host.undo(1)


def _all_rolled_back(host: Host) -> None:
    _upgrade(host)
    host.undo(0)


def _redone(host: Host) -> None:
    _rolled_back(host)
    host.redo()


def _no_change(host: Host) -> None:
    _upgrade(host)
    host.unchanged({})


def _undone_by_id(host: Host) -> None:
    """What changed nothing rests on what is undone before it."""
    _no_change(host)
    host.undo(1)


def _no_change_captured(host: Host) -> None:
    """What is captured is looked at once more when the phase has ended."""
    _fresh(host)
    host.unchanged({}, capture=[{"kind": "files", "paths": [str(host.file)]}])


CASES: dict[t.Callable[[Host], None], Case] = {
    _running: Case(0, [], "python_deps", [], STANDARD, captured=True, can_rollback=True),
    _fresh: Case(0, DONE, "cleanup", [], STANDARD, captured=True, can_rollback=True),
    _fresh_failed: Case(
        0, [], "python_deps", ["python_deps"], STANDARD, captured=True, can_rollback=True, error=BROKEN
    ),
    _fresh_undone: Case(
        0, [], "python_deps", ["python_deps"], STANDARD, captured=True, can_rollback=False, error=BROKEN
    ),
    _upgrade: Case(1, DONE, "cleanup", [], FULL, captured=True, can_rollback=True),
    _upgrade_without_labels: Case(1, DONE, "cleanup", [], STANDARD, captured=True, can_rollback=True),
    _upgrade_of_mode: Case(1, DONE, "cleanup", [], DEV, captured=True, can_rollback=True),
    _failed: Case(1, DONE[:2], "python_deps", ["python_deps"], FULL, captured=True, can_rollback=True, error=BROKEN),
    _failed_checkpoint: Case(
        1,
        DONE[:2],
        "python_deps",
        ["python_deps"],
        FULL,
        captured=True,
        can_rollback=False,
        error="python_deps: broken",
    ),
    # What was tried failed, and was undone; the one before is as it was.
    _failed_transaction: Case(
        1, DONE, "cleanup", ["python_deps"], STANDARD, captured=True, can_rollback=False, error=BROKEN
    ),
    _failed_twice: Case(2, DONE, "cleanup", ["python_deps"], STANDARD, captured=True, can_rollback=False, error=BROKEN),
    _failed_often: Case(4, DONE, "cleanup", ["python_deps"], STANDARD, captured=True, can_rollback=False, error=BROKEN),
    _after_a_failed_one: Case(2, DONE, "cleanup", [], STANDARD, captured=True, can_rollback=True),
    _rolled_back: Case(1, DONE, "cleanup", [], STANDARD, captured=True, can_rollback=False),
    _rolled_back_two: Case(2, DONE, "cleanup", [], STANDARD, captured=True, can_rollback=False),
    _all_rolled_back: Case(1, [], "environment_setup", [], FULL, captured=True, can_rollback=False),
    _redone: Case(1, DONE, "cleanup", [], FULL, captured=True, can_rollback=True),
    _undone_by_id: Case(2, DONE, "cleanup", [], STANDARD, captured=False, can_rollback=False),
    _no_change_captured: Case(1, DONE, "cleanup", [], STANDARD, captured=True, can_rollback=False),
    _no_change: Case(2, DONE, "cleanup", [], FULL, captured=False, can_rollback=False),
}


@pytest.mark.parametrize("situation", CASES, ids=lambda situation: situation.__name__.lstrip("_"))
def test_e7_the_keys_are_true(tmp_path: Path, situation: t.Callable[[Host], None]) -> None:
    host = Host(tmp_path)
    host.ids = []
    host.make()
    situation(host)
    case = CASES[situation]
    told = json.loads((host.store.parent / "install_progress.json").read_text())
    assert list(told) == list(KEYS)
    attempt = host.history()[-1]
    assert {name: told[name] for name in KEYS if name != "additional_data"} == {
        "install_id": host.ids[case.at],
        "start_time": attempt.begun,
        "current_phase": case.current,
        "completed_phases": case.completed,
        "failed_phases": case.failed,
        **case.labels,
        "backup_created": case.captured,
        "can_rollback": case.can_rollback,
        "last_update": attempt.updated,
        "last_error": case.error,
    }
    # All that tell it tell the same, and find the file in order.
    reported = report(host.engine, None, history=False)
    assert reported["progress"] == told
    assert reported["progress_file"] == "current"
    assert look(str(host.engine.root), None, {})["progress"] == told
    # Who believes it is not disappointed.
    before = host.file.read_text()
    undone = rollback(host.engine, RollbackRequest("last"), False)
    assert undone["changed"] is case.can_rollback
    assert (host.file.read_text() != before) is case.can_rollback


@pytest.mark.parametrize("lost", [1, 2, 4])
def test_e18_a_ledger_that_lost_its_end_is_noticed(tmp_path: Path, lost: int) -> None:
    host = Host(tmp_path)
    host.ids = []
    host.make()
    _upgrade(host)
    host.call(transitions=[{"phase": "cleanup", "status": "completed", "data": "later"}])
    ledger, file = host.store.parent / "ledger.jsonl", host.store.parent / "install_progress.json"
    told = file.read_bytes()
    lines = ledger.read_bytes().splitlines(keepends=True)
    assert len(lines) > lost
    ledger.write_bytes(b"".join(lines[:-lost]))
    assert report(host.engine, None, history=False)["progress_file"] == "ahead"
    result = host.call(transitions=[{"phase": "cleanup", "status": "started"}])
    assert "which has lost its last lines" in result["repaired"][0]
    assert file.with_name("install_progress.json.ahead").read_bytes() == told
    assert report(host.engine, None, history=False)["progress_file"] == "current"


def test_e18_one_that_was_edited_is_not_taken_for_that(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.ids = []
    host.make()
    _upgrade(host)
    file = host.store.parent / "install_progress.json"
    told = json.loads(file.read_text())
    for change in ({"current_phase": "python_deps"}, {"last_update": "2099"}, {"last_update": None}, {"more": 1}):
        file.write_text(json.dumps({**told, **change}))
        assert report(host.engine, None, history=False)["progress_file"] == "edited"
