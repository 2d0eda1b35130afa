"""Whether anything may begin or go on here.

Nothing may before the decision of a fleet run was learned, nor where a dead-man's switch has fired.
"""

from __future__ import annotations

import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import Fired, InDoubt
from ansible_collections.intellistream.sage.plugins.module_utils._records.standing import (
    ABORTING,
    COMMITTING,
    IN_DOUBT,
    UNDID_ITSELF,
    standing,
)

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._records.installation import Installation


def refuse(installation: Installation | None, goes_on: bool) -> None:
    """Refuse to begin, or to go on, where something else comes first.

    :param goes_on: the same installation is to go on.
    :raises InDoubt: a decision has to be learned, or carried out, first.
    :raises Fired: a dead-man's switch has taken everything back, or is to.
    """
    refuse_undecided(installation)
    if installation is not None:
        refuse_fired(installation, goes_on)


def refuse_undecided(installation: Installation | None) -> None:
    """Refuse to begin anything on a host that has to learn a decision first, or has to roll back first.

    :raises InDoubt: it has.
    """
    stands = standing(installation)
    if stands is None or not (stands.asks or stands.to):
        return
    problem = {
        IN_DOUBT: f"is prepared for fleet run {stands.run} and does not know the decision",
        UNDID_ITSELF: f"went back without knowing the decision about fleet run {stands.run}",
        ABORTING: f"of fleet run {stands.run} is being rolled back, and that has not finished",
        COMMITTING: f"is being rolled back in fleet run {stands.run}, and that has not finished",
    }[stands.state]
    if stands.rollback and stands.asks:
        problem = f"is to be rolled back in fleet run {stands.run}, and does not know the decision"
    raise InDoubt(
        f"Installation {stands.install_id} {problem}.",
        untouched="everything.",
        advice=f"Roll back to {stands.to}."
        if stands.to
        else f"The decision is at {stands.where or stands.decision_log}: run the playbook there. Or give "
        "sage_fleet_finish=commit or sage_fleet_finish=abort if you know what the other hosts of that run did.",
        fleet=stands.as_dict(),
    )


def refuse_fired(installation: Installation, goes_on: bool) -> None:
    """Nothing goes on where the switch has taken everything back, nor begins before it has.

    :param goes_on: the same installation is to go on, whose controller gave no sign in time.
    :raises Fired: that is so here.
    """
    if installation.fired is None or not (goes_on or installation.unfinished or installation.status == "prepared"):
        return
    rolled_back = installation.status == "rolled_back"
    raise Fired(
        f"The dead-man's switch of installation {installation.install_id} fired at {installation.fired['time']}, after "
        f"{installation.fired['after']:g} s without a sign of the controller: everything "
        f"{'was taken back' if rolled_back else 'has to be taken back, and the rollback has not run yet'}.",
        untouched="everything.",
        advice="Run again. Give sage_deadman more than the longest phase takes."
        if rolled_back
        else f"Roll back to {installation.install_id}, which tells what is in the way.",
        fired=installation.fired,
    )
