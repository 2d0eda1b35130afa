"""What C(rollback.sh) leaves for the engine to notice: it cannot write the ledger itself."""

from __future__ import annotations

import shutil
import typing as t

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.private import PrivateDir

BEGUN = "rollback.begun"
DONE = "rollback.done"
# Where the script prepares a file, when it was killed right then.
STAGE = "rollback.stage"


def was_run(state: PrivateDir) -> bool:
    """The script was begun, or has ended, and the ledger does not know yet."""
    return any(state.read(name) is not None for name in (BEGUN, DONE))


def forget(state: PrivateDir) -> None:
    """What the script did is on record now."""
    for name in (BEGUN, DONE):
        state.remove(name)
    shutil.rmtree(f"/proc/self/fd/{state.fd}/{STAGE}", ignore_errors=True)
