# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is on disk where a package of rpm says that its files are."""

from __future__ import annotations

import os
import stat
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils import _captured, _rpm_database
from ansible_collections.intellistream.sage.plugins.module_utils._captured import ABSENT, DIRECTORY, FILE, LINK, Item
from ansible_collections.intellistream.sage.plugins.module_utils._errors import CaptureError, UnsafePath
from ansible_collections.intellistream.sage.plugins.module_utils._tree import open_directory

# Directories held open at once.
_MOST = 64
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_DIRECTORY = _READ | os.O_DIRECTORY

#: How a path gets into the saved package: with its content, as a ghost because it is gone or has another type,
#: or as the ghost that it is.
PACKED, GONE, GHOST = "packed", "gone", "ghost"


class Seen(t.NamedTuple):
    """A path of a package, and what is there.

    :ivar info: from lstat; None when nothing is there.
    :ivar link: the target of a link.
    """

    file: _rpm_database.File
    info: os.stat_result | None
    link: str
    how: str


class Directories:
    """Directories by name, opened once, as a context manager; links in the way are root's own or refused."""

    def __init__(self) -> None:
        self._open: dict[str, int] = {}

    def __enter__(self) -> Directories:
        return self

    def __exit__(self, *exc: object) -> None:
        self.forget()

    def forget(self) -> None:
        """Close all."""
        for fd in self._open.values():
            if fd >= 0:
                os.close(fd)
        self._open = {}

    def enter(self, path: str) -> int:
        """The descriptor of a directory; it stays ours.

        :raises FileNotFoundError: there is none.
        """
        fd = self._open.get(path)
        if fd is None:
            if len(self._open) >= _MOST:
                self.forget()
            try:
                fd = open_directory(path or "/", follow=True)
            except FileNotFoundError:
                fd = -1
            except UnsafePath:
                if os.path.isdir(path):
                    raise
                fd = -1
            self._open[path] = fd
        if fd < 0:
            raise FileNotFoundError(path)
        return fd

    def lstat(self, path: str) -> os.stat_result | None:
        """What is there, the last link not followed; None when nothing is."""
        directory, dummy, name = path.rpartition("/")
        try:
            return os.lstat(name or ".", dir_fd=self.enter(directory))
        except (FileNotFoundError, NotADirectoryError):
            return None

    def readlink(self, path: str) -> str:
        """The target of a link."""
        directory, dummy, name = path.rpartition("/")
        return os.readlink(name, dir_fd=self.enter(directory))

    def open(self, path: str) -> int:
        """A descriptor for reading a file or directory; the caller closes it."""
        directory, dummy, name = path.rpartition("/")
        return os.open(name or ".", _READ, dir_fd=self.enter(directory))


def look(directories: Directories, file: _rpm_database.File) -> Seen:
    """What is there where a package has a path."""
    info = directories.lstat(file.path)
    link = directories.readlink(file.path) if info is not None and stat.S_ISLNK(info.st_mode) else ""
    if file.ghost:
        return Seen(file, info, link, GHOST)
    if info is None:
        return Seen(file, info, link, GONE)
    same = stat.S_IFMT(info.st_mode) == stat.S_IFMT(file.mode)
    # rpm leaves a link to a directory in a directory's place, and installs through it.
    through = stat.S_ISDIR(file.mode) and bool(link) and os.path.isdir(file.path)
    return Seen(file, info, link, PACKED if same or through else GONE)


def item_of(directories: Directories, path: str, info: os.stat_result | None, digest: str = "") -> Item | None:
    """A path as an item; None for devices, pipes and sockets.

    :param digest: of a file's content; without it the item of a file has none.
    """
    kind = _captured.kind_of(info)
    if info is None:
        return Item(ABSENT)
    if kind == LINK:
        return _captured.item_of(LINK, info, directories.readlink(path))
    if kind not in (FILE, DIRECTORY):
        return None
    fd = directories.open(path)
    try:
        return _captured.item_of(kind, info, digest)._replace(xattrs=_captured.xattrs_of(fd))
    finally:
        os.close(fd)


def changed(path: str) -> CaptureError:
    """The error for a file that did not hold still."""
    return CaptureError(
        f"{path} was changed while it was captured.",
        untouched="everything.",
        advice="Find out what writes to it, wait for that to end, then run again.",
        path=path,
    )


def same(one: os.stat_result, other: os.stat_result) -> bool:
    """Whether nothing happened to a file between two looks."""
    return (one.st_dev, one.st_ino, one.st_size, one.st_mtime_ns, one.st_ctime_ns) == (
        other.st_dev,
        other.st_ino,
        other.st_size,
        other.st_mtime_ns,
        other.st_ctime_ns,
    )
