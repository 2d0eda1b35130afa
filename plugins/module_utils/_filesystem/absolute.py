# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Absolute paths of packages, looked at through directories that are opened once.

Packages name paths through links: C(/bin/sh) where C(/bin) is a link today. Such links are followed as long
as root or this user made them, others' never; the last component is not followed at all.
"""

from __future__ import annotations

import os

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import CaptureError, UnsafePath
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.tree import open_directory, unsafe

# Directories held open at once.
_MOST = 64
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


class Directories:
    """Directories by name, opened once, as a context manager. While it lasts, nothing is to be made or moved there."""

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
        :raises UnsafePath: it lies behind somebody else's link.
        """
        fd = self._open.get(path)
        if fd is None:
            if len(self._open) >= _MOST:
                self.forget()
            try:
                fd = open_directory(path or "/", follow=True)
            except (FileNotFoundError, NotADirectoryError):
                fd = -1
            except UnsafePath:
                if os.path.isdir(path):
                    raise
                fd = -1
            self._open[path] = fd
        if fd < 0:
            raise FileNotFoundError(path)
        return fd

    def at(self, path: str) -> tuple[int, str]:
        """The descriptor of the directory that has a path, and its name there.

        :raises FileNotFoundError: there is no such directory.
        """
        directory, dummy, name = path.rpartition("/")
        if name == ".." or not path.startswith("/"):
            raise unsafe(path, "the path leads elsewhere")
        return self.enter(directory), name or "."

    def lstat(self, path: str) -> os.stat_result | None:
        """What is there, the last link not followed; None when nothing is."""
        try:
            fd, name = self.at(path)
            return os.lstat(name, dir_fd=fd)
        except (FileNotFoundError, NotADirectoryError):
            return None

    def readlink(self, path: str) -> str:
        """The target of a link."""
        fd, name = self.at(path)
        return os.readlink(name, dir_fd=fd)

    def open(self, path: str) -> int:
        """A descriptor for reading a file or directory; the caller closes it."""
        fd, name = self.at(path)
        return os.open(name, _READ, dir_fd=fd)


def unchanged(one: os.stat_result, other: os.stat_result) -> bool:
    """Whether nothing happened to a file between two looks."""
    return _facts(one) == _facts(other)


def _facts(info: os.stat_result) -> tuple[int, ...]:
    return (info.st_dev, info.st_ino, info.st_mode, info.st_size, info.st_mtime_ns, info.st_ctime_ns)


def changed_meanwhile(path: str) -> CaptureError:
    """The error for a file that did not hold still."""
    return CaptureError(
        f"{path} was changed while it was captured.",
        untouched="everything.",
        advice="Find out what writes to it, wait for that to end, then run again.",
        path=path,
    )
