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
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.tree import Tree, open_directory

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


class Aside:
    """Keeps what has to make room, in the store or beside the environment: moved, where M(keep_aside) copies, since
    whole directories go and nothing is going to replace them.

    :param where: the content directory of the rollback point being undone.
    """

    def __init__(self, venv: Tree, where: PrivateDir) -> None:
        self.venv = venv
        if os.fstat(where.fd).st_dev == venv.device:
            with where.child("aside", create=True) as kept:
                self.kept = Tree.of(kept)
            return
        # A rename cannot cross file systems: keep them next to the environment.
        directory, name = os.path.split(venv.path)
        with Tree(directory, open_directory(directory)) as above:
            above.mode = 0o700
            self.kept = Tree(
                f"{directory}/.{name}.sage-aside", os.dup(above.enter(f".{name}.sage-aside", make=True)), 0o700
            )

    def __enter__(self) -> Aside:
        return self

    def __exit__(self, *exc: object) -> None:
        self.kept.flush()
        self.kept.close()

    def take(self, relative: str) -> None:
        """Move one file or directory aside under its own path, never over another."""
        if self.venv.lstat(relative) is None:
            return
        self.venv.forget()
        old_fd, old = self.venv.parent(relative)
        new_fd, new = self.kept.parent(self.kept.free_name(relative), make=True)
        os.rename(old, new, src_dir_fd=old_fd, dst_dir_fd=new_fd)
        self.venv.forget()
