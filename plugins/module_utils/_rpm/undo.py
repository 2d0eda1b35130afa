"""The way back for packages of rpm: one transaction, offline, from the packages that were saved.

What rpm leaves otherwise than it was is put back afterwards: configuration and its leftovers, ghosts, files that
had been missing, the headers in the database, and dnf's reasons.
"""

from __future__ import annotations

import os
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._content import item as content_item
from ansible_collections.intellistream.sage.plugins.module_utils._content.aside import keep_aside
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.tree import Tree
from ansible_collections.intellistream.sage.plugins.module_utils._kind.undo import Undo, UndoOptions
from ansible_collections.intellistream.sage.plugins.module_utils._rpm import (
    database,
    lock,
    undo_conflicts,
    undo_goals,
    undo_litter,
    undo_marks,
    undo_records,
)
from ansible_collections.intellistream.sage.plugins.module_utils._rpm import protected as rpm_protected
from ansible_collections.intellistream.sage.plugins.module_utils._rpm import unplanned as rpm_unplanned
from ansible_collections.intellistream.sage.plugins.module_utils._rpm.transaction import (
    Failure,
    Install,
    Outcome,
    Transaction,
    halfway,
    later_than,
    refused,
)
from ansible_collections.intellistream.sage.plugins.module_utils._rpm.undo_files import PackageFiles
from ansible_collections.intellistream.sage.plugins.module_utils._rpm.undo_overwritten import Overwritten
from ansible_collections.intellistream.sage.plugins.module_utils._rpm.undo_remains import Leftovers

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._kind.interface import Facts, Layer, Resource
    from ansible_collections.intellistream.sage.plugins.module_utils._rpm.database import Package
    from ansible_collections.intellistream.sage.plugins.module_utils._rpm.undo_goals import Goal

# Once as it should be, once without the scriptlets that failed, once more without those that failed then.
_ATTEMPTS = 3


class _Steps(t.NamedTuple):
    """What is still to be done by rpm.

    :ivar erases: places in the database of what has to go and does not go by itself.
    :ivar going: the places of all that has to go.
    """

    installs: list[Install]
    erases: list[int]
    going: dict[int, str]


class RpmUndo(Undo):
    """The way back for packages of rpm.

    :param layers: oldest first.
    """

    def __init__(self, resource: Resource, layers: t.Sequence[Layer], how: UndoOptions) -> None:
        super().__init__()
        self._layers = list(layers)
        self._how = how
        self._goals: list[Goal] = []
        self._files: dict[str, PackageFiles] = {}
        self._aside: list[str] = []
        self._redo: list[dict[str, t.Any]] = []
        self._leftovers = Leftovers(layers[-1].where)
        ts = database.transaction_set()
        protected = rpm_protected.protected(ts)
        unplanned = rpm_unplanned.each(ts, layers, how.resumed)
        self.inexact += rpm_unplanned.told(ts, layers, unplanned)
        for goal in undo_goals.goals(layers, unplanned):
            found = undo_goals.now(ts, goal)
            why = undo_goals.stays(goal, protected, how.erase_after) if found else ""
            if why:
                self.kept.append(f"{goal.shown} {', '.join(sorted(one.evr for one in found))} ({why})")
            elif goal.lost:
                self.conflicts.append(f"{goal.shown} was not captured")
            else:
                self._goals.append(goal)
        for goal in self._goals:
            if goal.facts is not None:
                self._files[goal.key] = PackageFiles(goal.layer, goal.key, goal.facts)
        captured = [(goal.layer, self._files[goal.key]) for goal in self._goals if goal.facts is not None]
        self._overwritten = Overwritten(layers, captured, {goal.key for goal in self._goals}, how.resumed)
        for goal in self._goals:
            self._judge(ts, goal)
        self._judge_overwritten(ts, layers)
        self._find_strays(ts)
        if not self.conflicts or how.force:
            self._agree()

    def _installed(self, ts: t.Any) -> list[t.Any]:
        """The headers of all that is installed of what this is about."""
        there = [one for goal in self._goals for one in undo_goals.now(ts, goal)]
        return [database.header_at(ts, one.offset) for one in there]

    def _judge_overwritten(self, ts: t.Any, layers: t.Sequence[Layer]) -> None:
        """Find what the change overwrote of others, and whether they went on with it."""
        known = not self._how.resumed and all(goal.known for goal in self._goals)
        for path in self._overwritten.judge(self._installed(ts), undo_conflicts.left_of(layers), known):
            self.conflicts.append(f"{path} was edited by somebody")
            self._aside.append(path)
        self.plan["restore"] += [f"{path} (overwritten)" for path in self._overwritten.differing()]

    def _looked_after(self) -> set[str]:
        return {path for files in self._files.values() for path in files.wanted} | self._overwritten.paths()

    def _find_strays(self, ts: t.Any) -> None:
        """Find what a killed change made before any package owned it, where the capture could tell what was to come."""
        open_ended = [
            layer for layer in self._layers if self._how.resumed or layer.after is None or not layer.completed
        ]
        if not open_ended:
            return
        paths: set[str] = set()
        for layer in open_ended:
            paths |= undo_litter.incoming(layer.where.read(undo_litter.INCOMING))
        self._leftovers.brought(paths, self._looked_after(), open_ended[0].time)
        owned = {path for header in self._installed(ts) for path in header["FILENAMES"] or ()}
        self.plan["remove"] += [f"{path} (of an interrupted change)" for path in self._leftovers.strays(owned)]

    def _judge(self, ts: t.Any, goal: Goal) -> None:
        """Find what is to be done about one package, and what stands against it."""
        found = undo_goals.now(ts, goal)
        versions = undo_goals.versions(found)
        known = goal.known and not self._how.resumed
        if not goal.expects(versions, self._how.resumed):
            left = " and ".join(sorted(goal.last)) or "nothing"
            there = f"is {' and '.join(sorted(versions))}" if versions else "is not installed"
            self.conflicts.append(f"{goal.shown} {there}, the change left {left}")
        headers = [database.header_at(ts, one.offset) for one in found]
        for path in undo_conflicts.edited(goal, headers, undo_conflicts.left_of(self._layers), known):
            self.conflicts.append(f"{path} was edited by somebody")
            self._aside.append(path)
        for header in headers:
            self._leftovers.beside(undo_conflicts.configuration(header))
            self._leftovers.above(header["FILENAMES"] or (), goal.layer.time)
        if goal.facts is not None:
            owned = {path for header in headers for path in header["FILENAMES"] or ()}
            self.conflicts += undo_conflicts.foreign(self._files[goal.key].in_the_way(), owned)
            for path in self._files[goal.key].unowned(ts, owned) if known and goal.wanted != versions else ():
                # rpm is going to overwrite it.
                self.plan["remove"].append(f"{path} (of nobody's; kept aside)")
                self._aside.append(path)
        self.plan["erase"] += [f"{goal.shown} {evr}" for evr in sorted(versions - goal.wanted)]
        if versions != goal.wanted:
            self.inexact += undo_goals.uncertain(goal, headers, self._overwritten.unkept(goal.key))
            self._redo += self._inverse(goal, versions)
            self.plan["install"] += [f"{goal.shown} {goal.evr}"] if goal.evr and goal.evr not in versions else []
        if goal.facts is None:
            return
        differing = self._files[goal.key].differing()
        if versions == goal.wanted and differing:
            self._redo += self._inverse(goal, versions)
            what = differing[0] if len(differing) == 1 else f"{len(differing)} files"
            self.plan["restore"].append(f"{goal.shown} ({what})")

    def _inverse(self, goal: Goal, versions: t.Collection[str]) -> list[dict[str, t.Any]]:
        """What this undo changes, as a change."""
        one = {"name": goal.name, "arch": goal.arch, "after": goal.evr or None}
        if goal.facts is not None:
            one["file"] = os.path.join(goal.layer.where.path, goal.facts["file"])
        before: list[str | None] = [*sorted(versions)] or [None]
        return [{**one, "before": version} for version in before]

    def _agree(self) -> None:
        """Ask rpm whether all others have what they need afterwards, and whether nothing else goes."""
        steps = self._steps()
        if not steps.installs and not steps.erases:
            return
        with Transaction(steps.installs, steps.erases) as transaction:
            self.conflicts += transaction.unmet()
            for offset, nevra in transaction.erased().items():
                if offset not in steps.going:
                    self.conflicts.append(f"{nevra} would be removed, too")

    def _steps(self) -> _Steps:
        """What rpm has to do from here; nothing when all versions are what they were."""
        ts = database.transaction_set()
        installs: list[Install] = []
        erases: list[int] = []
        going: dict[int, str] = {}
        for goal in self._goals:
            found = undo_goals.now(ts, goal)
            others = {one.offset: one.nevra for one in found if one.evr != goal.evr}
            going.update(others)
            if goal.facts is not None and len(others) == len(found):
                files = self._files[goal.key]
                beside = bool(goal.facts["installonly"])
                installs.append(Install(goal.facts["nevra"], files.header(), files.open, beside))
            erases += others
        return _Steps(installs, erases, going)

    def touches(self) -> bool:
        # Of a capture that is to be used once more, also whether it has become old.
        return self._overwritten.outdated or super().touches()

    def redo(self) -> Facts | None:
        return {"kind": "rpm", "changes": self._redo} if self._redo else None

    def check(self) -> None:
        self._overwritten.check()
        for goal in self._goals:
            items = goal.layer.items
            if goal.facts is None or items is None:
                continue
            with Tree.of(goal.layer.where) as store:
                for section in items.sections:
                    if (section.name, section.info) in (
                        (goal.key, goal.facts["file"]),
                        (undo_litter.INCOMING, ""),
                    ):
                        for path, item in items.read(section):
                            if item.kind == content_item.FILE:
                                content_item.verify(store, path, item)
        steps = self._steps()
        if steps.installs or steps.erases:
            lock.wait()
            with Transaction(steps.installs, steps.erases) as transaction:
                problems = transaction.rehearse()
            if problems:
                raise refused(problems)

    def execute(self) -> None:
        lock.wait()
        with lock.held():
            self._leftovers.without(self._looked_after())
            self._leftovers.note(self._how.resumed)
            for path in self._aside:
                keep_aside(path, self._layers[-1].where)
            for files in self._files.values():
                files.clear()
            self._transact()
            for files in self._files.values():
                files.mend()
            self._overwritten.mend()
            self._leftovers.mend()
            undo_records.put_back(self._goals)
        undo_marks.put_back(self._reasons())
        self.inexact += self._overwritten.uncertain()
        os.sync()

    def _transact(self) -> None:
        """Let rpm do it; what failing scriptlets keep from happening is done without them."""
        without: set[str] = set()
        outcome = Outcome([], [], "")
        for dummy in range(_ATTEMPTS):
            steps = self._steps()
            if not steps.installs and not steps.erases:
                break
            later_than(undo_goals.newest_tid(self._layers))
            with Transaction(steps.installs, steps.erases) as transaction:
                outcome = transaction.run(without)
            self._tell(outcome.failures)
            failed = {failure.script for failure in outcome.failures if failure.deciding}
            if not failed - without:
                break
            without |= failed
        steps = self._steps()
        left = [f"{one.name} could not be installed" for one in steps.installs]
        left += [f"{nevra} could not be erased" for nevra in steps.going.values()]
        if left:
            raise halfway([*left, *outcome.problems], outcome.said)

    def _tell(self, failures: t.Iterable[Failure]) -> None:
        for failure in failures:
            done = "and was left out" if failure.deciding else "what it does may be missing"
            self.inexact.append(f"{failure.package}: its {failure.script} failed during the rollback, {done}")

    def _reasons(self) -> dict[tuple[str, str, str], str]:
        captured = [(goal, goal.facts) for goal in self._goals if goal.facts is not None]
        return {(goal.name, goal.arch, goal.evr): str(facts.get("reason") or "") for goal, facts in captured}

    def verify(self) -> list[str]:
        ts = database.transaction_set()
        left = []
        for goal in self._goals:
            found: list[Package] = undo_goals.now(ts, goal)
            there, was = (" and ".join(sorted(one)) for one in (undo_goals.versions(found), goal.wanted))
            if there != was or len(found) > 1:
                left.append(f"{goal.shown} is {there or 'not installed'}, was {was or 'not'}")
        left += [f"{goal.shown} has another header in the database" for goal, dummy in undo_records.others(self._goals)]
        for files in self._files.values():
            left += [f"{path} {why}" for path, why in files.differences()]
        others = [*self._overwritten.differences(), *self._leftovers.differences()]
        left += [f"{path} {why}" for path, why in others]
        return left + undo_marks.differing(self._reasons())
