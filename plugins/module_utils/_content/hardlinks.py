"""Captured files that are hard links, as nearly all files of an environment are: many at once, nothing done twice."""

from __future__ import annotations

import os
import stat
import struct
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import UnsafePath
from ansible_collections.intellistream.sage.plugins.module_utils._content.manifest import parse

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._content.item import Item
    from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.tree import Tree

Looks = tuple[int, ...]
UNSEEN: Looks = (0, 0, 0, 0, 0, 0)
LOOKS = struct.Struct("=2Qq3Q")


class Known(t.NamedTuple):
    """A captured file that does not have to be parsed if all is well.

    :ivar path: relative to the environment.
    :ivar line: what the manifest says of it.
    :ivar seen: the M(looks) of its content in the store, where that is a hard link that looks as it was captured;
        else M(UNSEEN).
    """

    path: str
    line: bytes
    seen: Looks

    @property
    def item(self) -> Item:
        """What the line says."""
        return parse(self.line)[1]


def looks(info: os.stat_result) -> Looks:
    """Inode, size, mtime in nanoseconds, mode, owner and group."""
    return info.st_ino, info.st_size, info.st_mtime_ns, stat.S_IMODE(info.st_mode), info.st_uid, info.st_gid


def put_links(store: Tree, target: Tree, known: t.Iterable[Known]) -> t.Iterator[Known]:
    """Put hard links back under the names they have in the store, and yield what is not one, or not that easy."""
    last, here, there = "", -1, -1
    for one in known:
        directory, dummy, name = one.path.rpartition("/")
        if one.seen == UNSEEN:
            here = -1
            yield one
            continue
        try:
            if directory != last or here < 0:
                here, last = target.enter(directory, make=True), directory
                there = store.enter(directory)
            try:
                # Ten times cheaper than a rename over it; an undo that is interrupted here finds the file missing.
                os.unlink(name, dir_fd=here)
            except FileNotFoundError:
                pass
            os.link(name, name, src_dir_fd=there, dst_dir_fd=here, follow_symlinks=False)
        except (FileNotFoundError, IsADirectoryError, FileExistsError):
            # Whatever it is, it is not the common case.
            here = -1
            yield one


def not_linked(target: Tree, store: Tree, known: t.Iterable[Known]) -> t.Iterator[Known]:
    """Those that are not the very inodes in the store, looking as they did: the others do not differ."""
    last, here = "", -1
    for one in known:
        directory, dummy, name = one.path.rpartition("/")
        same = False
        if one.seen != UNSEEN:
            try:
                if directory != last or here < 0:
                    here, last = target.enter(directory), directory
                live = os.lstat(name, dir_fd=here)
                same = looks(live) == one.seen and live.st_dev == store.device
            except (OSError, UnsafePath):
                same = False
        if not same:
            # Whoever asked may look elsewhere in the meantime.
            here = -1
            yield one
