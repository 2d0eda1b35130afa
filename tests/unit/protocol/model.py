# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The fleet's protocol as a model: hosts, controllers, and the place that holds the decision. See docs/fleet.md.

Hosts of one controller are alike, so they are kept sorted: a state stands for all states that differ only in which
host is which. Whatever may be lost, late or slow is a step that may be taken at any time or never. An Ansible task is
a request with an answer: it may not arrive, arrive without an answer, or be carried out long after the controller
gave up on it.
"""

from __future__ import annotations

import typing as t

from ansible_collections.intellistream.sage.tests.unit.protocol.checker import Property, Step

# What a host's own record says; it survives a crash.
OLD = "as it was"
AT_WORK = "at work"
BROKEN = "broken"  # failed or killed before it was prepared
UNDONE = "taken back"  # ... and then rolled back: nobody had counted on it
PREPARED = "in doubt"
UNDOING = "rolling back"  # it heard abort
ABORTED = "rolled back"
COMMITTED = "committed"
ARMED = "committed, armed"  # heard commit, the dead-man's switch still runs
SELF = "undid itself"  # by the switch, after it had been prepared
DIVERGED = "diverged"  # ... although the decision was commit: found and reported
ENDED = (OLD, UNDONE, ABORTED, COMMITTED, DIVERGED)
HAS_NEW = (COMMITTED, ARMED)

# What a controller is doing; it forgets all of it in a crash.
COLLECTS = "collects"
VOTED = "voted"  # job slices: its own hosts are prepared, and it said so at the place
WANTS = "wants"
SEES = "sees"  # there is a decision at the place, perhaps not yet durable
KNOWS = "knows"
GONE = "gone"

COMMIT, ABORT = "commit", "abort"
ENOUGH, SHORT, OVER = 2, 1, 0


class Host(t.NamedTuple):
    """A host.

    :ivar slice: the controller that began its run.
    :ivar heard: that controller heard that it is prepared.
    """

    slice: int
    record: str
    linked: bool
    heard: bool

    def __str__(self) -> str:
        return f"{self.record}{' (heard)' if self.heard else ''}{'' if self.linked else ' (cut off)'}"


class Controller(t.NamedTuple):
    """A controller.

    :ivar decision: what it wants or knows.
    """

    does: str
    decision: str = ""

    def __str__(self) -> str:
        return f"{self.does} {self.decision}".strip()


class State(t.NamedTuple):
    """All there is.

    :ivar decision: what the place says; empty when it says nothing.
    :ivar durable: it would also say so after a power failure.
    :ivar votes: the slices that said there that their hosts are prepared.
    :ivar left: what is left of the time until the switches fire.
    """

    hosts: tuple[Host, ...]
    decision: str
    durable: bool
    votes: tuple[bool, ...]
    controllers: tuple[Controller, ...]
    left: int

    def __str__(self) -> str:
        place = f"{self.decision or 'nothing'}{'' if self.durable or not self.decision else ', not durable'}"
        place += "".join(f", vote {number}" for number, vote in enumerate(self.votes) if vote)
        hosts, controllers = " | ".join(map(str, self.hosts)), " | ".join(map(str, self.controllers))
        return f"hosts: {hosts}; place: {place}; controllers: {controllers}"


class Rules(t.NamedTuple):
    """How the protocol is played; each default is a rule of it, and each other value a mistake one could make."""

    durable_first: bool = True  # nobody hears a decision before it is durable
    reader_syncs: bool = True  # nor does who only finds it: it may have been written a moment ago
    writes_abort: bool = True  # presumed abort is written down before anybody acts on it
    exclusive: bool = True  # a decision never replaces another
    needs_all: bool = True  # commit only when all are prepared
    votes_late: bool = True  # a host says that it is prepared once its record of it is durable
    keeps_word: bool = True  # a prepared host never goes back alone
    counts_slices: bool = True  # commit only when all slices voted
    checks_time: bool = True  # commit only when there is time to say so before a switch fires
    detects: bool = True  # who undid itself after commit is found by the next who comes


class World(t.NamedTuple):
    """What there is, and what can go wrong.

    :ivar slices: hosts of each controller that begins the run.
    :ivar resolvers: other controllers that come at any time: next runs, or a second controller at once.
    :ivar access: the resolvers reach the place.
    :ivar word: what the admin says to resolvers that do not.
    :ivar switch: hosts have a dead-man's switch that may fire at any time.
    :ivar prompt: with switches: time passes, but no slower than decisions are delivered when nothing is cut or crashes.
    :ivar cuts: hosts lose their network, reboot, and come back.
    :ivar crashes: controllers are killed.
    """

    slices: tuple[int, ...] = (3,)
    resolvers: int = 1
    access: bool = True
    word: str = ""
    switch: bool = False
    prompt: bool = False
    cuts: bool = True
    crashes: bool = True


class Fleet:
    """The model of a world under rules."""

    def __init__(self, world: World | None = None, rules: Rules | None = None) -> None:
        self.world = world or World()
        self.rules = rules or Rules()
        self._deciding = len(self.world.slices)

    def initial(self) -> State:
        """Nobody has begun; the first controllers are about to."""
        sizes = enumerate(self.world.slices)
        hosts = [Host(number, OLD, True, False) for number, size in sizes for dummy in range(size)]
        begin = [Controller(COLLECTS)] * self._deciding + [Controller(GONE)] * self.world.resolvers
        left = ENOUGH if self.world.prompt else OVER
        return State(tuple(hosts), "", False, (False,) * self._deciding, tuple(begin), left)

    def steps(self, state: State) -> t.Iterator[Step[State]]:
        """All that can happen."""
        seen = set()
        for number, host in enumerate(state.hosts):
            # Of hosts that are alike one is enough.
            if host not in seen:
                seen.add(host)
                yield from self._host(state, number, host)
        for number, controller in enumerate(state.controllers):
            if number < self._deciding:
                yield from self._first(state, number, controller)
            elif controller.does == GONE:
                yield from self._arrival(state, number)
            yield from self._decision(state, number, controller)
        yield from self._failures(state)
        if state.left and self._may_tick(state):
            yield Step("time passes", state._replace(left=state.left - 1))

    # Hosts

    def _host(self, state: State, number: int, host: Host) -> t.Iterator[Step[State]]:
        def now(label: str, fault: bool = False, **values: t.Any) -> Step[State]:
            return Step(f"a host that is {host.record} {label}", _put(state, number, host._replace(**values)), fault)

        record = host.record
        if self.world.cuts:
            if host.linked:
                yield now("loses its network", True, linked=False)
                # What was running is killed; a rollback is gone on with at the next contact.
                yield now("reboots", True, linked=False, record=BROKEN if record == AT_WORK else record)
            else:
                yield now("comes back", linked=True)
        if record == AT_WORK:
            # Also long after its controller gave up.
            yield now("ends its phases and records that it is prepared", record=PREPARED)
            yield now("fails", True, record=BROKEN)
        if self.world.switch and state.left == OVER and record in (AT_WORK, BROKEN, PREPARED, ARMED):
            yield now("undoes all by its switch", record=SELF if record in (PREPARED, ARMED) else UNDONE)
        if not self.rules.keeps_word and record == PREPARED:
            yield now("waited long enough and goes back alone", record=ABORTED)
        if host.linked:
            yield from self._reached(state, number, host)

    def _reached(self, state: State, number: int, host: Host) -> t.Iterator[Step[State]]:
        def now(label: str, **values: t.Any) -> Step[State]:
            return Step(f"a host that is {host.record} {label}", _put(state, number, host._replace(**values)))

        record, first = host.record, state.controllers[host.slice]
        if record == OLD and first.does == COLLECTS:
            yield now("is told to prepare", record=AT_WORK)
        told = record == PREPARED or (record == AT_WORK and not self.rules.votes_late)
        if told and not host.heard and first.does == COLLECTS:
            yield now("says that it is prepared", heard=True)
        if record == BROKEN:
            # By the run's own rescue, or by the next run.
            yield now("is taken back", record=UNDONE)
        if record == AT_WORK and any(one.does != GONE for one in state.controllers[self._deciding :]):
            yield now("is taken back by another run", record=UNDONE)
        if record == UNDOING:
            yield now("ends its rollback", record=ABORTED)

    # Controllers

    def _first(self, state: State, number: int, controller: Controller) -> t.Iterator[Step[State]]:
        """The one that began the run, or a slice of it, until it wants something."""
        who = f"controller {number}"
        own = [host for host in state.hosts if host.slice == number]
        missing = sum(not host.heard for host in own)
        if controller.does == COLLECTS:
            if missing <= (0 if self.rules.needs_all else 1):
                if self._deciding > 1:
                    votes = tuple(vote or one == number for one, vote in enumerate(state.votes))
                    after = _put_controller(state._replace(votes=votes), number, Controller(VOTED))
                    yield Step(f"{who} heard of all its hosts and writes its vote", after)
                elif not self.world.prompt or state.left == ENOUGH or not self.rules.checks_time:
                    after = _put_controller(state, number, Controller(WANTS, COMMIT))
                    yield Step(f"{who} heard of all hosts and wants commit", after)
        elif controller.does == VOTED:
            if all(state.votes) or not self.rules.counts_slices:
                yield Step(
                    f"{who} sees all votes and wants commit", _put_controller(state, number, Controller(WANTS, COMMIT))
                )
        else:
            return
        # A host failed, was not reached, or it took too long: it need not say which.
        yield Step(f"{who} gives up and wants abort", _put_controller(state, number, Controller(WANTS, ABORT)))

    def _arrival(self, state: State, number: int) -> t.Iterator[Step[State]]:
        """A run that finds a host which has to ask."""
        if not any(host.linked and host.record in (PREPARED, SELF, ARMED) for host in state.hosts):
            return
        who = f"controller {number}"
        if self.world.access:
            # If there is nothing it says abort, and writes that.
            yield Step(f"{who} comes and asks", _put_controller(state, number, Controller(WANTS, ABORT)))
        elif self.world.word:
            knows = Controller(KNOWS, self.world.word)
            yield Step(f"{who} has no place to ask and takes the admin's word", _put_controller(state, number, knows))

    def _decision(self, state: State, number: int, controller: Controller) -> t.Iterator[Step[State]]:
        """From what it wants to what holds, and to the hosts."""
        who = f"controller {number}"
        if controller.does == WANTS:
            yield self._write(state, number, controller)
        elif controller.does == SEES:
            knows = Controller(KNOWS, state.decision)
            after = _put_controller(state._replace(durable=True), number, knows)
            yield Step(f"{who} syncs the directory and reads {state.decision}", after)
        elif controller.does == KNOWS:
            seen = set()
            for place, host in enumerate(state.hosts):
                mine = number >= self._deciding or host.slice == number
                if mine and host.linked and host not in seen:
                    seen.add(host)
                    yield from self._tell(state, place, host, who, controller.decision)
        if controller.does != GONE:
            if controller.does == KNOWS:
                if not self.world.prompt or not _waiting(state):
                    yield Step(f"{who} ends", _put_controller(state, number, Controller(GONE)))
            elif self.world.crashes:
                yield Step(f"{who} is killed", _put_controller(state, number, Controller(GONE)), True)

    def _write(self, state: State, number: int, controller: Controller) -> Step[State]:
        who, want = f"controller {number}", controller.decision
        if number >= self._deciding and not state.decision and not self.rules.writes_abort:
            return Step(
                f"{who} finds nothing and takes that for abort",
                _put_controller(state, number, Controller(KNOWS, ABORT)),
            )
        if state.decision and self.rules.exclusive:
            new, label = state, f"{who} finds that {state.decision} is written"
            sure = self.rules.reader_syncs
        else:
            new, label = state._replace(decision=want, durable=False), f"{who} links {want} to its name"
            sure = self.rules.durable_first
        does = Controller(SEES) if sure else Controller(KNOWS, new.decision)
        return Step(label, _put_controller(new, number, does))

    def _tell(self, state: State, place: int, host: Host, who: str, decision: str) -> t.Iterator[Step[State]]:
        """One host hears the decision; whether its answer arrives makes no difference, since it may be told again."""
        record = ""
        if host.record == PREPARED:
            record = UNDOING if decision == ABORT else ARMED if self.world.switch else COMMITTED
        elif host.record == ARMED:
            # Over a fresh connection.
            record = COMMITTED
        elif host.record == SELF and self.rules.detects:
            record = ABORTED if decision == ABORT else DIVERGED
        if record:
            yield Step(
                f"{who} tells a host that is {host.record}: {decision}",
                _put(state, place, host._replace(record=record)),
            )

    def _failures(self, state: State) -> t.Iterator[Step[State]]:
        """The place's power fails: what was not durable is there afterwards, or not; controllers on it are gone."""
        if self.world.crashes and state.decision and not state.durable:
            gone = tuple(Controller(GONE) for dummy in state.controllers)
            lost = state._replace(decision="", controllers=gone)
            yield Step("the controller's power fails, the decision is lost", lost, True)
            yield Step(
                "the controller's power fails, the decision is kept",
                lost._replace(decision=state.decision, durable=True),
                True,
            )

    def _may_tick(self, state: State) -> bool:
        """What is being delivered to hosts that can be reached is delivered before the time is over."""
        if state.left == ENOUGH:
            return True
        busy = any(one.does in (WANTS, SEES, KNOWS) for one in state.controllers)
        return not busy or not _waiting(state)


def _waiting(state: State) -> bool:
    """There is a host that can be reached and has to hear something."""
    return any(host.linked and host.record in (PREPARED, ARMED) for host in state.hosts)


def _put(state: State, number: int, host: Host) -> State:
    hosts = sorted([*state.hosts[:number], host, *state.hosts[number + 1 :]])
    # Not by _replace, which takes several times as long.
    return State(tuple(hosts), *state[1:])


def _put_controller(state: State, number: int, controller: Controller) -> State:
    controllers = (*state.controllers[:number], controller, *state.controllers[number + 1 :])
    return State(state.hosts, state.decision, state.durable, state.votes, controllers, state.left)


# Properties


def _agreement(state: State) -> str:
    records = {host.record for host in state.hosts}
    new = records.intersection(HAS_NEW)
    # Who undid itself by its switch is what diverged means: either it is, or it is found to be.
    other = records - {*HAS_NEW, PREPARED, SELF, DIVERGED}
    return f"one host is {min(new)}, another {min(other)}" if new and other else ""


def _validity(state: State) -> str:
    never = {OLD, AT_WORK, BROKEN, UNDONE}
    bad = [host.record for host in state.hosts if host.record in never]
    return f"commit was decided, and a host is {bad[0]}" if state.decision == COMMIT and bad else ""


def _durability(state: State) -> str:
    for host in state.hosts:
        wanted = COMMIT if host.record in (*HAS_NEW, DIVERGED) else ABORT if host.record in (UNDOING, ABORTED) else ""
        if wanted and not (state.decision == wanted and state.durable):
            return f"a host is {host.record}, and no durable decision says {wanted}"
    return ""


def _stability(before: State, after: State) -> str:
    if before.durable and not (after.durable and after.decision == before.decision):
        return f"{before.decision} was durable and became {after.decision or 'nothing'}"
    return ""


def _detection(state: State) -> str:
    called = any(host.record == DIVERGED for host in state.hosts)
    return "a host is called diverged and is not" if called and state.decision != COMMIT else ""


def _promptness(state: State) -> str:
    off = any(host.record in (SELF, DIVERGED) for host in state.hosts)
    return "a host undid itself after the decision to commit" if off and state.decision == COMMIT else ""


AGREEMENT: Property[State] = Property(
    "agreement",
    "No host is committed while another one of the same run is as it was or rolled back, for whatever reason. With a "
    "dead-man's switch there is one exception, which is never silent: a host that undid itself after the decision.",
    _agreement,
)
VALIDITY: Property[State] = Property(
    "validity",
    "Commit is decided only when all hosts of the run are prepared. A host that failed, was not reached or never began "
    "rules it out for good.",
    _validity,
)
DURABILITY: Property[State] = Property(
    "durability",
    "No prepared host acts on a decision that a power failure could still take back, or that nobody wrote down.",
    _durability,
)
STABILITY: Property[State] = Property(
    "stability", "A decision that is durable never changes and never goes away.", broken_by=_stability
)
DETECTION: Property[State] = Property(
    "detection",
    "A host is called diverged only if it is. That each one that is is found, is liveness.",
    _detection,
)
PROMPTNESS: Property[State] = Property(
    "promptness",
    "Where nothing is cut off and nobody crashes, no host undoes itself after a decision to commit: there was time.",
    _promptness,
)
ALL = (AGREEMENT, VALIDITY, DURABILITY, STABILITY, DETECTION)


def resolved(state: State) -> bool:
    """The run is over: nobody is in doubt, at work, half rolled back, or off on its own without anybody knowing.

    In other words: all hosts have the new, or all are as they were, or those that are not are reported.
    """
    busy = any(one.does in (COLLECTS, VOTED, WANTS) for one in state.controllers)
    return not busy and all(host.record in ENDED for host in state.hosts)
