"""The way back for named paths: what changes touched goes back to what it was before the first of them."""

from __future__ import annotations

import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._footprint import decide, verify
from ansible_collections.intellistream.sage.plugins.module_utils._footprint.way_back import WayBack
from ansible_collections.intellistream.sage.plugins.module_utils._kind.undo import Undo, UndoOptions
from ansible_collections.intellistream.sage.plugins.module_utils._storage.archive import remove

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._kind.interface import Facts, Layer


class FilesUndo(Undo):
    """The way back for paths, each decided by itself: nothing tells which belong together.

    :param layers: oldest first.
    """

    def __init__(self, layers: t.Sequence[Layer], options: UndoOptions) -> None:
        super().__init__()
        self._way = WayBack(layers, options, lambda _top, path: [path], remove)
        self.kept += self._way.kept
        self.conflicts += [f"{top.full(path)} was changed by somebody" for top, path in self._way.conflicts()]
        for top, step in self._way.steps():
            action = "remove" if step.action == decide.REMOVE else "restore"
            text = "is new" if action == "remove" else verify.how(step.now, step.touched.before)
            self.plan[action].append(f"{top.full(step.path)} ({text})")

    def redo(self) -> Facts | None:
        return {"kind": "files", "paths": [top.path for top in self._way.tops]} if self.touches() else None

    def check(self) -> None:
        self._way.check()

    def execute(self) -> None:
        self._way.execute()

    def verify(self) -> list[str]:
        differences = self._way.differences()
        self.seen = self._way.seen
        return differences
