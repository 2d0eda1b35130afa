"""Stop what waits to start the program of a dead-man's switch."""

from __future__ import annotations

import os
import signal
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base import command
from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import SageError

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._deadman_switch.mark import Mark

# Names of units begin with it.
UNIT = "sage-deadman-"
# Seconds that a command of the system may take.
TIMEOUT = 20.0


def is_its_process(mark: Mark) -> bool:
    """Whether the recorded process is the one that was started then."""
    try:
        with open(f"/proc/{int(mark.handle)}/cmdline", "rb") as stream:
            return stream.read().split(b"\0")[-2:-1] == [mark.token.encode()]
    except (OSError, ValueError):
        return False


def stop(mark: Mark) -> None:
    """Stop what waits to start the program; it would find out by itself, but later."""
    try:
        if mark.method == "systemd":
            command.run(["systemctl", "stop", f"{mark.handle}.timer", f"{mark.handle}.service"], timeout=TIMEOUT)
        elif mark.method == "at":
            command.run(["atrm", mark.handle], timeout=TIMEOUT)
        elif mark.method == "process" and is_its_process(mark):
            os.kill(int(mark.handle), signal.SIGTERM)
    except (SageError, OSError):
        return
