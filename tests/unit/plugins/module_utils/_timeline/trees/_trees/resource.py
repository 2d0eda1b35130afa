# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A tree: captured by links, settled and undone by the engine."""

from __future__ import annotations

import os
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.by_name import ByName
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.tree import Tree
from ansible_collections.intellistream.sage.plugins.module_utils._footprint import hold, mend, point
from ansible_collections.intellistream.sage.plugins.module_utils._footprint.farm import Farm
from ansible_collections.intellistream.sage.plugins.module_utils._kind.interface import Facts, Layer, Resource

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.private import PrivateDir
    from ansible_collections.intellistream.sage.plugins.plugin_utils._structures import ItemWriter
    from ansible_collections.intellistream.sage.plugins.plugin_utils._undo import Undo, UndoOptions

_UNDO: ByName[t.Callable[[t.Sequence[Layer], UndoOptions], Undo]] = ByName("_trees.undo:TreeUndo")


class TreeResource(Resource):
    """A tree; files whose names end with C(.conf) are copied."""

    kind = "tree"
    settles = True

    def __init__(self, path: str) -> None:
        self.path = path

    def plan(self) -> list[str]:
        return [self.path]

    def observe(self) -> Facts:
        return {}

    def differences(self, recorded: Facts) -> list[str]:
        return []

    def need(self, device: int | None = None) -> tuple[int, int]:
        return 0, 0

    def capture(self, where: PrivateDir, items: ItemWriter, farm: PrivateDir | None = None) -> Facts:
        assert farm is not None
        with point.anchor_of(self.path) as place, Tree.of(farm) as tree:
            assert place is not None
            held = Farm(tree)
            policy = hold.HoldPolicy(
                links=tree.device == os.stat(self.path).st_dev, is_edited=lambda path, *_row: path.endswith(".conf")
            )
            earlier = point.newest(farm, self.path)
            seen, work = hold.plan(place.look(earlier), held, policy, earlier)
            table = hold.hold(place, seen, work, held, policy)
            tree.flush()
            digest = point.write_table(where, 0, table)
            point.note_newest(farm, self.path, where, 0)
        return {
            "files": len(table.rows),
            "bytes": 0,
            "links": len(work.links),
            "copies": len(work.copies),
            "tables": {self.path: digest},
            "farm": True,
        }

    def after(self, layer: Layer) -> Facts:
        return point.settled(layer)

    def lost(self, layer: Layer, thorough: bool) -> list[str]:
        return list(point.lost(layer, thorough))

    def mend(self, layer: Layer, sources: t.Callable[[], t.Iterator[PrivateDir]], apply: bool) -> bool:
        return mend.mend(layer, sources, apply)

    def undo(self, layers: t.Sequence[Layer], options: UndoOptions) -> Undo:
        return _UNDO.load()(layers, options)
