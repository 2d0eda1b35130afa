"""The third look: whether what changes touched is as it was before them, and nothing else is said of it."""

from __future__ import annotations

import os
import typing as t

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
    anchor: Anchor, touched: t.Mapping[str, Touched], before: Table, current: Table, passed_over: t.Container[str] = ()
) -> Table:
    """Give times from before to what is as before but for them.

    These are directories in which something was touched, where the same names are in them again, and files that another
    way back has written anew, such as git's.

    :param before: all that was there before the first change.
    :param current: a look after the way back.
    :param passed_over: what is somebody's.
    :returns: the look, with these times.
    """
    rows = dict(current.rows)
    for path, sides in touched.items():
        was, is_now = sides.before, rows.get(path)
        if path in passed_over or was is None or is_now is None or was.type != FILE or is_now.links != 1:
            continue
        if not was.hash or was.mtime == is_now.mtime or was.size != is_now.size or not same_metadata(is_now, was):
            continue
        if anchor.digest(path) == was.hash and metadata.apply_to(*anchor.at(path), was, is_now.inode):
            rows[path] = is_now._replace(mtime=was.mtime)
    children_before, children_now = _children(before), _children(current)
    for directory in {*touched, *(path.rpartition("/")[0] for path in touched if path)}:
        was, is_now = before.rows.get(directory), rows.get(directory)
        if was is None or is_now is None or was.type != DIRECTORY or is_now.type != DIRECTORY:
            continue
        if was.mtime == is_now.mtime or children_before.get(directory) != children_now.get(directory):
            continue
        parent, name = anchor.at(directory)
        os.utime(name, ns=(was.mtime, was.mtime), dir_fd=parent, follow_symlinks=False)
        rows[directory] = is_now._replace(mtime=was.mtime)
    return current._replace(rows=rows)


def _children(table: Table) -> dict[str, set[str]]:
    children: dict[str, set[str]] = {}
    for path in table.rows:
        if path:
            directory, dummy, name = path.rpartition("/")
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
