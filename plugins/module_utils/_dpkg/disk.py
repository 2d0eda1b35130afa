"""A package's paths as they are on disk now."""

from __future__ import annotations

import errno
import os
import stat
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.absolute import (
    Directories,
    changed_meanwhile,
    unchanged,
)

_CHUNK = 1 << 19
# Set anew by whoever installs a file.
_POLICY = "security.selinux"


class Disk(Directories):
    """The paths of a package, as a context manager."""

    def __enter__(self) -> Disk:
        return self

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
        try:
            opened = self.open(path)
        except OSError as error:
            raise changed_meanwhile(path) from error
        try:
            if not unchanged(os.fstat(opened), info):
                raise changed_meanwhile(path)
            while True:
                data = os.read(opened, _CHUNK)
                if not data:
                    break
                yield data
            if not unchanged(os.fstat(opened), info):
                raise changed_meanwhile(path)
        finally:
            os.close(opened)

    def xattrs(self, path: str) -> dict[str, str]:
        """Name → value in hex of the extended attributes of a file or directory: capabilities, ACLs."""
        fd, name = self.at(path)
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
            return sorted(os.listdir(self.enter(directory)))
        except (FileNotFoundError, NotADirectoryError):
            return []


def kind(info: os.stat_result) -> str:
    """What lstat found, in words, for messages."""
    words = {stat.S_IFBLK: "a device", stat.S_IFCHR: "a device", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}
    return words.get(stat.S_IFMT(info.st_mode), "something unknown")
