"""Whether the files of an environment are still what was verified: by a table of them, and few are read."""

from __future__ import annotations

import os
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import UnsafePath
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.tree import Tree
from ansible_collections.intellistream.sage.plugins.module_utils._footprint import table as footprint_table
from ansible_collections.intellistream.sage.plugins.module_utils._footprint.table import (
    DIRECTORY,
    FILE,
    GRANULE_NS,
    LINK,
)
from ansible_collections.intellistream.sage.plugins.module_utils._venv import distributions
from ansible_collections.intellistream.sage.plugins.module_utils._venv.damage import (
    EDITED,
    GONE,
    MODE,
    ODD,
    FileDifference,
    is_barred,
    sentence,
)

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._footprint.table import Table, TableRow

# Of the format bits of a mode: regular files and links.
_FORMAT, _REGULAR, _LINKED = 0o170000, 0o100000, 0o120000


def altered(path: str, data: bytes, name: str, versions: t.Mapping[str, str]) -> dict[str, str]:
    """What is not as it was verified: name of the distribution → a sentence.

    A path that has its size, but another inode, mtime or ctime, is read: a backup that was put back, a reinstallation
    or a new link leaves the same content, and a write that puts the mtime back moves the ctime.

    :param path: of the environment.
    :param data: the table's file.
    :param name: of that file, for messages.
    :param versions: of what was recorded, by name. What belongs to none of these has the name C("").
    :raises StoreError: the table cannot be used.
    """
    table = footprint_table.read(data.splitlines(), name)
    venv = Tree.open(path)
    if venv is None:
        # That is told by whoever looks at the environment.
        return {}
    with venv:
        different = differences(venv, table)
        return _by_distribution(venv, different, versions) if different else {}


def differences(venv: Tree, table: Table) -> list[FileDifference]:
    """All paths that are not as they were verified, and those that could not be verified then and can be now."""
    # What is in a directory tells more of it; its mode is for a check.
    rows = [(path, row) for path, row in table.rows.items() if row.type != DIRECTORY]
    differing = [(path, _difference(venv, table, path, row)) for path, row in rows]
    differing += [(path, _seen(venv, path)) for path in table.unseen]
    return [FileDifference(path, text) for path, text in differing if text]


def _seen(venv: Tree, path: str) -> str:
    """What is to be said of a path that could not be looked at when all else was verified; nothing while that is so."""
    try:
        return GONE if venv.lstat(path) is None else "was not verified, and can be now"
    except (OSError, UnsafePath):
        return ""


def _difference(venv: Tree, table: Table, path: str, row: TableRow) -> str:
    try:
        directory, name = venv.parent(path)
        info = os.lstat(name, dir_fd=directory)
        file_format = info.st_mode & _FORMAT
        if row.type == FILE:
            if file_format != _REGULAR:
                return ODD
            if info.st_size != row.size:
                return EDITED
            # What was written in the same moment has the same mtime, so that does not vouch for it.
            vouches = row.mtime < table.began - GRANULE_NS
            times = (info.st_ino, info.st_mtime_ns, info.st_ctime_ns)
            if vouches and times == (row.inode, row.mtime, row.ctime):
                return ""
            if is_barred(venv, path, info):
                return MODE
            return "" if venv.digest(path) == row.hash else EDITED
        if row.type == LINK:
            return "" if file_format == _LINKED and os.readlink(name, dir_fd=directory) == row.target else EDITED
    except (FileNotFoundError, NotADirectoryError):
        return GONE
    except UnsafePath as error:
        return f"cannot be read: {error.what}"
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    return ""


def _by_distribution(venv: Tree, different: list[FileDifference], versions: t.Mapping[str, str]) -> dict[str, str]:
    """A sentence for each of the distributions that the RECORDs say, and their directories."""
    remaining = {difference.path: difference for difference in different}
    sentences: dict[str, str] = {}
    for distribution in distributions.installed(venv):
        if versions.get(distribution.name) != distribution.version:
            continue
        try:
            listed = distributions.record(venv, distribution.info, None, venv.path, strict=False) or {}
        except (OSError, ValueError, UnsafePath):
            listed = {}
        own = [
            remaining.pop(path)
            for path in list(remaining)
            if path in listed or path.startswith(f"{distribution.info}/")
        ]
        if own:
            sentences[distribution.name] = sentence(f"{distribution.name} {distribution.version}", own)
    if remaining:
        sentences[""] = sentence(venv.path, list(remaining.values()))
    return sentences
