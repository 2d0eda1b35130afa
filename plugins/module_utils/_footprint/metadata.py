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


def apply_to(directory: int, name: str, goal: TableRow, inode: int | None = None) -> bool:
    """Give a path of an open directory the metadata of a row. What this user may not give it, a later look names.

    Who may write to the directory can swap the name at any time: what it led to once is held, checked and changed.

    :param inode: that must be there. Without it anything of the row's type is taken, which is no harm without content.
    :returns: whether it was there.
    :raises OSError: the path is gone, or the file system is read-only.
    """
    fd = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    try:
        info = os.fstat(fd)
        if footprint_look.type_of(info) != goal.type or inode not in (None, info.st_ino):
            return False
        # Leads to what is open, also if that is a link, and nowhere else.
        opened = f"/proc/self/fd/{fd}"
        if (info.st_uid, info.st_gid) != (goal.uid, goal.gid):
            try:
                os.chown(opened, goal.uid, goal.gid)
            except PermissionError:
                pass
        if goal.type != LINK:
            # After a change of owner, which takes setuid bits and capabilities away.
            if stat.S_IMODE(os.fstat(fd).st_mode) != goal.mode:
                os.chmod(opened, goal.mode)
            _apply_attributes(opened, goal)
        if os.fstat(fd).st_mtime_ns != goal.mtime:
            os.utime(opened, ns=(goal.mtime, goal.mtime))
        return True
    finally:
        os.close(fd)


def _apply_attributes(opened: str, goal: TableRow) -> None:
    """Set just the attributes of a row, ACLs among them."""
    current = decode_attributes(footprint_look.attributes_at(opened))
    goals = decode_attributes(goal.attributes)
    for attribute in sorted({*current, *goals}):
        if current.get(attribute) == goals.get(attribute):
            continue
        try:
            if attribute in goals:
                os.setxattr(opened, attribute, goals[attribute])
            else:
                os.removexattr(opened, attribute)
        except OSError as error:
            if error.errno not in footprint_look.NO_ATTRIBUTES:
                raise
            # Of a name space that is not this user's: a later look names it.
