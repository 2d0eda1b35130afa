"""The third look: whether what changes touched is as it was before them, and nothing else is said of it."""

from __future__ import annotations

import os
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import UnsafePath
from ansible_collections.intellistream.sage.plugins.module_utils._footprint import metadata
from ansible_collections.intellistream.sage.plugins.module_utils._footprint.decide import is_as_before
from ansible_collections.intellistream.sage.plugins.module_utils._footprint.table import (
    DIRECTORY,
    FILE,
    LINK,
    same_metadata,
)

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._footprint.anchor import Anchor
    from ansible_collections.intellistream.sage.plugins.module_utils._footprint.decide import Touched
    from ansible_collections.intellistream.sage.plugins.module_utils._footprint.farm import Farms
    from ansible_collections.intellistream.sage.plugins.module_utils._footprint.table import Table, TableRow

_TYPES = {FILE: "a file", DIRECTORY: "a directory", LINK: "a link"}


def put_times_back(
    anchor: Anchor, touched: t.Mapping[str, Touched], before: Table, passed_over: t.Container[str] = ()
) -> None:
    """Give times from before to what is as before but for them; nothing else is looked at.

    These are directories in which something was touched, where the same names are in them again, and files that another
    way back has written anew, such as git's.

    :param before: all that was there before the first change.
    :param passed_over: what is somebody's.
    """
    # Directories that are kept open may have been moved away since.
    anchor.parent.forget()
    for path, sides in touched.items():
        was = sides.before
        if was is None or was.type != FILE or not was.hash or path in passed_over:
            continue
        info = _info(anchor, path)
        if info is None or info.st_nlink != 1 or info.st_mtime_ns == was.mtime or info.st_size != was.size:
            continue
        row = anchor.row(path)
        if row is not None and same_metadata(row, was) and anchor.digest(path) == was.hash:
            metadata.apply_to(*anchor.at(path), was, row.inode)
    directories = {*touched, *(path.rpartition("/")[0] for path in touched if path)}
    children_before = _children(before, directories)
    for directory in directories:
        was, row = before.rows.get(directory), None
        if was is not None and was.type == DIRECTORY:
            row = anchor.row(directory)
        if was is None or row is None or row.type != DIRECTORY or was.mtime == row.mtime:
            continue
        if children_before.get(directory, set()) == _names_in(anchor, directory):
            parent, name = anchor.at(directory)
            os.utime(name, ns=(was.mtime, was.mtime), dir_fd=parent, follow_symlinks=False)


def _info(anchor: Anchor, path: str) -> os.stat_result | None:
    try:
        return anchor.parent.lstat(anchor.relative(path))
    except UnsafePath:
        return None


def _names_in(anchor: Anchor, directory: str) -> set[str] | None:
    """The names in a directory; None where it cannot be read."""
    try:
        return {name for name, dummy in anchor.parent.listing(anchor.relative(directory))}
    except (NotADirectoryError, PermissionError, UnsafePath):
        return None


def _children(table: Table, directories: t.Container[str]) -> dict[str, set[str]]:
    children: dict[str, set[str]] = {}
    for path in table.rows:
        directory, dummy, name = path.rpartition("/")
        if path and directory in directories:
            children.setdefault(directory, set()).add(name)
    return children


def differences(
    anchor: Anchor, touched: t.Mapping[str, Touched], current: Table, farms: Farms, passed_over: t.Container[str] = ()
) -> dict[str, str]:
    """Path → how it differs from before the changes, for people; empty is exact.

    :param current: a look after the way back.
    :param passed_over: what was named already: conflicts that stay, what lives on.
    """
    differing: dict[str, str] = {}
    for path, sides in touched.items():
        row = current.rows.get(path)
        if path in passed_over or is_as_before(anchor, path, row, sides, farms):
            continue
        differing[path] = how(row, sides.before)
    return differing


def how(row: TableRow | None, before: TableRow | None) -> str:
    """How a row differs from one from before, in a few words."""
    if before is None:
        return "is still there"
    if row is None:
        return "is gone"
    if row.type != before.type:
        return f"is {_TYPES.get(row.type, 'a special file')}, was {_TYPES.get(before.type, 'a special file')}"
    if row.target != before.target:
        return f"points to {row.target}, pointed to {before.target}"
    if (row.uid, row.gid) != (before.uid, before.gid):
        return f"belongs to {row.uid}:{row.gid}, belonged to {before.uid}:{before.gid}"
    if row.mode != before.mode:
        return f"has mode {row.mode:04o}, had {before.mode:04o}"
    if row.attributes != before.attributes:
        return "has other extended attributes"
    if row.size != before.size:
        return f"has {row.size} bytes, had {before.size}"
    return "was modified at another time" if row.mtime != before.mtime else "has other content"
