"""Named paths and all below them, looked at without following links."""

from __future__ import annotations

import os
import stat
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._content import item as content_item
from ansible_collections.intellistream.sage.plugins.module_utils._content.item import ABSENT, DIRECTORY, LINK, Item
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.tree import Tree


def parent(path: str) -> Tree | None:
    return Tree.open(os.path.dirname(path), follow=True)


def below(tree: Tree, path: str) -> t.Iterator[str]:
    base = os.path.basename(path)
    yield base
    info = tree.lstat(base)
    if info is not None and content_item.kind_of(info) == DIRECTORY:
        for relative, dummy in tree.walk(base):
            yield relative


def join(base: str, name: str) -> str:
    return f"{base}/{name}" if name else base


def briefs(path: str) -> dict[str, list[t.Any]]:
    """What is at a path and below, cheaply: relative name → what lstat tells."""
    tree = parent(path)
    if tree is None:
        return {"": [ABSENT]}
    with tree:
        return {relative.partition("/")[2]: _brief(os.path.join(tree.path, relative)) for relative in below(tree, path)}


def _brief(path: str, fd: int | None = None) -> list[t.Any]:
    try:
        info = os.lstat(path, dir_fd=fd)
        if content_item.kind_of(info) == LINK:
            return [LINK, os.readlink(path, dir_fd=fd)]
    except OSError:
        return [ABSENT]
    if content_item.kind_of(info) == DIRECTORY:
        return [DIRECTORY, stat.S_IMODE(info.st_mode), info.st_uid, info.st_gid]
    kind = content_item.kind_of(info)
    return [kind, info.st_size, info.st_mtime_ns, stat.S_IMODE(info.st_mode), info.st_uid, info.st_gid]


def brief_in(fd: int, name: str) -> list[t.Any]:
    """What M(briefs) would tell of a name in an open directory."""
    return _brief(name, fd)


def brief_of(item: Item | None) -> list[t.Any]:
    """What M(briefs) would tell of a captured item."""
    if item is None or item.kind == ABSENT:
        return [ABSENT]
    if item.kind == LINK:
        return [LINK, item.value]
    owner = [item.mode, item.uid, item.gid]
    return [DIRECTORY, *owner] if item.kind == DIRECTORY else [item.kind, item.size, item.mtime, *owner]
