"""Statoverrides as they were at capture: a change's scripts, and admins, may have made, changed or removed some."""

from __future__ import annotations

import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._dpkg import apt

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._dpkg.database import Database, Package
    from ansible_collections.intellistream.sage.plugins.module_utils._dpkg.undo_goals import Goal, Slot


class Override(t.NamedTuple):
    """One that is not as it was; None: there is or was none.

    :ivar slot: the package whose file it is about.
    """

    slot: Slot
    path: str
    now: str | None
    was: str | None

    @property
    def title(self) -> str:
        """For people."""
        return f"statoverride of {self.path} is {self.now or 'absent'}, was {self.was or 'absent'}"


def differing(goals: t.Mapping[Slot, Goal], now: t.Mapping[Slot, Package], database: Database) -> list[Override]:
    """Those of the files that these packages have for themselves.

    :param now: what is there.
    """
    overrides = database.overrides()
    found: dict[str, Override] = {}
    for slot, goal in goals.items():
        then = goal.layer.manifest.get("statoverrides") or {}
        for path in set(overrides).intersection(database.paths(now[slot])) if overrides and slot in now else ():
            if overrides[path] != then.get(path):
                found[path] = Override(slot, path, overrides[path], then.get(path))
        for path, value in goal.saved.facts["overrides"].items() if goal.saved is not None else ():
            if overrides.get(path) != value:
                found[path] = Override(slot, path, overrides.get(path), value)
    names = {slot[0] for slot in goals}
    for package in database.packages.values() if any(one.was is None for one in found.values()) else ():
        if package.name in names:
            continue
        for path in set(found).intersection(database.paths(package)):
            if found[path].was is None:
                del found[path]
    return [found[path] for path in sorted(found)]


def restore(goals: t.Mapping[Slot, Goal], now: t.Mapping[Slot, Package], database: Database) -> None:
    """Make them as they were; what is on disk is dpkg's, or that of who looks after files."""
    for one in differing(goals, now, database):
        if one.now is not None:
            apt.override("--remove", one.path)
        if one.was is not None:
            apt.override("--add", *one.was.split(" "), one.path)
