"""Keeps C(rollback.sh) in step with the rollback points."""

from __future__ import annotations

import contextlib
import hashlib
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.by_name import ByName
from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import (
    InputError,
    StoreError,
    UnknownFormat,
)
from ansible_collections.intellistream.sage.plugins.module_utils._registry import registry
from ansible_collections.intellistream.sage.plugins.module_utils._rollback_shell.render import NAME, render
from ansible_collections.intellistream.sage.plugins.module_utils._storage import store
from ansible_collections.intellistream.sage.plugins.module_utils._timeline import targets
from ansible_collections.intellistream.sage.plugins.module_utils._timeline.points import layers

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.private import PrivateDir
    from ansible_collections.intellistream.sage.plugins.module_utils._kind.script import Script
    from ansible_collections.intellistream.sage.plugins.module_utils._records.installation import Installation
    from ansible_collections.intellistream.sage.plugins.module_utils._records.session import Session
    from ansible_collections.intellistream.sage.plugins.plugin_utils._events import Point


def refresh(session: Session, history: t.Sequence[Installation] | None = None) -> None:
    """Make the script take back the latest change that was captured.

    :param history: all installations; the current one is enough when it has a rollback point.
    """
    if session.where is None or not session.writes or session.installation is None:
        return
    reason = ""
    try:
        chosen = targets.resolve(history or [session.installation], "last")
        headers = _headers(session.where, chosen)
        if any(point.get("redo") for point in chosen.points):
            reason = "a rollback that reached further back lies in between."
        points: list[dict[str, t.Any]] = [
            {**point, "untouched": _untouched(session.where, point)} for point in chosen.points
        ]
    except (InputError, StoreError, UnknownFormat, FileNotFoundError):
        # Pruned, archived or damaged: the module can tell more about that than a script.
        reason = "what was captured is archived, removed or damaged."
        begun, tid = session.installation.begun, session.installation.install_id
        chosen, headers, points = targets.ResolvedTarget([], begun, tid=tid), {}, []
    # The same points give the same script, so it is written only when they change.
    generation = hashlib.sha256(" ".join(str(point["point"]) for point in points).encode()).hexdigest()
    target = {
        "tid": chosen.tid,
        "time": chosen.time,
        "generation": generation,
        "unsupported": reason,
        "store": store.path_of(session.where),
    }
    script = render(session.path, target, points, headers)
    if session.where.read(NAME) != script:
        session.where.write(NAME, script)


def _untouched(state: PrivateDir, point: Point) -> dict[int, list[str]]:
    """Number of a resource → what the change has not touched of it; what somebody did to that since is theirs."""
    untouched: dict[int, list[str]] = {}
    after = point.get("after")
    if not after:
        return untouched
    with contextlib.ExitStack() as stack:
        for number, layer in enumerate(layers(state, point, stack, after=after)):
            kind = registry.find(layer.spec["kind"])
            if kind is not None and kind.script:
                script: ByName[t.Callable[[], Script]] = ByName(kind.script)
                untouched[number] = script.load()().untouched(layer)
    return untouched


def _headers(state: PrivateDir, chosen: targets.ResolvedTarget) -> dict[tuple[str, int], dict[str, t.Any]]:
    headers = {}
    for point in chosen.points:
        if point.get("archive"):
            raise FileNotFoundError(point["point"])
        with store.point_dir(state, point["install_id"], point["point"]) as directory:
            for number, resource in enumerate(point["resources"]):
                headers[point["point"], number] = store.read_manifest(directory, resource)
    return headers
