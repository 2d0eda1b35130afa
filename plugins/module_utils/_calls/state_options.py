"""The options that lead to a host's record, and the head of its ledger, which every result then tells."""

from __future__ import annotations

import typing as t

from ansible.module_utils.basic import env_fallback

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import SageError
from ansible_collections.intellistream.sage.plugins.module_utils._calls.run import ArgumentSpec
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.private import open_state
from ansible_collections.intellistream.sage.plugins.module_utils._records.ledger import Ledger

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.plugin_utils._structures import LedgerHead


def with_head(options: t.Mapping[str, t.Any]) -> dict[str, LedgerHead | None]:
    """C(head): the newest line of the ledger when the call has ended.

    None where there is no record, or none that can be read: the call itself has told why.
    """
    try:
        state = open_state(options["root"], options["checkpoint_dir"])
        if state is None:
            return {"head": None}
        with state:
            line = Ledger(state).tail()
    except (SageError, OSError, RecursionError, UnicodeEncodeError):
        line = None
    return {"head": {"seq": line.seq, "offset": line.offset, "hash": line.hash} if line is not None else None}


STATE_OPTIONS = ArgumentSpec(
    {
        "root": {"type": "path", "required": True},
        "checkpoint_dir": {"type": "path", "fallback": (env_fallback, ["SAGE_CHECKPOINT_DIR"])},
        "repackage_dir": {"type": "path", "fallback": (env_fallback, ["SAGE_REPACKAGE_DIR"])},
        "lock_timeout": {"type": "int", "default": 60},
        "lease": {
            "type": "dict",
            "options": {
                "seconds": {"type": "float", "default": 600},
                "wait": {"type": "float", "default": 0},
                "hold": {"type": "bool", "default": False},
                "prunes": {"type": "bool", "default": False},
                "one_of_many": {"type": "bool", "default": False},
                "release": {"type": "bool", "default": False},
                "brief": {"type": "bool", "default": False},
                "run": {"type": "str", "default": ""},
                "controller": {"type": "str", "default": ""},
                "pid_namespace": {"type": "str", "default": ""},
                "pid": {"type": "int", "default": 0},
                "started": {"type": "str", "default": ""},
                "user": {"type": "str", "default": ""},
                "host": {"type": "str", "default": ""},
                "dead": {"type": "list", "elements": "str", "default": []},
            },
        },
    },
    places=("root", "checkpoint_dir", "repackage_dir"),
    always=with_head,
)
