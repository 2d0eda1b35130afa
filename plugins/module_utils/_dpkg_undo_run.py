# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Packages brought to what they go back to: apt's run, dpkg's purge, then files and records under dpkg's locks.

Every step looks at what is there first, so that one that was interrupted anywhere can be repeated.
"""

from __future__ import annotations

import os
import re
import time
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils import (
    _captured,
    _dpkg_apt,
    _dpkg_status,
    _dpkg_undo_diversions,
    _dpkg_undo_files,
    _dpkg_undo_remnants,
    _paths,
)
from ansible_collections.intellistream.sage.plugins.module_utils._captured import FILE
from ansible_collections.intellistream.sage.plugins.module_utils._dpkg_database import (
    ADMIN,
    ALL,
    CONFIG_FILES,
    Database,
    Package,
)
from ansible_collections.intellistream.sage.plugins.module_utils._dpkg_undo_goals import Goal, Slot, index
from ansible_collections.intellistream.sage.plugins.module_utils._errors import RollbackError

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._resource import Layer

# Of dpkg's complaint about a script that failed.
_SCRIPT = re.compile(r"^(\S+) \(\w+\): .* (pre|post)-removal script")
_ATTEMPTS = 4


class Work:
    """What brings packages to their goals.

    :param force: a script that keeps a package from being removed is taken out of the way.
    :param timeout: seconds to wait for locks.
    :ivar problems: what apt and dpkg complained about in the last attempt.
    """

    def __init__(
        self, wanted: t.Mapping[Slot, Goal], layers: t.Sequence[Layer], native: str, force: bool, timeout: float
    ) -> None:
        self._goals = wanted
        self._layers = layers
        self._native = native
        self._force = force
        self._timeout = timeout
        self.problems: list[str] = []

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
        return index(_dpkg_status.read().values(), self._native)

    def run(self, again: t.Collection[Slot]) -> None:
        """Do all of it.

        :param again: what has to be installed although its version is right.
        :raises RollbackError: dpkg's record cannot be mended.
        """
        now = self._now()
        strays = _dpkg_undo_remnants.find(self._goals, now, self._layers)
        with _dpkg_status.Locked(self._timeout, downloads=True):
            unmerged = bool(_dpkg_status.journal())
        if unmerged:
            # apt refuses while there are any; this makes dpkg read and merge them, and nothing else.
            self.problems = _dpkg_apt.dpkg("--set-selections")
            if _dpkg_status.journal():
                raise RollbackError(
                    f"dpkg's record cannot be mended: {'; '.join(self.problems)}",
                    untouched="all packages.",
                    advice="Mend what dpkg names, then roll back again.",
                )
        _dpkg_undo_diversions.bring_back(self._layers)
        self._packages(set(again))
        self._purge()
        _dpkg_undo_diversions.take_away(self._layers, {goal.slot[0] for goal in self._goals.values()})
        self._settle(strays)

    def _packages(self, again: set[Slot]) -> None:
        """apt's runs: one, unless scripts fail."""
        failed: set[Slot] = set()
        for dummy in range(_ATTEMPTS):
            debs, erase = self.todo(self._now(), again)
            erase = [goal for goal in erase if goal.slot not in failed]
            if not debs and not erase:
                return
            everything = not any(goal.saved for goal in erase)
            paths = [goal.saved.path for goal in debs if goal.saved is not None]
            self.problems = _dpkg_apt.install(paths, self.names(erase), everything, self._timeout)
            if not self.problems:
                return
            again = again if self._same(debs, again) else set()
            if self._force and self._out_of_the_way():
                continue
            # What cannot be removed does not keep the others from coming back.
            stuck = {goal.slot for goal in erase} & {goal.slot for goal in self.todo(self._now(), again)[1]}
            if stuck <= failed:
                return
            failed |= stuck

    def _same(self, debs: t.Sequence[Goal], again: t.Collection[Slot]) -> bool:
        """Whether what had to be installed once more was not."""
        now = self._now()
        return any(goal.slot in again and not now[goal.slot].installed for goal in debs if goal.slot in now)

    def _out_of_the_way(self) -> bool:
        """Put the scripts aside whose failure keeps packages from being removed; false when there are none."""
        names = {goal.argument for goal in self._goals.values() if goal.saved is None or goal.saved.removed}
        done = False
        for line in self.problems:
            match = _SCRIPT.match(line)
            if match is None or match.group(1).partition(":")[0] not in {name.partition(":")[0] for name in names}:
                continue
            for base in (match.group(1), match.group(1).partition(":")[0], f"{match.group(1)}:{self._native}"):
                path = f"{ADMIN}/info/{base}.{match.group(2)}rm"
                if os.path.lexists(path):
                    os.unlink(path)
                    done = True
        return done

    def _purge(self) -> None:
        """What dpkg still knows of packages that were not there."""
        now = self._now()
        left = [goal for goal in self._goals.values() if goal.saved is None and goal.slot in now]
        left = [goal for goal in left if now[goal.slot].state == CONFIG_FILES]
        if left:
            self.problems += _dpkg_apt.dpkg("--purge", *self.names(left))
            if self._force and self._out_of_the_way():
                self.problems = _dpkg_apt.dpkg("--purge", *self.names(left))

    def _settle(self, strays: t.Sequence[str]) -> None:
        """Files and records that dpkg does not put back, for packages it did put back."""
        with _dpkg_status.Locked(self._timeout):
            now, database = self._now(), Database()
            records: dict[str, Package | None] = {}
            marks: dict[tuple[str, str], bool] = {}
            mine = {path for goal in self._goals.values() if goal.saved for path in goal.saved.facts["conffiles"]}
            theirs = {path for slot, one in now.items() if slot not in self._goals for path in one.conffiles()}
            for slot, goal in self._goals.items():
                current, saved = now.get(slot), goal.saved
                if saved is None and current is None:
                    records.update((f"{slot[0]}:{arch}", None) for arch in {ALL, slot[1]})
                    marks[slot] = False
                if saved is None or not _right(goal, current):
                    continue
                recorded = current.conffiles() if current is not None else {}
                files = _dpkg_undo_files.Files(saved, database.diverted(saved.record))
                # Configuration that came with the change: dpkg keeps it, as obsolete.
                new = [files.real(path) for path in recorded if path not in mine and path not in theirs]
                files.restore(map(files.real, recorded))
                _dpkg_undo_files.take_away(new)
                records[saved.key] = saved.record
                marks[slot] = bool(saved.facts["auto"])
            _dpkg_undo_files.take_away(_dpkg_undo_files.nobodys(strays))
            _dpkg_status.rewrite(records)
            _dpkg_status.mark(marks)


def _right(goal: Goal, current: Package | None) -> bool:
    """dpkg has the package as it was captured, as far as dpkg can."""
    saved = goal.saved
    if saved is None:
        return False
    if saved.removed:
        return current is None or current.state == CONFIG_FILES
    return current is not None and current.installed and current.version == saved.facts["version"]


def keep_aside(paths: t.Iterable[str]) -> None:
    """Keep what somebody changed and a forced undo overwrites, beside it, with the time in its name."""
    when = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    for path in paths:
        tree = _paths.parent(path)
        if tree is None:
            continue
        with tree:
            name = os.path.basename(path)
            aside = f"{name}.sage-{when}"
            info = tree.lstat(name)
            if info is None or tree.lstat(aside) is not None:
                continue
            if _captured.kind_of(info) == FILE:
                _captured.copy(tree, name, tree, aside)
            else:
                os.rename(name, aside, src_dir_fd=tree.fd, dst_dir_fd=tree.fd)
            tree.settle()
