"""A table of the files of distributions, with the hashes that were verified."""

from __future__ import annotations

import os
import stat
import time
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import SageError
from ansible_collections.intellistream.sage.plugins.module_utils._footprint.table import (
    FILE,
    LINK,
    Table,
    TableRow,
)
from ansible_collections.intellistream.sage.plugins.module_utils._venv import distributions

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.tree import Tree

Digests = dict[str, set[str]]


def tabulate(venv: Tree, names: t.Collection[str]) -> tuple[Table, Digests]:
    """What is there of all that the RECORDs of these distributions list, not read; and path → the digests they have.

    To be called before the content is compared: what is written after that is newer than the table.

    :param names: normalised.
    """
    began = time.time_ns()
    digests: Digests = {}
    for distribution in distributions.installed(venv):
        if distribution.name not in names:
            continue
        try:
            listed = distributions.record(venv, distribution.info, None, os.path.realpath(venv.path), strict=False)
        except (SageError, OSError, ValueError):
            continue
        for path, row in (listed or {}).items():
            digests.setdefault(path, set()).update(row.digests)
    rows: dict[str, TableRow] = {}
    for path in sorted(digests):
        try:
            looked = _row(venv, path)
        except (SageError, OSError):
            continue
        if looked is not None:
            rows[path] = looked
    return Table(rows, began), digests


def hashed(venv: Tree, table: Table, digests: Digests) -> Table:
    """The same table with the hash of each file, once that was compared with RECORD.

    :raises OSError: a file went in between.
    :raises UnsafePath: it is something else by now.
    """
    rows = {
        path: row._replace(hash=_only(digests[path]) or venv.digest(path)) if row.type == FILE else row
        for path, row in table.rows.items()
    }
    return table._replace(rows=rows)


def _only(digests: set[str]) -> str:
    """The digest, if it is one alone: several may be of several distributions, or wrong."""
    return next(iter(digests)) if len(digests) == 1 else ""


def _row(venv: Tree, path: str) -> TableRow | None:
    directory, name = venv.parent(path)
    info = os.lstat(name, dir_fd=directory)
    mode, size, target = info.st_mode, info.st_size, ""
    if stat.S_ISLNK(mode):
        size, target = 0, os.readlink(name, dir_fd=directory)
    elif not stat.S_ISREG(mode):
        return None
    return TableRow(
        LINK if target else FILE,
        stat.S_IMODE(mode),
        info.st_uid,
        info.st_gid,
        size,
        info.st_mtime_ns,
        info.st_ino,
        info.st_ctime_ns,
        info.st_nlink,
        target,
    )
