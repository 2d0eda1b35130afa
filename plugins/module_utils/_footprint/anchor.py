"""The path whose tree is looked at and put back, reached through the directory that it is in."""

from __future__ import annotations

import errno
import os
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import UnsafePath
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.tree import Tree, digest_of
from ansible_collections.intellistream.sage.plugins.module_utils._footprint import look as footprint_look

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._footprint.table import Table, TableRow


class Anchor:
    """A path that may be a directory, anything else, or nothing; paths below are relative to it, itself is C("").

    :ivar parent: the directory that it is in, held open; this is its owner's to close.
    :ivar name: of the path there.
    """

    def __init__(self, parent: Tree, name: str) -> None:
        self.parent = parent
        self.name = name

    def relative(self, path: str) -> str:
        """A path as the parent knows it."""
        return f"{self.name}/{path}" if path else self.name

    def full(self, path: str) -> str:
        """The absolute path, for people."""
        return self.parent.name(self.relative(path))

    def at(self, path: str, make: bool = False) -> tuple[int, str]:
        """The open directory that a path is in, which stays the parent's, and its name there.

        :raises FileNotFoundError: there is no such directory.
        :raises UnsafePath: the path leads through a link.
        """
        return self.parent.parent(self.relative(path), make)

    def look(self, earlier: Table | None = None) -> Table:
        """A table of it, see M(_footprint.look.look)."""
        # Directories that are kept open may have been moved away since.
        self.parent.forget()
        return footprint_look.look(self.parent.fd, self.name, earlier)

    def row(self, path: str) -> TableRow | None:
        """The row of one path now; None where nothing is."""
        try:
            return footprint_look.row_at(*self.at(path))
        except (FileNotFoundError, NotADirectoryError, UnsafePath):
            return None

    def digest(self, path: str, inode: int | None = None) -> str:
        """The SHA-256 of a file in hex; empty where no file is, another inode than this, or it cannot be read."""
        try:
            fd = self.parent.open_file(self.relative(path))
            if inode not in (None, os.fstat(fd).st_ino):
                os.close(fd)
                return ""
            return digest_of(fd)
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):
                raise
            return ""
        except UnsafePath:
            return ""
