"""What waits to start the program of a dead-man's switch that was disarmed."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base import command, processes
from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import SageError
from ansible_collections.intellistream.sage.plugins.module_utils._deadman_switch.stop import TIMEOUT, UNIT


class Waiting(t.NamedTuple):
    """What waits to start a program: nobody stopped it when the switch was disarmed, and it would find nothing.

    :ivar method: as of P(_deadman_switch.mark.Mark).
    :ivar handle: the unit without its ending, the number of the job, or the process id.
    """

    method: str
    handle: str

    def __str__(self) -> str:
        """For people."""
        words = {"systemd": f"the timer {self.handle}", "at": f"the job {self.handle} of at"}
        return words.get(self.method, f"the process {self.handle}")

    def stop(self) -> None:
        """Stop it; harmless when it has ended."""
        with contextlib.suppress(SageError, OSError):
            if self.method == "process":
                os.kill(int(self.handle), signal.SIGTERM)
            else:
                units = [f"{self.handle}.timer", f"{self.handle}.service"]
                argv = ["atrm", self.handle] if self.method == "at" else ["systemctl", "stop", *units]
                command.run(argv, timeout=TIMEOUT)


def waiting(program: str) -> list[Waiting]:
    """All that waits to start the program of a switch.

    :param program: its path.
    """
    return [*_processes(program), *_timers(program), *_jobs(program)]


def _processes(program: str) -> list[Waiting]:
    own = processes.ancestors()
    pids = [pid for pid in processes.running() if pid not in own and os.fsencode(program) in _arguments(pid)]
    return [Waiting("process", str(pid)) for pid in pids]


def _arguments(pid: int) -> list[bytes]:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as stream:
            return stream.read().split(b"\0")
    except OSError:
        return []


def _timers(program: str) -> list[Waiting]:
    if not os.path.isdir("/run/systemd/system") or os.geteuid() != 0:
        return []
    listed = _said(["systemctl", "list-units", "--all", "--plain", "--no-legend", f"{UNIT}*.timer"])
    names = [line.split()[0][: -len(".timer")] for line in listed.splitlines() if line.split()]
    return [
        Waiting("systemd", name)
        for name in names
        if f" {program} " in _said(["systemctl", "show", "--property=ExecStart", f"{name}.service"])
    ]


def _jobs(program: str) -> list[Waiting]:
    if not shutil.which("atq"):
        return []
    numbers = [line.split()[0] for line in _said(["atq"]).splitlines() if line.split()]
    return [Waiting("at", number) for number in numbers if f" {shlex.quote(program)} " in _said(["at", "-c", number])]


def _said(argv: t.Sequence[str]) -> str:
    try:
        return command.run(argv, timeout=TIMEOUT).stdout
    except SageError:
        return ""
