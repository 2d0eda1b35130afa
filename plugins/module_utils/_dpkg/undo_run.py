"""Packages brought to what they go back to: apt's run, dpkg's purge, then files and records under dpkg's locks.

Every step looks at what is there first, so that one that was interrupted anywhere can be repeated.
"""

from __future__ import annotations

import os
import re
import time
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import RollbackError
from ansible_collections.intellistream.sage.plugins.module_utils._content import aside, item
from ansible_collections.intellistream.sage.plugins.module_utils._content.item import FILE, LINK
from ansible_collections.intellistream.sage.plugins.module_utils._dpkg import (
    apt,
    status,
    undo_diversions,
    undo_files,
    undo_half_unpacked,
    undo_overrides,
    undo_overwritten,
)
from ansible_collections.intellistream.sage.plugins.module_utils._dpkg.database import (
    ADMIN,
    ALL,
    CONFIG_FILES,
    Database,
    Package,
    load,
)
from ansible_collections.intellistream.sage.plugins.module_utils._dpkg.undo_goals import Goal, Slot, index

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.private import PrivateDir
    from ansible_collections.intellistream.sage.plugins.module_utils._kind.interface import Layer

# Of dpkg's complaint about a script that failed.
_SCRIPT = re.compile(r"\b(\S+) package (pre|post)-removal script")
_ATTEMPTS = 4


class Means(t.NamedTuple):
    """How to do it.

    :ivar force: a script that keeps a package from being removed is taken out of the way.
    :ivar others: other packages that go, too; their configuration stays.
    :ivar by_apt: apt would do just this.
    :ivar timeout: seconds to wait for locks.
    """

    force: bool
    others: t.Sequence[str]
    by_apt: bool
    timeout: float


class Work:
    """What brings packages to their goals.

    :ivar problems: what apt and dpkg complained about in the last attempt.
    :ivar skipped: scripts that were not run although they should have been, for people.
    """

    def __init__(self, wanted: t.Mapping[Slot, Goal], layers: t.Sequence[Layer], native: str, means: Means) -> None:
        self._goals = wanted
        self._layers = layers
        self._native = native
        self._means = means
        self.problems: list[str] = []
        self.skipped: list[str] = []

    def todo(self, now: t.Mapping[Slot, Package], again: t.Collection[Slot]) -> tuple[list[Goal], list[Goal]]:
        """What apt has to install, and to remove."""
        debs, erase = [], []
        for slot, goal in self._goals.items():
            current, saved = now.get(slot), goal.saved
            there = current is not None and current.state != CONFIG_FILES
            if saved is None or saved.removed:
                erase += [goal] if there else []
            elif slot in again or not _right(goal, current):
                debs.append(goal)
        return debs, erase

    @staticmethod
    def names(erase: t.Sequence[Goal]) -> list[str]:
        """For apt and dpkg."""
        return [goal.argument for goal in erase]

    def _now(self) -> dict[Slot, Package]:
        return index(status.read().values(), self._native)

    def run(self, again: t.Collection[Slot], marks: t.Collection[Slot]) -> None:
        """Do all of it.

        :param again: what has to be installed although its version is right.
        :param marks: what apt shall take as automatically installed besides.
        :raises RollbackError: dpkg's record cannot be mended.
        """
        # A dpkg that outlived whoever started it ends first.
        with status.Locked(self._means.timeout, downloads=True):
            strays = undo_half_unpacked.find(self._goals, self._now(), self._layers)
            # At once: dpkg's next run forgets what it was unpacking.
            undo_files.take_away(undo_files.nobodys(strays))
            unmerged = bool(status.journal())
        if unmerged:
            # apt refuses while there are any; this makes dpkg read and merge them, and nothing else.
            self.problems = apt.dpkg("--set-selections")
            if status.journal():
                raise RollbackError(
                    f"dpkg's record cannot be mended: {'; '.join(self.problems)}",
                    untouched="all packages.",
                    advice="Mend what dpkg names, then roll back again.",
                )
        undo_diversions.bring_back(self._layers)
        # Before packages go: dpkg fails at overrides for users that went with them.
        undo_overrides.restore(self._goals, self._now(), Database())
        self._packages(set(again))
        self._purge()
        undo_diversions.take_away(self._layers, {goal.slot[0] for goal in self._goals.values()})
        undo_overrides.restore(self._goals, self._now(), Database())
        self._settle(marks, again)

    def _packages(self, again: set[Slot]) -> None:
        """One run of apt; whatever that leaves undone, and what apt would refuse, is dpkg's."""
        now = self._now()
        half = {one.name for slot, one in now.items() if slot in self._goals and not proper(one)}
        debs, erase = self.todo(now, again)
        if (debs or erase) and self._means.by_apt:
            self.problems = apt.install(_paths_of(debs), self.names(erase), self._purges(erase), self._means.timeout)
            self._out_of_the_way(half)
            again = self._still(debs, again)
        for dummy in range(_ATTEMPTS):
            now = self._now()
            debs, erase = self.todo(now, again)
            if not debs and not erase:
                return
            self.problems = self._by_dpkg(debs, erase)
            again = self._still(debs, again)
            if not self._out_of_the_way(half) and self._now() == now:
                return

    def _by_dpkg(self, debs: t.Sequence[Goal], erase: t.Sequence[Goal]) -> list[str]:
        """Without apt's order: what comes back is put in place, what goes is removed, then all is configured."""
        found = apt.dpkg("--unpack", *_paths_of(debs)) if debs else []
        going = [*self.names(erase), *self._means.others]
        if going:
            found += apt.dpkg("--purge" if self._purges(erase) else "--remove", *going)
        return found + apt.dpkg("--configure", "--pending")

    def _purges(self, erase: t.Sequence[Goal]) -> bool:
        return not self._means.others and not any(goal.saved for goal in erase)

    def _still(self, debs: t.Sequence[Goal], again: set[Slot]) -> set[Slot]:
        """What has to be installed once more although its version is right, and was not."""
        now = self._now()
        tried = {goal.slot for goal in debs if goal.slot in now and now[goal.slot].installed}
        return set() if self.problems == [] else again - tried

    def _out_of_the_way(self, half: t.Collection[str]) -> bool:
        """Put scripts aside that failed and keep packages from going; false when there are none.

        :param half: packages that were not properly there, of which scripts may be expected to fail.
        """
        mine = {goal.slot[0]: goal for goal in self._goals.values()}
        done = False
        for line in self.problems:
            for name, which in _SCRIPT.findall(line):
                plain, script = name.partition(":")[0], f"{which}rm"
                goal = mine.get(plain)
                # Where the saved one has it, dpkg would have taken that instead; but not to deconfigure.
                instead = goal is not None and goal.saved is not None and goal.saved.has(script)
                if goal is None or not (self._means.force or plain in half or instead):
                    continue
                for base in (name, plain, f"{plain}:{self._native}"):
                    path = f"{ADMIN}/info/{base}.{script}"
                    if os.path.lexists(path):
                        os.unlink(path)
                        self.skipped.append(f"{plain}: its {script} failed and was left out")
                        done = True
        return done

    def _purge(self) -> None:
        """What dpkg still knows of packages that were not there."""
        now = self._now()
        left = [goal for goal in self._goals.values() if goal.saved is None and goal.slot in now]
        left = [goal for goal in left if now[goal.slot].state == CONFIG_FILES]
        if left:
            self.problems += apt.dpkg("--purge", *self.names(left))
            if self._out_of_the_way(()):
                self.problems = apt.dpkg("--purge", *self.names(left))

    def _settle(self, automatic: t.Collection[Slot], again: t.Collection[Slot]) -> None:
        """Files and records that dpkg does not put back, for packages it did put back."""
        with status.Locked(self._means.timeout):
            now, database = self._now(), Database()
            records: dict[str, Package | None] = {}
            marks = {slot: True for slot in automatic if slot in now}
            mine = {path for goal in self._goals.values() if goal.saved for path in goal.saved.facts["conffiles"]}
            theirs = {path for slot, one in now.items() if slot not in self._goals for path in one.conffiles()}
            for slot, goal in self._goals.items():
                current, saved = now.get(slot), goal.saved
                if saved is None and current is None:
                    records.update((f"{slot[0]}:{arch}", None) for arch in (ALL, slot[1]))
                    marks[slot] = False
                if saved is None or not _right(goal, current):
                    continue
                recorded = current.conffiles() if current is not None else {}
                files = undo_files.Files(saved, database.diverted(saved.record))
                # Configuration that came with the change: dpkg keeps it, as obsolete.
                new = [path for path in recorded if path not in mine and path not in theirs]
                files.restore(map(files.real, recorded))
                if slot in again:
                    files.apply_metadata()
                undo_files.take_away(map(files.real, new))
                _unlist(database.info(current).get("list", "") if current is not None else "", new)
                records[saved.key] = saved.record
                marks[slot] = bool(saved.facts["auto"])
            undo_overwritten.Others(self._layers).restore()
            undo_half_unpacked.tidy()
            status.rewrite(records)
            status.mark(marks)


def _unlist(path: str, gone: t.Collection[str]) -> None:
    """Take paths out of dpkg's list of a package's files."""
    lines = load(path).splitlines(keepends=True) if path and gone else []
    left = [line for line in lines if line.rstrip("\n") not in gone]
    if left != lines:
        status.write(path, "".join(left))


def proper(one: Package) -> bool:
    """It is completely there, or completely away."""
    return one.installed or one.state == CONFIG_FILES


def _paths_of(debs: t.Iterable[Goal]) -> list[str]:
    return [goal.saved.path for goal in debs if goal.saved is not None]


def _right(goal: Goal, current: Package | None) -> bool:
    """dpkg has the package as it was captured, as far as dpkg can."""
    saved = goal.saved
    if saved is None:
        return False
    if saved.removed:
        return current is None or current.state == CONFIG_FILES
    return current is not None and current.installed and current.version == saved.facts["version"]


def keep_aside(paths: t.Iterable[str], where: PrivateDir) -> None:
    """Keep what a forced undo overwrites: a copy in the store; no file or link: moved, beside itself."""
    when = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    for path in paths:
        info = os.lstat(path) if os.path.lexists(path) else None
        if info is not None and item.kind_of(info) in (FILE, LINK):
            aside.keep_aside(path, where)
        elif info is not None and not os.path.lexists(f"{path}.sage-{when}"):
            os.rename(path, f"{path}.sage-{when}")
