"""Between a capture and its settling: who opens a linked file for writing waits until it has been copied.

A link shares its inode with the tree, so that what is written in place changes what is held as well. A process of its
own, or several where one may not have so many files open, holds a read lease on each linked file: the kernel lets
nobody open such a file for writing before the lease was given back, or some 45 seconds have passed. It outlives the
module that began it, and ends when the change is settled or undone, when the farm is gone, or by itself after a time.
It belongs to no run: what is left of one that died is ended, and this goes on.
"""

from __future__ import annotations

import fcntl
import functools
import os
import resource
import signal
import time
import typing as t
import warnings

from ansible_collections.intellistream.sage.plugins.module_utils._base import processes
from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import UnsafePath
from ansible_collections.intellistream.sage.plugins.module_utils._footprint.farm import link_name, name_for

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._footprint.anchor import Anchor
    from ansible_collections.intellistream.sage.plugins.module_utils._footprint.farm import Farm
    from ansible_collections.intellistream.sage.plugins.module_utils._footprint.table import Table, TableRow

# In the farm, for each tree: locked and with the numbers of the processes, as long as one lives; what they copied, a
# line a file; copies that are being made.
_LOCK, _COPIED, _STAGED = "keeper-", "copied-", ".copy-"
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_WRITE = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
# Descriptors that are needed beside those of the files.
_SPARE = 100
# Processes for one tree.
_MOST = 32
# Longer than any change takes that began when it was captured.
_SECONDS = 2 * 3600
# How often it looks whether the farm is still there.
_PAUSE = 10


class Watch:
    """Watching files that will be held by links, or are.

    It begins at once, and goes on beside whoever began it. What already watches the tree ends.

    :param paths: of the files.
    :param seconds: after which it ends in any case; by default longer than any change takes.
    """

    def __init__(
        self, anchor: Anchor, table: Table, farm: Farm, paths: t.Sequence[str], seconds: int | None = None
    ) -> None:
        path = anchor.full("")
        self._stop = functools.partial(stop, path, farm)
        self._stop()
        farm.tree.unlink(name_for(_COPIED, path))
        for name in [name for name, dummy in farm.tree.listing("") if name.startswith(name_for(_STAGED, path))]:
            farm.tree.unlink(name)
        room = _room()
        seconds = _SECONDS if seconds is None else seconds
        self._parts = {os.pipe(): paths[begin : begin + room] for begin in range(0, len(paths), room)[:_MOST]}
        self._refused: list[str] = []
        with warnings.catch_warnings():
            # What other threads there are, of a test runner for instance, have nothing that this needs.
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
        if not child:
            try:
                os.setsid()
                lock = os.open(name_for(_LOCK, path), _WRITE, 0o600, dir_fd=farm.tree.fd)
                fcntl.flock(lock, fcntl.LOCK_EX)
                os.ftruncate(lock, 0)
                for number, ((_reading, writing), part) in enumerate(self._parts.items()):
                    if not os.fork():
                        staged = f"{name_for(_STAGED, path)}.{number}"
                        _keep(anchor, farm, [(each, table.rows[each]) for each in part], seconds, lock, staged, writing)
                        break
            finally:
                os._exit(0)
        for _reading, writing in self._parts:
            os.close(writing)
        os.waitpid(child, 0)

    def stop(self) -> None:
        """End it before it is of use to anybody."""
        self.refused()
        self._stop()

    def refused(self) -> list[str]:
        """Wait until all is watched that can be.

        What cannot be, since the file system has no leases or there are too many files, stays held by its link: to copy
        that would take minutes, and room that nobody has looked for.

        :returns: paths of files that are to be copied at once: somebody has them open for writing, or has written to
            them since the look.
        """
        parts, self._parts = self._parts, {}
        for reading, _writing in parts:
            with os.fdopen(reading, "rb") as stream:
                self._refused += [os.fsdecode(path) for path in stream.read().split(b"\0") if path]
        return self._refused


def stop(path: str, farm: Farm) -> None:
    """End what watches a tree, once it has copied what somebody waits for; nothing if nothing does."""
    fd = os.open(name_for(_LOCK, path), _WRITE, 0o600, dir_fd=farm.tree.fd)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            # Who holds the lock wrote its number there and lives. In a container it may be another number; it ends
            # soon by itself when the name is gone.
            farm.tree.unlink(name_for(_LOCK, path))
            for number in map(int, os.read(fd, 16 * _MOST).split()):
                if processes.name(number) == processes.KEEPER:
                    os.kill(number, signal.SIGTERM)
            fcntl.flock(fd, fcntl.LOCK_EX)
    finally:
        os.close(fd)


def copied(path: str, farm: Farm) -> dict[str, str]:
    """What of a tree was copied before somebody wrote to it: name of the link → hash of the copy."""
    return _noted(farm, name_for(_COPIED, path))


def is_at_work(farm: Farm) -> bool:
    """Whether any tree is watched."""
    for name in [name for name, dummy in farm.tree.listing("") if name.startswith(_LOCK)]:
        fd = farm.tree.open_file(name)
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(fd)
    return False


def all_copied(farm: Farm) -> set[str]:
    """The hashes of all that was copied for any tree."""
    names = [name for name, dummy in farm.tree.listing("") if name.startswith(_COPIED)]
    return {digest for name in names for digest in _noted(farm, name).values()}


def _noted(farm: Farm, name: str) -> dict[str, str]:
    try:
        lines = farm.tree.read(name).splitlines()
    except FileNotFoundError:
        return {}
    pairs = (line.decode().split(" ") for line in lines)
    return {pair[0]: pair[1] for pair in pairs if len(pair) == 2 and len(pair[1]) == 64}


def _room() -> int:
    """How many files one process may lease."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return max(limit - _SPARE, 1) if limit != resource.RLIM_INFINITY else 1 << 20


def _keep(
    anchor: Anchor,
    farm: Farm,
    linked: t.Sequence[tuple[str, TableRow]],
    seconds: int,
    lock: int,
    staged: str,
    answer: int,
) -> None:
    """The life of a process.

    :param lock: shared by all of this tree.
    :param staged: the name of a copy that it makes.
    """
    # SIGIO comes instead where no more signals can wait.
    signals = {signal.SIGRTMIN, signal.SIGIO, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    processes.rename_this(processes.KEEPER)
    os.write(lock, b"%d\n" % os.getpid())
    os.chdir("/")
    # Locks of the module that are open here would last as long as this.
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    kept_open = sorted({lock, answer, anchor.parent.fd, farm.tree.fd})
    anchor.parent.forget()
    farm.tree.forget()
    for low, high in zip([2, *kept_open], [*kept_open, 4096]):
        os.closerange(low + 1, high)
    leases, refused = _lease(anchor, linked)
    os.write(answer, b"\0".join(map(os.fsencode, refused)))
    os.close(answer)
    end = time.monotonic() + seconds
    number = 0
    while number != signal.SIGTERM and time.monotonic() < end and os.fstat(lock).st_nlink:
        came = signal.sigtimedwait(signals, min(_PAUSE, max(0.0, end - time.monotonic())))
        number = came.si_signo if came is not None else 0
        for fd in [fd for fd in leases if fcntl.fcntl(fd, fcntl.F_GETLEASE) != fcntl.F_RDLCK]:
            _copy(anchor, farm, fd, leases.pop(fd), staged)


def _lease(anchor: Anchor, linked: t.Sequence[tuple[str, TableRow]]) -> tuple[dict[int, str], list[str]]:
    """Descriptors with leases → name of the link; and paths that somebody writes to."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    leases: dict[int, str] = {}
    refused: list[str] = []
    inodes: set[int] = set()
    for path, row in linked:
        if row.inode in inodes:
            continue
        try:
            directory, name = anchor.at(path)
            fd = os.open(name, _READ, dir_fd=directory)
        except (OSError, UnsafePath):
            # It went, or is to be read by others alone.
            continue
        try:
            fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
            fcntl.fcntl(fd, fcntl.F_SETSIG, signal.SIGRTMIN)
            info = os.fstat(fd)
            is_written_to = (info.st_ino, info.st_size, info.st_mtime_ns) != (row.inode, row.size, row.mtime)
        except BlockingIOError:
            is_written_to = True
        except OSError:
            os.close(fd)
            continue
        if is_written_to:
            os.close(fd)
            refused.append(path)
            continue
        leases[fd] = link_name(row)
        inodes.add(row.inode)
    return leases, refused


def _copy(anchor: Anchor, farm: Farm, fd: int, name: str, staged: str) -> None:
    """Copy a file that somebody waits for, note it, and let the other go on."""
    try:
        digest = farm.copy_open(fd, staged).digest
        noted = os.open(name_for(_COPIED, anchor.full("")), _WRITE | os.O_APPEND, 0o600, dir_fd=farm.tree.fd)
        try:
            os.write(noted, f"{name} {digest}\n".encode())
            os.fsync(noted)
        finally:
            os.close(noted)
    except OSError:
        # No room: the other is not held up for that, and settling names the file.
        pass
    finally:
        # Gives the lease back.
        os.close(fd)
