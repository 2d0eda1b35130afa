# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A host's part in the rollback of a fleet: it promises to go back, is in doubt, and goes back once all have promised.

The protocol is that of an installation, see M(_fleet.participant), the other way round: a host that promised has
changed nothing yet, commit makes it go back, and abort leaves it as it is.
"""

from __future__ import annotations

import datetime as dt
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import InputError
from ansible_collections.intellistream.sage.plugins.module_utils._records import admission, script_marks, standing
from ansible_collections.intellistream.sage.plugins.module_utils._timeline import dates
from ansible_collections.intellistream.sage.plugins.module_utils._undo.rollback import rollback

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._records.session import Engine, Session
    from ansible_collections.intellistream.sage.plugins.module_utils._undo.result import Result
    from ansible_collections.intellistream.sage.plugins.module_utils._undo.rollback import Request


def promise(engine: Engine, request: Request, fleet: t.Mapping[str, str], check_mode: bool) -> Result:
    """Compute a rollback, as in check mode, and record that it is done when the fleet run commits.

    :param fleet: C(run), C(place), C(where).
    :returns: what M(rollback) returns, nothing of it done; C(fleet) is how the host stands, None where nothing is to
        be rolled back.
    :raises SageError: it cannot go back, or a decision or another rollback comes first; nothing was recorded.
    """
    result = {**rollback(engine, request, True), "fleet": None}
    if result["undone"] and not check_mode:
        with engine.session() as session:
            _record(session, request, result, fleet)
            session.commit()
            found = standing.standing(session.installation)
            result["fleet"] = found.as_dict() if found is not None else None
    return result


def _record(session: Session, request: Request, result: Result, fleet: t.Mapping[str, str]) -> None:
    admission.refuse_undecided(session.installation)
    script = session.where is not None and script_marks.was_run(session.where)
    if script or any(one.undoing for one in session.history()):
        raise InputError(
            "A rollback was interrupted here, and comes first.",
            untouched="everything.",
            advice="Finish it: run resolve_sage.yml, or the same rollback without sage_fleet_policy=atomic.",
        )
    back = {
        "to": result["target"],
        "force": request.force,
        "kinds": list(request.kinds),
        "erase_installed_after": _fixed(request.erase_installed_after),
        "keep_broken": request.keep_broken,
    }
    session.add({"event": "promised", **fleet, "back": back, "points": result["undone"]})


def _fixed(date: str) -> str:
    """The date as it means the same when it is used later."""
    return f"@{dates.parse(date, dt.datetime.now(dt.timezone.utc)).timestamp():.6f}" if date else ""
