"""Stray processes: what a controller that gave up has left at work on the host.

A task that is cut off, or whose controller dies, ends on the controller; its module goes on here. All that an
installation starts carries its id in the environment, so it is found, however far down, and ended before an undo.
"""

from __future__ import annotations

import os
import signal
import time
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base import processes as base_processes
from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import Busy

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._records.session import Engine

# Set to C(<install id>@<root>) by the role, for every task of an installation.
MARK = "SAGE_INSTALLATION"
# Seconds until a process that was killed has to be gone.
_PATIENCE = 30.0


def end(engine: Engine) -> list[str]:
    """End what the installation that is at work has left behind.

    Nothing that belongs to a finished installation is touched: it may have started a service.

    :returns: the names of the processes that were ended.
    :raises Busy: something does not end, so that nobody knows what it is still going to change.
    """
    with engine.reading() as session:
        installation = session.installation
        if installation is None or not (installation.unfinished or installation.status == "prepared"):
            return []
    return kill(installation.install_id, engine.root)


def kill(install_id: str, root: str, patience: float = _PATIENCE) -> list[str]:
    """End all processes of an installation, but those that lead to this one.

    :param root: the root of the installation; others may have an installation of the same id.
    :param patience: seconds until they have to be gone.
    :returns: the names of the processes that were ended.
    :raises Busy: one does not end.
    """
    ended: dict[int, str] = {}
    spared = base_processes.ancestors()
    until = time.monotonic() + patience
    while True:
        # What is forked between two looks is found by the next one.
        strays = [process for process in _marked(install_id, root) if process not in spared]
        for process in strays:
            ended.setdefault(process, base_processes.name(process))
            try:
                os.kill(process, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                continue
        # Another user can put the mark on what does not end, and is not to stop an undo.
        strays = [process for process in strays if _owner(process) == os.geteuid()]
        if not strays:
            return list(ended.values())
        if time.monotonic() >= until:
            raise Busy(
                f"Process {strays[0]} ({ended[strays[0]]}), which an earlier task of installation {install_id} left "
                "behind, does not end.",
                untouched="everything.",
                advice="It waits for a disk or for the network. Repair that, then run again.",
            )
        time.sleep(0.02)


def _owner(process: int) -> int | None:
    """The user of a process; None when it is gone."""
    try:
        return os.stat(f"/proc/{process}").st_uid
    except OSError:
        return None


def _marked(install_id: str, root: str) -> list[int]:
    """The processes that carry the installation's id and root in their environment."""
    marked = []
    for process in base_processes.running():
        try:
            with open(f"/proc/{process}/environ", "rb") as stream:
                content = stream.read()
        except OSError:
            # Gone, or another user's, and so none of this one's.
            continue
        for line in content.split(b"\0"):
            if line.startswith(b"%b=%b@" % (MARK.encode(), install_id.encode())):
                marked_root = os.fsdecode(line.partition(b"@")[2])
                # As the user wrote it, and the module's option was expanded.
                if os.path.normpath(os.path.expanduser(marked_root)) == os.path.normpath(root):
                    marked.append(process)
    return marked
