"""A host's part in a fleet run: it prepares, is in doubt until it learns the decision, and carries it out.

A prepared host never decides by itself. What it may do without asking is finish a rollback that was begun. When a
fleet is rolled back, a host is prepared when its rollback was computed and recorded, see M(_calls.rollback). The
protocol is in docs/fleet.md.
"""

from __future__ import annotations

import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import InputError, OutOfOrder, StateError
from ansible_collections.intellistream.sage.plugins.module_utils._records.session import refuse_undecided
from ansible_collections.intellistream.sage.plugins.module_utils._records.standing import (
    ABORT,
    COMMIT,
    COMMITTED,
    IN_DOUBT,
    Standing,
    standing,
)

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._records.installation import Installation
    from ansible_collections.intellistream.sage.plugins.module_utils._records.session import Session
    from ansible_collections.intellistream.sage.plugins.plugin_utils._events import RollbackTerms


def prepare(
    session: Session, run: str, decision_log: str, where: str, was: str | None, install_id: str | None = None
) -> Standing | None:
    """Record that an installation is done and verified, and waits for the decision; with the session's next commit.

    :param run: the id of the fleet run.
    :param decision_log: the identity of the decision log where the decision will be.
    :param where: the same for people.
    :param was: the installation's status when the session began.
    :param install_id: the installation that is meant; another one is of another controller.
    :returns: None when it was completed before: nothing was changed, so there is nothing to decide.
    :raises InputError: a phase is not done, or another installation is current.
    :raises InDoubt: it is prepared for another run.
    :raises OutOfOrder: it was not verified.
    """
    installation = session.installation
    current = standing(installation)
    if current is not None and current.asks and current.run == run:
        return current
    refuse_undecided(installation)
    if install_id and installation is not None and installation.install_id != install_id:
        raise InputError(
            f"Another run began installation {installation.install_id} here while {install_id} was at work.",
            untouched="the record.",
            advice="Let only one run at a time work on a host.",
        )
    if installation is None or installation.status != "completed":
        raise InputError(
            "Not all phases of the installation are done, so it cannot be prepared.",
            untouched="everything.",
            advice="End all phases first, in the same call or before.",
        )
    if was == "completed":
        return None
    if installation.verified is None:
        raise OutOfOrder(
            f"Installation {installation.install_id} cannot be prepared: what it installed has not been verified.",
            untouched="everything.",
            advice="Begin the phase verification and call intellistream.sage.sage_verify.",
            missing="verification",
        )
    session.add({"event": "prepared", "run": run, "decision_log": decision_log, "where": where})
    return standing(installation)


def learn_decision(session: Session, run: str, decision: str) -> Standing:
    """Record what was decided; with the session's next commit.

    After that an installation that commits is completed. One that aborts has to be rolled back to itself
    (RV(Standing.to)), which any later run does too, without asking again.

    :param decision: V(commit) or V(abort).
    :returns: how the host stands then.
    :raises InputError: the host is not prepared for this run.
    :raises StateError: it learned the opposite before.
    """
    installation = session.installation
    before = standing(installation)
    if installation is None or before is None or before.run != run:
        raise InputError(
            f"This host is not prepared for fleet run {run}.",
            untouched="everything.",
            advice=f"It is part of run {before.run}."
            if before
            else "It was never prepared, or its record was removed.",
        )
    if before.decision is None:
        # What rollback.sh took back is in no record yet.
        session.add(
            {"event": "committed" if decision == COMMIT else "aborted", "run": run, "by_script": session.script_was_run}
        )
        if decision == ABORT and installation.status == "prepared" and not installation.active_points:
            # Nothing was captured since nothing was changed: it is back already.
            session.add({"event": "ended", "status": "rolled_back"})
    elif before.decision != decision:
        raise StateError(
            f"Installation {before.install_id} learned {before.decision} for fleet run {run}, and now gets {decision}.",
            untouched="everything.",
            advice="A decision never changes. Compare the decision files of all controllers, and see who gave "
            "sage_fleet_finish.",
        )
    return standing(installation) or before


def record_unilateral_undo(session: Session) -> bool:
    """Record that the host is about to undo itself, by its dead-man's switch; with the session's next commit.

    :returns: whether it stands in a fleet run, so that somebody has to learn of it.
    """
    current = standing(session.installation)
    if current is None or current.state not in (IN_DOUBT, COMMITTED) or (current.rollback and not current.asks):
        return False
    session.add({"event": "unilateral", "run": current.run})
    return True


def committed_rollback(installation: Installation | None) -> RollbackTerms | None:
    """The rollback that has to be done here since a fleet run committed it; None when there is none.

    :raises InDoubt: one is prepared, and the host has not learned whether it is to be done.
    """
    current = standing(installation)
    if current is None or current.rollback is None:
        return None
    if current.asks:
        refuse_undecided(installation)
    return current.rollback if current.to is not None else None


def record_rollback_done(session: Session) -> None:
    """Record that the rollback that a fleet run committed is done; with the session's next commit."""
    session.add({"event": "rollback_done"})
