"""One call of sage_backup: make a rollback point, or settle one."""

from __future__ import annotations

import typing as t
from contextlib import ExitStack

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import (
    InputError,
    StoreError,
    UnknownFormat,
)
from ansible_collections.intellistream.sage.plugins.module_utils._base.redact import redact
from ansible_collections.intellistream.sage.plugins.module_utils._kind.undo import UndoOptions
from ansible_collections.intellistream.sage.plugins.module_utils._registry import registry
from ansible_collections.intellistream.sage.plugins.module_utils._registry.registry import make
from ansible_collections.intellistream.sage.plugins.module_utils._rollback_shell.script import refresh
from ansible_collections.intellistream.sage.plugins.module_utils._timeline.points import (
    brief,
    capture,
    layers,
    settle,
)

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.private import PrivateDir
    from ansible_collections.intellistream.sage.plugins.module_utils._records.session import Engine
    from ansible_collections.intellistream.sage.plugins.plugin_utils._events import Point, Spec
    from ansible_collections.intellistream.sage.plugins.plugin_utils._structures import BackupResult


def settled(engine: Engine, name: str, check_mode: bool) -> BackupResult:
    """Record what the change after a rollback point left, so that later changes by others are told from it.

    :raises InputError: there is no such point, or it was undone.
    """
    with engine.reading() if check_mode else engine.session() as session:
        points = [point for installation in session.history() for point in installation.active_points]
        point_named = next((point for point in points if point["point"] == name), None)
        if point_named is None:
            raise InputError(
                f"There is no rollback point {name!r} that could still be undone.",
                untouched="everything.",
                advice=f"Use one of {', '.join(point['point'] for point in points)}." if points else "There is none.",
            )
        event = settle(session.where, point_named)
        if event is not None:
            session.add(event)
            session.commit()
            refresh(session)
    word = {"settled": event is not None}
    return {"changed": event is not None, "rollback_point": brief(point_named), "diff": {"before": {}, "after": word}}


def still_holds(state: PrivateDir, point: Point) -> bool:
    """Whether all that a point captured is still as it was, so that another capture would be the same."""
    with ExitStack() as stack:
        try:
            captures = layers(state, point, stack)
        except (StoreError, UnknownFormat):
            return False
        return not any(make(layer.spec).undo([layer], UndoOptions()).touches() for layer in captures)


def backup(
    engine: Engine, specs: t.Sequence[Spec], phase: str | None, description: str, check_mode: bool
) -> BackupResult:
    """Make a rollback point, unless the newest of the same kind still holds.

    :raises CaptureError: something cannot be captured; nothing was recorded.
    """
    with engine.reading() if check_mode else engine.session() as session:
        cleaned, text = [registry.recorded(spec) for spec in specs], redact(description)
        points = session.installation.active_points if session.installation is not None else []
        for point in reversed(points):
            if (point.get("phase"), point.get("description")) != (phase, text):
                continue
            # One whose change has ended stands for that change, also when it came to nothing.
            if (
                point.get("after") is None
                and point.get("specs") == cleaned
                and session.where is not None
                and still_holds(session.where, point)
            ):
                return {"changed": False, "rollback_point": brief(point), "diff": {"before": {}, "after": {}}}
            break
        event = capture(session, specs, phase, description)
        session.add(event)
        session.commit()
        refresh(session)
    made = brief(event)
    resources = [{"kind": resource["kind"], "path": resource["path"]} for resource in event["resources"]]
    after = {"rollback_point": {"description": text, "phase": phase, "resources": resources}}
    return {"changed": True, "rollback_point": made, "diff": {"before": {}, "after": after}}
