"""What M(intellistream.sage.sage_decision) returns."""

from __future__ import annotations

import typing as t

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._fleet.decision_log import (
        DecisionLog,
        FleetDecision,
    )


class DecisionDiff(t.TypedDict):
    """What C(--diff) shows; both sides are empty when nothing was decided by this call.

    :ivar before: C(run), and C(decision), which is None.
    :ivar after: C(run), C(decision), C(why), C(hosts).
    """

    before: dict[str, object]
    after: dict[str, object]


class DecisionResult(t.TypedDict):
    """The result of M(intellistream.sage.sage_decision). The fields of the decision are None where there is none.

    :ivar run: the id of the fleet run.
    :ivar decision: V(commit) or V(abort).
    :ivar hosts: the hosts that the decision is about; empty where there is none.
    :ivar time: ISO time of the decision.
    :ivar by: the controller that decided.
    :ivar why: the reason for the decision.
    :ivar decision_log: the identity of the decision log.
    :ivar deadline: ISO time (UTC) by which all hosts have to learn of a commit.
    :ivar where: where the decision log is, for people.
    :ivar in_doubt: the hosts that asked have to stay as they are.
    :ivar msg: all that in a sentence.
    :ivar changed: this call decided, or made the decision log.
    """

    run: str
    decision: str | None
    hosts: list[str]
    time: str | None
    by: str | None
    why: str | None
    decision_log: str | None
    deadline: str | None
    where: str
    in_doubt: bool
    msg: str
    changed: bool
    diff: DecisionDiff


def newly_decided(decision: FleetDecision, log: DecisionLog) -> DecisionResult:
    """The result for a decision that this call has written."""
    return {**decided_before(decision, log), "changed": True, "diff": _diff(decision)}


def decided_before(decision: FleetDecision, log: DecisionLog) -> DecisionResult:
    """The result for a decision that was there before."""
    text = (
        f"Run {decision.run}: {decision.decision}, since {decision.why}. Decided at {decision.time} by {decision.by}."
    )
    return _result(decision, log.where, text, changed=False, diff={"before": {}, "after": {}})


def predicted(decision: FleetDecision, where: str = "") -> DecisionResult:
    """The result for a decision that would be written, were it not for check mode."""
    text = f"Run {decision.run} would be decided: {decision.decision}, since {decision.why}."
    return _result(decision, where, text, changed=True, diff=_diff(decision))


def _result(decision: FleetDecision, where: str, text: str, *, changed: bool, diff: DecisionDiff) -> DecisionResult:
    return {
        "run": decision.run,
        "decision": decision.decision,
        "hosts": decision.hosts,
        "time": decision.time,
        "by": decision.by,
        "why": decision.why,
        "decision_log": decision.decision_log,
        "deadline": decision.deadline,
        "where": where,
        "in_doubt": False,
        "msg": text,
        "changed": changed,
        "diff": diff,
    }


def _diff(decision: FleetDecision) -> DecisionDiff:
    return {
        "before": {"run": decision.run, "decision": None},
        "after": {"run": decision.run, "decision": decision.decision, "why": decision.why, "hosts": decision.hosts},
    }


def undecided(
    run: str, text: str, identity: str | None = None, where: str = "", *, changed: bool, in_doubt: bool = False
) -> DecisionResult:
    """The result where there is no decision.

    :param text: C(msg).
    :param identity: of the decision log; None where there is none yet.
    :param where: where it is, for people.
    :param changed: the decision log was made, or would be; or a vote would be written.
    :param in_doubt: the hosts have to stay as they are.
    """
    return {
        "run": run,
        "decision": None,
        "hosts": [],
        "time": None,
        "by": None,
        "why": None,
        "decision_log": identity,
        "deadline": None,
        "where": where,
        "in_doubt": in_doubt,
        "msg": text,
        "changed": changed,
        "diff": {"before": {}, "after": {}},
    }
