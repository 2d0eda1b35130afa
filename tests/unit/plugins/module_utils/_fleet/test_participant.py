# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A host that is prepared begins nothing, loses nothing, and does what was decided, once."""

from __future__ import annotations

import subprocess
import typing as t

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import InDoubt, InputError, StateError
from ansible_collections.intellistream.sage.plugins.module_utils._calls.rollback import rollback
from ansible_collections.intellistream.sage.plugins.module_utils._fleet.participant import (
    learn_decision,
    prepare,
    record_unilateral_undo,
)
from ansible_collections.intellistream.sage.plugins.module_utils._pruning.policy import Limits, _guarded, decide
from ansible_collections.intellistream.sage.plugins.module_utils._pruning.usage import Usage
from ansible_collections.intellistream.sage.plugins.module_utils._records import standing as standing_module
from ansible_collections.intellistream.sage.plugins.module_utils._records.installation import (
    PHASES,
    Installation,
    fold,
    installations,
)
from ansible_collections.intellistream.sage.plugins.module_utils._records.standing import Standing, standing
from ansible_collections.intellistream.sage.plugins.module_utils._rollback_shell.script import refresh
from ansible_collections.intellistream.sage.plugins.module_utils._undo import redo
from ansible_collections.intellistream.sage.plugins.module_utils._undo.rollback import RollbackRequest
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils.recorded import VERIFIED
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils.recorded import event as recorded
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils.sagehost import SageHost
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils.tree import snapshot

if t.TYPE_CHECKING:
    import pathlib

    from ansible_collections.intellistream.sage.plugins.module_utils._records.session import Session


class FleetHost(SageHost):
    """A host that takes part in fleet runs."""

    def prepare(self, version: str, run: str = "r1") -> str:
        """All six phases, in one call with the vote."""
        name = self.begin(version)
        self.vote(run)
        return name

    def vote(self, run: str = "r1") -> Standing | None:
        """What the last call of the role does."""
        with self.engine.session() as session:
            was = session.installation.status if session.installation else None
            for phase in PHASES:
                if session.installation is None or not session.installation.phases[phase].done:
                    session.move(phase, "completed")
            if was != "completed":
                session.add(VERIFIED)
            found = prepare(session, run, "p" * 32, "deploy:/fleet", was)
            session.commit()
            refresh(session)
            return found

    def hear(self, decision: str, run: str = "r1") -> Standing:
        """It is told what was decided."""
        with self.engine.session() as session:
            found = learn_decision(session, run, decision)
            session.commit()
            return found

    def back(self, to: str) -> None:
        """A rollback."""
        rollback(self.engine, RollbackRequest(to), False)

    def in_force(self) -> str:
        """The installation whose result is there."""
        with self.engine.reading() as session:
            found = session.effective()
        assert found is not None
        return found.install_id

    @property
    def now(self) -> Installation:
        """The current installation, from the ledger."""
        return self.history()[-1]

    @property
    def standing(self) -> Standing:
        """How it stands."""
        found = standing(self.now)
        assert found is not None
        return found

    def refuses(self) -> None:
        """Nothing begins, and nothing moves."""
        entries = self.engine.path + "/ledger.jsonl"
        with open(entries, "rb") as stream:
            before = stream.read()
        acts: list[t.Callable[[Session], object]] = [
            lambda session: session.begin({}, {}),
            lambda session: session.move("python_deps", "started"),
            lambda session: prepare(session, "another", "q", "", "running"),
        ]
        for act in acts:
            with pytest.raises(InDoubt) as caught, self.engine.session() as session:
                act(session)
            assert caught.value.details["fleet"]["run"] == "r1"
            assert caught.value.advice
        with open(entries, "rb") as stream:
            assert stream.read() == before


@pytest.fixture
def host(tmp_path: pathlib.Path) -> FleetHost:
    made = FleetHost(tmp_path)
    made.make()
    made.install("1")
    return made


def test_prepared_is_not_completed(host: FleetHost) -> None:
    name = host.prepare("2")
    assert host.now.status == "prepared"
    assert all(phase.done for phase in host.now.phases.values())
    assert not host.now.unfinished
    found = host.standing
    assert (found.state, found.install_id, found.run, found.asks, found.to) == ("in_doubt", name, "r1", True, None)
    assert (found.decision_log, found.where, bool(found.since)) == ("p" * 32, "deploy:/fleet", True)
    assert host.now.as_dict()["fleet"]["run"] == "r1"
    host.refuses()
    # Saying it again changes nothing.
    with host.engine.session() as session:
        assert prepare(session, "r1", "p" * 32, "", "prepared") == found
        assert not session.changed


def test_the_vote_and_the_last_phase_are_one_entry(host: FleetHost) -> None:
    host.begin("2")
    with host.engine.reading() as session:
        before = len(session.lines())
    host.vote()
    with host.engine.reading() as session:
        entries = session.lines()
    assert len(entries) == before + 1
    # Wherever it is cut, there is no moment in which it is done and not in doubt.
    for number in range(1, len(entries) + 1):
        last = installations(fold(entries[:number]))[-1]
        assert last.status != "completed" or last.fleet is None


def test_commit(host: FleetHost) -> None:
    host.prepare("2")
    was = snapshot(host.data)
    found = host.hear("commit")
    assert (found.state, found.asks, found.to) == ("committed", False, None)
    assert host.now.status == "completed"
    with host.engine.session() as session:
        learn_decision(session, "r1", "commit")
        assert not session.changed
    assert snapshot(host.data) == was
    with pytest.raises(StateError, match="now gets abort"):
        host.hear("abort")
    # What comes after is as after any installation.
    third = host.install("3")
    host.back(third)
    assert snapshot(host.data) == was


def test_abort(host: FleetHost) -> None:
    was = snapshot(host.data)
    name = host.prepare("2")
    found = host.hear("abort")
    assert (found.state, found.asks, found.to) == ("aborting", False, name)
    # Killed here: whoever comes next knows without asking.
    host.refuses()
    host.back(name)
    assert snapshot(host.data) == was
    assert (host.now.status, host.standing.state) == ("rolled_back", "aborted")
    assert host.hear("abort").state == "aborted"
    with pytest.raises(StateError, match="now gets commit"):
        host.hear("commit")
    assert host.in_force() == host.history()[0].install_id
    host.install("2")
    assert host.now.status == "completed"


def test_what_nobody_prepared_hears_nothing(host: FleetHost) -> None:
    for run in ("r1", "r2"):
        with pytest.raises(InputError, match="not prepared"):
            host.hear("commit", run)
    host.prepare("2")
    with pytest.raises(InputError, match="r1"):
        host.hear("commit", "r2")


def test_phases_that_are_not_done_are_not_prepared(host: FleetHost) -> None:
    host.begin("2")
    with pytest.raises(InputError, match="Not all phases"), host.engine.session() as session:
        prepare(session, "r1", "p", "", "running")


def test_nothing_to_do_is_nothing_to_decide(host: FleetHost) -> None:
    """Else an abort would take back an installation of long ago."""
    assert host.vote() is None
    assert host.now.status == "completed"


def test_nothing_changed_is_back_at_once(tmp_path: pathlib.Path) -> None:
    host = FleetHost(tmp_path)
    host.make()
    host.vote()
    found = host.hear("abort")
    assert (found.state, found.to) == ("aborted", None)
    assert host.now.status == "rolled_back"


@pytest.mark.parametrize(("decision", "state"), [("commit", "diverged"), ("abort", "aborted")])
def test_a_host_that_undid_itself_has_to_ask(host: FleetHost, decision: str, state: str) -> None:
    was = snapshot(host.data)
    name = host.prepare("2")
    with host.engine.session() as session:
        assert record_unilateral_undo(session)
        session.commit()
    host.back(name)
    assert snapshot(host.data) == was
    assert (host.standing.state, host.standing.asks) == ("undid_itself", True)
    host.refuses()
    found = host.hear(decision)
    assert (found.state, found.asks) == (state, False)
    assert host.hear(decision).state == state
    # The next run repairs it.
    host.install("2")
    assert host.now.status == "completed"


def test_a_host_that_undid_itself_after_it_had_committed(host: FleetHost) -> None:
    name = host.prepare("2")
    host.hear("commit")
    with host.engine.session() as session:
        assert record_unilateral_undo(session)
        session.commit()
    assert host.standing.state == "committed"
    host.back(name)
    assert host.standing.state == "diverged"


def test_who_rolls_back_what_was_committed_has_not_diverged(host: FleetHost) -> None:
    name = host.prepare("2")
    host.hear("commit")
    host.back(name)
    assert host.standing.state == "committed"
    assert not host.standing.asks


def test_a_switch_that_fires_without_a_fleet(host: FleetHost) -> None:
    with host.engine.session() as session:
        assert not record_unilateral_undo(session)
        assert not session.changed


def test_a_rollback_that_was_interrupted_is_finished_first(host: FleetHost, monkeypatch: pytest.MonkeyPatch) -> None:
    was = snapshot(host.data)
    name = host.prepare("2")

    def killed(*args: t.Any) -> t.NoReturn:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(redo, "restored", killed)
        with pytest.raises(KeyboardInterrupt):
            host.back(name)
    assert host.now.undoing
    assert (host.standing.state, host.standing.to) == ("aborting", name)
    host.refuses()
    # Too late for that: it is found, not hidden.
    assert host.hear("commit").to == name
    host.back(name)
    assert snapshot(host.data) == was
    assert host.standing.state == "diverged"


def test_a_host_that_rollback_sh_took_back(host: FleetHost, monkeypatch: pytest.MonkeyPatch) -> None:
    was = snapshot(host.data)
    name = host.prepare("2")
    subprocess.run(["sh", f"{host.engine.path}/rollback.sh", "--yes"], check=True, capture_output=True)
    assert snapshot(host.data) == was
    found = host.hear("commit")
    assert (found.state, found.to) == ("aborting", name)
    host.refuses()
    host.back(name)
    assert snapshot(host.data) == was
    assert host.standing.state == "diverged"


def test_a_part_that_was_rolled_back_by_hand(host: FleetHost) -> None:
    was = snapshot(host.data)
    name = host.prepare("2")
    host.back("python_deps")
    assert (host.now.status, host.standing.state) == ("failed", "undid_itself")
    host.refuses()
    assert host.hear("abort").state in ("aborted", "aborting")
    host.back(name)
    assert snapshot(host.data) == was


def test_retention_takes_nothing_from_what_is_in_doubt(host: FleetHost) -> None:
    was = snapshot(host.data)
    name = host.prepare("2")
    points = [point["point"] for point in host.now.points]
    host.clean(installations=1, days=1, bytes=1)
    assert "fleet run is not decided" in _guarded(host.history())[name]
    assert set(points) <= set(host.stored())
    assert not any(point.get("archive") for point in host.now.points)
    host.clean(installations=1, archive=True, uncompressed=0)
    assert not any(point.get("archive") or point.get("pruned") for point in host.now.points)
    host.hear("abort")
    host.back(name)
    assert snapshot(host.data) == was


@pytest.mark.parametrize("status", ["prepared", "completed"])
def test_a_prepared_one_counts_for_nothing_yet(status: str) -> None:
    history = []
    for name in ("a", "b"):
        one = Installation(name, "2025-06-01T00:00:00+00:00")
        one.apply(recorded({"event": "captured", "point": f"{name}.1", "phase": "python_deps"}), one.begun, ord(name))
        one.status = "completed" if name == "a" else status
        history.append(one)

    class Sizes(Usage):
        def __init__(self) -> None:
            super().__init__()
            self._own = {"a.1": 1, "b.1": 1}

    decision = decide(history, Sizes(), Limits(1, archive=False), 2e9)
    assert decision.prune == ([] if status == "prepared" else ["a.1"])


def test_a_later_run_prepares_anew(host: FleetHost) -> None:
    name = host.prepare("2")
    host.hear("abort")
    host.back(name)
    host.prepare("3", "r2")
    assert (host.standing.run, host.standing.state, host.standing.decision) == ("r2", "in_doubt", None)
    host.hear("commit", "r2")
    assert host.standing.state == "committed"


def test_every_state_is_named() -> None:
    states = {state for by_status in standing_module.STANDS.values() for state in by_status.values()}
    assert states == {"in_doubt", "aborting", "committing", "undid_itself", "committed", "aborted", "diverged"}
