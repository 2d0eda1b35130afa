# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A package's paths as they are on disk now.

Packages name paths through links: C(/bin/sh) where C(/bin) is a link today. Such links are followed as long
as root or this user made them, others' never; the last component is not followed at all.
"""

from __future__ import annotations

import errno
import os
import stat
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._errors import CaptureError, UnsafePath
from ansible_collections.intellistream.sage.plugins.module_utils._tree import open_directory, unsafe

_CHUNK = 1 << 19
# Set anew by whoever installs a file.
_POLICY = "security.selinux"


class Disk:
    """Looks at paths; a context manager. The last directory stays open, so a sorted list costs little."""

    def __init__(self) -> None:
        self._directory = ""
        self._fd = -1

    def __enter__(self) -> Disk:
        return self

    def __exit__(self, *exc: object) -> None:
        self._forget()

    def lstat(self, path: str) -> os.stat_result | None:
        """What is there; None when nothing is.

        :raises UnsafePath: it lies behind somebody else's link.
        """
        try:
            fd, name = self._parent(path)
            return os.lstat(name, dir_fd=fd)
        except (FileNotFoundError, NotADirectoryError):
            return None

    def readlink(self, path: str) -> str:
        """The target of a link."""
        fd, name = self._parent(path)
        return os.readlink(name, dir_fd=fd)

    def target(self, path: str, link: os.stat_result) -> tuple[str, os.stat_result] | None:
        """Where a link leads, whatever is there; None when nothing is, or when somebody else made the link."""
        if link.st_uid not in (0, os.geteuid()):
            return None
        real = os.path.realpath(path)
        info = self.lstat(real)
        return (real, info) if info is not None else None

    def content(self, path: str, info: os.stat_result) -> t.Iterator[bytes]:
        """The content of a regular file, which must be the one that was seen, and stay it.

        :raises CaptureError: it is another one, or was changed while it was read.
        """
        fd, name = self._parent(path)
        try:
            opened = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=fd)
        except OSError as error:
            raise changed(path) from error
        try:
            if _same(os.fstat(opened)) != _same(info):
                raise changed(path)
            while True:
                data = os.read(opened, _CHUNK)
                if not data:
                    break
                yield data
            if _same(os.fstat(opened)) != _same(info):
                raise changed(path)
        finally:
            os.close(opened)

    def xattrs(self, path: str) -> dict[str, str]:
        """Name → value in hex of the extended attributes of a file or directory: capabilities, ACLs."""
        fd, name = self._parent(path)
        # There is no call that takes a directory's descriptor.
        where = f"/proc/self/fd/{fd}/{name}" if os.path.isdir("/proc/self/fd") else path
        try:
            names = os.listxattr(where, follow_symlinks=False)
            return {one: os.getxattr(where, one, follow_symlinks=False).hex() for one in names if one != _POLICY}
        except OSError as error:
            if error.errno == errno.EOPNOTSUPP:
                return {}
            raise

    def names(self, directory: str) -> list[str]:
        """The names in a directory, sorted; none when there is no directory."""
        try:
            return sorted(os.listdir(self._parent(f"{directory}/.")[0]))
        except (FileNotFoundError, NotADirectoryError):
            return []

    def _parent(self, path: str) -> tuple[int, str]:
        directory, dummy, name = path.rpartition("/")
        directory = directory or "/"
        if name == ".." or not path.startswith("/"):
            raise unsafe(path, "the path leads elsewhere")
        if directory != self._directory:
            self._forget()
            try:
                self._fd = open_directory(directory, follow=True)
            except UnsafePath as error:
                if not os.path.isdir(directory):
                    raise FileNotFoundError(directory) from error
                raise
            self._directory = directory
        return self._fd, name

    def _forget(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
        self._fd, self._directory = -1, ""


def _same(info: os.stat_result) -> tuple[int, ...]:
    return (info.st_dev, info.st_ino, info.st_mode, info.st_size, info.st_mtime_ns, info.st_ctime_ns)


def changed(path: str) -> CaptureError:
    """The error for a file that did not hold still."""
    return CaptureError(
        f"{path} was changed while it was being captured.",
        untouched="everything.",
        advice="Find out what writes to it, and run again when it has ended.",
        path=path,
    )


def kind(info: os.stat_result) -> str:
    """What lstat found, in words, for messages."""
    words = {stat.S_IFBLK: "a device", stat.S_IFCHR: "a device", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}
    return words.get(stat.S_IFMT(info.st_mode), "something unknown")
