# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What each installation did to which distributions, told from its rollback points."""

from __future__ import annotations

import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import SageError
from ansible_collections.intellistream.sage.plugins.module_utils._base.names import canonical
from ansible_collections.intellistream.sage.plugins.module_utils._kind import changes as kind_changes
from ansible_collections.intellistream.sage.plugins.module_utils._storage import store

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.private import PrivateDir
    from ansible_collections.intellistream.sage.plugins.module_utils._records.installation import Installation

Facts = dict[str, t.Any]


class Change(t.NamedTuple):
    """What one rollback point tells of one environment, or of the system's packages.

    :ivar before: name → version, of all that were there at the capture; None when that cannot be read.
    :ivar wanted: name → version that the change was going to leave; empty when nobody knew it yet, None for a removal.
    :ivar whole: the change was going to remove the environment.
    """

    path: str
    before: dict[str, str] | None
    wanted: dict[str, str | None]
    whole: bool = False


def changes(state: PrivateDir | None, point: t.Mapping[str, t.Any]) -> list[Change]:
    """What a rollback point tells; what was pruned or damaged is left out, not raised."""
    found = []
    for spec, taken in zip(point.get("specs") or [], point.get("resources") or []):
        if spec.get("kind") == "venv":
            wanted: dict[str, str | None] = {
                canonical(str(one["name"])): str(one.get("version") or "") for one in spec.get("distributions") or []
            }
            before = _before(state, point, taken) if state is not None else None
            found.append(Change(str(spec.get("path")), before, wanted, bool(spec.get("whole"))))
        elif taken.get("changes"):
            found.append(_system(taken))
    return found


def _system(taken: Facts) -> Change:
    before: dict[str, str] = {}
    wanted: dict[str, str | None] = {}
    for name, one in kind_changes.named(taken["changes"]):
        before.update({name: one["before"]} if one.get("before") else {})
        wanted[name] = one.get("after")
    return Change(str(taken.get("path")), before, wanted)


def _before(state: PrivateDir, point: t.Mapping[str, t.Any], taken: Facts) -> dict[str, str] | None:
    try:
        with store.point_dir(state, point["install_id"], point["point"]) as where:
            return dict(store.read_manifest(where, taken).get("distributions") or {})
    except (SageError, OSError, ValueError):
        return None


def transactions(state: PrivateDir | None, history: t.Sequence[Installation]) -> list[Facts]:
    """One per installation, newest first, for RV(transactions)."""
    return [
        {
            "tid": one.install_id,
            "time": one.begun,
            "status": one.status,
            "packages": _packages(state, [point for point in one.points if point.get("phase")], one),
            "rollback_points": [_point(state, point, one) for point in one.points],
        }
        for one in reversed(history)
    ]


def _point(state: PrivateDir | None, point: t.Mapping[str, t.Any], one: Installation) -> Facts:
    resources = point.get("resources") or []
    # What was captured by hand is a change of its own. A redo point is what a rollback went away from.
    by_hand = not point.get("phase") and not point.get("redo")
    return {
        "id": point["point"],
        "time": point["time"],
        "phase": point.get("phase"),
        "description": point.get("description"),
        "files": sum(one.get("files", 0) for one in resources),
        "bytes": sum(one.get("bytes", 0) for one in resources),
        "undone": point.get("undone"),
        "pruned": point.get("pruned"),
        "redo": bool(point.get("redo")),
        "packages": _packages(state, [point], one) if by_hand else [],
    }


def _packages(state: PrivateDir | None, points: t.Sequence[t.Mapping[str, t.Any]], one: Installation) -> list[str]:
    """C([-] name version) and C([+] name version), by name; the first capture and the last plan count."""
    before: dict[tuple[str, str], str] = {}
    after: dict[tuple[str, str], str | None] = {}
    for point in points:
        for change in changes(state, point):
            if change.whole:
                after.update({key: None for key in after if key[0] == change.path})
            for name, version in (change.before or {}).items():
                key = (change.path, name)
                if key not in after and (change.whole or name in change.wanted):
                    before[key] = version
                if change.whole:
                    after[key] = None
            after.update({(change.path, name): version for name, version in change.wanted.items()})
    built = _recorded(one)
    lines = []
    for key, planned in sorted(after.items(), key=lambda item: item[0][::-1]):
        old, new = before.get(key), planned if planned != "" else built.get(key, "")
        if old != new:
            lines += [f"[-] {key[1]} {old}"] if old else []
            lines += [f"[+] {key[1]} {new}".rstrip()] if new is not None else []
    return lines


def _recorded(one: Installation) -> dict[tuple[str, str], str]:
    """The versions found once a phase had ended: only building tells some."""
    return {
        (str(result["spec"].get("path")), name): str(facts.get("version"))
        for phase in one.phases.values()
        for result in phase.result
        if result["spec"].get("kind") == "venv"
        for name, facts in (result["facts"].get("distributions") or {}).items()
    }


def installed_by(history: t.Sequence[Installation]) -> dict[str, str]:
    """Distribution → id of the installation that brought what is there now, undone ones left out."""
    found: dict[tuple[str, str], str] = {}
    for one in history:
        for point in one.active_points:
            for change in changes(None, point) if not point.get("redo") else ():
                if change.whole:
                    found = {key: value for key, value in found.items() if key[0] != change.path}
                for name, version in change.wanted.items():
                    found.pop((change.path, name), None)
                    if version is not None:
                        found[change.path, name] = one.install_id
    return {name: install_id for (dummy, name), install_id in sorted(found.items(), key=lambda item: item[0][::-1])}
