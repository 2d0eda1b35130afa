# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A kind of resource in miniature: a link that names the release in use."""

from __future__ import annotations

import os
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.by_name import ByName
from ansible_collections.intellistream.sage.plugins.module_utils._kind.interface import Facts, Layer, Resource

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.private import PrivateDir
    from ansible_collections.intellistream.sage.plugins.plugin_utils._structures import ItemWriter
    from ansible_collections.intellistream.sage.plugins.plugin_utils._undo import Undo, UndoOptions

_UNDO: ByName[t.Callable[[str, t.Sequence[Layer]], Undo]] = ByName("_toy.undo:ToyUndo")


class ToyResource(Resource):
    """The link."""

    kind = "toy"
    settles = True

    def __init__(self, path: str) -> None:
        self.path = path

    def plan(self) -> list[str]:
        return [self.path]

    def observe(self) -> Facts:
        return {"release": os.readlink(self.path) if os.path.islink(self.path) else ""}

    def differences(self, recorded: Facts) -> list[str]:
        release = self.observe()["release"]
        return [f"it was {recorded['release']}, is {release}"] if release != recorded["release"] else []

    def need(self, device: int | None = None) -> tuple[int, int]:
        return 0, 0

    def capture(self, where: PrivateDir, items: ItemWriter, farm: PrivateDir | None = None) -> Facts:
        return {**self.observe(), "files": 0, "bytes": 0}

    def after(self, layer: Layer) -> Facts:
        return self.observe()

    def undo(self, layers: t.Sequence[Layer], options: UndoOptions) -> Undo:
        return _UNDO.load()(self.path, layers)
