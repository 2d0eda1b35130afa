"""What M(intellistream.sage.sage_decision) returns."""

from __future__ import annotations

import typing as t

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._fleet.decision_log import (
        DecisionLog,
        FleetDecision,
    )
    from ansible_collections.intellistream.sage.plugins.plugin_utils._structures import DecisionDiff, DecisionResult


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
