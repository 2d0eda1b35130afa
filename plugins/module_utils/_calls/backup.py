"""One call of sage_backup: make a rollback point, or settle one."""

from __future__ import annotations

import os
import typing as t
from contextlib import ExitStack, suppress

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import (
    InputError,
    SageError,
    StoreError,
    UnknownFormat,
)
from ansible_collections.intellistream.sage.plugins.module_utils._base.redact import redact
from ansible_collections.intellistream.sage.plugins.module_utils._kind.undo import UndoOptions
from ansible_collections.intellistream.sage.plugins.module_utils._records.installation import ORIGINS, owner
from ansible_collections.intellistream.sage.plugins.module_utils._records.ledger import HAND, HOOK
from ansible_collections.intellistream.sage.plugins.module_utils._registry import registry
from ansible_collections.intellistream.sage.plugins.module_utils._registry.registry import make
from ansible_collections.intellistream.sage.plugins.module_utils._rollback_shell.script import refresh
from ansible_collections.intellistream.sage.plugins.module_utils._timeline.points import (
    brief,
    capture,
    layers,
    settle,
)
from ansible_collections.intellistream.sage.plugins.module_utils._timeline.unsettled import settle_earlier, tidy

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.private import PrivateDir
    from ansible_collections.intellistream.sage.plugins.module_utils._records.installation import Change
    from ansible_collections.intellistream.sage.plugins.module_utils._records.session import Engine, Session
    from ansible_collections.intellistream.sage.plugins.plugin_utils._events import Point, Spec
    from ansible_collections.intellistream.sage.plugins.plugin_utils._structures import BackupResult

# Lines of the ledger that are looked at for points of the same making: it costs the same after a thousand of them.
_LATELY = 64


def environment(root: str) -> list[Spec]:
    """What is captured of a root where nothing is named, as C(create_rollback_point) of the original did.

    The environment, and the files that say what is in it.
    """
    specs = [kind.of_root(os.path.normpath(root)) for kind in registry.carried()]
    return [spec for spec in specs if spec is not None]


def settled(engine: Engine, name: str, check_mode: bool) -> BackupResult:
    """Record what the change after a rollback point left, so that later changes by others are told from it.

    :raises InputError: there is no such point, or it was undone.
    """
    with engine.opened(check_mode) as session:
        session.commit()
        change, point_named = _find(session, name)
        if change is None or point_named is None:
            points = [point for change in session.history() for point in change.active_points]
            raise InputError(
                f"There is no rollback point {name!r} that could still be undone.",
                untouched="everything.",
                advice=f"Use one of {', '.join(point['point'] for point in points[-20:])}."
                if points
                else "There is none.",
            )
        event = settle(session.where, point_named)
        if event is not None:
            session.add(event)
            outside = change if change.origin in ORIGINS else None
            session.commit(outside)
            if outside is None or outside.origin != HOOK:
                refresh(session)
    word = {"settled": event is not None}
    return {"changed": event is not None, "rollback_point": brief(point_named), "diff": {"before": {}, "after": word}}


def _find(session: Session, name: str) -> tuple[Change | None, Point | None]:
    """A point that could still be undone, and its change; looked for where it is nearly always, and then everywhere."""
    lately = [*session.lately(HAND, _LATELY), *session.lately(HOOK, _LATELY)]
    lately += [session.installation] if session.installation is not None else []
    return _named(lately, name) or _named(session.history(), name) or (None, None)


def _named(changes: t.Sequence[Change], name: str) -> tuple[Change, Point] | None:
    """The point of a name that could still be undone, and its change."""
    points = [(change, point) for change in changes for point in change.active_points]
    return next(((change, point) for change, point in points if point["point"] == name), None)


def still_holds(state: PrivateDir, point: Point) -> bool:
    """Whether all that a point captured is still as it was, so that another capture would be the same."""
    with ExitStack() as stack:
        try:
            captures = layers(state, point, stack)
        except (StoreError, UnknownFormat):
            return False
        return not any(make(layer.spec).undo([layer], UndoOptions()).touches() for layer in captures)


def backup(
    engine: Engine,
    specs: t.Sequence[Spec],
    phase: str | None,
    description: str,
    check_mode: bool,
    by: str = HAND,
) -> BackupResult:
    """Make a rollback point, unless the newest of the same kind still holds.

    :param phase: the phase of the current installation that it belongs to; None for a change of its own.
    :param by: V(hand) or V(hook), who makes a change of its own.
    :raises CaptureError: something cannot be captured; nothing was recorded.
    """
    with engine.opened(check_mode) as session:
        # That a root was moved, for instance, is not of the point.
        session.commit()
        cleaned, text = [registry.recorded(spec) for spec in specs], redact(description)
        for point in reversed(_alike(session, phase, by)):
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
        settle_earlier(session, specs, record=True)
        event = capture(session, specs, phase, description, "" if phase else by)
        session.add(event)
        made = session.made.get(owner(event))
        session.commit(made)
        # The next one, or retention, tries again.
        with suppress(OSError, SageError):
            tidy(session)
        if made is None:
            refresh(session)
        elif by == HAND:
            refresh(session, [made])
    told = brief(event)
    resources = [{"kind": resource["kind"], "path": resource["path"]} for resource in event["resources"]]
    after = {"rollback_point": {"description": text, "phase": phase, "resources": resources}}
    return {"changed": True, "rollback_point": told, "diff": {"before": {}, "after": after}}


def _alike(session: Session, phase: str | None, by: str) -> list[Point]:
    """Points of the same making that could still be undone, oldest first."""
    if phase is None:
        return [point for change in session.lately(by, _LATELY) for point in change.active_points]
    return session.installation.active_points if session.installation is not None else []
