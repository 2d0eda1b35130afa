"""The way back for named paths: what changes touched goes back to what it was before the first of them."""

from __future__ import annotations

import contextlib
import os
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._content import listing
from ansible_collections.intellistream.sage.plugins.module_utils._files import capture
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.tree import Tree
from ansible_collections.intellistream.sage.plugins.module_utils._footprint import apply, decide, verify
from ansible_collections.intellistream.sage.plugins.module_utils._footprint.farm import Farm, Farms
from ansible_collections.intellistream.sage.plugins.module_utils._footprint.place import Place
from ansible_collections.intellistream.sage.plugins.module_utils._footprint.table import Table
from ansible_collections.intellistream.sage.plugins.module_utils._kind.undo import Undo, UndoOptions
from ansible_collections.intellistream.sage.plugins.module_utils._storage.archive import remove

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._footprint.settle import Footprint
    from ansible_collections.intellistream.sage.plugins.module_utils._footprint.table import TableRow
    from ansible_collections.intellistream.sage.plugins.module_utils._kind.interface import Facts, Layer


class _Top(t.NamedTuple):
    """A captured path that lies in no other, with all that was captured of it and below.

    :ivar footprints: of each change, oldest first; paths are relative to P(path).
    :ivar before: row of each path when it was first captured.
    :ivar known: path → every row of it that was captured.
    """

    path: str
    footprints: list[Footprint]
    before: dict[str, TableRow]
    known: dict[str, list[TableRow]]


class FilesUndo(Undo):
    """The way back for paths.

    :param layers: oldest first.
    """

    def __init__(self, layers: t.Sequence[Layer], how: UndoOptions) -> None:
        super().__init__()
        self._layers = layers
        self._how = how
        self._tops = self._gathered()
        self._touched = {top.path: decide.merge(top.footprints) for top in self._tops}
        self._decisions: dict[str, decide.Decision] = {}
        self._looks: dict[str, Table] = {}
        with self._farms() as farms:
            for top in self._tops:
                self._decide(top, farms)

    def _gathered(self) -> list[_Top]:
        """All captures by the outermost paths; those changed last first."""
        paths = [path for layer in self._layers for path in layer.manifest["tables"]]
        tops = {path: _Top(path, [], {}, {}) for path in paths if not any(_inside(path, other) for other in paths)}
        for layer in self._layers:
            tables = dict(capture.tables(layer))
            for path, footprint in capture.touched(layer):
                top = tops[next(name for name in tops if path == name or _inside(path, name))]
                prefix = path[len(top.path) + 1 :]
                for relative, row in tables[path].rows.items():
                    name = _below(prefix, relative)
                    top.before.setdefault(name, row)
                    top.known.setdefault(name, []).append(row)
                if self._stays(layer, path, tables[path]):
                    continue
                top.footprints.append(footprint.below(prefix))
        return list(tops.values())[::-1]

    def _stays(self, layer: Layer, path: str, table: Table) -> bool:
        """Whether a path was not there, and what came by a date is to stay."""
        if table.rows or self._how.erase_after is None or layer.time > self._how.erase_after:
            return False
        self.kept += [path] if os.path.lexists(path) else []
        return True

    @contextlib.contextmanager
    def _farms(self) -> t.Iterator[Farms]:
        with contextlib.ExitStack() as stack:
            yield Farms([Farm(stack.enter_context(Tree.of(layer.where))) for layer in self._layers])

    @contextlib.contextmanager
    def _stage(self, top: _Top, create: bool = False) -> t.Iterator[Tree]:
        """Where files of one of the paths are made ready.

        :raises FileNotFoundError: no way back was begun.
        """
        number = sorted(each.path for each in self._tops).index(top.path)
        newest = self._layers[-1].where
        with newest.child("stage", create) as stages, stages.child(str(number), create) as own, Tree.of(own) as stage:
            yield stage
        if create:
            remove(newest, "stage")

    def _decide(self, top: _Top, farms: Farms) -> None:
        touched = self._touched[top.path]
        for name in [name for name, sides in touched.items() if sides.before is None]:
            top.before.pop(name, None)
        begun: t.Mapping[str, TableRow] = {}
        with contextlib.suppress(FileNotFoundError), self._stage(top) as stage:
            begun = apply.begun(stage)
        parent = listing.parent(top.path)
        if parent is None:
            steps = [
                decide.Step(name, decide.RESTORE, touched[name], None)
                for name in sorted(touched)
                if touched[name].before is not None
            ]
            decision = decide.Decision(steps, [], [], [], [])
        else:
            with parent:
                place = Place(parent, os.path.basename(top.path))
                now = self._looks[top.path] = place.look()
                decision = decide.decide(
                    place,
                    touched,
                    now,
                    farms,
                    # Each path is decided by itself: nothing tells which belong together.
                    lambda path: [path],
                    force=self._how.force,
                    begun=begun,
                    is_ours=lambda path, row: self._is_ours(top, path, row),
                )
        self._decisions[top.path] = decision
        self.conflicts += [f"{listing.join(top.path, path)} was changed by somebody" for path in decision.conflicts]
        for step in decision.steps:
            action = "remove" if step.action == decide.REMOVE else "restore"
            why = "is new" if action == "remove" else verify.how(step.now, step.touched.before)
            self.plan[action].append(f"{listing.join(top.path, step.path)} ({why})")

    def _is_ours(self, top: _Top, path: str, row: TableRow | None) -> bool:
        """Whether an undo that was interrupted, on its way to whatever state, may have left this."""
        if not self._how.resumed:
            return False
        if row is None:
            return True
        known = top.known.get(path, ())
        return any((row.type, row.size, row.mtime) == (each.type, each.size, each.mtime) for each in known)

    def redo(self) -> Facts | None:
        return {"kind": "files", "paths": [top.path for top in self._tops]} if self.touches() else None

    def check(self) -> None:
        with self._farms() as farms:
            for decision in self._decisions.values():
                decide.check(decision.steps, farms)

    def execute(self) -> None:
        with self._farms() as farms:
            for top in self._tops:
                if self._decisions[top.path].steps:
                    with self._stage(top, create=True) as stage:
                        self._execute(top, farms, stage)

    def _execute(self, top: _Top, farms: Farms, stage: Tree) -> None:
        decision = self._decisions[top.path]
        if any(step.action == decide.RESTORE for step in decision.steps):
            os.makedirs(os.path.dirname(top.path), exist_ok=True)
        parent = listing.parent(top.path)
        if parent is None:
            return
        before, now = Table(top.before), self._looks.get(top.path) or Table({})
        newest = self._layers[-1].where
        with parent, newest.child("aside", create=True) as aside, Tree.of(aside) as kept:
            place = Place(parent, os.path.basename(top.path))
            with apply.Application(place, farms, before, now, stage, kept) as application:
                application.run(decision.steps, {*decision.conflicts, *decision.strays})
            verify.put_times_back(place, self._touched[top.path], before, place.look())
            empty = not aside.names()
        if empty:
            # Retention keeps for long what lies in it.
            remove(newest, "aside")

    def verify(self) -> list[str]:
        found: list[str] = []
        with self._farms() as farms:
            for top in self._tops:
                parent = listing.parent(top.path)
                if parent is None:
                    gone = [name for name, sides in self._touched[top.path].items() if sides.before is not None]
                    found += [f"{listing.join(top.path, name)} is gone" for name in gone]
                    continue
                with parent:
                    place = Place(parent, os.path.basename(top.path))
                    differences = verify.differences(place, self._touched[top.path], place.look(), farms)
                found += [f"{listing.join(top.path, name)} {how}" for name, how in differences.items()]
        return found


def _inside(path: str, directory: str) -> bool:
    return path.startswith(f"{directory}/")


def _below(prefix: str, relative: str) -> str:
    return f"{prefix}/{relative}" if prefix and relative else prefix or relative
