"""C(install_progress.json): a view of the ledger in the original's format: its eleven keys, and two of its fields."""

from __future__ import annotations

import json
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._records.installation import (
    CLEANUP,
    PHASES,
    effective,
    fold,
    installations,
)

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._records.installation import Change, Installation
    from ansible_collections.intellistream.sage.plugins.module_utils._records.ledger import LedgerLine
    from ansible_collections.intellistream.sage.plugins.plugin_utils._events import Point, PointCaptured
    from ansible_collections.intellistream.sage.plugins.plugin_utils._structures import (
        CapturedTotal,
        InstallationSummary,
        Progress,
    )

NAME = "install_progress.json"
KEYS = (
    "install_id",
    "start_time",
    "current_phase",
    "completed_phases",
    "failed_phases",
    "install_mode",
    "environment_name",
    "python_path",
    "backup_created",
    "can_rollback",
    "last_update",
    # Beside them, of what the original's readers ask for.
    "last_error",
    "additional_data",
)


def view(installation: Installation, in_force: Installation | None = None) -> Progress:
    """The eleven keys with the original's meaning, and what callers said.

    A skipped phase counts as completed: nothing is left to do in it. A phase that failed and was
    undone still counts as failed until it starts again.

    :param installation: the last one that began: whose attempt it was, what failed in it, whether it can be undone.
    :param in_force: the one whose result is on the host, if it is another: what is done there, and its labels.
    """
    phases, done = installation.phases, in_force or installation
    changed = [point for point in installation.active_points if not point.get("unchanged")]
    content = {
        "install_id": installation.install_id,
        "start_time": installation.begun,
        "current_phase": _current(done),
        "completed_phases": [name for name in PHASES if done.phases[name].done],
        "failed_phases": [
            name
            for name in PHASES
            if phases[name].status == "failed" or (phases[name].status == "rolled_back" and phases[name].failure)
        ],
        **done.labels,
        "backup_created": bool(installation.points),
        # Not where nothing was changed, nor where what was captured is gone.
        "can_rollback": bool(changed) and not any(point.get("pruned") for point in changed),
        "last_update": installation.updated,
        "last_error": _last_error(installation),
        # Sorted, as the ledger has it: the file is compared by its bytes.
        "additional_data": json.loads(json.dumps(_said(installation), sort_keys=True)),
    }
    return t.cast("Progress", content)


def _last_error(installation: Installation) -> str | None:
    """What was said of the phase that counts as failed; None where none does."""
    for name, phase in installation.phases.items():
        failure = phase.failure if phase.status in ("failed", "rolled_back") else None
        if failure or phase.status == "failed":
            message = failure.get("message") if isinstance(failure, dict) else failure
            return f"{name}: {message or 'it failed'}"
    return None


def _said(installation: Installation) -> dict[str, t.Any]:
    """What callers said of each phase, of those they said something of."""
    return {name: phase.data for name, phase in installation.phases.items() if phase.data is not None}


def summary(installation: Installation | None, in_force: Installation | None) -> InstallationSummary:
    """What modules return of an installation; C(in_force) as for M(view)."""
    if installation is None:
        nothing: InstallationSummary = {
            "install_id": None,
            "progress": {},
            "phases": {},
            "data": {},
            "rollback_points": [],
            "captured_total": captured_total([]),
            "altered": False,
            "unverified": [],
        }
        return nothing
    return {
        "install_id": installation.install_id,
        "progress": view(installation, in_force),
        "phases": {name: phase.status for name, phase in installation.phases.items()},
        "data": _said(installation),
        "rollback_points": [point["point"] for point in installation.active_points],
        "captured_total": captured_total(installation.points),
        "altered": installation.in_force,
        "unverified": unverified(in_force or installation),
    }


def unverified(installation: Installation) -> list[str]:
    """What could not be verified of it, a sentence for each distribution."""
    return list(installation.verified.get("unverified", [])) if installation.verified is not None else []


def captured_total(points: t.Sequence[Point | PointCaptured]) -> CapturedTotal:
    """What was captured for all of these rollback points."""
    resources = [resource for point in points for resource in point.get("resources") or []]
    return {
        "files": sum(resource.get("files", 0) for resource in resources),
        "bytes": sum(resource.get("bytes", 0) for resource in resources),
        "seconds": round(sum(resource.get("seconds", 0) for resource in resources), 3),
    }


def _current(installation: Installation) -> str:
    """The phase at work, else the first one that is not done, else the last."""
    for statuses in (("started",), ("failed", "rolled_back"), ("pending",)):
        for name in PHASES:
            if installation.phases[name].status in statuses:
                return name
    return CLEANUP


def render(installation: Installation, in_force: Installation | None = None) -> bytes:
    """The file's content: UTF-8, or plain ASCII where a name is no valid text. C(in_force) as for M(view)."""
    content = view(installation, in_force)
    try:
        return (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode("utf-8")
    except UnicodeEncodeError:
        return (json.dumps(content, indent=2) + "\n").encode("ascii")


def condition(content: bytes | None, lines: t.Iterable[LedgerLine]) -> str:
    """What a progress file found on disk is worth.

    :param lines: the ledger's, from the installation before the current one on, or from one that is in force.
    :returns: V(current), V(missing), V(corrupt), V(stale) (a run was killed between its two
        writes), V(ahead) (it tells of more than the ledger, which lost its end) or V(edited).
    """
    if content is None:
        return "missing"
    lines = list(lines)
    begun = [number for number, line in enumerate(lines) if any(event["event"] == "begun" for event in line.events)]
    # What is older than the attempt before the current one only tells what is in force.
    older = begun[-2] if len(begun) > 1 else 0
    history: list[Change] = fold(lines[:older])
    views = [b""]
    for line in lines[older:]:
        history = fold([line], history)
        attempts = installations(history)
        views += [render(attempt, effective(attempts)) for attempt in attempts[-1:]]
    if content in views:
        return "current" if content == views[-1] else "stale" if content else "corrupt"
    try:
        told = json.loads(content)
    except (ValueError, RecursionError):
        return "corrupt"
    if not isinstance(told, dict):
        return "corrupt"
    return "ahead" if _is_ahead(told, installations(history)) else "edited"


def _is_ahead(told: dict[str, t.Any], attempts: t.Sequence[Installation]) -> bool:
    """Whether a progress file is later than all that the ledger has: its last lines are lost."""
    if tuple(told) != KEYS or not attempts:
        return False
    import datetime as dt

    newest, read = attempts[-1], dt.datetime.fromisoformat
    try:
        later = read(told["last_update"]) > read(newest.updated)
    except (TypeError, ValueError):
        return False
    return later and str(told["install_id"]) >= newest.install_id
