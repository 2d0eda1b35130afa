"""Named files, links and directories: content, mode, owner, times, attributes; absent ones too.

People edit these in place, so they are always copied.
"""

from __future__ import annotations

import os
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.by_name import ByName
from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import InputError
from ansible_collections.intellistream.sage.plugins.module_utils._content import listing
from ansible_collections.intellistream.sage.plugins.module_utils._kind.interface import Facts, Layer, Resource

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.private import PrivateDir
    from ansible_collections.intellistream.sage.plugins.plugin_utils._structures import ItemWriter
    from ansible_collections.intellistream.sage.plugins.plugin_utils._undo import Undo, UndoOptions

Sources = t.Callable[[], "t.Iterator[PrivateDir]"]
_NEED: ByName[t.Callable[[t.Sequence[str]], tuple[int, int]]] = ByName("_files.capture:need")
_CAPTURE: ByName[t.Callable[[t.Sequence[str], PrivateDir], Facts]] = ByName("_files.capture:capture")
_SETTLED: ByName[t.Callable[[Layer], Facts]] = ByName("_footprint.point:settled")
_UNCHANGED: ByName[t.Callable[[Layer], bool]] = ByName("_footprint.point:unchanged")
_MEND: ByName[t.Callable[[Layer, Sources, bool], bool]] = ByName("_footprint.mend:mend")
_LOST: ByName[t.Callable[[Layer, bool], t.Iterator[str]]] = ByName("_footprint.point:lost")
_UNDO: ByName[t.Callable[[t.Sequence[Layer], UndoOptions], Undo]] = ByName("_files.undo:FilesUndo")


class FilesResource(Resource):
    """Paths of any kind, directories with all below.

    :param paths: absolute, without C(..).
    """

    kind = "files"
    settles = True

    def __init__(self, paths: list[str]) -> None:
        if not paths:
            raise InputError("A resource of kind files needs paths.", untouched="everything.")
        self.paths = sorted({os.path.normpath(path) for path in paths})
        if "/" in self.paths:
            raise InputError("The whole file system cannot be captured.", untouched="everything.")
        self.path = self.paths[0] if len(self.paths) == 1 else f"{self.paths[0]} and {len(self.paths) - 1} more"

    def plan(self) -> list[str]:
        return list(self.paths)

    def observe(self) -> Facts:
        return {"paths": {path: listing.briefs(path) for path in self.paths}}

    def differences(self, recorded: Facts) -> list[str]:
        texts = []
        for path, briefs in (recorded.get("paths") or {}).items():
            current = listing.briefs(path) if path in self.paths else briefs
            texts += [
                f"{listing.join(path, name)} was changed"
                for name in {**briefs, **current}
                if current.get(name) != briefs.get(name)
            ]
        return texts

    def need(self, device: int | None = None) -> tuple[int, int]:
        return _NEED.load()(self.paths)

    def capture(self, where: PrivateDir, items: ItemWriter, farm: PrivateDir | None = None) -> Facts:
        return _CAPTURE.load()(self.paths, where)

    def after(self, layer: Layer) -> Facts | None:
        return _SETTLED.load()(layer)

    def unchanged(self, layer: Layer) -> bool:
        return _UNCHANGED.load()(layer)

    def lost(self, layer: Layer, thorough: bool) -> list[str]:
        return list(_LOST.load()(layer, thorough))

    def mend(self, layer: Layer, sources: Sources, apply: bool) -> bool:
        return _MEND.load()(layer, sources, apply)

    def undo(self, layers: t.Sequence[Layer], options: UndoOptions) -> Undo:
        return _UNDO.load()(layers, options)
