"""What an undo of packages must not overwrite, and what it must never erase."""

from __future__ import annotations

import os
import re
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._dpkg.database import (
    CONFIG_FILES,
    INSTALLED,
    OBSOLETE,
    Database,
    Package,
    fingerprint,
    load,
)

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._dpkg.undo_goals import Goal, Slot

_NEEDED = re.compile(
    r"(?:lib)?python3(?:\.\d+)?(?:-minimal|-stdlib)?|apt|libapt-pkg[\d.]+\S*|dpkg|libc6|libc-bin|libc\.musl\S*"
    r"|systemd|systemd-sysv|init|sysvinit-core|rpm|dnf"
)


class Edited(t.NamedTuple):
    """A configuration file that somebody changed since."""

    path: str
    why: str


def versions(goal: Goal, now: Package | None) -> list[str]:
    """Why a package is not what recorded changes left."""
    current = None if now is None or now.state == CONFIG_FILES else now
    if current is not None and current.state != INSTALLED and not current.version:
        # A killed dpkg had just begun with it.
        return []
    version = current.version if current is not None else None
    if version in goal.versions or (current is None and (goal.saved is None or not goal.completed)):
        held = now is not None and now.want == "hold"
        was = (goal.saved is not None and goal.saved.facts["want"] == "hold") or (goal.left or {}).get("want") == "hold"
        if held and not was and goal.completed:
            return [f"{goal.title} was put on hold by somebody"]
        return []
    if current is None:
        return [f"{goal.title} was removed by somebody"]
    return [f"{goal.title} is {version}, which no recorded change brought"]


class Judge:
    """Tells configuration that somebody changed from what recorded changes left.

    :param wanted: what packages go back to.
    :param now: what is there.
    :param database: where it is.
    :param others: path → fingerprint of what was nobody's before a change, and that dpkg may have left as it was.
    """

    def __init__(
        self,
        wanted: t.Mapping[Slot, Goal],
        now: t.Mapping[Slot, Package],
        database: Database,
        others: t.Mapping[str, str],
    ) -> None:
        self._now = now
        self._database = database
        # As somebody had left it before a change, and dpkg has left it since.
        self._was = {path: {print_} for path, print_ in others.items()}
        # Configuration may move from one package to another.
        self._brought: dict[str, set[str]] = {}
        self._left: dict[str, str] = {}
        for slot, goal in wanted.items():
            for path, conffile in now[slot].conffiles().items() if slot in now else ():
                self._brought.setdefault(path, set()).add(conffile.md5)
            if goal.saved is not None:
                for path, known in goal.saved.facts["conffiles"].items():
                    self._brought.setdefault(path, set()).add(known["md5"])
                    self._was.setdefault(path, set()).add(known["now"])
            self._left.update((goal.left or {}).get("conffiles", {}))

    def edited(self, goal: Goal) -> list[Edited]:
        """The configuration files of a package that somebody changed since, and that the undo would change."""
        now = self._now.get(goal.slot)
        recorded = now.conffiles() if now is not None else {}
        captured = goal.saved.facts["conffiles"] if goal.saved is not None else {}
        one = now or (goal.saved.record if goal.saved is not None else None)
        places = self._database.diverted(one) if one is not None else {}
        found = []
        for path in sorted({*recorded, *captured}):
            place = places.get(path, path)
            here = fingerprint(place)
            if here == (captured[path]["now"] if path in captured else ""):
                continue
            if here and here in {*self._was.get(path, ()), *self._was.get(place, ())}:
                continue
            if goal.looked and now is not None and now.version in (goal.left or {}).values():
                fine = here == self._left.get(path, "")
            else:
                fine = here in self._brought.get(path, ()) or (now is None and not here)
                fine = fine or (now is not None and _by_dpkg(goal, now, path, place, here))
            if not fine:
                found.append(Edited(place, "was changed by somebody" if here else "was removed by somebody"))
        return found


def _by_dpkg(goal: Goal, now: Package, path: str, place: str, here: str) -> bool:
    """Whether it may have been dpkg that left a configuration file as it is, and not somebody."""
    recorded = now.conffiles().get(path)
    if not here:
        # A change may have removed it on purpose; then it is no longer recorded, or as obsolete.
        purged = now.state == CONFIG_FILES and None in goal.versions
        return recorded is None or OBSOLETE in recorded.flags.split() or purged
    # Killed between putting it in place and recording that; until then the new one lies beside it.
    return now.state == "unpacked" and not os.path.lexists(f"{place}.dpkg-new")


def protected(one: Package, database: Database) -> str:
    """Why a package is never erased; empty when it may be."""
    values = one.fields()
    for field in ("essential", "protected", "important"):
        if values.get(field) == "yes":
            return f"it is {field}"
    if values.get("priority") == "required":
        return "this system requires it"
    if _NEEDED.fullmatch(one.name):
        return "this system or what manages it needs it"
    running = _running()
    for path in database.paths(one):
        if path in running:
            return f"{path} is in use by what does this"
    return ""


def _running() -> set[str]:
    """The running kernel, and what this process has loaded."""
    release = os.uname().release
    found = {f"/boot/vmlinuz-{release}", f"/lib/modules/{release}", f"/usr/lib/modules/{release}"}
    for line in load("/proc/self/maps").splitlines():
        path = line.split(None, 5)[5:]
        if path and path[0].startswith("/"):
            found.add(path[0])
            # Before the directories were merged, packages named them so.
            found.add(path[0][4:] if path[0].startswith("/usr/") else path[0])
    return found
