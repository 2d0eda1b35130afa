"""Rollback points whose content lies in the root's farm until their change has ended.

The farm itself names them, so that what a capture costs does not depend on how many points there are. What is settled
is in the point, and what nobody needs any more goes from the farm from time to time.
"""

from __future__ import annotations

import shutil
import typing as t
from contextlib import ExitStack

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import StoreError, UnknownFormat
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.tree import Tree
from ansible_collections.intellistream.sage.plugins.module_utils._footprint.collect import collect
from ansible_collections.intellistream.sage.plugins.module_utils._footprint.farm import Farm
from ansible_collections.intellistream.sage.plugins.module_utils._footprint.table_parts import share_tables
from ansible_collections.intellistream.sage.plugins.module_utils._records.installation import ORIGINS
from ansible_collections.intellistream.sage.plugins.module_utils._records.ledger import HAND, HOOK
from ansible_collections.intellistream.sage.plugins.module_utils._registry import registry
from ansible_collections.intellistream.sage.plugins.module_utils._storage import contents
from ansible_collections.intellistream.sage.plugins.module_utils._timeline.points import layers, settle

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.private import PrivateDir
    from ansible_collections.intellistream.sage.plugins.module_utils._records.installation import Change
    from ansible_collections.intellistream.sage.plugins.module_utils._records.session import Session
    from ansible_collections.intellistream.sage.plugins.plugin_utils._events import Point, Spec

# Lines of the ledger that are looked at before all of it is.
_LATELY = 64


def settle_earlier(session: Session, specs: t.Iterable[Spec], record: bool = False) -> None:
    """Settle the points that wait of the same resources, before these are captured again.

    What happened until now is their changes' work, and what they hold is theirs: nothing replaces it (F7).

    :param specs: of what will be captured.
    :param record: each at once, in the thread of its change; else with what the session records next.
    :raises ChangeFailed: a change did not succeed, although nobody said so.
    """
    if session.where is None or not session.writes:
        return
    keys = {registry.key(registry.recorded(spec)) for spec in specs}
    with ExitStack() as stack:
        farm = _farm(session.where, stack)
        if farm is None:
            return
        for change, point in _points(session, contents.unsettled(farm)).values():
            event = settle(session.where, point, keys) if keys & set(waiting(point)) else None
            if event is None:
                continue
            session.add(event)
            if record:
                session.commit(change if change.origin in ORIGINS else None)


def tidy(session: Session, history: t.Sequence[Change] = ()) -> int:
    """Forget points that wait no more, and remove from the farm what nobody needs, where there is much of it.

    Everything has to be on record: what is only in the session may never be.

    :param history: all changes; then whatever nobody needs goes.
    :returns: how many names went.
    :raises OSError: the disk refused.
    :raises StoreError: a table cannot be read; nothing was removed.
    """
    state = session.where
    if state is None or not session.writes:
        return 0
    with ExitStack() as stack:
        farm = _farm(state, stack)
        if farm is None:
            return 0
        names = contents.unsettled(farm)
        with Tree.of(farm) as tree:
            is_crowded = Farm(tree).is_crowded()
        if not (history or is_crowded or len(names) > 1):
            return 0
        points = {name: point for name, (dummy, point) in (_named(history, names) or _points(session, names)).items()}
        remaining = [name for name in names if name in points and waiting(points[name])]
        for name in names:
            if name in points and name not in remaining:
                _share_tables(state, points[name])
        if remaining != names:
            contents.note_unsettled(farm, remaining)
        if not (history or is_crowded):
            return 0
        paths = _paths(history) if history else None
        if not (remaining or paths or paths is None):
            store = stack.enter_context(contents.opened(state))
            shutil.rmtree(f"/proc/self/fd/{store.fd}/{contents.FARM}")
            return 0
        directories = [
            stack.enter_context(contents.point_dir(state, points[name]["install_id"], name)) for name in remaining
        ]
        return collect(farm, directories, paths)


def _share_tables(state: PrivateDir, point: Point) -> None:
    """A point that waits no more keeps of its tables only what others have not."""
    if point.get("pruned") or point.get("archive"):
        return
    with ExitStack() as stack:
        try:
            captures = layers(state, point, stack, after=point.get("after") or ())
        except (StoreError, UnknownFormat):
            # It is damaged; who checks the store says so.
            return
        for layer in captures:
            if layer.manifest.get("farm"):
                share_tables(layer)


def waiting(point: Point) -> list[str]:
    """Keys of those resources of a point that lie in the farm and can be put back from there only."""
    if point.get("undone") or point.get("pruned"):
        return []
    return [
        registry.key(spec)
        for spec, resource in zip(point["specs"], point["resources"])
        if resource.get("farm") and registry.facts_of(spec, point.get("after") or ()) is None
    ]


def _farm(state: PrivateDir, stack: ExitStack) -> PrivateDir | None:
    try:
        return stack.enter_context(contents.farm_dir(state))
    except FileNotFoundError:
        return None


def _points(session: Session, names: t.Sequence[str]) -> dict[str, tuple[Change, Point]]:
    """Those of these points that are on record; looked for where they nearly always are, and then everywhere."""
    lately = [*session.lately(HAND, _LATELY), *session.lately(HOOK, _LATELY)]
    lately += [session.installation] if session.installation is not None else []
    found = _named(lately, names)
    if set(names) - set(found):
        found = _named([*session.history(), *lately], names)
    return {name: found[name] for name in names if name in found}


def _named(changes: t.Iterable[Change], names: t.Container[str]) -> dict[str, tuple[Change, Point]]:
    return {point["point"]: (change, point) for change in changes for point in change.points if point["point"] in names}


def _paths(history: t.Iterable[Change]) -> set[str]:
    """Paths of which a point has a capture that the farm was used for."""
    return {
        resource["path"]
        for change in history
        for point in change.points
        if not point.get("pruned")
        for resource in point["resources"]
        if resource.get("farm")
    }
