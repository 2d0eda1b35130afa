"""What each change did to which distributions, told from its rollback points."""

from __future__ import annotations

import functools
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import SageError
from ansible_collections.intellistream.sage.plugins.module_utils._registry import registry
from ansible_collections.intellistream.sage.plugins.module_utils._storage import contents

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.private import PrivateDir
    from ansible_collections.intellistream.sage.plugins.module_utils._kind.interface import VersionsChange
    from ansible_collections.intellistream.sage.plugins.module_utils._records.installation import Change
    from ansible_collections.intellistream.sage.plugins.plugin_utils._events import Facts, Point, TakenResource
    from ansible_collections.intellistream.sage.plugins.plugin_utils._structures import (
        TransactionPoint,
        TransactionReport,
    )


def changes(state: PrivateDir | None, point: Point) -> list[VersionsChange]:
    """What a rollback point tells; what was pruned or damaged is left out, not raised."""
    changes_of_point = []
    for spec, resource in zip(point.get("specs") or [], point.get("resources") or []):
        kind = registry.find(str(spec.get("kind")))
        manifest = functools.partial(_manifest, state, point, resource)
        change = kind.change(spec, resource, manifest) if kind is not None else None
        if change is not None:
            changes_of_point.append(change)
    return changes_of_point


def _manifest(state: PrivateDir | None, point: Point, resource: TakenResource) -> Facts | None:
    if state is None:
        return None
    try:
        with contents.point_dir(state, point["install_id"], point["point"]) as directory:
            return contents.read_manifest(directory, resource)
    except (SageError, OSError, ValueError):
        return None


def transactions(
    state: PrivateDir | None, history: t.Sequence[Change], damaged: t.Container[str] = ()
) -> list[TransactionReport]:
    """One per change, newest first, for RV(transactions).

    :param damaged: rollback points that cannot be used.
    """
    return [
        {
            "tid": change.install_id,
            "time": change.begun,
            "origin": change.origin,
            "status": change.state,
            "changed": change.altered,
            # A rollback's point is what it went away from.
            "packages": _packages(state, change.points, change) if change.origin != "rollback" else [],
            "rollback_points": [_point(point, point["point"] in damaged) for point in change.points],
        }
        for change in sorted(history, key=lambda change: change.seq, reverse=True)
    ]


def _point(point: Point, damaged: bool) -> TransactionPoint:
    resources = point.get("resources") or []
    return {
        "id": point["point"],
        "time": point["time"],
        "phase": point.get("phase"),
        "description": point.get("description"),
        "files": sum(resource.get("files", 0) for resource in resources),
        "bytes": sum(resource.get("bytes", 0) for resource in resources),
        "undone": point.get("undone"),
        "pruned": point.get("pruned"),
        "redo": bool(point.get("redo")),
        "damaged": damaged,
    }


def _packages(state: PrivateDir | None, points: t.Sequence[Point], owner: Change) -> list[str]:
    """C([-] name version) and C([+] name version), by name; the first capture and the last plan count."""
    before: dict[tuple[str, str], str] = {}
    after: dict[tuple[str, str], str | None] = {}
    for point in points:
        for change in changes(state, point):
            if change.entire:
                after.update({key: None for key in after if key[0] == change.path})
            for name, version in (change.before or {}).items():
                key = (change.path, name)
                if key not in after and (change.entire or name in change.after):
                    before[key] = version
                if change.entire:
                    after[key] = None
            after.update({(change.path, name): version for name, version in change.after.items()})
    built = _recorded(owner)
    lines = []
    for key, planned in sorted(after.items(), key=lambda pair: pair[0][::-1]):
        old, new = before.get(key), planned if planned != "" else built.get(key, "")
        if old != new:
            lines += [f"[-] {key[1]} {old}"] if old else []
            lines += [f"[+] {key[1]} {new}".rstrip()] if new is not None else []
    return lines


def _recorded(owner: Change) -> dict[tuple[str, str], str]:
    """The versions found once a phase had ended: only building tells some."""
    results = [
        (registry.find(str(result["spec"].get("kind"))), result)
        for phase in owner.phases.values()
        for result in phase.result
    ]
    return {
        (str(result["spec"].get("path")), name): version
        for kind, result in results
        if kind is not None
        for name, version in kind.versions(result["facts"]).items()
    }


def installed_by(history: t.Sequence[Change]) -> dict[str, str]:
    """Distribution → id of the change that brought what is there now, undone ones left out."""
    owners: dict[tuple[str, str], str] = {}
    points = [point for change in history if change.origin != "rollback" for point in change.active_points]
    for point in sorted(points, key=lambda point: point["seq"]):
        for change in changes(None, point):
            if change.entire:
                owners = {key: owner for key, owner in owners.items() if key[0] != change.path}
            for name, version in change.after.items():
                owners.pop((change.path, name), None)
                if version is not None:
                    owners[change.path, name] = point["install_id"]
    return {name: install_id for (dummy, name), install_id in sorted(owners.items(), key=lambda pair: pair[0][::-1])}
