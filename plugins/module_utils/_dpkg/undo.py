"""The way back for Debian packages: the saved ones in and the new ones out, in one run of apt, then what dpkg forgets.

apt decides the order and is asked first what it would do: anything but the plan is a conflict. Whether it
worked is told by dpkg's record and the files alone, never by an exit status.
"""

from __future__ import annotations

import os
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import RollbackError
from ansible_collections.intellistream.sage.plugins.module_utils._dpkg import (
    status,
    undo_conflicts,
    undo_diversions,
    undo_foresee,
    undo_overrides,
    undo_run,
)
from ansible_collections.intellistream.sage.plugins.module_utils._dpkg.database import CONFIG_FILES, Database, Package
from ansible_collections.intellistream.sage.plugins.module_utils._dpkg.undo_files import Files
from ansible_collections.intellistream.sage.plugins.module_utils._dpkg.undo_goals import (
    Goal,
    Saved,
    Slot,
    goals,
    index,
    key_slot,
)
from ansible_collections.intellistream.sage.plugins.module_utils._dpkg.undo_overwritten import Others
from ansible_collections.intellistream.sage.plugins.module_utils._kind.undo import Undo

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._kind.interface import Facts, Layer, Resource
    from ansible_collections.intellistream.sage.plugins.module_utils._kind.undo import UndoOptions

# Seconds to wait for another run of apt or dpkg.
LOCK_TIMEOUT = 60.0
# What changes without another package having come: how dpkg and people see it.
_STATES = ("status", "conffiles", "config-version", "triggers-pending", "triggers-awaited")


class DpkgUndo(Undo):
    """The way back for packages: of several captures the oldest that knows a package decides.

    :param layers: oldest first.
    """

    def __init__(self, resource: Resource, layers: t.Sequence[Layer], how: UndoOptions) -> None:
        super().__init__()
        self._how = how
        self._layers = list(layers)
        self._native = str(layers[-1].manifest["arch"])
        self._database = Database()
        self._now = index(status.read().values(), self._native)
        self._goals = {slot: goal for slot, goal in goals(layers).items() if not self._stays(goal)}
        self._edited: list[str] = []
        self._dragged: list[undo_foresee.Dragged] = []
        self._by_apt = False
        self._problems: list[str] = []
        # The version is right, and the package is another one.
        self._again: set[Slot] = set()
        self._changed: list[Goal] = []
        self._others = Others(layers)
        self._overrides = undo_overrides.differing(self._goals, self._now, self._database)
        # Whoever made or removed one may have changed the file, too.
        self._again.update(one.slot for one in self._overrides)
        judge = undo_conflicts.Judge(self._goals, self._now, self._database, self._others.prints)
        for goal in self._goals.values():
            self._judge(goal, judge)
            if self._plan(goal):
                self._changed.append(goal)
                self.inexact += _inexact(goal, self._layers)
        # Did not change but for this: apt takes what somebody asks for as wanted for itself.
        self._marks = {
            key_slot(key, self._native) for layer in layers for key in layer.manifest.get("auto") or []
        } - self._goals.keys()
        self.plan["restore"] += self._unmarked(self._now, self._database)
        self.plan["restore"] += [one.title for one in self._overrides]
        self._judge_others()
        self._foresee()

    def _judge_others(self) -> None:
        """Plan to bring back what was nobody's, and find what others did to it since."""
        names = {slot[0] for slot in self._goals}
        self.plan["restore"] += self._others.lacking(names)
        self.inexact += [why for layer in self._layers for why in layer.manifest.get("impossible") or []]
        mine = [one for slot, one in self._now.items() if slot in self._goals]
        # A dpkg that was ended halfway has overwritten files and recorded nothing.
        if self._how.resumed or status.journal() or not all(map(undo_run.proper, mine)):
            return
        for path in self._others.changed():
            self.conflicts.append(f"{path} was changed by somebody")
            self._edited.append(path)

    def _unmarked(self, now: t.Mapping[Slot, Package], database: Database) -> list[str]:
        auto = database.auto()
        lost = [now[slot] for slot in sorted(self._marks) if slot in now and now[slot].key not in auto]
        return [f"{one.name} (it is marked as {_how_installed(False)}, was {_how_installed(True)})" for one in lost]

    def _stays(self, goal: Goal) -> bool:
        """Whether a package that came stays, because of its time or because this system needs it."""
        current = self._now.get(goal.slot)
        if current is None or current.state == CONFIG_FILES or not (goal.saved is None or goal.saved.removed):
            return False
        title = f"{goal.title} {status.brief(current)}"
        if self._how.erase_after is not None and goal.time <= self._how.erase_after:
            self.kept.append(title)
            return True
        why = undo_conflicts.protected(current, self._database)
        if why:
            self.kept.append(f"{title} ({why})")
        return bool(why)

    def _judge(self, goal: Goal, judge: undo_conflicts.Judge) -> None:
        """Find what others did since."""
        self.conflicts += undo_conflicts.versions(goal, self._now.get(goal.slot))
        for one in judge.edited(goal) if self._how.force or not self._how.resumed else ():
            # What an interrupted undo had put there is nobody's edit, but whatever else there is is kept.
            self.conflicts += [f"{one.path} {one.why}"] if not self._how.resumed else []
            self._edited.append(one.path)

    def _plan(self, goal: Goal) -> bool:
        """Say what has to be done for a package; false when nothing has."""
        current, saved = self._now.get(goal.slot), goal.saved
        brief = status.brief(current)
        if saved is None:
            self.plan["erase"] += [f"{goal.title} {brief}"] if current else []
            return current is not None
        if saved.removed and current is not None and current.state != CONFIG_FILES:
            self.plan["erase"].append(f"{goal.title} {brief} (its configuration stays)")
            return True
        if not saved.removed and self._replaced(goal, current):
            why = f" (now {brief})" if current is not None and current.state != CONFIG_FILES else ""
            self.plan["install"].append(f"{goal.title} {saved.facts['version']}{why}")
            return True
        why = "; ".join(self._differences(goal, current, self._database))
        self.plan["restore"] += [f"{goal.title} ({why})"] if why else []
        return bool(why)

    def _replaced(self, goal: Goal, current: Package | None) -> bool:
        """Whether the captured package itself has to come back."""
        saved = goal.saved
        if saved is None or current is None or not current.installed or current.version != saved.facts["version"]:
            return True
        other = goal.slot in self._again or _core(current) != _core(saved.record)
        if not other and goal.again:
            other = bool(_content(saved, current, self._database))
        if other:
            self._again.add(goal.slot)
        return other

    def _differences(self, goal: Goal, current: Package | None, database: Database) -> list[str]:
        """How a package that is there differs in what dpkg does not put back by itself."""
        saved = goal.saved
        if saved is None:
            return []
        was, now = saved.record.fields(), current.fields() if current is not None else {}
        found = [
            f"{name} is {now.get(name, 'not recorded')}, was {was.get(name, 'not recorded')}".replace("\n", " ")
            for name in sorted({*was, *now})
            if was.get(name) != now.get(name)
        ]
        auto = current is not None and current.key in database.auto()
        if auto != saved.facts["auto"]:
            found.append(f"it is marked as {_how_installed(auto)}, was {_how_installed(saved.facts['auto'])}")
        recorded = current.conffiles() if current is not None else {}
        return found + Files(saved, database.diverted(saved.record)).differences(recorded)

    def _foresee(self) -> None:
        """Ask apt what it means for others, and whether it can do it."""
        work = self._work()
        debs, erase = work.todo(self._now, self._again)
        if not debs and not erase:
            return
        self._dragged = undo_foresee.dragged(self._goals, self._now, self._native)
        for one in self._dragged:
            title = f"{one.package.name} {one.package.version}"
            self.conflicts.append(f"{title} could not stay ({one.why})")
            if self._how.force:
                self.plan["erase"].append(f"{title} ({one.why})")
        self._by_apt = undo_foresee.by_apt(debs, erase, self._dragged, self._native)

    def _work(self) -> undo_run.Work:
        others = [f"{one.package.name}:{one.package.arch}" for one in self._dragged]
        how = undo_run.Means(self._how.force, others, self._by_apt, LOCK_TIMEOUT)
        return undo_run.Work(self._goals, self._layers, self._native, how)

    def redo(self) -> Facts | None:
        if not self._changed:
            return None
        changes = []
        for goal in self._changed:
            current, saved = self._now.get(goal.slot), goal.saved
            changes.append(
                {
                    "name": goal.slot[0],
                    "arch": current.arch if current is not None else goal.key.rpartition(":")[2],
                    "before": current.version if current is not None and current.state != CONFIG_FILES else None,
                    "after": saved.facts["version"] if saved is not None and not saved.removed else None,
                    "file": saved.path if saved is not None and not saved.removed else None,
                }
            )
        return {"kind": "dpkg", "changes": changes}

    def check(self) -> None:
        if os.geteuid() != 0:
            raise RollbackError(
                "Only root can change packages.", untouched="everything.", advice="Roll back as root (become: true)."
            )
        for goal in self._changed:
            if goal.saved is not None:
                goal.saved.verify()
        self._others.verify()
        with status.Locked(LOCK_TIMEOUT, downloads=True):
            return

    def execute(self) -> None:
        if self._how.force:
            undo_run.keep_aside(self._edited, self._layers[-1].where)
        work = self._work()
        work.run(self._again, self._marks)
        self._problems = work.problems
        self.inexact += work.skipped

    def verify(self) -> list[str]:
        database = Database()
        now = index(status.read().values(), self._native)
        found = []
        for goal in self._goals.values():
            current, saved = now.get(goal.slot), goal.saved
            if saved is None:
                found += [f"{goal.title} is {status.brief(current)}, was absent"] if current is not None else []
                continue
            brief = status.brief(current)
            if current is None or (current.version, current.state) != (saved.facts["version"], saved.facts["state"]):
                found.append(f"{goal.title} is {brief}, was {status.brief(saved.record)}")
                continue
            found += [f"{goal.title}: {line}" for line in self._differences(goal, current, database)]
            found += [f"{goal.title}: {line}" for line in _content(saved, current, database)]
        found += self._others.lacking(())
        found += [one.title for one in undo_overrides.differing(self._goals, now, database)]
        names = {slot[0] for slot in self._goals}
        found += [f"{one.path} is diverted by {one.by}" for one in undo_diversions.made(self._layers, names)]
        found += self._unmarked(now, database)
        for journal in status.journal()[:1]:
            found.append(f"dpkg has unmerged records ({journal})")
        return found + ([f"dpkg said: {line}" for line in self._problems] if found else [])


def _content(saved: Saved, current: Package, database: Database) -> list[str]:
    files = Files(saved, database.diverted(current))
    return files.content(database.paths(current), database.info(current).get("list", ""))


def _core(one: Package) -> dict[str, str]:
    return {name: value for name, value in one.fields().items() if name not in _STATES}


def _how_installed(auto: bool) -> str:
    return "automatically installed" if auto else "wanted by somebody"


def _inexact(goal: Goal, layers: t.Sequence[Layer]) -> list[str]:
    """What of a package's change cannot be undone for certain."""
    found: list[str] = []
    for layer in layers:
        reasons = layer.manifest["packages"].get(goal.key, {}).get("inexact") or []
        later = (layer.after or {}).get("inexact", {}).get(goal.key)
        new = layer.manifest.get("incoming", {}).get(goal.key) or []
        unknown = goal.key in (layer.manifest.get("unknown") or [])
        known = list(later if later is not None else new)
        if unknown:
            known.append("what it overwrote of others could not be known before")
        if unknown and layer.after is None:
            known.append("its scripts could not be read before")
        found += [f"{goal.title}: {reason}" for reason in [*reasons, *known] if f"{goal.title}: {reason}" not in found]
    return found
