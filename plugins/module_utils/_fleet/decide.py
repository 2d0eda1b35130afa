"""How a fleet run is decided on the controller, at the barrier and later for hosts in doubt. See docs/fleet.md."""

from __future__ import annotations

import time
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base import clock
from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import InputError, StateError
from ansible_collections.intellistream.sage.plugins.module_utils._fleet.barrier import (
    BarrierVote,
    DecisionQuery,
    some_of,
)
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
from ansible_collections.intellistream.sage.plugins.module_utils._fleet.result import (
    decided_before,
    newly_decided,
    predicted,
    undecided,
)

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.plugin_utils._structures import DecisionResult

_WORD = "the admin's word"


def open_run(path: str, run: str | None, check_mode: bool, hosts: t.Sequence[str] = ()) -> DecisionResult:
    """Get the decision log ready before anything is changed on any host.

    :param path: the directory of the decision log.
    :param run: the id of the run; one is made when there is none.
    :param hosts: those of the run that this controller knows; empty where it does not say.
    :returns: the identity of the decision log, and the decision if the run was decided before.
    :raises StateError: no decision could be kept there.
    """
    run_id = check_run(run) if run else new_run()
    existing = open_log(path)
    if existing is not None:
        existing.close()
    log = open_log(path, create=not check_mode)
    if log is None:
        return undecided(run_id, f"{path} would be made for decisions.", changed=True)
    with log:
        decision = log.read(run_id)
        if decision is not None:
            return decided_before(decision, log)
        if not check_mode:
            log.open(run_id, hosts)
        text = f"What is decided about run {run_id} will be written in {log.where}."
        return undecided(run_id, text, log.identity, log.where, changed=existing is None)


def decide(path: str, vote: BarrierVote, check_mode: bool) -> DecisionResult:
    """Decide, or find out what was decided; the result is durable.

    With several parts this waits for the votes of the others.

    :param path: the directory of the decision log.
    :param vote: what this controller says of its hosts.
    :raises InputError: the vote makes no sense, or does not fit the votes of the other parts.
    :raises StateError: there is a decision, but it is about other hosts.
    :raises StorageError: nothing is decided that anybody may act on.
    """
    vote.check()
    begun = time.monotonic()
    log = open_log(path, create=not check_mode)
    if log is None:
        decision, reason = vote.decision(0.0)
        return predicted(make_decision(vote.run, decision, hosts=vote.hosts, why=reason, decision_log=""))
    with log:
        standing = log.read(vote.run)
        if standing is not None:
            return _written_first(standing, log, vote)
        decision, reason = vote.decision(0.0)
        hosts = vote.hosts
        if vote.parts > 1 and decision == COMMIT:
            if check_mode:
                return undecided(vote.run, f"Part {vote.part} would vote for commit.", changed=True, in_doubt=True)
            decision, reason, hosts, standing = _decide_with_others(log, vote, begun)
            if standing is not None:
                return _written_first(standing, log, vote)
        waited = time.monotonic() - begun
        if decision == COMMIT:
            # Also what the waiting took.
            decision, reason = vote.decision(waited, reason)
        deadline = None
        if decision == COMMIT and vote.seconds_left:
            deadline = clock.utc(time.time() + min(vote.seconds_left.values()) - waited)
        proposal = make_decision(
            vote.run, decision, hosts=hosts, why=reason, decision_log=log.identity, deadline=deadline
        )
        if check_mode:
            return predicted(proposal, log.where)
        standing, is_ours = log.write(proposal)
        return newly_decided(standing, log) if is_ours else _written_first(standing, log, vote, proposal)


def _written_first(
    standing: FleetDecision, log: DecisionLog, vote: BarrierVote, proposal: FleetDecision | None = None
) -> DecisionResult:
    """Another call had decided."""
    _check_fits(standing, DecisionQuery(vote.run, log.identity, hosts=vote.hosts))
    result = decided_before(standing, log)
    if proposal is not None and proposal.decision != standing.decision:
        result["msg"] += f" That was written first; this controller wanted {proposal.decision} ({proposal.why})."
    return result


def _decide_with_others(
    log: DecisionLog, vote: BarrierVote, begun: float
) -> tuple[str, str, list[str], FleetDecision | None]:
    """Vote, and wait for the votes of the other parts, or for a decision.

    :param begun: when the call began, by the monotonic clock.
    :returns: what all votes allow, why, for which hosts; and the decision, when one was written meanwhile.
    """
    until = time.time() + min(vote.seconds_left.values()) - vote.seconds_needed if vote.seconds_left else None
    own_hosts = sorted(set(vote.hosts))
    recorded = log.vote(PartVote(vote.run, vote.part, parts=vote.parts, hosts=own_hosts, until=until))
    if sorted(set(recorded.hosts)) != own_hosts:
        raise InputError(
            f"Part {vote.part} of run {vote.run} has voted already, for other hosts.",
            untouched="everything; nothing was decided.",
            advice="Give each part a number of its own, and each run an id of its own.",
        )
    pause = 0.1
    while True:
        votes = log.votes(vote.run, vote.parts)
        hosts = sorted({host for part_vote in votes for host in part_vote.hosts})
        if len(votes) == vote.parts:
            too_late = [each.part for each in votes if each.until is not None and each.until <= time.time()]
            if too_late:
                return ABORT, f"the dead-man's switches of part {too_late[0]} could fire too early", hosts, None
            return COMMIT, f"all {len(hosts)} hosts of {vote.parts} parts are prepared", hosts, None
        standing = log.read(vote.run)
        if standing is not None:
            return "", "", hosts, standing
        if time.monotonic() - begun >= vote.wait:
            absent = sorted(set(range(1, vote.parts + 1)) - {part_vote.part for part_vote in votes})
            text = f"part {', '.join(map(str, absent))} of {vote.parts} did not vote in {vote.wait:g} s"
            return ABORT, text, hosts, None
        time.sleep(pause)
        pause = min(pause * 1.5, 2.0)


def resolve_doubt(path: str, query: DecisionQuery, check_mode: bool) -> DecisionResult:
    """What hosts that are in doubt have to do: what was decided, or what is decided now.

    In the decision log that the hosts were told to ask, a missing decision means that nobody decided, so abort is
    written before anybody acts on it. In any other it means nothing.

    :param path: the directory of a decision log.
    :param query: which hosts ask, about which run.
    :raises StateError: there is a decision, but not one that these hosts can go by.
    """
    check_run(query.run)
    log = open_log(path, create=not check_mode)
    if log is None and not query.word:
        return _in_doubt(query, f"{path} does not exist")
    if log is None:
        return predicted(_by_word(query))
    with log:
        standing = log.read(query.run)
        if standing is not None:
            _check_fits(standing, query)
            result = decided_before(standing, log)
            if query.word and query.word != standing.decision:
                result["msg"] += f" The admin's word ({query.word}) does not overrule it."
            return result
        if query.decision_log != log.identity and not query.word:
            return _in_doubt(query, f"{log.where} is another decision log")
        unknown = _unknown(log, query)
        if unknown:
            return _refused(log, query, unknown)
        proposal = _by_word(query) if query.word else _presumed_abort(query)
        if check_mode:
            return predicted(proposal, log.where)
        standing, is_ours = log.write(proposal)
        if is_ours:
            return newly_decided(standing, log)
        _check_fits(standing, query)
        return decided_before(standing, log)


def _unknown(log: DecisionLog, query: DecisionQuery) -> str:
    """Why nothing is decided about a run for these hosts, also not by the admin's word; empty where it may be.

    What a host says of a run is its own affair. It may be about the run of others, or about one that never was.
    """
    opened = log.opened(query.run)
    if query.decision_log != log.identity:
        return f"it was opened here, and {some_of(query.hosts)} names another decision log" if opened else ""
    if not opened:
        return "it was never opened here"
    members = {host for record in opened for host in record.hosts}
    strangers = sorted(set(query.hosts) - members) if all(record.hosts for record in opened) else []
    return f"{some_of(strangers)} has no part in it" if strangers else ""


def _refused(log: DecisionLog, query: DecisionQuery, reason: str) -> DecisionResult:
    """The result for hosts that ask about a run that is not theirs, or not this decision log's."""
    text = (
        f"Nothing is decided about run {query.run} for {some_of(query.hosts)}: {reason}. What to do: find out who asks."
        " If run and host are right, since the decision log is an older copy or the host was renamed, open the run for "
        "that host with sage_decision (state=opened, run, hosts), and ask again."
    )
    return undecided(query.run, text, log.identity, log.where, changed=False, in_doubt=True)


def _by_word(query: DecisionQuery) -> FleetDecision:
    return make_decision(query.run, query.word, hosts=query.hosts, why=_WORD, decision_log=query.decision_log)


def _presumed_abort(query: DecisionQuery) -> FleetDecision:
    reason = "nobody had decided when it was asked for (presumed abort)"
    return make_decision(query.run, ABORT, hosts=query.hosts, why=reason, decision_log=query.decision_log)


def _check_fits(decision: FleetDecision, query: DecisionQuery) -> None:
    """Refuse a decision that is about another run of the same id."""
    strangers = sorted(set(query.hosts) - set(decision.hosts))
    problem = ""
    if decision.decision_log != query.decision_log:
        problem = f"The decision about run {query.run} was written for another decision log than the hosts are to ask."
    elif decision.decision == COMMIT and strangers and decision.why != _WORD:
        problem = f"Commit was decided about run {query.run} without {some_of(strangers)}."
    if problem:
        raise StateError(
            problem,
            untouched="everything; the hosts stay in doubt.",
            advice="Two fleet runs had the same id. Find out which one is meant; then give sage_fleet_finish.",
        )


def _in_doubt(query: DecisionQuery, reason: str) -> DecisionResult:
    """The result for hosts that have to stay as they are."""
    knows = query.where or f"the decision log {query.decision_log}"
    text = (
        f"Run {query.run} cannot be decided here: {reason}, and only {knows} knows whether it was. "
        f"What to do: run again from there, copy {query.run}.json from there into this decision log, or give "
        "sage_fleet_finish=commit or sage_fleet_finish=abort if you know what the other hosts of the run did."
    )
    return undecided(query.run, text, query.decision_log, query.where, changed=False, in_doubt=True)
