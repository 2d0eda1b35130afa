"""Stray processes: what a run that gave up has left at work on the host.

A task that is cut off, or whose controller dies, ends on the controller; its module goes on here. All that an
installation starts carries its id and that of its run in the environment, so it is found, however far down, and ended
before an undo. Only what a run that is dead left is ended, or what the same run left.
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
# Set to the id of the run, as well.
RUN = "SAGE_RUN"
# Seconds until a process that was killed has to be gone.
_PATIENCE = 30.0


class Marked(t.NamedTuple):
    """A process that an installation started.

    :ivar run: empty where it does not say.
    """

    process: int
    install_id: str
    run: str


def end(engine: Engine) -> list[str]:
    """End what the installation that is at work has left behind, when no other run is at work.

    Nothing that belongs to a finished installation is touched: it may have started a service.

    :returns: the names of the processes that were ended.
    :raises Leased: another run is at work.
    :raises Busy: something does not end, so that nobody knows what it is still going to change.
    """
    runs = engine.refuse_others()
    with engine.reading() as session:
        installation = session.installation
        if installation is None or not (installation.unfinished or installation.status == "prepared"):
            return []
    return kill(engine.root, installation.install_id, runs)


def kill(
    root: str, install_id: str = "", runs: t.Collection[str] | None = None, run: str = "", patience: float = _PATIENCE
) -> list[str]:
    """End all processes of an installation, or of a run, but those that lead to this one.

    :param root: the root of the installation; others may have an installation of the same id.
    :param install_id: of which installation; empty for any.
    :param runs: of which runs, those that do not say included; None for any.
    :param run: of this run alone.
    :param patience: seconds until they have to be gone.
    :returns: the names of the processes that were ended.
    :raises Busy: one does not end.
    """
    ended: dict[int, str] = {}
    spared = base_processes.ancestors()
    until = time.monotonic() + patience

    def meant(marked: Marked) -> bool:
        if marked.process in spared or (install_id and marked.install_id != install_id):
            return False
        return marked.run == run if run else runs is None or marked.run in ("", *runs)

    while True:
        # What is forked between two looks is found by the next one.
        strays = [marked for marked in _marked(root) if meant(marked)]
        for process, dummy, dummy2 in strays:
            ended.setdefault(process, base_processes.name(process))
            try:
                os.kill(process, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                continue
        # Another user can put the mark on what does not end, and is not to stop an undo.
        strays = [marked for marked in strays if _owner(marked.process) == os.geteuid()]
        if not strays:
            return list(ended.values())
        if time.monotonic() >= until:
            raise Busy(
                f"Process {strays[0].process} ({ended[strays[0].process]}), which an earlier task of installation "
                f"{strays[0].install_id} left behind, does not end.",
                untouched="everything.",
                advice="It waits for a disk or for the network. Repair that, then run again.",
            )
        time.sleep(0.02)


def of_run(root: str, run: str) -> list[int]:
    """The processes that a run has on a root, but those that lead to this one."""
    spared = base_processes.ancestors()
    return [marked.process for marked in _marked(root) if marked.run == run and marked.process not in spared]


def _owner(process: int) -> int | None:
    """The user of a process; None when it is gone."""
    try:
        return os.stat(f"/proc/{process}").st_uid
    except OSError:
        return None


def _marked(root: str) -> list[Marked]:
    """The processes that carry an installation of the root in their environment."""
    marked = []
    for process in base_processes.running():
        try:
            with open(f"/proc/{process}/environ", "rb") as stream:
                content = stream.read()
        except OSError:
            # Gone, or another user's, and so none of this one's.
            continue
        if MARK.encode() not in content:
            continue
        if base_processes.name(process) == base_processes.KEEPER:
            continue
        variables = dict(line.partition(b"=")[::2] for line in content.split(b"\0"))
        install_id, dummy, marked_root = os.fsdecode(variables.get(MARK.encode(), b"")).partition("@")
        # As the user wrote it, and the module's option was expanded.
        if marked_root and os.path.normpath(os.path.expanduser(marked_root)) == os.path.normpath(root):
            marked.append(Marked(process, install_id, run=os.fsdecode(variables.get(RUN.encode(), b""))))
    return marked
