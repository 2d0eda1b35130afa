"""The third look: whether what changes touched is as it was before them, and nothing else is said of it."""

from __future__ import annotations

import os
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._footprint.decide import is_as_before
from ansible_collections.intellistream.sage.plugins.module_utils._footprint.table import DIRECTORY, FILE, LINK

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._footprint.decide import Touched
    from ansible_collections.intellistream.sage.plugins.module_utils._footprint.farm import Farms
    from ansible_collections.intellistream.sage.plugins.module_utils._footprint.place import Place
    from ansible_collections.intellistream.sage.plugins.module_utils._footprint.table import Table, TableRow

_TYPES = {FILE: "a file", DIRECTORY: "a directory", LINK: "a link"}


def put_times_back(place: Place, touched: t.Iterable[str], before: Table, now: Table) -> Table:
    """Give directories in which something was touched their time from before, where the same names are in them again.

    :param before: all that was there before the first change.
    :param now: a look after the way back.
    :returns: the look, with these times.
    """
    rows = dict(now.rows)
    children_before, children_now = _children(before), _children(now)
    for directory in {*touched, *(path.rpartition("/")[0] for path in touched if path)}:
        was, is_now = before.rows.get(directory), rows.get(directory)
        if was is None or is_now is None or was.type != DIRECTORY or is_now.type != DIRECTORY:
            continue
        if was.mtime == is_now.mtime or children_before.get(directory) != children_now.get(directory):
            continue
        parent, name = place.at(directory)
        os.utime(name, ns=(was.mtime, was.mtime), dir_fd=parent, follow_symlinks=False)
        rows[directory] = is_now._replace(mtime=was.mtime)
    return now._replace(rows=rows)


def _children(table: Table) -> dict[str, set[str]]:
    children: dict[str, set[str]] = {}
    for path in table.rows:
        if path:
            directory, dummy, name = path.rpartition("/")
            children.setdefault(directory, set()).add(name)
    return children


def differences(
    place: Place, touched: t.Mapping[str, Touched], now: Table, farms: Farms, passed_over: t.Container[str] = ()
) -> dict[str, str]:
    """Path → how it differs from before the changes, for people; empty is exact.

    :param now: a look after the way back.
    :param passed_over: what was named already: conflicts that stay, what lives on.
    """
    found: dict[str, str] = {}
    for path, sides in touched.items():
        row = now.rows.get(path)
        if path in passed_over or is_as_before(place, path, row, sides, farms):
            continue
        found[path] = how(row, sides.before)
    return found


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
