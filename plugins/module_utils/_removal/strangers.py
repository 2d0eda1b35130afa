"""What others have put into the record's directories, which go as a whole."""

from __future__ import annotations

import os
import re
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._kind.removal import OthersThing
from ansible_collections.intellistream.sage.plugins.module_utils._storage import contents

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.private import PrivateDir

_ID = r"\d{8}_\d{6}"
# What the collection keeps in the checkpoint directory, as docs/formats.md has it, and what a killed run leaves.
_STATE = re.compile(
    r"ledger\.(jsonl|torn)|install_progress\.json(\.(ahead|edited|corrupt))?|lease\.json|lock|store\.path|"
    r"deadman\.(json|pyz|log)|rollback\.(sh|begun|done|stage)|\..*\.tmp|store|logs|verified|backups"
)
_INSIDE = {
    "logs": re.compile(rf"{_ID}\.log"),
    "verified": re.compile(rf"{_ID}\.table|\..*\.tmp"),
    "backups": re.compile(rf"(environment|requirements|pyproject)_{_ID}\.(txt|toml)|\..*\.tmp"),
}
_STORE = re.compile(rf"{_ID}|{contents.FARM}|\..*\.tmp")


def of_others(state: PrivateDir) -> list[OthersThing]:
    """What is not of the record in its directories, and not deeper in what is stored.

    :param state: the checkpoint directory.
    """
    things = _in(state, _STATE)
    for name, ours in _INSIDE.items():
        try:
            with state.child(name) as directory:
                things += _in(directory, ours)
        except FileNotFoundError:
            continue
    try:
        with contents.opened(state) as store:
            things += _in(store, _STORE)
    except FileNotFoundError:
        pass
    return things


def _in(directory: PrivateDir, ours: re.Pattern[str]) -> list[OthersThing]:
    paths = [os.path.join(directory.path, name) for name in directory.names() if not ours.fullmatch(name)]
    return [
        OthersThing(path, "a directory" if os.path.isdir(path) and not os.path.islink(path) else "a file")
        for path in paths
    ]
