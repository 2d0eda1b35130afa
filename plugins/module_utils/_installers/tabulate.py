"""A table of the files of distributions, with the hashes that were verified."""

from __future__ import annotations

import os
import stat
import time
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import SageError
from ansible_collections.intellistream.sage.plugins.module_utils._footprint.table import (
    DIRECTORY,
    FILE,
    LINK,
    Table,
    TableRow,
)
from ansible_collections.intellistream.sage.plugins.module_utils._venv import damage, distributions

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.tree import Tree

Digests = dict[str, set[str]]


class Unlisted(t.NamedTuple):
    """What was verified once, is there, and is in no RECORD any more: somebody took it out of one.

    :ivar paths: of the files.
    :ivar records: path → SHA-256 in hex of the RECORDs that are others than were verified.
    :ivar sentence: all of that for people, without a full stop; empty where there is nothing.
    """

    paths: list[str]
    records: dict[str, str]
    sentence: str


def tabulate(venv: Tree, names: t.Collection[str]) -> tuple[Table, Digests]:
    """What is there of all that the RECORDs of these distributions list, and of its directories, not read; and path →
    the digests they have.

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
    unseen: dict[str, str] = {}
    for path in sorted({*digests, *_directories(digests)}):
        try:
            looked = _row(venv, path)
        except FileNotFoundError:
            continue
        except (SageError, OSError) as error:
            unseen[path] = error.what if isinstance(error, SageError) else error.strerror or str(error)
            continue
        if looked is not None:
            rows[path] = looked
    return Table(rows, began, unseen=unseen), digests


def _directories(paths: t.Iterable[str]) -> set[str]:
    """The directories that these paths are in, but for the environment itself."""
    directories: set[str] = set()
    for path in paths:
        above = os.path.dirname(path)
        while above and above not in directories:
            directories.add(above)
            above = os.path.dirname(above)
    return directories


def unlisted(venv: Tree, names: t.Collection[str], earlier: Table, cut: t.Mapping[str, str], table: Table) -> Unlisted:
    """What an earlier table has of distributions of the same version whose RECORDs tell less since, and is there.

    :param names: normalised.
    :param cut: of what was found to be so by then: path of RECORD → its SHA-256.
    :param table: as it is now.
    """
    labels: list[str] = []
    records: dict[str, str] = {}
    for distribution in distributions.installed(venv):
        path = f"{distribution.info}/RECORD"
        if distribution.name not in names or path not in earlier.rows:
            continue
        try:
            digest = venv.digest(path)
        except (SageError, OSError):
            continue
        if digest != earlier.rows[path].hash or cut.get(path) == digest:
            labels.append(f"{distribution.name} {distribution.version}")
            records[path] = digest
    if not records:
        return Unlisted([], {}, sentence="")
    paths = [path for path, row in earlier.rows.items() if row.type == FILE and path not in table.rows]
    paths = [path for path in paths if path not in table.unseen and _is_file(venv, path)]
    if not paths:
        return Unlisted([], {}, sentence="")
    files = [damage.FileDifference(path, damage.UNLISTED) for path in paths]
    return Unlisted(paths, records, sentence=damage.sentence(" or ".join(labels), files))


def with_rows(venv: Tree, table: Table, paths: t.Iterable[str]) -> Table:
    """The same table with these paths, so that somebody notices when they are edited."""
    added = {path: row for path in paths for row in (_row(venv, path),) if row is not None}
    return table._replace(rows={**table.rows, **added})


def hashed(venv: Tree, table: Table, digests: Digests) -> Table:
    """The same table with the hash of each file, once that was compared with RECORD.

    :raises OSError: a file went in between.
    :raises UnsafePath: it is something else by now.
    """
    rows = {
        path: row._replace(hash=_only(digests.get(path, set())) or venv.digest(path)) if row.type == FILE else row
        for path, row in table.rows.items()
    }
    return table._replace(rows=rows)


def _only(digests: set[str]) -> str:
    """The digest, if it is one alone: several may be of several distributions, or wrong."""
    return next(iter(digests)) if len(digests) == 1 else ""


def _is_file(venv: Tree, path: str) -> bool:
    try:
        info = venv.lstat(path)
    except (SageError, OSError):
        return False
    return info is not None and stat.S_ISREG(info.st_mode)


def _row(venv: Tree, path: str) -> TableRow | None:
    directory, name = venv.parent(path)
    info = os.lstat(name, dir_fd=directory)
    mode, size, target = info.st_mode, info.st_size, ""
    if stat.S_ISLNK(mode):
        size, target = 0, os.readlink(name, dir_fd=directory)
    elif stat.S_ISDIR(mode):
        size = 0
    elif not stat.S_ISREG(mode):
        return None
    return TableRow(
        LINK if target else DIRECTORY if stat.S_ISDIR(mode) else FILE,
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
