# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a fleet run is decided, and what who comes later makes of it. The protocol is in docs/fleet.md."""

from __future__ import annotations

import time
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import InputError, StateError
from ansible_collections.intellistream.sage.plugins.module_utils._fleet.decision_log import (
    ABORT,
    COMMIT,
    DecisionLog,
    FleetDecision,
    PartVote,
    check_run,
    make_decision,
    new_run,
    open_log,
)

Result = dict[str, t.Any]

_WORD = "the admin's word"


class BarrierVote(t.NamedTuple):
    """What a controller wants at the barrier.

    :ivar want: V(commit) or V(abort).
    :ivar hosts: all hosts of the run that this controller knows.
    :ivar prepared: those of them that said that they are prepared.
    :ivar part: which of C(parts) controllers of the run this is, from 1; each has hosts of its own.
    :ivar wait: seconds to wait for the others' votes.
    :ivar left: host → seconds until its dead-man's switch fires.
    :ivar needed: seconds to deliver a commit.
    """

    run: str
    want: str
    hosts: list[str]
    prepared: list[str]
    why: str = ""
    part: int = 1
    parts: int = 1
    wait: float = 0.0
    left: t.Mapping[str, float] = {}
    needed: float = 0.0

    def check(self) -> None:
        """Refuse what makes no sense.

        :raises InputError: nothing was decided.
        """
        check_run(self.run)
        strange = sorted({*self.prepared, *self.left} - set(self.hosts))
        wrong = ""
        if not self.hosts:
            wrong = "A run without hosts cannot be decided."
        elif strange:
            wrong = f"{', '.join(strange)} is not among the hosts of run {self.run}."
        elif not 1 <= self.part <= self.parts:
            wrong = f"There is no part {self.part} of {self.parts}."
        if wrong:
            raise InputError(wrong, untouched="everything; nothing was decided.")


class DecisionQuery(t.NamedTuple):
    """What a controller asks for hosts that are in doubt.

    :ivar place: the identity of the place that they were told to ask.
    :ivar where: the same for people.
    :ivar hosts: who asks.
    :ivar word: what the admin says, V(commit) or V(abort), where there is no decision; else empty.
    """

    run: str
    place: str
    where: str = ""
    hosts: t.Sequence[str] = ()
    word: str = ""


def open_run(path: str, run: str | None, check_mode: bool) -> Result:
    """Get a place ready before anything is changed on any host.

    :param run: its id; one is made when there is none.
    :raises StateError: no decision could be kept there.
    """
    name = check_run(run) if run else new_run()
    existed = open_log(path)
    if existed is not None:
        existed.__exit__()
    place = open_log(path, create=not check_mode)
    if place is None:
        return {**_empty(name), "changed": True, "in_doubt": False, "msg": f"{path} would be made for decisions."}
    with place:
        found = place.read(name)
        if found is not None:
            return _told(found, place)
        text = f"What is decided about run {name} will be written in {place.where}."
        known = {"place": place.identity, "where": place.where}
        return {**_empty(name), **known, "changed": existed is None, "in_doubt": False, "msg": text}


def decide(path: str, wish: BarrierVote, check_mode: bool) -> Result:
    """Decide, or find out what was decided; the result is durable.

    With several parts this waits for the votes of the others.

    :raises StorageError: nothing is decided that anybody may act on.
    """
    wish.check()
    begun = time.monotonic()
    place = open_log(path, create=not check_mode)
    if place is None:
        want, why = _own(wish, 0.0)
        return _predicted(make_decision(wish.run, want, wish.hosts, why, ""))
    with place:
        found = place.read(wish.run)
        if found is not None:
            return _stands(found, place, wish)
        want, why = _own(wish, 0.0)
        hosts = wish.hosts
        if wish.parts > 1 and want == COMMIT:
            if check_mode:
                return {**_empty(wish.run), "changed": True, "msg": f"Part {wish.part} would vote for commit."}
            want, why, hosts, found = _with_others(place, wish, begun)
            if found is not None:
                return _stands(found, place, wish)
        left = min(wish.left.values()) - (time.monotonic() - begun) if wish.left else None
        if want == COMMIT:
            # Also what the waiting took.
            want, why = _own(wish, time.monotonic() - begun, why)
        deadline = _iso(time.time() + left) if left is not None and want == COMMIT else None
        wanted = make_decision(wish.run, want, hosts, why, place.identity, deadline)
        if check_mode:
            return {**_predicted(wanted), "where": place.where}
        found, mine = place.write(wanted)
        return _new(found, place) if mine else _stands(found, place, wish, wanted)


def _stands(found: FleetDecision, place: DecisionLog, wish: BarrierVote, wanted: FleetDecision | None = None) -> Result:
    """Somebody else had decided."""
    _fits(found, DecisionQuery(wish.run, place.identity, hosts=wish.hosts))
    told = _told(found, place)
    if wanted is not None and wanted.decision != found.decision:
        told["msg"] += f" That was written first; this controller wanted {wanted.decision} ({wanted.why})."
    return told


def _own(wish: BarrierVote, passed: float, why: str = "") -> tuple[str, str]:
    """What this controller's own hosts allow, and why."""
    missing = sorted(set(wish.hosts) - set(wish.prepared))
    late = sorted(host for host in wish.hosts if host in wish.left and wish.left[host] - passed <= wish.needed)
    if wish.want != COMMIT:
        return ABORT, wish.why or "the controller wanted it"
    if missing:
        return ABORT, f"not prepared: {_some(missing)}"
    if late:
        return ABORT, f"less than {wish.needed:g} s are left until the dead-man's switch fires on {_some(late)}"
    return COMMIT, wish.why or why or f"all {len(set(wish.hosts))} hosts are prepared"


def _with_others(
    place: DecisionLog, wish: BarrierVote, begun: float
) -> tuple[str, str, list[str], FleetDecision | None]:
    """Vote, and wait for the votes of the other parts, or for a decision."""
    until = time.time() + min(wish.left.values()) - wish.needed if wish.left else None
    mine = place.vote(PartVote(wish.run, wish.part, wish.parts, sorted(set(wish.hosts)), [], until))
    if sorted(set(mine.hosts)) != sorted(set(wish.hosts)):
        raise InputError(
            f"Part {wish.part} of run {wish.run} has voted already, for other hosts.",
            untouched="everything; nothing was decided.",
            advice="Give each part a number of its own, and each run an id of its own.",
        )
    pause = 0.1
    while True:
        votes = place.votes(wish.run, wish.parts)
        hosts = sorted({host for vote in votes for host in vote.hosts})
        if len(votes) == wish.parts:
            late = [vote.part for vote in votes if vote.until is not None and vote.until <= time.time()]
            if late:
                return ABORT, f"the dead-man's switches of part {late[0]} could fire too early", hosts, None
            return COMMIT, f"all {len(hosts)} hosts of {wish.parts} parts are prepared", hosts, None
        found = place.read(wish.run)
        if found is not None:
            return "", "", hosts, found
        if time.monotonic() - begun >= wish.wait:
            absent = sorted(set(range(1, wish.parts + 1)) - {vote.part for vote in votes})
            text = f"part {', '.join(map(str, absent))} of {wish.parts} did not vote in {wish.wait:g} s"
            return ABORT, text, hosts, None
        time.sleep(pause)
        pause = min(pause * 1.5, 2.0)


def resolve_doubt(path: str, question: DecisionQuery, check_mode: bool) -> Result:
    """What hosts that are in doubt have to do: what was decided, or what is decided now.

    At the right place nothing written means that nobody decided, so abort is written before anybody acts on it.
    Elsewhere it means nothing.

    :raises StateError: there is a decision, but not one that these hosts can go by.
    """
    check_run(question.run)
    place = open_log(path, create=not check_mode)
    if place is None and not question.word:
        return _doubt(question, f"{path} does not exist")
    if place is None:
        return _predicted(_by_word(question))
    with place:
        found = place.read(question.run)
        if found is not None:
            _fits(found, question)
            told = _told(found, place)
            if question.word and question.word != found.decision:
                told["msg"] += f" The admin's word ({question.word}) does not count against it."
            return told
        if question.place != place.identity and not question.word:
            return _doubt(question, f"{place.where} is another place")
        why = "nobody had decided when it was asked for (presumed abort)"
        wanted = make_decision(question.run, ABORT, question.hosts, why, place.identity)
        wanted = _by_word(question) if question.word else wanted
        if check_mode:
            return {**_predicted(wanted), "where": place.where}
        found, mine = place.write(wanted)
        if mine:
            return _new(found, place)
        _fits(found, question)
        return _told(found, place)


def _by_word(question: DecisionQuery) -> FleetDecision:
    return make_decision(question.run, question.word, question.hosts, _WORD, question.place)


def _fits(found: FleetDecision, question: DecisionQuery) -> None:
    strangers = sorted(set(question.hosts) - set(found.hosts))
    wrong = ""
    if found.place != question.place:
        wrong = f"The decision about run {question.run} is of another place than the hosts were told to ask."
    elif found.decision == COMMIT and strangers and found.why != _WORD:
        wrong = f"Commit was decided about run {question.run} without {_some(strangers)}."
    if wrong:
        raise StateError(
            wrong,
            untouched="everything; the hosts stay in doubt.",
            advice="Two fleet runs had the same id. Find out which is meant; then give sage_fleet_resolve.",
        )


def _new(made: FleetDecision, place: DecisionLog) -> Result:
    return {**_told(made, place), "changed": True, "diff": _diff(made)}


def _told(found: FleetDecision, place: DecisionLog) -> Result:
    text = f"Run {found.run}: {found.decision}, since {found.why}. Decided at {found.time} by {found.by}."
    same: Result = {"before": {}, "after": {}}
    return {**found._asdict(), "where": place.where, "in_doubt": False, "msg": text, "changed": False, "diff": same}


def _predicted(decision: FleetDecision) -> Result:
    text = f"Run {decision.run} would be decided: {decision.decision}, since {decision.why}."
    return {**decision._asdict(), "where": "", "in_doubt": False, "msg": text, "changed": True, "diff": _diff(decision)}


def _diff(decision: FleetDecision) -> Result:
    return {
        "before": {"run": decision.run, "decision": None},
        "after": {"run": decision.run, "decision": decision.decision, "why": decision.why, "hosts": decision.hosts},
    }


def _empty(run: str) -> Result:
    """A result without a decision."""
    nothing: Result = dict.fromkeys(FleetDecision._fields)
    return {**nothing, "run": run, "hosts": [], "where": "", "in_doubt": True, "diff": {"before": {}, "after": {}}}


def _doubt(question: DecisionQuery, why: str) -> Result:
    who = question.where or f"the place {question.place}"
    text = (
        f"Run {question.run} cannot be decided here: {why}, and only {who} knows whether it was. "
        f"What to do: run again from there, bring {question.run}.json of there here, or give "
        "sage_fleet_resolve=commit or sage_fleet_resolve=abort if you know what the other hosts of the run did."
    )
    known = {"place": question.place, "where": question.where}
    return {**_empty(question.run), **known, "changed": False, "msg": text}


def _some(names: t.Sequence[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _iso(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + "+00:00"
