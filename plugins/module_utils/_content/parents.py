"""Single paths of the system: how they differ from a captured item, and taken away."""

from __future__ import annotations

import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import UnsafePath
from ansible_collections.intellistream.sage.plugins.module_utils._content import item as content_item
from ansible_collections.intellistream.sage.plugins.module_utils._content.item import ABSENT, Item

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.absolute import ParentDirectories


def difference(parents: ParentDirectories, path: str, item: Item) -> str:
    """How a path differs from an item; empty when it does not."""
    try:
        tree, name = parents.at(path)
        if tree is None:
            return "is absent" if item.kind != ABSENT else ""
        return content_item.difference(tree, name, item)
    except UnsafePath:
        return "is behind a link of somebody else"


def remove(parents: ParentDirectories, path: str) -> None:
    """Take away what was not there; a directory only when it is empty."""
    tree, name = parents.at(path)
    if tree is None:
        return
    try:
        tree.unlink(name)
    except (IsADirectoryError, PermissionError):
        tree.rmdir(name)
