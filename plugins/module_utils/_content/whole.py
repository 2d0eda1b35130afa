"""Whole directories that an undo takes away, and that its redo brings back.

A directory leaves its name in one step, so nobody ever sees half of it. From there it goes into
the store when it has to come back, stays beside its old place when somebody wants to look at
it, or is deleted.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._content.item import DIRECTORY, kind_of
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.tree import Tree

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.private import PrivateDir

_WHOLE = "whole"
_FICLONE = 0x40049409
_CHUNK = 1 << 20


def aside(path: str) -> str:
    """Where a directory is while it is taken away."""
    return os.path.join(os.path.dirname(path), f".{os.path.basename(path)}.sage-removed")


def _stays(path: str, where: PrivateDir) -> str:
    """Where a directory is kept that cannot be moved into the store on another file system."""
    number = os.path.basename(where.path)
    point = os.path.basename(os.path.dirname(where.path))
    return os.path.join(os.path.dirname(path), f".{os.path.basename(path)}.sage-{point}.{number}")


def remains(path: str) -> list[str]:
    """What is still to be taken away."""
    return [name for name in (path, aside(path)) if os.path.lexists(name)]


def take_away(path: str, keep: PrivateDir | None = None, broken: str = "") -> None:
    """Take a directory away; can be repeated after having been interrupted anywhere.

    :param keep: keep it there, for M(bring_back).
    :param broken: keep it under this name beside its old place.
    """
    above = Tree.open(os.path.dirname(path))
    if above is None:
        return
    with above:
        name, hidden = os.path.basename(path), os.path.basename(aside(path))
        # What an interrupted attempt left goes first; if nothing has its name now, it is the thing itself.
        for dummy in (1, 2):
            if above.lstat(hidden) is not None:
                _store_away(above, hidden, path, keep, broken)
            if above.lstat(name) is not None:
                os.rename(name, hidden, src_dir_fd=above.fd, dst_dir_fd=above.fd)
                os.fsync(above.fd)
        os.fsync(above.fd)


def _store_away(above: Tree, hidden: str, path: str, keep: PrivateDir | None, broken: str) -> None:
    if broken:
        os.rename(hidden, above.free_name(os.path.basename(broken), 2), src_dir_fd=above.fd, dst_dir_fd=above.fd)
    elif keep is not None and kept(path, keep) is None:
        if os.fstat(keep.fd).st_dev == above.device:
            os.rename(hidden, _WHOLE, src_dir_fd=above.fd, dst_dir_fd=keep.fd)
            keep.sync()
        else:
            os.rename(hidden, os.path.basename(_stays(path, keep)), src_dir_fd=above.fd, dst_dir_fd=above.fd)
    elif kind_of(above.lstat(hidden)) == DIRECTORY:
        # Through the open directory; rmtree itself follows no link.
        shutil.rmtree(f"/proc/self/fd/{above.fd}/{hidden}")
    else:
        above.unlink(hidden)


def keep_copy(path: str, broken: str) -> None:
    """Keep a directory as it is now beside it, as a copy that shares nothing with it: people may edit what is in it."""
    above = Tree.open(os.path.dirname(path))
    if above is None:
        return
    with above:
        hidden = os.path.basename(aside(broken))
        if above.lstat(hidden) is not None:
            shutil.rmtree(f"/proc/self/fd/{above.fd}/{hidden}")
        shutil.copytree(path, f"{above.path}/{hidden}", symlinks=True, copy_function=_copy)
        os.rename(hidden, above.free_name(os.path.basename(broken), 2), src_dir_fd=above.fd, dst_dir_fd=above.fd)
        os.fsync(above.fd)


def _copy(source: str, target: str) -> None:
    """Copy a file or link with all its metadata; where the file system can, without writing its blocks again."""
    info = os.lstat(source)
    if stat.S_ISREG(info.st_mode):
        with open(source, "rb") as reading, open(target, "xb") as writing:
            try:
                fcntl.ioctl(writing, _FICLONE, reading.fileno())
            except OSError:
                shutil.copyfileobj(reading, writing, _CHUNK)
        shutil.copystat(source, target)
    else:
        shutil.copy2(source, target, follow_symlinks=False)
    if os.geteuid() == 0:
        os.chown(target, info.st_uid, info.st_gid, follow_symlinks=False)


def kept(path: str, where: PrivateDir) -> str | None:
    """Where a directory lies that was kept in C(where), or None."""
    for name in (os.path.join(where.path, _WHOLE), _stays(path, where)):
        if os.path.isdir(name) and not os.path.islink(name):
            return name
    return None


def found(path: str, where: PrivateDir) -> str | None:
    """Where a directory lies that was to be kept in C(where), also when that was interrupted half-way, or None."""
    hidden = aside(path)
    half_way = not os.path.lexists(path) and os.path.isdir(hidden) and not os.path.islink(hidden)
    return kept(path, where) or (hidden if half_way else None)


def bring_back(path: str, where: PrivateDir) -> None:
    """Put a kept directory back under its name; nothing has that name now."""
    source = found(path, where)
    if source is None:
        return
    above = Tree.open(os.path.dirname(path))
    if above is None:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        above = Tree.open(os.path.dirname(path))
    if above is not None:
        with above:
            os.rename(source, os.path.basename(path), dst_dir_fd=above.fd)
            os.fsync(above.fd)
            where.sync()
