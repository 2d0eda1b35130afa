"""Other processes of this host, as the kernel tells of them; a process is its id."""

from __future__ import annotations

import contextlib
import os

# The name of a process that goes on when the call that began it has ended, and is at work for no run.
KEEPER = "sage-keeper"
# Of what the kernel tells of a process.
_STARTED = 20


def running() -> list[int]:
    """All processes; none where there is no C(/proc), on another system than Linux."""
    try:
        return [int(name) for name in os.listdir("/proc") if name.isdigit()]
    except OSError:
        return []


def name(process: int) -> str:
    """The name of a process; V(gone) when it has ended."""
    return (_stat(process) or ["gone"])[0]


def rename_this(to: str) -> None:
    """Give this process another name, of up to 15 characters, where there is a C(/proc)."""
    with contextlib.suppress(OSError), open("/proc/self/comm", "w", encoding="utf-8") as stream:
        stream.write(to)


def started(process: int) -> str:
    """When a process started, in ticks since the boot; empty when it has ended, also when nobody has asked how."""
    facts = _stat(process)
    return facts[_STARTED] if len(facts) > _STARTED and facts[1] not in ("Z", "X") else ""


def ancestors() -> set[int]:
    """This process, and those that started it."""
    chain: set[int] = set()
    process = os.getpid()
    while process > 0 and process not in chain:
        chain.add(process)
        facts = _stat(process)
        process = int(facts[2]) if facts else 0
    return chain


def _stat(process: int) -> list[str]:
    """Name, state, parent and what else C(proc_pid_stat) has of a process; empty when it is gone."""
    try:
        with open(f"/proc/{process}/stat", encoding="utf-8", errors="replace") as stream:
            # The name may have spaces and parentheses.
            before, dummy, after = stream.read().rpartition(")")
    except OSError:
        return []
    return [before.partition("(")[2], *after.split()]
