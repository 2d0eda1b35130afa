"""The way back to what a virtual environment was, told by distribution."""

from __future__ import annotations

import collections
import os
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import InputError, RollbackError
from ansible_collections.intellistream.sage.plugins.module_utils._content import whole as content_whole
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.tree import Tree
from ansible_collections.intellistream.sage.plugins.module_utils._footprint import decide, verify
from ansible_collections.intellistream.sage.plugins.module_utils._footprint.table import DIRECTORY
from ansible_collections.intellistream.sage.plugins.module_utils._kind.undo import Undo, UndoOptions
from ansible_collections.intellistream.sage.plugins.module_utils._venv import distributions
from ansible_collections.intellistream.sage.plugins.module_utils._venv.change import ABSENT, VenvWayBack
from ansible_collections.intellistream.sage.plugins.module_utils._venv.owners import source_of

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._kind.interface import Facts, Layer


class VenvUndo(Undo):
    """Takes an environment back through its captures.

    :param path: the environment.
    :param layers: oldest first; the environment existed at each.
    :raises InputError: its path leads to another one than was captured.
    """

    def __init__(self, path: str, layers: t.Sequence[Layer], options: UndoOptions) -> None:
        super().__init__()
        self.path = path
        self.how = options
        self.broken = ""
        self._way: VenvWayBack | None = None
        venv = Tree.open(path)
        if venv is None:
            self.conflicts.append(f"{path} was removed by somebody; only what was captured of it could be put back")
            return
        with venv:
            _refuse_another(path, layers)
            self._way = way = VenvWayBack(venv, layers, options)
            self._tell(way)
            if any(layer.after is None for layer in layers):
                self._name_uncovered(way, venv, layers)
        self.broken = f"{path}.broken-{options.keep_broken}" if options.keep_broken and self.touches() else ""
        self.kept += [f"{self.broken} (the environment as it was)"] if self.broken else []

    def _tell(self, way: VenvWayBack) -> None:
        """The plan and the conflicts, for people."""
        decision = next(iter(way.decisions.values()), None)
        if decision is None:
            return
        self.kept += way.stayed
        self.inexact += [
            f"{self.path}/{path}: it was written to after the capture, so what comes back is its newest content"
            for path in sorted(way.renewed & {step.path for step in decision.steps})
        ]
        rows, touched = way.looks[self.path].rows, way.touched[self.path]
        self.inexact += [
            f"{self.path}/{path} {'is otherwise than' if path in rows else 'is gone, and was there'} at the capture; "
            "nobody looked at it when the change had ended, and no distribution owns it, so it stays as it is"
            for path in sorted(way.unexplained)
        ]
        for path in decision.living:
            before, current = touched[path].before, rows.get(path)
            if before is not None and current is not None and before.type == current.type == DIRECTORY:
                # Nothing lives in its metadata: it is not as before, and nobody knows what it is to be.
                how = verify.how(current, before)
                self.inexact.append(f"{self.path}/{path} {how}: others changed that since, so it stays")
            else:
                self.kept.append(f"{self.path}/{path} (nobody's, and written to since)")
        going: collections.Counter[str] = collections.Counter()
        others: list[decide.PathStep] = []
        for step in [*decision.steps, *self._disputed(way, decision)]:
            owners = way.owners.names(step.path) & way.standings.keys()
            if owners:
                going.update(owners)
            elif not source_of(step.path):
                others.append(step)
        for name, standing in sorted(way.standings.items()):
            self._tell_distribution(name, standing.before, standing.now, going[name])
        strays = {*decision.strays}
        for step in others:
            self._tell_path(step, aside=step.path in strays)
        self.plan["remove"] += [f"{self.path}/{path} (kept aside)" for path in _outermost(way, strays)]
        if decision.steps and not self.touches():
            # Byte code and directories alone.
            self.plan["restore"].append(f"{self.path} ({len(decision.steps)} paths)")
        self._tell_conflicts(way, decision)

    def _disputed(self, way: VenvWayBack, decision: decide.Decision) -> list[decide.PathStep]:
        """What would be done if somebody forced it."""
        steps = {step.path for step in decision.steps}
        touched, look = way.touched[self.path], way.looks[self.path]
        return [
            decide.PathStep(path, decide.REMOVE, touched[path], look.rows.get(path))
            for path in decision.conflicts
            if path in touched and path not in steps
        ]

    def _tell_distribution(self, name: str, before: list[str], current: list[str], count: int) -> None:
        if not count:
            return
        self.plan["erase"] += [f"{name} {version}" for version in current if version not in before]
        self.plan["install"] += [f"{name} {version}" for version in before if version not in current]
        if before and before == current:
            self.plan["restore"].append(f"{name} {' and '.join(before)} ({count} files)")

    def _tell_path(self, step: decide.PathStep, *, aside: bool) -> None:
        full = f"{self.path}/{step.path}" if step.path else self.path
        before, current = step.touched.before, step.now
        if current is not None and current.type == DIRECTORY and before is not None and before.type == DIRECTORY:
            self.plan["restore"].append(f"{full} {verify.how(current, before)}")
        elif DIRECTORY in (current.type if current is not None else "", before.type if before is not None else ""):
            return
        elif step.action == decide.REMOVE:
            self.plan["remove"] += [] if aside else [full]
        else:
            self.plan["restore"].append(full)

    def _tell_conflicts(self, way: VenvWayBack, decision: decide.Decision) -> None:
        """By distribution: half of somebody's upgrade is neither kept nor undone."""
        named: set[str] = set()
        for name, standing in sorted(way.standings.items()):
            captured, remaining = " and ".join(standing.before), " or ".join(sorted({*standing.left}))
            for version in standing.theirs:
                named.add(name)
                self.conflicts.append(
                    f"{name} {version} in {self.path} was installed by somebody else "
                    f"(captured: {captured or 'none'}, installed: {remaining or 'none'})"
                )
            if standing.removed:
                named.add(name)
                self.conflicts.append(f"{name} in {self.path} was removed by somebody else (captured: {captured})")
        for path in decision.disputed:
            if way.owners.names(path).isdisjoint(named):
                self.conflicts.append(f"{self.path}/{path} was edited by somebody")
        for path in decision.lost:
            self.conflicts.append(
                f"{self.path}/{path} was written to in place; its captured content was a hard link and is lost, "
                "so it stays as it is"
            )

    def _name_uncovered(self, way: VenvWayBack, venv: Tree, layers: t.Sequence[Layer]) -> None:
        """Where nobody said what the change would do, nor looked: what is otherwise than at the capture, and stays."""
        if any(layer.spec.get("distributions") for layer in layers):
            return
        before = layers[0].manifest["distributions"]
        registered = distributions.by_name(way.owners.now)
        for name in sorted({*before, *registered} - way.standings.keys()):
            versions = [each.version for each in registered.get(name, ())]
            if versions != ([before[name]] if name in before else []):
                was, current = before.get(name, "absent"), " and ".join(versions) or "gone"
                self.inexact.append(
                    f"{name} in {venv.path} was {was} and is {current}: that change was not captured, so it stays"
                )

    def redo(self) -> Facts | None:
        if self._way is None or not self.touches() or self._way.since is not None:
            return None
        remaining = [
            {"name": name, "version": version}
            for name, standing in sorted(self._way.standings.items())
            for version in standing.before[:1] or [ABSENT]
        ]
        return {"kind": "venv", "path": self.path, "distributions": remaining, **({} if remaining else {"all": True})}

    def _gone(self, untouched: str) -> RollbackError:
        return RollbackError(
            f"{self.path} is gone; there is nothing to put the captured files back into.",
            untouched=untouched,
            advice="Install again, or roll back to where it was made.",
        )

    def check(self) -> None:
        if self._way is None or not os.path.isdir(self.path):
            raise self._gone("everything.")
        self._way.check()

    def execute(self) -> None:
        if self.broken and not self.how.resumed:
            content_whole.keep_copy(self.path, self.broken)
        if self._way is None or not os.path.isdir(self.path):
            raise self._gone("what was captured; it can still be used.")
        self._way.execute()

    def verify(self) -> list[str]:
        if self._way is None or not os.path.isdir(self.path):
            return [f"{self.path} is gone"]
        differences = self._way.differences()
        self.seen = self._way.seen
        return differences


def _outermost(way: VenvWayBack, strays: t.Iterable[str]) -> list[str]:
    """Paths that are kept aside: of a directory that came with the change, and that nobody owns, its name."""
    [touched] = way.touched.values()
    named: set[str] = set()
    for path in strays:
        outermost, directory = path, os.path.dirname(path)
        while directory in touched and touched[directory].before is None and not way.owners.names(directory):
            outermost, directory = directory, os.path.dirname(directory)
        named.add(outermost)
    return sorted(named)


def _refuse_another(path: str, layers: t.Sequence[Layer]) -> None:
    real = os.path.realpath(path)
    captured = next((str(layer.manifest["real"]) for layer in layers if layer.manifest["real"] != real), "")
    if captured:
        raise InputError(
            f"{path} leads to {real}, and led to {captured} when it was captured.",
            untouched="everything.",
            advice="Have it lead there again, then run the same rollback.",
        )
