"""One way back through several captures of some paths: gathered, decided, checked, carried out, verified."""

from __future__ import annotations

import contextlib
import os
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.tree import Tree
from ansible_collections.intellistream.sage.plugins.module_utils._footprint import apply, closed, decide, point, verify
from ansible_collections.intellistream.sage.plugins.module_utils._footprint.anchor import Anchor
from ansible_collections.intellistream.sage.plugins.module_utils._footprint.settle import moved
from ansible_collections.intellistream.sage.plugins.module_utils._footprint.table import DIRECTORY, Table

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.private import PrivateDir
    from ansible_collections.intellistream.sage.plugins.module_utils._footprint.farm import Farms
    from ansible_collections.intellistream.sage.plugins.module_utils._footprint.settle import Footprint
    from ansible_collections.intellistream.sage.plugins.module_utils._footprint.table import TableRow
    from ansible_collections.intellistream.sage.plugins.module_utils._kind.interface import Layer
    from ansible_collections.intellistream.sage.plugins.module_utils._kind.undo import UndoOptions

STAGE, ASIDE = "stage", "aside"


class TopPath(t.NamedTuple):
    """A captured path that lies in no other, with all that was captured of it and below.

    :ivar footprints: of each change, oldest first; paths are relative to P(path).
    :ivar before: row of each path when it was first captured.
    :ivar captured: the rows of each table, and once more those of which the content is known by now.
    """

    path: str
    footprints: list[Footprint]
    before: dict[str, TableRow]
    captured: list[dict[str, TableRow]]

    def full(self, relative: str) -> str:
        """The absolute path of something in it."""
        return f"{self.path}/{relative}" if relative else self.path

    def known(self, relative: str) -> list[TableRow]:
        """Every row of something in it that was captured."""
        return [rows[relative] for rows in self.captured if relative in rows]


class WayBack:
    """The way back for paths, as one computed thing: what check mode shows is what a run carries out.

    :param layers: captures, oldest first.
    :param groups: path of a top, relative path → the groups that own it, see P(_footprint.decide.Groups).
    :param remove: removes a directory of the store, at once as seen by its name.
    :ivar tops: the outermost captured paths, those changed last first.
    :ivar touched: by top, what the changes touched.
    :ivar looks: by top, what is there now.
    :ivar seen: by top, what M(differences) found there.
    :ivar begun: by top, where a way back was at work that was killed.
    :ivar decisions: by top.
    :ivar kept: paths that stay although they were added since, as C(erase_after) asks for.
    """

    def __init__(
        self,
        layers: t.Sequence[Layer],
        text: UndoOptions,
        groups: t.Callable[[str, str], t.Iterable[str]],
        remove: t.Callable[[PrivateDir, str], None],
    ) -> None:
        self._layers = layers
        self._how = text
        self._groups = groups
        self._remove = remove
        self.kept: list[str] = []
        self.begun: dict[str, dict[str, TableRow]] = {}
        self.looks: dict[str, Table] = {}
        self.seen: dict[str, Table] = {}
        # The newest tables, so that a look need not ask all again.
        self._newest: dict[str, Table] = {}
        self.tops = self._gathered()
        self.touched = {top.path: decide.merge(top.footprints) for top in self.tops}
        self.decisions: dict[str, decide.Decision] = {}
        with point.farms_of(layers) as farms:
            for top in self.tops:
                self.decisions[top.path] = self._decide(top, farms)

    def _gathered(self) -> list[TopPath]:
        paths = [path for layer in self._layers for path in layer.manifest["tables"]]
        tops = {path: TopPath(path, [], {}, []) for path in paths if not any(_inside(path, other) for other in paths)}
        covered: dict[str, set[str]] = {}
        for layer in self._layers:
            tables = dict(point.tables(layer))
            for path, footprint in point.touched(layer):
                top = tops[next(name for name in tops if path == name or _inside(path, name))]
                prefix = path[len(top.path) + 1 :]
                if not prefix:
                    self._newest[top.path] = tables[path]
                earlier = covered.setdefault(top.path, set())
                captured = moved(tables[path], prefix).rows
                for name, row in captured.items() if "" not in earlier else ():
                    if not any(name == other or _inside(name, other) for other in earlier):
                        # What an earlier table does not have was not there.
                        top.before[name] = row
                earlier.add(prefix)
                top.captured.extend((captured, moved(footprint.before, prefix).rows))
                if not self._stays(layer, path, tables[path]):
                    top.footprints.append(self.claimed(layer, footprint.below(prefix)))
        return list(tops.values())[::-1]

    def claimed(self, layer: Layer, footprint: Footprint) -> Footprint:
        """What of a footprint is the change's. Where nobody looked when it had ended, a window of time is no cause."""
        return footprint

    def refined(
        self,
        top: TopPath,
        touched: dict[str, decide.Touched],
        current: Table,
        farms: Farms,
    ) -> dict[str, decide.Touched]:
        """What is to be decided about, for who knows which paths belong together."""
        return touched

    def _stays(self, layer: Layer, path: str, table: Table) -> bool:
        """Whether a path was not there, and what came by a date is to stay."""
        if table.rows or self._how.erase_after is None or layer.time > self._how.erase_after:
            return False
        self.kept += [path] if os.path.lexists(path) else []
        return True

    def _decide(self, top: TopPath, farms: Farms) -> decide.Decision:
        touched = self.touched[top.path]
        for name in [name for name, sides in touched.items() if sides.before is None]:
            top.before.pop(name, None)
        begun = self.begun[top.path] = self._find_begun(top)
        with point.anchor_of(top.path) as anchor:
            if anchor is None:
                # All of it is gone, and the directory that it was in.
                missing = [name for name in sorted(touched) if touched[name].before is not None]
                steps = [decide.PathStep(name, decide.RESTORE, touched[name], None) for name in missing]
                return decide.Decision(steps, [], [], [], [])
            current = anchor.look(self._newest.pop(top.path, None))
            for layer in self._layers:
                with contextlib.suppress(FileNotFoundError), self._stage(top, layer.where) as stage:
                    current = closed.as_closed(current, stage)
            self.looks[top.path] = current
            self.touched[top.path] = self.refined(top, touched, current, farms)
            return decide.decide(
                anchor,
                self.touched[top.path],
                current,
                farms,
                lambda path: self._groups(top.path, path),
                force=self._how.force,
                begun=begun,
                is_ours=lambda path, row: self._is_ours(anchor, top, path, row),
            )

    def _find_begun(self, top: TopPath) -> dict[str, TableRow]:
        """Where a way back was at work that was killed, through these captures or some of them."""
        begun: dict[str, TableRow] = {}
        for layer in self._layers:
            with contextlib.suppress(FileNotFoundError), self._stage(top, layer.where) as stage:
                begun.update(apply.begun(stage))
        return begun

    def _is_ours(self, anchor: Anchor, top: TopPath, path: str, row: TableRow | None) -> bool:
        """Whether a way back that was interrupted, on its way to whatever state, may have left this."""
        if not self._how.resumed:
            return False
        if row is None:
            return True
        recorded = top.known(path)
        if row.type == DIRECTORY:
            # The time of a directory tells of what was put into it.
            return any(each.type == DIRECTORY for each in recorded)
        if any((row.type, row.size, row.mtime) == (each.type, each.size, each.mtime) for each in recorded):
            return True
        hashes = {each.hash for each in recorded if each.type == row.type and each.size == row.size} - {""}
        return bool(hashes) and anchor.digest(path) in hashes

    @contextlib.contextmanager
    def _stage(self, top: TopPath, directory: PrivateDir, create: bool = False) -> t.Iterator[Tree]:
        """Where files of one of the paths are made ready.

        :param directory: the content of the newest capture that is gone back through.
        :raises FileNotFoundError: no way back was begun.
        """
        number = sorted(each.path for each in self.tops).index(top.path)
        with directory.child(STAGE, create) as stages, stages.child(str(number), create) as own, Tree.of(own) as stage:
            yield stage
        if create:
            for layer in self._layers:
                self._remove(layer.where, STAGE)

    def steps(self) -> t.Iterator[tuple[TopPath, decide.PathStep]]:
        """All that is to be done, in its order."""
        return ((top, step) for top in self.tops for step in self.decisions[top.path].steps)

    def conflicts(self) -> t.Iterator[tuple[TopPath, str]]:
        """Paths that somebody changed since."""
        return ((top, path) for top in self.tops for path in self.decisions[top.path].conflicts)

    def check(self) -> None:
        """Check all held content that will be used, and that it can be put back.

        :raises StoreError: some is gone, or not what was captured; nothing was changed.
        :raises RollbackError: it leads to directories of somebody else's; nothing was changed.
        """
        with point.farms_of(self._layers) as farms:
            for top in self.tops:
                steps = self.decisions[top.path].steps
                decide.check(steps, farms)
                with point.anchor_of(top.path) as anchor:
                    if anchor is not None and top.path in self.looks:
                        closed.check(anchor, steps, self.looks[top.path])

    def execute(self) -> None:
        """Carry it out; nothing is synced. Can be repeated after having been interrupted anywhere."""
        for layer in self._layers:
            point.stop_watching(layer)
        with point.farms_of(self._layers) as farms:
            for top in self.tops:
                if self.decisions[top.path].steps:
                    with self._stage(top, self._layers[-1].where, create=True) as stage:
                        self._execute(top, farms, stage)
                with point.anchor_of(top.path) as anchor:
                    if anchor is not None and self.touched[top.path]:
                        self._put_times_back(top, anchor)

    def _execute(self, top: TopPath, farms: Farms, stage: Tree) -> None:
        decision = self.decisions[top.path]
        if any(step.action == decide.RESTORE for step in decision.steps):
            os.makedirs(os.path.dirname(top.path), exist_ok=True)
        parent = Tree.open(os.path.dirname(top.path), follow=True)
        if parent is None:
            return
        before, current = Table(top.before), self.looks.get(top.path) or Table({})
        newest = self._layers[-1].where
        with parent, newest.child(ASIDE, create=True) as aside, Tree.of(aside) as tree:
            anchor = Anchor(parent, os.path.basename(top.path))
            with apply.Application(anchor, farms, before, current, stage, tree) as application:
                application.run(decision.steps, {*decision.conflicts, *decision.strays})
            empty = not aside.names()
        if empty:
            # Retention keeps for long what lies in it.
            self._remove(newest, ASIDE)

    def _put_times_back(self, top: TopPath, anchor: Anchor) -> None:
        decision = self.decisions[top.path]
        passed_over = {*decision.conflicts, *decision.living}
        verify.put_times_back(anchor, self.touched[top.path], Table(top.before), passed_over)

    def differences(self) -> list[str]:
        """What is not as it was before the changes, for people; conflicts that stay and what lives on left out."""
        texts: list[str] = []
        with point.farms_of(self._layers) as farms:
            for top in self.tops:
                touched = self.touched[top.path]
                with point.anchor_of(top.path) as anchor:
                    if anchor is None:
                        missing = [name for name, sides in touched.items() if sides.before is not None]
                        texts += [f"{top.full(name)} is gone" for name in missing]
                        continue
                    decision = self.decisions[top.path]
                    current = self.seen[top.path] = anchor.look(self.looks.get(top.path))
                    differing = verify.differences(anchor, touched, current, farms, decision.living)
                differing.update((name, "has lost what it was") for name in decision.lost if name in differing)
                texts += [f"{top.full(name)} {text}" for name, text in differing.items()]
        return texts


def _inside(path: str, directory: str) -> bool:
    return path.startswith(f"{directory}/")
