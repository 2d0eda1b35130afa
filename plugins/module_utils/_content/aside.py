"""What an undo keeps aside: somebody else's content that has to make room, and what is taken out of sight."""

from __future__ import annotations

import os
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._content import item as content_item
from ansible_collections.intellistream.sage.plugins.module_utils._content import listing
from ansible_collections.intellistream.sage.plugins.module_utils._content.item import (
    FILE,
    LINK,
)
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.tree import Tree

if t.TYPE_CHECKING:
    import contextlib

    from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.private import PrivateDir

ASIDE = ".sage-aside"


def keep_aside(path: str, where: PrivateDir) -> None:
    """Keep a copy of what somebody changed and a forced undo overwrites: there it stays until it is replaced."""
    tree = listing.parent(path)
    if tree is None:
        return
    with tree, where.child("aside", create=True) as kept, Tree.of(kept) as to:
        relative = os.path.basename(path)
        kind = content_item.kind_of(tree.lstat(relative))
        if kind not in (FILE, LINK):
            return
        free = to.free_name(path.lstrip("/"))
        if kind == FILE:
            content_item.copy(tree, relative, to, free)
        else:
            to.enter(os.path.dirname(free), make=True)
            fd, name = to.parent(free)
            os.symlink(os.readlink(relative, dir_fd=tree.fd), name, dir_fd=fd)
        to.flush()


def aside_for_whole(where: PrivateDir, stack: contextlib.ExitStack) -> PrivateDir:
    """A new directory for a whole one that is taken away, for M(whole.take_away).

    :param where: the content directory of the rollback point being undone.
    :param stack: closes it.
    """
    kept = stack.enter_context(where.child("aside", create=True))
    # Also beside the old place nothing else has this name.
    point = os.path.basename(os.path.dirname(where.path))
    return stack.enter_context(kept.child(f"{point}-{len(os.listdir(kept.fd))}", create=True))
