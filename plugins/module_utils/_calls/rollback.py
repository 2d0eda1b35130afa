"""One call of sage_rollback: go back now, or prepare to do so when a fleet run decides it.

The protocol is that of an installation, see M(_fleet.participant), the other way round: a prepared host has
changed nothing yet, commit makes it go back, and abort leaves it as it is.
"""

from __future__ import annotations

import datetime as dt
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import (
    InputError,
)
from ansible_collections.intellistream.sage.plugins.module_utils._deadman_switch import mark
from ansible_collections.intellistream.sage.plugins.module_utils._fleet import participant
from ansible_collections.intellistream.sage.plugins.module_utils._records import standing, stray_processes
from ansible_collections.intellistream.sage.plugins.module_utils._records.session import refuse_undecided
from ansible_collections.intellistream.sage.plugins.module_utils._registry import carry_undos
from ansible_collections.intellistream.sage.plugins.module_utils._timeline import dates, targets
from ansible_collections.intellistream.sage.plugins.module_utils._undo.result import nothing
from ansible_collections.intellistream.sage.plugins.module_utils._undo.rollback import RollbackRequest, go_back

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._records.session import Engine, Session
    from ansible_collections.intellistream.sage.plugins.plugin_utils._events import FleetRun, RollbackTerms
    from ansible_collections.intellistream.sage.plugins.plugin_utils._structures import (
        PreparedRollbackResult,
        RollbackResult,
    )


CARRIES = (carry_undos.parts,)


def rollback(engine: Engine, request: RollbackRequest, check_mode: bool) -> RollbackResult:
    """Undo what was changed since the target began.

    A host that prepared a rollback for a fleet run, and heard commit, does that one, whatever is named.

    :raises ConflictError: somebody changed what the undo would overwrite; nothing was changed.
    :raises InDoubt: it prepared one, and does not know the decision; nothing was changed.
    :raises StoreError: captured content is damaged; nothing was changed.
    :raises RollbackError: the result is not what was captured; every difference is named.
    """
    with engine.reading() as session:
        if session.empty:
            target = targets.fixed([], request.to)
            if request.to == "last" or targets.is_date(request.to):
                return nothing("Nothing was installed here yet: nothing to roll back.", target)
            targets.resolve([], request.to)
    if not check_mode:
        # What a controller that gave up has left at work may hold the lock, and would go on beside the undo.
        stray_processes.end(engine)
    with engine.opened(check_mode) as session:
        # Also where it fails, and where what is left of the installation can be continued: nobody is at it any more.
        session.ends_run = True
        decided = participant.committed_rollback(session.installation)
        # What was decided comes first, whatever is named.
        result = go_back(session, request if decided is None else _request(decided), check_mode)
        if decided is not None and not check_mode:
            participant.record_rollback_done(session)
            session.commit()
        # Whoever rolls back decides what stays, also where a phase had changed nothing.
        mark.remove(session)
        return result


def prepare_rollback(
    engine: Engine, request: RollbackRequest, fleet: FleetRun, check_mode: bool
) -> PreparedRollbackResult:
    """Compute a rollback, as in check mode, and record that it is done when the fleet run commits.

    :param fleet: the run whose decision it waits for.
    :returns: what M(rollback) returns, nothing of it done; C(fleet) is how the host stands, None where nothing is to
        be rolled back.
    :raises SageError: it cannot go back, or a decision or another rollback comes first; nothing was recorded.
    """
    result: PreparedRollbackResult = {**rollback(engine, request, True), "fleet": None}
    if result["undone"] and not check_mode:
        with engine.session() as session:
            _record(session, request, result, fleet)
            session.commit()
            fleet_standing = standing.standing(session.installation)
            result["fleet"] = fleet_standing.as_dict() if fleet_standing is not None else None
    return result


def _record(session: Session, request: RollbackRequest, result: RollbackResult, fleet: FleetRun) -> None:
    refuse_undecided(session.installation)
    if session.script_was_run or any(change.undoing for change in session.history()):
        raise InputError(
            "An interrupted rollback has to be finished first.",
            untouched="everything.",
            advice="Finish it: run finish_sage.yml, or the same rollback without sage_fleet_policy=atomic.",
        )
    terms: RollbackTerms = {
        "to": result["target"],
        "force": request.force,
        "kinds": list(request.kinds),
        "erase_installed_after": _fixed(request.erase_installed_after),
        "keep_broken": request.keep_broken,
    }
    session.add(
        {
            "event": "rollback_prepared",
            "run": fleet["run"],
            "decision_log": fleet["decision_log"],
            "where": fleet["where"],
            "rollback": terms,
            "points": result["undone"],
        }
    )


def _request(terms: RollbackTerms) -> RollbackRequest:
    """The rollback that was prepared; what a later version may have recorded with it stays in the record."""
    return RollbackRequest(
        to=terms["to"],
        force=terms["force"],
        kinds=terms["kinds"],
        erase_installed_after=terms["erase_installed_after"],
        keep_broken=terms["keep_broken"],
    )


def _fixed(date: str) -> str:
    """The date as it means the same when it is used later."""
    return f"@{dates.parse(date, dt.datetime.now(dt.timezone.utc)).timestamp():.6f}" if date else ""
