"""Whether the files of an environment are still what was verified: by a table of them, and few are read."""

from __future__ import annotations

import os
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import UnsafePath
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.tree import Tree
from ansible_collections.intellistream.sage.plugins.module_utils._footprint import table as footprint_table
from ansible_collections.intellistream.sage.plugins.module_utils._footprint.table import FILE, GRANULE_NS, LINK
from ansible_collections.intellistream.sage.plugins.module_utils._venv import distributions
from ansible_collections.intellistream.sage.plugins.module_utils._venv.damage import (
    EDITED,
    GONE,
    ODD,
    FileDifference,
    sentence,
)

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._footprint.table import Table, TableRow

# Of the format bits of a mode: regular files and links.
_FORMAT, _REGULAR, _LINKED = 0o170000, 0o100000, 0o120000


def altered(path: str, data: bytes, name: str, versions: t.Mapping[str, str]) -> dict[str, str]:
    """What is not as it was verified: name of the distribution → a sentence.

    A path that has its size, but another inode or mtime, is read: a backup that was put back, or a reinstallation,
    leaves the same content.

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
        different = [
            FileDifference(relative, text)
            for relative, row in table.rows.items()
            for text in (_difference(venv, table, relative, row),)
            if text
        ]
        return _by_distribution(venv, different, versions) if different else {}


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
            if vouches and info.st_mtime_ns == row.mtime and info.st_ino == row.inode:
                return ""
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
