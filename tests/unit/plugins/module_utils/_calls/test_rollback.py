# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A host that promised to go back has changed nothing, begins nothing, and does what was decided, once."""

from __future__ import annotations

import subprocess
import typing as t

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import (
    ConflictError,
    InDoubt,
    InputError,
    StateError,
)
from ansible_collections.intellistream.sage.plugins.module_utils._calls.checkpoint import deliver_decision
from ansible_collections.intellistream.sage.plugins.module_utils._calls.rollback import prepare_rollback, rollback
from ansible_collections.intellistream.sage.plugins.module_utils._fleet import participant
from ansible_collections.intellistream.sage.plugins.module_utils._fleet.participant import record_unilateral_undo
from ansible_collections.intellistream.sage.plugins.module_utils._pruning.policy import _guarded
from ansible_collections.intellistream.sage.plugins.module_utils._undo import redo
from ansible_collections.intellistream.sage.plugins.module_utils._undo.rollback import RollbackRequest
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils._fleet.test_participant import FleetHost
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils.tree import snapshot

if t.TYPE_CHECKING:
    import pathlib

    from ansible_collections.intellistream.sage.plugins.plugin_utils._events import FleetRun
    from ansible_collections.intellistream.sage.plugins.plugin_utils._structures import (
        CheckpointResult,
        PreparedRollbackResult,
    )

RUN: FleetRun = {"run": "r1", "decision_log": "p" * 32, "where": "deploy:/fleet"}


class BackHost(FleetHost):
    """A host whose rollback is part of a fleet run."""

    def prepare_rollback(self, to: str = "last", check_mode: bool = False, **values: t.Any) -> PreparedRollbackResult:
        """What the role does before it decides."""
        return prepare_rollback(self.engine, RollbackRequest(to, **values), RUN, check_mode)

    def told(self, decision: str) -> CheckpointResult:
        """What the role does after it decided."""
        return deliver_decision(self.engine, "r1", decision, False)

    def entries(self) -> int:
        """How long its ledger is."""
        with self.engine.reading() as session:
            return len(session.lines())


@pytest.fixture
def host(tmp_path: pathlib.Path) -> BackHost:
    made = BackHost(tmp_path)
    made.make()
    made.install("1")
    made.install("2")
    return made


def test_a_promise_changes_nothing(host: BackHost) -> None:
    was = snapshot(host.data)
    name = host.now.install_id
    told = host.prepare_rollback()
    assert told["changed"]
    assert (told["target"], told["plan"]["erase"], told["plan"]["install"]) == (name, ["pack 2"], ["pack 1"])
    assert told["fleet"] == host.standing.as_dict()
    found = host.standing
    assert (found.state, found.asks, found.to, found.run) == ("in_doubt", True, None, "r1")
    assert (found.decision_log, found.where, bool(found.since)) == ("p" * 32, "deploy:/fleet", True)
    assert snapshot(host.data) == was
    assert host.now.status == "completed"
    host.refuses()
    # Nobody makes up its mind for it.
    for check_mode in (True, False):
        with pytest.raises(InDoubt, match="is to be rolled back in fleet run r1"):
            rollback(host.engine, RollbackRequest(), check_mode)
    with pytest.raises(InDoubt):
        host.prepare_rollback()
    assert snapshot(host.data) == was


def test_check_mode_promises_nothing(host: BackHost) -> None:
    before = host.entries()
    assert host.prepare_rollback(check_mode=True)["changed"]
    assert host.entries() == before
    assert host.now.fleet is None


def test_nothing_to_roll_back_is_nothing_to_promise(tmp_path: pathlib.Path) -> None:
    host = BackHost(tmp_path)
    host.make()
    told = host.prepare_rollback()
    assert (told["undone"], told["fleet"], told["changed"]) == ([], None, False)
    host.install("1")
    host.back("last")
    before = host.entries()
    assert host.prepare_rollback(host.history()[0].install_id)["fleet"] is None
    assert host.entries() == before


def test_commit(host: BackHost) -> None:
    name = host.prepare_rollback()["target"]
    assert host.told("commit")["recover"] == {"to": name}
    found = host.standing
    assert (found.state, found.asks, found.to) == ("committing", False, name)
    # Killed here: whoever comes next knows without asking.
    host.refuses()
    host.back(name)
    assert snapshot(host.data) == host.before[name]
    assert (host.standing.state, host.standing.to, host.now.status) == ("committed", None, "rolled_back")
    assert host.told("commit")["recover"] is None
    with pytest.raises(StateError, match="now gets abort"):
        host.told("abort")
    # What was taken back can be brought back, and what comes after is as after any rollback.
    host.back(host.changes()[-1].active_points[-1]["point"])
    assert host.file.read_text() == "2"
    host.install("3")
    assert host.now.status == "completed"


def test_abort(host: BackHost) -> None:
    was = snapshot(host.data)
    host.prepare_rollback()
    assert host.told("abort")["recover"] is None
    assert (host.standing.state, host.standing.asks, host.now.status) == ("aborted", False, "completed")
    assert snapshot(host.data) == was
    # Both can be tried again.
    name = host.now.install_id
    host.prepare_rollback()
    host.told("abort")
    host.back(name)
    assert snapshot(host.data) == host.before[name]


def test_what_was_decided_is_done_whatever_is_named(host: BackHost) -> None:
    first, second = (one.install_id for one in host.history())
    host.prepare_rollback(first)
    host.told("commit")
    assert rollback(host.engine, RollbackRequest(second), True)["target"] == first
    host.back(second)
    assert snapshot(host.data) == host.before[first]
    assert host.standing.state == "committed"


def test_what_was_to_be_overruled_stays_overruled(host: BackHost) -> None:
    host.file.write_text("mine")
    with pytest.raises(ConflictError):
        host.prepare_rollback()
    assert host.now.fleet is None
    name = host.prepare_rollback(force=True)["target"]
    host.told("commit")
    host.back(name)
    assert snapshot(host.data) == host.before[name]


def test_kinds_that_were_left_out_are_left_out(host: BackHost) -> None:
    host.prepare_rollback(kinds=["files"], erase_installed_after="1 minute ago")
    host.told("commit")
    host.back("last")
    assert (host.file.read_text(), host.standing.state) == ("1", "committed")
    assert (host.venv.site / "pack" / "__init__.py").read_text() == "2"


def test_a_rollback_that_was_killed_is_finished(host: BackHost, monkeypatch: pytest.MonkeyPatch) -> None:
    name = host.prepare_rollback()["target"]
    host.told("commit")
    monkeypatch.setattr(redo, "restored", _interrupt)
    with pytest.raises(KeyboardInterrupt):
        host.back(name)
    monkeypatch.undo()
    assert (host.standing.state, host.standing.to) == ("committing", name)
    host.refuses()
    host.back(name)
    assert snapshot(host.data) == host.before[name]
    assert host.standing.state == "committed"


def test_killed_between_the_end_and_its_record(host: BackHost, monkeypatch: pytest.MonkeyPatch) -> None:
    name = host.prepare_rollback()["target"]
    host.told("commit")
    monkeypatch.setattr(participant, "record_rollback_done", _interrupt)
    with pytest.raises(KeyboardInterrupt):
        host.back(name)
    monkeypatch.undo()
    assert host.standing.state == "committing"
    # There is nothing left to do, and it says so.
    assert rollback(host.engine, RollbackRequest(name), False)["undone"] == []
    assert host.standing.state == "committed"
    assert snapshot(host.data) == host.before[name]


def _interrupt(*args: t.Any) -> t.NoReturn:
    raise KeyboardInterrupt


def test_an_interrupted_rollback_comes_first(host: BackHost, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redo, "restored", _interrupt)
    with pytest.raises(KeyboardInterrupt):
        host.back("last")
    with pytest.raises(InputError, match="interrupted") as caught:
        host.prepare_rollback()
    assert "finish_sage.yml" in caught.value.advice
    assert host.now.fleet is None


def test_the_script_does_not_ask_and_is_found_out(host: BackHost) -> None:
    name = host.prepare_rollback()["target"]
    subprocess.run(["sh", f"{host.engine.path}/rollback.sh", "--yes"], check=True, capture_output=True)
    fleet = host.told("abort")["fleet"]
    assert fleet is not None
    assert fleet["state"] == "diverged"
    host.back("last")
    assert snapshot(host.data) == host.before[name]


def test_a_switch_that_fires_on_a_promise(host: BackHost) -> None:
    host.begin("3")
    host.prepare_rollback()
    with host.engine.session() as session:
        assert record_unilateral_undo(session)
        session.commit()
    # It is not known yet whether it may.
    assert host.standing.asks
    host.told("commit")
    host.back("last")
    with host.engine.session() as session:
        assert not record_unilateral_undo(session)
    assert host.standing.state == "committed"


def test_an_unfinished_installation_is_recovered_when_it_does_not_go_back(host: BackHost) -> None:
    """Who asks for the decision does not look twice."""
    host.begin("3")
    host.prepare_rollback()
    assert host.told("abort")["recover"] == {"to": "python_deps"}


def test_retention_takes_nothing_of_it(host: BackHost) -> None:
    first = host.history()[0].install_id
    host.prepare_rollback(first)
    assert set(_guarded(host.history())) >= {one.install_id for one in host.history()}
    host.clean(installations=1)
    host.told("commit")
    host.back(first)
    assert snapshot(host.data) == host.before[first]
