# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Named files, links and directories: content, mode, owner, times, attributes; absent ones too.

People edit these in place, so they are always copied.
"""

from __future__ import annotations

import os
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils import _captured, _late, _paths, _store
from ansible_collections.intellistream.sage.plugins.module_utils._captured import ABSENT, DIRECTORY, FILE, LINK, Item
from ansible_collections.intellistream.sage.plugins.module_utils._errors import CaptureError, InputError
from ansible_collections.intellistream.sage.plugins.module_utils._resource import Facts, How, Layer, Resource, Undo
from ansible_collections.intellistream.sage.plugins.module_utils._tree import Tree

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._fs import PrivateDir
    from ansible_collections.intellistream.sage.plugins.module_utils._manifest import Writer

# From here on, what a change left is not listed in the ledger.
_SETTLED = 1000


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
        return {"paths": {path: _paths.briefs(path) for path in self.paths}}

    def differences(self, recorded: Facts) -> list[str]:
        found = []
        for path, known in (recorded.get("paths") or {}).items():
            now = _paths.briefs(path) if path in self.paths else known
            found += [
                f"{_paths.join(path, name)} was changed"
                for name in {**known, **now}
                if now.get(name) != known.get(name)
            ]
        return found

    def need(self, device: int | None = None) -> tuple[int, int]:
        files = size = 0
        for path in self.paths:
            tree = _paths.parent(path)
            if tree is None:
                continue
            with tree:
                for relative in _paths.below(tree, path):
                    info = tree.lstat(relative)
                    files += info is not None
                    size += info.st_size if info is not None and _captured.kind_of(info) == FILE else 0
        return files, size

    def capture(self, where: PrivateDir, items: Writer) -> Facts:
        files = size = 0
        copied: list[str] = []
        with Tree(where.path, os.dup(where.fd), 0o700) as store:
            for number, path in enumerate(self.paths):
                items.section(path)
                tree = _paths.parent(path)
                if tree is None:
                    items.add("", Item(ABSENT))
                    continue
                with tree:
                    for relative in _paths.below(tree, path):
                        below = relative.partition("/")[2]
                        at = f"{number}/{below}" if below else str(number)
                        item = _capture_one(tree, relative, store, at)
                        items.add(below, item)
                        files += item.kind != ABSENT
                        size += item.size
                        copied += [at] if item.kind == FILE else []
            _store.settle(store, copied)
        return {"files": files, "copies": len(copied), "bytes": size}

    def left(self, manifest: Facts) -> Facts | None:
        return self.observe() if manifest["files"] <= _SETTLED else None

    def undo(self, layers: t.Sequence[Layer], how: How) -> Undo:
        undo: Undo = _late.undos().files(layers, how)
        return undo


def _capture_one(tree: Tree, relative: str, store: Tree, at: str) -> Item:
    info = tree.lstat(relative)
    kind = _captured.kind_of(info)
    if info is None:
        return Item(ABSENT)
    if kind == FILE:
        info, digest, xattrs = _captured.copy(tree, relative, store, at)
        return _captured.item_of(FILE, info, digest)._replace(xattrs=xattrs)
    if kind == LINK:
        fd, name = tree.parent(relative)
        return _captured.item_of(LINK, info, os.readlink(name, dir_fd=fd))
    if kind == DIRECTORY:
        store.enter(at, make=True)
        attributes = _captured.xattrs_of(tree.enter(relative))
        return _captured.item_of(DIRECTORY, info, "")._replace(xattrs=attributes)
    raise CaptureError(
        f"{tree.name(relative)} is a device, pipe or socket and cannot be captured.",
        untouched="everything.",
        advice="Leave it out of the paths to capture, or remove it.",
        path=tree.name(relative),
    )
