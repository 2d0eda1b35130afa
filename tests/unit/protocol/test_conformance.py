# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The code itself, played as the model is: real records, a real decision log, any order and any crash.

What is judged is a file on each host, not what the records say.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import shutil
import subprocess
import tempfile
import typing as t
from unittest import mock

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import InDoubt, StateError
from ansible_collections.intellistream.sage.plugins.module_utils._calls.rollback import prepare_rollback, rollback
from ansible_collections.intellistream.sage.plugins.module_utils._fleet.barrier import BarrierVote, DecisionQuery
from ansible_collections.intellistream.sage.plugins.module_utils._fleet.decide import decide, open_run, resolve_doubt
from ansible_collections.intellistream.sage.plugins.module_utils._fleet.participant import (
    learn_decision,
    prepare,
    record_unilateral_undo,
)
from ansible_collections.intellistream.sage.plugins.module_utils._records.installation import PHASES
from ansible_collections.intellistream.sage.plugins.module_utils._records.session import Engine
from ansible_collections.intellistream.sage.plugins.module_utils._records.standing import Standing, standing
from ansible_collections.intellistream.sage.plugins.module_utils._rollback_shell.script import refresh
from ansible_collections.intellistream.sage.plugins.module_utils._timeline.points import capture
from ansible_collections.intellistream.sage.plugins.module_utils._undo import redo
from ansible_collections.intellistream.sage.plugins.module_utils._undo.rollback import RollbackRequest
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils.recorded import VERIFIED

if t.TYPE_CHECKING:
    import random

    from ansible_collections.intellistream.sage.plugins.plugin_utils._structures import DecisionResult


pytestmark = pytest.mark.protocol

NAMES = ("a", "b", "c")
RUN = "r1"


class Killed(BaseException):
    """The process is gone."""


class Host:
    """A host whose SAGE is one file.

    :cvar settled: who stands so knows that all hosts, or those that did not go by themselves, have C(content).
    """

    settled, content = "committed", "new"

    def __init__(self, path: pathlib.Path) -> None:
        self.file = path / "sage"
        self.engine = Engine(str(path / "root"))
        (path / "root").mkdir(parents=True)
        self.file.write_text("old")
        self.alone = False

    @property
    def status(self) -> str:
        """What its record says of its installation."""
        with self.engine.reading() as session:
            return session.installation.status if session.installation is not None else ""

    @property
    def standing(self) -> Standing | None:
        """How it stands."""
        with self.engine.reading() as session:
            return standing(session.installation)

    @property
    def untouched(self) -> bool:
        """The run has not come here yet."""
        return self.status == ""

    @property
    def at_work(self) -> bool:
        """Something was begun, and it has not voted."""
        return self.status == "running"

    @property
    def waits(self) -> bool:
        """It voted."""
        return self.status == "prepared"

    def by_itself(self) -> None:
        """Its dead-man's switch fires."""
        with self.engine.session() as session:
            assert record_unilateral_undo(session)
            session.commit()
        self.alone = True
        self.back()

    def work(self) -> None:
        """Begin, capture, change."""
        self.change("new")

    def change(self, content: str) -> None:
        """The same, to anything."""
        with self.engine.session() as session:
            session.begin({}, {})
            session.add(capture(session, [{"kind": "files", "paths": [str(self.file)]}], "python_deps", "before"))
            session.move("python_deps", "started")
            session.commit()
        self.file.write_text(content)

    def finish(self, decision_log: str) -> None:
        """End all phases, and vote."""
        with self.engine.session() as session:
            assert session.installation is not None
            was = session.installation.status
            for phase in PHASES:
                session.move(phase, "completed")
            session.add(VERIFIED)
            prepare(session, RUN, decision_log, "", was)
            session.commit()

    def back(self, killed: bool = False) -> None:
        """Roll all of it back, or be killed when nearly done."""
        with self.engine.reading() as session:
            assert session.installation is not None
            request = RollbackRequest(session.installation.install_id)
        if not killed:
            rollback(self.engine, request, False)
            return
        with mock.patch.object(redo, "restored", side_effect=Killed), pytest.raises(Killed):
            rollback(self.engine, request, False)

    def tell(self, decision: str, killed: bool) -> None:
        """It hears what was decided, and goes by it."""
        with self.engine.session() as session:
            found = learn_decision(session, RUN, decision)
            session.commit()
        if found.to is not None:
            self.back(killed)


class BackHost(Host):
    """A host that the run rolls back: what it goes back to is new."""

    settled, content = "aborted", "old"

    def __init__(self, path: pathlib.Path) -> None:
        super().__init__(path)
        self.file.write_text("new")
        self.change("old")
        with self.engine.session() as session:
            for phase in PHASES:
                session.move(phase, "completed")
            session.commit()
            refresh(session)
        self._chosen = False

    @property
    def untouched(self) -> bool:
        return not self._chosen and self.standing is None

    @property
    def at_work(self) -> bool:
        return self._chosen and self.standing is None

    @property
    def waits(self) -> bool:
        found = self.standing
        return found is not None and found.asks

    def by_itself(self) -> None:
        """Somebody runs the script."""
        subprocess.run(["sh", f"{self.engine.path}/rollback.sh", "--yes"], check=True, capture_output=True)
        self.alone = True

    def work(self) -> None:
        self._chosen = True

    def finish(self, decision_log: str) -> None:
        """Promise."""
        prepare_rollback(self.engine, RollbackRequest(), {"run": RUN, "decision_log": decision_log, "where": ""}, False)

    def back(self, killed: bool = False) -> None:
        if self.at_work:
            # It refuses, and has nothing to take back.
            self._chosen = False
            return
        super().back(killed)


class Fleet:
    """A run over three hosts, a first controller, and as many others as chance wants."""

    def __init__(self, chance: random.Random, kind: type[Host]) -> None:
        self.chance = chance
        self.top = pathlib.Path(tempfile.mkdtemp())
        self.path = str(self.top / "log")
        self.file = os.path.join(self.path, f"{RUN}.json")
        self.decision_log = str(open_run(self.path, RUN, False)["decision_log"])
        self.hosts = {name: kind(self.top / name) for name in NAMES}
        self.heard: set[str] = set()
        self.first = True
        # What the first controller learnt, while it lives.
        self.knows = ""
        self.unsynced = False

    def end_well(self) -> str:
        """All crashes end: the next runs bring every host to an end, and all to the same one, which is returned."""
        for name, host in self.hosts.items():
            if host.at_work:
                host.back()
            self._next_run(name, False)
            found = host.standing
            assert found is None or not (found.asks or found.to), found
        kept = {name: host.file.read_text() for name, host in self.hosts.items() if not self._diverged(host)}
        assert len(set(kept.values())) <= 1, kept
        return next(iter(kept.values()), "")

    def _next_run(self, name: str, killed: bool) -> None:
        """What a playbook does on a host before anything else."""
        host = self.hosts[name]
        for dummy in range(3):
            found = host.standing
            if found is None:
                return
            if found.to is not None:
                host.back(killed)
            elif found.asks:
                told = resolve_doubt(self.path, DecisionQuery(RUN, found.decision_log, hosts=[name]), False)
                self.unsynced = False
                host.tell(str(told["decision"]), killed)
            if killed:
                return

    def _diverged(self, host: Host) -> bool:
        found = host.standing
        return host.alone and found is not None and found.state == "diverged"

    def _some(self) -> str:
        return self.chance.choice(NAMES)

    def _one_in(self, number: int) -> bool:
        return not self.chance.randrange(number)

    def step(self) -> None:
        """Something happens."""
        acts: dict[t.Callable[[], None], int] = {
            self.work: 3,
            self.end: 3,
            self.vote: 3,
            self.decide: 3,
            self.power_fails: 2,
            self.deliver: 5,
            self.another_run: 2,
            self.switch: 1,
        }
        self.chance.choices(list(acts), list(acts.values()))[0]()
        for host in self.hosts.values():
            found = host.standing
            if found is not None and (found.asks or found.to):
                with pytest.raises(InDoubt), host.engine.reading() as session:
                    session.begin({}, {})
            if found is not None and found.state == host.settled:
                assert all(one.alone or one.file.read_text() == one.content for one in self.hosts.values())

    def all_prepared(self) -> None:
        """As most runs begin."""
        for name, host in self.hosts.items():
            host.work()
            host.finish(self.decision_log)
            self.heard.add(name)

    def work(self) -> None:
        """The first controller begins on a host."""
        name = self._some()
        if self.first and not self.knows and self.hosts[name].untouched:
            self.hosts[name].work()

    def end(self) -> None:
        """What was begun ends, also when nobody waits for it any more."""
        host = self.hosts[self._some()]
        if not host.at_work:
            return
        if self._one_in(6):
            host.back()
        else:
            host.finish(self.decision_log)

    def vote(self) -> None:
        """The answer arrives."""
        name = self._some()
        found = self.hosts[name].standing
        if self.first and not self.knows and found is not None and found.state == "in_doubt":
            self.heard.add(name)

    def decide(self) -> None:
        """The first controller decides, or is killed when it does, or before."""
        if not self.first or self.knows or (len(self.heard) < len(NAMES) and not self._one_in(5)):
            return
        crash = self.chance.choice(["", "", "", "before", "after"])
        if not crash:
            self.knows = str(self._decided()["decision"])
            assert self.knows == "abort" or self.heard == set(NAMES)
            return
        self.first = False
        link = os.link
        written = os.path.exists(self.file)

        def killed(*args: t.Any, **kwargs: t.Any) -> t.NoReturn:
            if crash == "after":
                link(*args, **kwargs)
            raise Killed

        with mock.patch.object(os, "link", killed), contextlib.suppress(Killed):
            self._decided()
        # What there was had been read, and so synced.
        self.unsynced = not written and crash == "after"

    def _decided(self) -> DecisionResult:
        return decide(self.path, BarrierVote(RUN, "commit", list(NAMES), sorted(self.heard)), False)

    def power_fails(self) -> None:
        """What nobody synced is gone."""
        if self.unsynced:
            os.unlink(self.file)
            self.unsynced = False

    def deliver(self) -> None:
        """The first controller tells a host that is prepared, if it lives."""
        host = self.hosts[self._some()]
        if self.knows and host.waits:
            host.tell(self.knows, self._one_in(4))
            self.first = self.first and not self._one_in(6)
            self.knows = self.knows if self.first else ""

    def another_run(self) -> None:
        """A next run comes to a host, and may be killed too."""
        self._next_run(self._some(), self._one_in(4))

    def switch(self) -> None:
        """A host does not wait for the decision."""
        host = self.hosts[self._some()]
        found = host.standing
        if found is not None and found.state == "in_doubt" and not host.alone:
            host.by_itself()


def _play(plays: int, kind: type[Host] = Host) -> list[str]:
    """How so many runs ended, each another way."""
    ends = []

    @settings(max_examples=plays, phases=[Phase.generate], database=None)
    @given(st.randoms(use_true_random=True))
    def play(chance: random.Random) -> None:
        fleet = Fleet(chance, kind)
        try:
            if chance.randrange(3):
                fleet.all_prepared()
            for dummy in range(12):
                fleet.step()
            ends.append(fleet.end_well())
        finally:
            shutil.rmtree(fleet.top)

    play()
    return ends


@pytest.mark.parametrize("kind", [Host, BackHost])
def test_all_end_alike(kind: type[Host]) -> None:
    ends = _play(int(os.environ.get("SAGE_TEST_FLEET_RUNS", "24")), kind)
    print({end: ends.count(end) for end in ends})
    assert {"old", "new"} <= set(ends)


@pytest.mark.parametrize("kind", [Host, BackHost])
def test_a_resolver_that_wrote_nothing_would_be_found(kind: type[Host], monkeypatch: pytest.MonkeyPatch) -> None:
    real = resolve_doubt
    monkeypatch.setitem(globals(), "resolve_doubt", lambda path, question, dummy: real(path, question, True))
    with pytest.raises((AssertionError, StateError)):
        _play(1000, kind)


@pytest.mark.parametrize("kind", [Host, BackHost])
def test_a_controller_that_counts_wrong_would_be_found(kind: type[Host], monkeypatch: pytest.MonkeyPatch) -> None:
    wish = BarrierVote(RUN, "commit", [*NAMES], [*NAMES])
    monkeypatch.setattr(Fleet, "_decided", lambda self: decide(self.path, wish, False))
    with pytest.raises(AssertionError):
        _play(1000, kind)
