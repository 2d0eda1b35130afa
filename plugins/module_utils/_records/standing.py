"""How an installation stands in its fleet run: two tables, and what is read from them.

The first says what a host has learned of the decision, by the events of its ledger. The second adds what is on the
host. The protocol is in docs/fleet.md, its steps on a host in M(_fleet.participant).
"""

from __future__ import annotations

import typing as t

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.plugin_utils._events import (
        Event,
        FleetMember,
        FleetRecord,
        RollbackTerms,
    )
    from ansible_collections.intellistream.sage.plugins.plugin_utils._structures import FleetStanding

COMMIT, ABORT = "commit", "abort"

IN_DOUBT = "in_doubt"
ABORTING = "aborting"
COMMITTING = "committing"
UNDID_ITSELF = "undid_itself"
COMMITTED = "committed"
ABORTED = "aborted"
DIVERGED = "diverged"

# Whoever comes has to ask for the decision, and deliver it, before anything else.
ASKS = (IN_DOUBT, UNDID_ITSELF)

# What a host that is prepared to install has learned; C(alone): its switch was about to undo it without asking.
ASKING, ASKING_ALONE = "asking", "asking_alone"
LEARNED_COMMIT, LEARNED_COMMIT_ALONE = "commit", "commit_alone"
# Commit, when a rollback had begun.
COMMIT_TOO_LATE = "commit_too_late"
LEARNED_ABORT = "abort"
# And one that is prepared to roll back.
ROLLBACK_ASKING, ROLLBACK_ASKING_ALONE = "rollback_asking", "rollback_asking_alone"
ROLLBACK_COMMIT, ROLLBACK_DONE = "rollback_commit", "rollback_done"
ROLLBACK_ABORT, ROLLBACK_ABORT_ALONE = "rollback_abort", "rollback_abort_alone"
# Abort, when rollback.sh had rolled back.
ROLLBACK_ABORT_TOO_LATE = "rollback_abort_too_late"

# What was learned → event → what is learned then. C(too_late): a rollback had begun. Other events change nothing.
LEARNS: dict[str, dict[str, str]] = {
    ASKING: {
        "committed": LEARNED_COMMIT,
        "committed too_late": COMMIT_TOO_LATE,
        "aborted": LEARNED_ABORT,
        "aborted too_late": LEARNED_ABORT,
        "unilateral": ASKING_ALONE,
    },
    ASKING_ALONE: {
        "committed": LEARNED_COMMIT_ALONE,
        "committed too_late": COMMIT_TOO_LATE,
        "aborted": LEARNED_ABORT,
        "aborted too_late": LEARNED_ABORT,
    },
    LEARNED_COMMIT: {"unilateral": LEARNED_COMMIT_ALONE},
    ROLLBACK_ASKING: {
        "committed": ROLLBACK_COMMIT,
        "committed too_late": ROLLBACK_COMMIT,
        "aborted": ROLLBACK_ABORT,
        "aborted too_late": ROLLBACK_ABORT_TOO_LATE,
        "unilateral": ROLLBACK_ASKING_ALONE,
    },
    ROLLBACK_ASKING_ALONE: {
        "committed": ROLLBACK_COMMIT,
        "committed too_late": ROLLBACK_COMMIT,
        "aborted": ROLLBACK_ABORT_ALONE,
        "aborted too_late": ROLLBACK_ABORT_TOO_LATE,
    },
    ROLLBACK_COMMIT: {"rollback_done": ROLLBACK_DONE},
}

# What was learned → the installation's status → how it stands; C(undoing): prepared, and a rollback of it has begun;
# C(*): any other.
STANDS: dict[str, dict[str, str]] = {
    ASKING: {"prepared": IN_DOUBT, "undoing": ABORTING, "*": UNDID_ITSELF},
    ASKING_ALONE: {"prepared": IN_DOUBT, "undoing": ABORTING, "*": UNDID_ITSELF},
    # A rollback that was begun can only be finished, whoever began it.
    LEARNED_COMMIT: {"prepared": ABORTING, "undoing": ABORTING, "*": COMMITTED},
    LEARNED_COMMIT_ALONE: {"prepared": ABORTING, "undoing": ABORTING, "completed": COMMITTED, "*": DIVERGED},
    COMMIT_TOO_LATE: {"prepared": ABORTING, "undoing": ABORTING, "*": DIVERGED},
    LEARNED_ABORT: {"rolled_back": ABORTED, "*": ABORTING},
    ROLLBACK_ASKING: {"*": IN_DOUBT},
    ROLLBACK_ASKING_ALONE: {"*": IN_DOUBT},
    ROLLBACK_COMMIT: {"*": COMMITTING},
    ROLLBACK_DONE: {"*": COMMITTED},
    ROLLBACK_ABORT: {"*": ABORTED},
    ROLLBACK_ABORT_ALONE: {"rolled_back": DIVERGED, "*": ABORTED},
    ROLLBACK_ABORT_TOO_LATE: {"*": DIVERGED},
}

_DECISIONS = {
    ASKING: None,
    ASKING_ALONE: None,
    LEARNED_COMMIT: COMMIT,
    LEARNED_COMMIT_ALONE: COMMIT,
    COMMIT_TOO_LATE: COMMIT,
    LEARNED_ABORT: ABORT,
    ROLLBACK_ASKING: None,
    ROLLBACK_ASKING_ALONE: None,
    ROLLBACK_COMMIT: COMMIT,
    ROLLBACK_DONE: COMMIT,
    ROLLBACK_ABORT: ABORT,
    ROLLBACK_ABORT_ALONE: ABORT,
    ROLLBACK_ABORT_TOO_LATE: ABORT,
}


class Standing(t.NamedTuple):
    """How an installation stands in its fleet run.

    :ivar state: V(in_doubt); V(aborting), it has to roll back all the way; V(committing), so it has, as a rollback was
        committed; V(undid_itself), it rolled back without knowing the decision; V(committed); V(aborted);
        V(diverged), it rolled back although the decision was to stay.
    :ivar decision_log: the identity of the decision log that knows the decision.
    :ivar where: the same for people.
    :ivar since: ISO time when it was prepared.
    :ivar decision: V(commit) or V(abort), as it was learned; None before.
    :ivar rollback: the rollback that the run is about, fields of M(_undo.rollback)'s request; None for an installation.
    """

    state: str
    install_id: str
    run: str
    decision_log: str
    where: str
    since: str
    decision: str | None
    rollback: RollbackTerms | None = None

    @property
    def asks(self) -> bool:
        """The decision is needed before anything else may begin here."""
        return self.state in ASKS

    @property
    def to(self) -> str | None:
        """What has to be rolled back to; None when nothing has to be."""
        if self.state == COMMITTING and self.rollback is not None:
            return str(self.rollback["to"])
        return self.install_id if self.state == ABORTING else None

    def as_dict(self) -> FleetStanding:
        """The standing as JSON-able data."""
        return t.cast("FleetStanding", {**self._asdict(), "asks": self.asks, "to": self.to})


def standing(installation: FleetMember | None) -> Standing | None:
    """How an installation stands in its fleet run; None when it never was prepared for one."""
    fleet = installation.fleet if installation is not None else None
    if installation is None or fleet is None:
        return None
    by_status = STANDS[fleet["learned"]]
    return Standing(
        by_status.get(_status(installation), by_status["*"]),
        installation.install_id,
        run=fleet["run"],
        decision_log=fleet["decision_log"],
        where=fleet["where"],
        since=fleet["since"],
        decision=_DECISIONS[fleet["learned"]],
        rollback=fleet.get("rollback"),
    )


def learned(installation: FleetMember, event: Event) -> str:
    """What an installation has learned of the decision once an event is folded in; the fleet's events only."""
    fleet, name = installation.fleet, str(event["event"])
    before = fleet["learned"] if fleet is not None else ASKING
    if event["event"] == "committed" or event["event"] == "aborted":
        name += " too_late" if _too_late(installation, event["by_script"]) else ""
    return LEARNS.get(before, {}).get(name, before)


def rollback_pending(fleet: FleetRecord | None) -> bool:
    """A rollback has to be done if the fleet run decides or has decided so, and is not done yet."""
    return fleet is not None and fleet["learned"] in (ROLLBACK_ASKING, ROLLBACK_ASKING_ALONE, ROLLBACK_COMMIT)


def _status(installation: FleetMember) -> str:
    """Its status, as the second table has it."""
    return "undoing" if installation.status == "prepared" and installation.undoing else installation.status


def _too_late(installation: FleetMember, by_script: bool) -> bool:
    """A rollback had begun when the decision was learned; of one that the run is about, only the script knows."""
    if installation.fleet is not None and installation.fleet.get("rollback"):
        return by_script
    return by_script or _status(installation) != "prepared"
