"""What was verified of each installation: a table of its files beside the record, with its hash in the ledger."""

from __future__ import annotations

import hashlib
import os
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import StoreError

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.private import PrivateDir

TABLES = "verified"
_ENDING = ".table"


def path_of(state: PrivateDir, install_id: str) -> str:
    """Where the table of an installation is."""
    return os.path.join(state.path, TABLES, install_id + _ENDING)


def write(state: PrivateDir, install_id: str, data: bytes) -> None:
    """Write the table of an installation, durably.

    :raises SageError: the place is not safe, or the disk refused.
    """
    with state.child(TABLES, create=True) as tables:
        tables.write(install_id + _ENDING, data)


def read(state: PrivateDir, install_id: str, digest: str) -> bytes:
    """The table of an installation.

    :param digest: its SHA-256 in hex, as the ledger has it.
    :raises StoreError: it is gone, or not the one that the ledger knows.
    """
    try:
        with state.child(TABLES) as tables:
            data = tables.read(install_id + _ENDING)
    except FileNotFoundError:
        data = None
    if data is not None and hashlib.sha256(data).hexdigest() == digest:
        return data
    raise StoreError(
        f"{path_of(state, install_id)}, which tells what was verified, {'is gone' if data is None else 'was altered'}.",
        untouched="everything.",
        advice="Run install_sage.yml again: it verifies again, and writes it anew.",
    )


def tabulated(state: PrivateDir) -> list[str]:
    """The ids of installations with a table, oldest first."""
    try:
        with state.child(TABLES) as tables:
            return [name[: -len(_ENDING)] for name in tables.names() if name.endswith(_ENDING)]
    except FileNotFoundError:
        return []


def remove(state: PrivateDir, install_id: str) -> None:
    """Remove a table; nothing to do where it is gone."""
    with state.child(TABLES) as tables:
        tables.remove(install_id + _ENDING)
