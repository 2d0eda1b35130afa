"""What is not as it was verified, modes and owners included: more than a rerun has to look at."""

from __future__ import annotations

import stat
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import UnsafePath
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.tree import Tree
from ansible_collections.intellistream.sage.plugins.module_utils._footprint import table as footprint_table
from ansible_collections.intellistream.sage.plugins.module_utils._footprint.table import DIRECTORY, FILE
from ansible_collections.intellistream.sage.plugins.module_utils._venv import verified

if t.TYPE_CHECKING:
    import os

# Bits of a mode that let others write, or run as its owner.
_DANGEROUS = stat.S_IWGRP | stat.S_IWOTH | stat.S_ISUID | stat.S_ISGID
# Bits that let users list a directory and use what is in it.
_ENTERS = 0o555


class Different(t.NamedTuple):
    """What is not as it was verified, for M(_fsck).

    :ivar files: absolute path and what is different of each file.
    :ivar modes: the same of those whose mode or owner alone is another one.
    :ivar unsafe: some of these can be written by more users than before, belong to others, or are directories that
        fewer users can enter.
    """

    files: list[tuple[str, str]]
    modes: list[tuple[str, str]]
    unsafe: bool


def different(path: str, data: bytes, name: str) -> Different:
    """What is not as it was verified, modes included that bar nobody's work.

    :param path: of the environment.
    :param data: the table's file.
    :param name: of that file, for messages.
    :raises StoreError: the table cannot be used.
    """
    table = footprint_table.read(data.splitlines(), name)
    venv = Tree.open(path)
    if venv is None:
        return Different([], [], unsafe=False)
    with venv:
        differing = dict(verified.differences(venv, table))
        modes, unsafe = [], False
        for relative, row in table.rows.items():
            looked_at = row.type in (FILE, DIRECTORY) and relative not in differing
            info = _regular(venv, relative) if looked_at else None
            if info is None or (stat.S_IMODE(info.st_mode), info.st_uid) == (row.mode, row.uid):
                continue
            current = f"mode {stat.S_IMODE(info.st_mode):04o} and owner {info.st_uid}"
            modes.append((venv.name(relative), f"{current}, was {row.mode:04o} and {row.uid}"))
            unsafe = unsafe or info.st_uid != row.uid or bool(info.st_mode & ~row.mode & _DANGEROUS)
            # Whoever is kept out misses all that is in it; that root gets in tells nothing of the others.
            unsafe = unsafe or (row.type == DIRECTORY and bool(row.mode & ~info.st_mode & _ENTERS))
        return Different([(venv.name(relative), text) for relative, text in differing.items()], modes, unsafe)


def _regular(venv: Tree, path: str) -> os.stat_result | None:
    try:
        return venv.lstat(path)
    except (OSError, UnsafePath):
        return None
