"""Taking named files, links and directories with all below into a store."""

from __future__ import annotations

import os
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import CaptureError
from ansible_collections.intellistream.sage.plugins.module_utils._content import item as content_item
from ansible_collections.intellistream.sage.plugins.module_utils._content import listing
from ansible_collections.intellistream.sage.plugins.module_utils._content.item import (
    ABSENT,
    DIRECTORY,
    FILE,
    LINK,
    Item,
)
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.tree import Tree
from ansible_collections.intellistream.sage.plugins.module_utils._storage import store as storage_store

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.private import PrivateDir
    from ansible_collections.intellistream.sage.plugins.module_utils._kind.interface import Facts, Layer
    from ansible_collections.intellistream.sage.plugins.plugin_utils._structures import ItemWriter


def need(paths: t.Sequence[str]) -> tuple[int, int]:
    """(files, bytes) that M(capture) would write."""
    files = size = 0
    for path in paths:
        tree = listing.parent(path)
        if tree is None:
            continue
        with tree:
            for relative in listing.below(tree, path):
                info = tree.lstat(relative)
                files += info is not None
                size += info.st_size if info is not None and content_item.kind_of(info) == FILE else 0
    return files, size


def capture(paths: t.Sequence[str], where: PrivateDir, items: ItemWriter) -> Facts:
    """Capture these paths; returns facts for the manifest.

    :raises CaptureError: one of them is something else.
    """
    files = size = 0
    copied: list[str] = []
    with Tree.of(where) as store:
        for number, path in enumerate(paths):
            items.section(path)
            tree = listing.parent(path)
            if tree is None:
                items.add("", Item(ABSENT))
                continue
            with tree:
                for relative in listing.below(tree, path):
                    below = relative.partition("/")[2]
                    at = f"{number}/{below}" if below else str(number)
                    item = _capture_one(tree, relative, store, at)
                    items.add(below, item)
                    files += item.kind != ABSENT
                    size += item.size
                    copied += [at] if item.kind == FILE else []
        storage_store.flush(store, copied)
    return {"files": files, "copies": len(copied), "bytes": size}


def _capture_one(tree: Tree, relative: str, store: Tree, at: str) -> Item:
    info = tree.lstat(relative)
    kind = content_item.kind_of(info)
    if info is None:
        return Item(ABSENT)
    if kind == FILE:
        info, digest, xattrs = content_item.copy(tree, relative, store, at)
        return content_item.item_of(FILE, info, digest)._replace(xattrs=xattrs)
    if kind == LINK:
        fd, name = tree.parent(relative)
        return content_item.item_of(LINK, info, os.readlink(name, dir_fd=fd))
    if kind == DIRECTORY:
        store.enter(at, make=True)
        attributes = content_item.xattrs_of(tree.enter(relative))
        return content_item.item_of(DIRECTORY, info, "")._replace(xattrs=attributes)
    raise CaptureError(
        f"{tree.name(relative)} is a device, pipe or socket and cannot be captured.",
        untouched="everything.",
        advice="Leave it out of the paths to capture, or remove it.",
        path=tree.name(relative),
    )


def requirements(layer: Layer) -> bytes | None:
    """What P(_kind.interface.PlainCopy) names: the captured requirements.txt, if there is one."""
    return _named(layer, "requirements.txt")


def project(layer: Layer) -> bytes | None:
    """What P(_kind.interface.PlainCopy) names: the captured pyproject.toml, if there is one."""
    return _named(layer, "pyproject.toml")


def _named(layer: Layer, name: str) -> bytes | None:
    if layer.items is None:
        return None
    for section in layer.items.sections:
        item = next((item for path, item in layer.items.read(section) if not path), None)
        if os.path.basename(section.name) == name and item is not None and item.kind == FILE:
            with Tree(layer.where.path, os.dup(layer.where.fd)) as store:
                return store.read(str(section.number))
    return None
