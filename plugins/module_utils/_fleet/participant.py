# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A host's part in a fleet run: it prepares, is in doubt until it hears the decision, and goes by it.

A prepared host never makes up its own mind. What it may do without asking is finish a rollback that was begun.
When a fleet is rolled back, a host is prepared when it has promised to go back, see M(_calls.rollback). The protocol is
in docs/fleet.md.
"""

from __future__ import annotations

import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import InDoubt, InputError, StateError
from ansible_collections.intellistream.sage.plugins.module_utils._records.standing import (
    ABORT,
    ABORTING,
    COMMIT,
    COMMITTED,
    GOING_BACK,
    IN_DOUBT,
    UNDID_ITSELF,
    Standing,
    standing,
)

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._records.installation import Installation
    from ansible_collections.intellistream.sage.plugins.module_utils._records.session import Session


def refuse(installation: Installation | None) -> None:
    """Refuse to begin anything on a host that has to ask first, or has to go back first.

    :raises InDoubt: it has.
    """
    found = standing(installation)
    if found is None or not (found.asks or found.to):
        return
    what = {
        IN_DOUBT: f"is prepared for fleet run {found.run} and has not heard whether to commit",
        UNDID_ITSELF: f"went back without having heard what was decided about fleet run {found.run}",
        ABORTING: f"of fleet run {found.run} is being rolled back, and is not back yet",
        GOING_BACK: f"is being rolled back in fleet run {found.run}, and is not back yet",
    }[found.state]
    if found.back and found.asks:
        what = f"is to be rolled back in fleet run {found.run}, and has not heard whether all hosts are"
    raise InDoubt(
        f"Installation {found.install_id} {what}.",
        untouched="everything.",
        advice=f"Roll back to {found.to}."
        if found.to
        else f"The decision is at {found.where or found.place}: run the playbook there. Or give "
        "sage_fleet_resolve=commit or sage_fleet_resolve=abort if you know what the other hosts of that run did.",
        fleet=found.as_dict(),
    )


def prepare(
    session: Session, run: str, place: str, where: str, was: str | None, install_id: str | None = None
) -> Standing | None:
    """Record that an installation is done and verified, and waits for the decision; with the session's next commit.

    :param place: the identity of the place where the decision will be, and C(where) for people.
    :param was: the installation's status when the session began.
    :param install_id: the installation that is meant; another one is of another controller.
    :returns: None when it was completed before: nothing was changed, so there is nothing to decide.
    :raises InputError: a phase is not done.
    :raises InDoubt: it is prepared for another run.
    """
    installation = session.installation
    found = standing(installation)
    if found is not None and found.asks and found.run == run:
        return found
    refuse(installation)
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
    session.add({"event": "prepared", "run": run, "place": place, "where": where})
    return standing(installation)


def hear(session: Session, run: str, decision: str) -> Standing:
    """Take in what was decided; with the session's next commit.

    After that an installation that commits is completed. One that aborts has to be rolled back to itself
    (RV(Standing.to)), which any later run does too, without asking again.

    :raises InputError: the host knows nothing of this run.
    :raises StateError: it heard the opposite before.
    """
    installation = session.installation
    found = standing(installation)
    if installation is None or found is None or found.run != run:
        raise InputError(
            f"This host is not prepared for fleet run {run}.",
            untouched="everything.",
            advice=f"It is part of run {found.run}." if found else "It was never prepared, or its record was removed.",
        )
    if found.decision is None:
        from ansible_collections.intellistream.sage.plugins.module_utils._records.script_marks import was_run

        # What rollback.sh took back is in no record yet.
        undone = session.where is not None and was_run(session.where)
        session.add({"event": "committed" if decision == COMMIT else "aborted", "run": run, "undone": undone})
        if decision == ABORT and installation.status == "prepared" and not installation.active_points:
            # Nothing was captured since nothing was changed: it is back already.
            session.add({"event": "ended", "status": "rolled_back"})
    elif found.decision != decision:
        raise StateError(
            f"Installation {found.install_id} heard {found.decision} for fleet run {run}, and now hears {decision}.",
            untouched="everything.",
            advice="A decision never changes. Compare the decision files of all controllers, and see who gave "
            "sage_fleet_resolve.",
        )
    return standing(installation) or found


def alone(session: Session) -> bool:
    """Record that the host is about to undo itself, by its dead-man's switch; with the session's next commit.

    :returns: whether it stands in a fleet run, so that somebody has to hear of it.
    """
    found = standing(session.installation)
    if found is None or found.state not in (IN_DOUBT, COMMITTED) or (found.back and not found.asks):
        return False
    session.add({"event": "alone", "run": found.run})
    return True


def as_promised(installation: Installation | None) -> dict[str, t.Any] | None:
    """The rollback that has to be done here since a fleet run decided so; None when there is none.

    :raises InDoubt: it was promised, and nobody knows yet whether it is to be done.
    """
    found = standing(installation)
    if found is None or found.back is None:
        return None
    if found.asks:
        refuse(installation)
    return found.back if found.to is not None else None


def delivered(session: Session) -> None:
    """Record that a rollback was done as promised; with the session's next commit."""
    session.add({"event": "delivered"})
