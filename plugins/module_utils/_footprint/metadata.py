"""Owner, mode, attributes and time of a path made what a row says, in the order in which none undoes another."""

from __future__ import annotations

import os
import stat
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._footprint import look as footprint_look
from ansible_collections.intellistream.sage.plugins.module_utils._footprint.table import (
    LINK,
    decode_attributes,
    same_metadata,
)

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._footprint.table import TableRow


def differ(row: TableRow, goal: TableRow) -> bool:
    """Whether there is anything to apply."""
    return not same_metadata(row, goal) or row.mtime != goal.mtime


def apply_to(directory: int, name: str, goal: TableRow) -> None:
    """Give a path of an open directory the metadata of a row. What this user may not give it, a later look names.

    The path must be one that nobody else can swap, or be looked at again: it is used by name, no link is followed.

    :raises OSError: the path is gone, or the file system is read-only.
    """
    info = os.lstat(name, dir_fd=directory)
    if (info.st_uid, info.st_gid) != (goal.uid, goal.gid):
        try:
            os.chown(name, goal.uid, goal.gid, dir_fd=directory, follow_symlinks=False)
        except PermissionError:
            pass
    if goal.type != LINK:
        # After a change of owner, which takes setuid bits and capabilities away.
        if stat.S_IMODE(os.lstat(name, dir_fd=directory).st_mode) != goal.mode:
            _by_descriptor(directory, name, goal.mode)
        _apply_attributes(directory, name, goal)
    if os.lstat(name, dir_fd=directory).st_mtime_ns != goal.mtime:
        os.utime(name, ns=(goal.mtime, goal.mtime), dir_fd=directory, follow_symlinks=False)


def _by_descriptor(directory: int, name: str, mode: int) -> None:
    """Change a mode; by a descriptor that a link cannot lead astray, whatever the path's type."""
    fd = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    try:
        if not stat.S_ISLNK(os.fstat(fd).st_mode):
            os.chmod(f"/proc/self/fd/{fd}", mode)
    finally:
        os.close(fd)


def _apply_attributes(directory: int, name: str, goal: TableRow) -> None:
    """Set just the attributes of a row, ACLs among them."""
    now = decode_attributes(footprint_look.attributes_of(directory, name))
    wanted = decode_attributes(goal.attributes)
    path = f"/proc/self/fd/{directory}/{name}"
    for attribute in sorted({*now, *wanted}):
        if now.get(attribute) == wanted.get(attribute):
            continue
        try:
            if attribute in wanted:
                os.setxattr(path, attribute, wanted[attribute], follow_symlinks=False)
            else:
                os.removexattr(path, attribute, follow_symlinks=False)
        except OSError:
            # Of a name space that is not this user's: a later look names it.
            continue
