"""Drift: how what is on disk differs from what the record says.

The resume verdict asks the same, but has to be quick. Here each kind of resource looks as closely as it can.
"""

from __future__ import annotations

import functools
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.by_name import ByName
from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import LedgerBroken
from ansible_collections.intellistream.sage.plugins.module_utils._kind.drift import OtherVersions, Recorded
from ansible_collections.intellistream.sage.plugins.module_utils._records.installation import (
    ORIGINS,
    effective,
    installations,
)
from ansible_collections.intellistream.sage.plugins.module_utils._registry import carry_drift, registry
from ansible_collections.intellistream.sage.plugins.module_utils._reports.history import changes

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._kind.drift import Drift
    from ansible_collections.intellistream.sage.plugins.module_utils._kind.interface import Facts, Spec
    from ansible_collections.intellistream.sage.plugins.module_utils._records.installation import (
        Change,
        Installation,
        Phase,
    )
    from ansible_collections.intellistream.sage.plugins.module_utils._records.session import Session
    from ansible_collections.intellistream.sage.plugins.plugin_utils._structures import DriftReport

# Of kinds that this version does not have, or that are not carried here.
_PLAIN = "_kind.drift:compare"

CARRIES = (carry_drift.parts,)


def drift(session: Session) -> list[DriftReport]:
    """Every difference between the record and the host, sorted.

    What cannot be read is a line too.

    :raises NeedsLibrary: this Python has not what a kind needs.
    """
    installation = session.effective()
    lines: set[tuple[str, str, str, bool]] = set()
    for name, results in _results(session, installation).items():
        kind = registry.find(name)
        compare: ByName[Drift] = ByName(kind.drift if kind is not None else _PLAIN)
        published = installation.wrong_records if installation is not None else {}
        recorded = Recorded(registry.make, results, others=functools.partial(_others, session), published=published)
        lines.update((name, *line) for line in compare.load()(recorded))
    return [
        {"kind": kind, "path": path, "what": difference, "theirs": theirs}
        for kind, path, difference, theirs in sorted(lines)
    ]


def _results(session: Session, installation: Installation | None) -> dict[str, list[tuple[Spec, Facts]]]:
    """Kind → spec and facts of all that was looked at once it had changed."""
    results: dict[str, list[tuple[Spec, Facts]]] = {}
    for phase in _in_force(session, installation):
        for result in phase.result:
            results.setdefault(str(result["spec"]["kind"]), []).append((result["spec"], result["facts"]))
    begun = installation.seq if installation is not None else 0
    changes_since: list[Change] = [installation] if installation is not None else []
    changes_since += [change for change in _history(session) if change.origin in ORIGINS and change.seq > begun]
    for point in [point for change in changes_since for point in change.active_points]:
        for settled in point.get("after") or ():
            name = str(settled["spec"]["kind"])
            kind = registry.find(name)
            if kind is not None and kind.drifts_when_settled:
                results.setdefault(name, []).append((settled["spec"], settled["facts"]))
    return results


def _in_force(session: Session, installation: Installation | None) -> list[Phase]:
    """The phases whose results are on the host: of what an attempt did not get to, or took back, those before it."""
    if installation is None:
        return []
    phases = dict(installation.phases)
    if installation.status != "completed":
        attempts = installations(_history(session))
        before = effective([attempt for attempt in attempts if attempt.install_id < installation.install_id])
        begun = {point.get("phase") for point in installation.active_points}
        for name, phase in before.phases.items() if before is not None else ():
            if not phases[name].done and name not in begun:
                phases[name] = phase
    return [phase for phase in phases.values() if phase.done]


def _history(session: Session) -> list[Change]:
    """All changes, or where the ledger is broken further back the current installation."""
    try:
        return session.history()
    except LedgerBroken:
        return [session.installation] if session.installation is not None else []


def _others(session: Session, path: str) -> OtherVersions | None:
    """What else is to be in an environment; None when no capture of it can be read, so that nothing is known."""
    history = _history(session)
    announced: dict[str, str] = {}
    undone: set[str] = set()
    points = [point for change in history for point in change.points if not point.get("redo")]
    for point in sorted(points, key=lambda point: point["seq"], reverse=True):
        for change in reversed(changes(None if point.get("undone") else session.where, point)):
            if change.path != path:
                continue
            if point.get("undone"):
                undone.update(change.after)
                continue
            announced.update(dict.fromkeys(change.after, ""))
            if change.entire:
                return OtherVersions(announced, undone)
            if change.before is not None:
                return OtherVersions({**change.before, **announced}, undone)
    return None
