# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Named files, links and directories: content, mode, owner, times, attributes; absent ones too.

People edit these in place, so they are always copied.
"""

from __future__ import annotations

import os
import shutil
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils import _captured, _store
from ansible_collections.intellistream.sage.plugins.module_utils._captured import ABSENT, DIRECTORY, FILE, LINK, Item
from ansible_collections.intellistream.sage.plugins.module_utils._errors import CaptureError, InputError, UnsafePath
from ansible_collections.intellistream.sage.plugins.module_utils._resource import Facts, Layer, Resource, Undo
from ansible_collections.intellistream.sage.plugins.module_utils._tree import Tree

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._fs import PrivateDir

ASIDE = ".sage-aside"


class FilesResource(Resource):
    """Paths of any kind, directories with all below.

    :param paths: absolute, without C(..).
    """

    kind = "files"

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
        return {"paths": {path: _brief(path) for path in self.paths}}

    def differences(self, recorded: Facts) -> list[str]:
        known = recorded.get("paths") or {}
        return [f"{path} was changed" for path in self.paths if path in known and _brief(path) != known[path]]

    def need(self, device: int | None = None) -> tuple[int, int]:
        files = size = 0
        for path in self.paths:
            tree = _parent(path)
            if tree is None:
                continue
            with tree:
                for relative in _below(tree, path):
                    info = tree.lstat(relative)
                    files += 1
                    size += info.st_size if info is not None and _captured.kind_of(info) == FILE else 0
        return files, size

    def capture(self, where: PrivateDir) -> Facts:
        entries: dict[str, dict[str, Item]] = {}
        size = 0
        copied: list[str] = []
        with Tree(where.path, os.dup(where.fd), 0o700) as store:
            for number, path in enumerate(self.paths):
                found = entries[path] = {}
                tree = _parent(path)
                if tree is None:
                    found[""] = Item(ABSENT)
                    continue
                with tree:
                    for relative in _below(tree, path):
                        below = relative.partition("/")[2]
                        at = f"{number}/{below}" if below else str(number)
                        found[below] = item = _capture_one(tree, relative, store, at)
                        size += item.size
                        copied += [at] if item.kind == FILE else []
            _store.settle(store, copied)
        return {
            "kind": self.kind,
            "paths": {path: {name: list(item) for name, item in found.items()} for path, found in entries.items()},
            "files": sum(len(found) for found in entries.values()),
            "copies": len(copied),
            "bytes": size,
        }

    def undo(self, layers: t.Sequence[Layer], *, force: bool = False, resumed: bool = False, ours: Facts) -> Undo:
        return FilesUndo(layers)


class _Wanted(t.NamedTuple):
    path: str
    items: dict[str, Item]
    where: PrivateDir
    at: str


class FilesUndo(Undo):
    """The way back for paths: the oldest capture of each one wins.

    :param layers: oldest first.
    """

    def __init__(self, layers: t.Sequence[Layer]) -> None:
        super().__init__()
        chosen: list[_Wanted] = []
        for layer in layers:
            for number, (path, items) in enumerate(layer.manifest["paths"].items()):
                # Inside something an older capture holds: that one decides.
                if any(path == old.path or path.startswith(f"{old.path}/") for old in chosen):
                    continue
                parsed = {name: Item(*values) for name, values in items.items()}
                chosen.append(_Wanted(path, parsed, layer.where, str(number)))
        # Newest first: what an older capture holds inside a newer one's directory comes after it.
        self._wanted = chosen[::-1]
        for wanted in self._wanted:
            for full, why in self._differences(wanted, trust=True):
                name = full[len(wanted.path) + 1 :]
                item = wanted.items.get(name)
                self.plan["remove" if item is None or item.kind == ABSENT else "restore"].append(f"{full} ({why})")

    def _decided_later(self, wanted: _Wanted, full: str) -> bool:
        following = self._wanted[self._wanted.index(wanted) + 1 :]
        return any(full == other.path or full.startswith(f"{other.path}/") for other in following)

    def _differences(self, wanted: _Wanted, trust: bool) -> list[tuple[str, str]]:
        found: list[tuple[str, str]] = []
        base = os.path.basename(wanted.path)
        tree = _parent(wanted.path)
        if tree is None:
            missing = [name for name, item in wanted.items.items() if item.kind != ABSENT]
            return [(_join(wanted.path, name), "is absent") for name in missing]
        with tree, Tree(wanted.where.path, os.dup(wanted.where.fd)) as store:
            for name, item in wanted.items.items():
                full = _join(wanted.path, name)
                if self._decided_later(wanted, full):
                    continue
                try:
                    trusted = store if trust else None
                    why = _captured.difference(tree, _join(base, name), item, trusted, _join(wanted.at, name))
                except UnsafePath:
                    # A link took the place of a directory; the undo removes the link.
                    why = "is behind a link"
                if why:
                    found.append((full, why))
            for relative in _below(tree, wanted.path):
                name = relative.partition("/")[2]
                full = _join(wanted.path, name)
                if name and name not in wanted.items and not self._decided_later(wanted, full):
                    found.append((full, "is new"))
        return found

    def check(self) -> None:
        for wanted in self._wanted:
            with Tree(wanted.where.path, os.dup(wanted.where.fd)) as store:
                for name, item in wanted.items.items():
                    if item.kind == FILE:
                        _captured.sound(store, _join(wanted.at, name), item)

    def execute(self) -> None:
        for wanted in self._wanted:
            self._execute(wanted)

    def _execute(self, wanted: _Wanted) -> None:
        base = os.path.basename(wanted.path)
        absent = wanted.items[""].kind == ABSENT
        if not absent:
            os.makedirs(os.path.dirname(wanted.path), exist_ok=True)
        tree = _parent(wanted.path)
        if tree is None:
            return
        with tree, Tree(wanted.where.path, os.dup(wanted.where.fd)) as store:
            _clear(tree, f"{ASIDE}-{base}")
            for relative in list(_below(tree, wanted.path)):
                name = relative.partition("/")[2]
                item = wanted.items.get(name)
                there = _captured.kind_of(tree.lstat(relative))
                if self._decided_later(wanted, _join(wanted.path, name)) or there == ABSENT:
                    continue
                if item is None or item.kind == ABSENT or (item.kind != there and DIRECTORY in (item.kind, there)):
                    # Out of sight in one step, then deleted: never half of a tree under its name.
                    tree.forget()
                    aside = f"{ASIDE}-{base}"
                    fd, old = tree.parent(relative)
                    os.rename(old, aside, src_dir_fd=fd, dst_dir_fd=tree.fd)
                    _clear(tree, aside)
            tree.forget()
            ordered = sorted(wanted.items)
            for name in ordered:
                item, relative = wanted.items[name], _join(base, name)
                if item.kind != ABSENT and not self._decided_later(wanted, _join(wanted.path, name)):
                    if _captured.difference(tree, relative, item, store, _join(wanted.at, name)):
                        # Writable until it is filled.
                        writable = item._replace(mode=item.mode | 0o700) if item.kind == DIRECTORY else item
                        _captured.put_back(store, _join(wanted.at, name), tree, relative, writable)
            for name in ordered[::-1]:
                # A directory's time and mode last: filling it changes the one and may need the other.
                if wanted.items[name].kind == DIRECTORY:
                    _captured.put_back(store, "", tree, _join(base, name), wanted.items[name])
            tree.settle()

    def verify(self) -> list[str]:
        return [f"{path} {why}" for wanted in self._wanted for path, why in self._differences(wanted, trust=False)]


def _join(base: str, name: str) -> str:
    return f"{base}/{name}" if name else base


def _brief(path: str) -> list[t.Any]:
    try:
        info = os.lstat(path)
    except OSError:
        return [ABSENT]
    if _captured.kind_of(info) == LINK:
        return [LINK, os.readlink(path)]
    if _captured.kind_of(info) == DIRECTORY:
        return [DIRECTORY, sorted(os.listdir(path))]
    return [_captured.kind_of(info), info.st_size, info.st_mtime_ns]


def _parent(path: str) -> Tree | None:
    return Tree.open(os.path.dirname(path), follow=True)


def _below(tree: Tree, path: str) -> t.Iterator[str]:
    base = os.path.basename(path)
    yield base
    info = tree.lstat(base)
    if info is not None and _captured.kind_of(info) == DIRECTORY:
        for relative, dummy in tree.walk(base):
            yield relative


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
        return _captured.item_of(DIRECTORY, info, "")
    raise CaptureError(
        f"{tree.name(relative)} is a device, pipe or socket and cannot be captured.",
        untouched="everything.",
        advice="Leave it out of the paths to capture, or remove it.",
        path=tree.name(relative),
    )


def _clear(tree: Tree, name: str) -> None:
    tree.forget()
    info = tree.lstat(name)
    if info is None:
        return
    if _captured.kind_of(info) == DIRECTORY:
        # Through the descriptor: rmtree follows no link below, and this none above.
        shutil.rmtree(f"/proc/self/fd/{tree.fd}/{name}")
    else:
        tree.unlink(name)
