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

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import InputError, StateError
from ansible_collections.intellistream.sage.plugins.module_utils._records.admission import refuse_undecided
from ansible_collections.intellistream.sage.plugins.module_utils._records.standing import (
    ABORT,
    COMMIT,
    COMMITTED,
    IN_DOUBT,
    Standing,
    standing,
)

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._records.events import RollbackTerms
    from ansible_collections.intellistream.sage.plugins.module_utils._records.installation import Installation
    from ansible_collections.intellistream.sage.plugins.module_utils._records.session import Session


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
    session.add({"event": "prepared", "run": run, "decision_log": place, "where": where})
    return standing(installation)


def learn_decision(session: Session, run: str, decision: str) -> Standing:
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
        by_script = session.where is not None and was_run(session.where)
        session.add({"event": "committed" if decision == COMMIT else "aborted", "run": run, "by_script": by_script})
        if decision == ABORT and installation.status == "prepared" and not installation.active_points:
            # Nothing was captured since nothing was changed: it is back already.
            session.add({"event": "ended", "status": "rolled_back"})
    elif found.decision != decision:
        raise StateError(
            f"Installation {found.install_id} heard {found.decision} for fleet run {run}, and now hears {decision}.",
            untouched="everything.",
            advice="A decision never changes. Compare the decision files of all controllers, and see who gave "
            "sage_fleet_finish.",
        )
    return standing(installation) or found


def record_undo_undecided(session: Session) -> bool:
    """Record that the host is about to undo itself, by its dead-man's switch; with the session's next commit.

    :returns: whether it stands in a fleet run, so that somebody has to hear of it.
    """
    found = standing(session.installation)
    if found is None or found.state not in (IN_DOUBT, COMMITTED) or (found.rollback and not found.asks):
        return False
    session.add({"event": "unilateral", "run": found.run})
    return True


def committed_rollback(installation: Installation | None) -> RollbackTerms | None:
    """The rollback that has to be done here since a fleet run decided so; None when there is none.

    :raises InDoubt: it was promised, and nobody knows yet whether it is to be done.
    """
    found = standing(installation)
    if found is None or found.rollback is None:
        return None
    if found.asks:
        refuse_undecided(installation)
    return found.rollback if found.to is not None else None


def record_rollback_done(session: Session) -> None:
    """Record that a rollback was done as promised; with the session's next commit."""
    session.add({"event": "rollback_done"})
