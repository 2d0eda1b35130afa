"""How much files take, of which every size that people read is made: an inode counts once, whatever names it has."""

from __future__ import annotations

import typing as t

if t.TYPE_CHECKING:
    import os

_BLOCK = 512


def on_disk(info: os.stat_result) -> int:
    """Bytes that an inode occupies."""
    return info.st_blocks * _BLOCK


class Sizes:
    """Adds up sizes.

    :ivar bytes: of all inodes so far.
    """

    def __init__(self) -> None:
        self.bytes = 0
        self._counted: set[tuple[object, int]] = set()

    def add(self, file_system: object, inode: int, size: int) -> int:
        """Count an inode.

        :param file_system: that its number is of.
        :returns: what it adds: nothing where it was counted under another name.
        """
        if (file_system, inode) in self._counted:
            return 0
        self._counted.add((file_system, inode))
        self.bytes += size
        return size
