"""Between a capture and its settling: who opens a linked file for writing waits until it has been copied.

A link shares its inode with the tree, so that what is written in place changes what is held as well. A process of its
own holds a read lease on each linked file: the kernel lets nobody open such a file for writing before the process has
given the lease back, or some 45 seconds have passed. It outlives the module that began it, and ends when the change is
settled, or by itself after a time.
"""

from __future__ import annotations

import fcntl
import os
import resource
import signal
import time
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import UnsafePath
from ansible_collections.intellistream.sage.plugins.module_utils._footprint.farm import link_name, name_for
from ansible_collections.intellistream.sage.plugins.module_utils._footprint.table import FILE

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._footprint.anchor import Anchor
    from ansible_collections.intellistream.sage.plugins.module_utils._footprint.farm import Farm
    from ansible_collections.intellistream.sage.plugins.module_utils._footprint.table import Table, TableRow

# In the farm, for each tree: locked and with the number of the process as long as it lives; what it copied, a line a
# file; a copy that is being made.
_LOCK, _COPIED, _STAGED = "keeper-", "copied-", ".copy-"
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_WRITE = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
# Descriptors that are needed beside those of the files.
_SPARE = 100


def watch(anchor: Anchor, table: Table, farm: Farm, seconds: int) -> list[str]:
    """Begin to watch the linked files of a table that was held.

    :param seconds: after which it ends in any case.
    :returns: paths of files that cannot be watched, since somebody has them open for writing, they are somebody else's,
        or there are too many. They are to be copied at once.
    """
    stop(anchor.full(""), farm)
    for name in (_COPIED, _STAGED):
        farm.tree.unlink(name_for(name, anchor.full("")))
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.setsid()
            if not os.fork():
                _keep(anchor, table, farm, seconds, writing)
        finally:
            os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    with os.fdopen(reading, "rb") as stream:
        answer = stream.read()
    if not answer.endswith(b"\0\0"):
        # It ended before it watched anything.
        return [path for path, _row in _linked(table)]
    return [os.fsdecode(path) for path in answer.split(b"\0") if path]


def stop(path: str, farm: Farm) -> None:
    """End what watches a tree, once it has copied what somebody waits for; nothing if nothing does."""
    fd = os.open(name_for(_LOCK, path), _WRITE, 0o600, dir_fd=farm.tree.fd)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            # Who holds the lock wrote its number there and lives.
            os.kill(int(os.read(fd, 20)), signal.SIGTERM)
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


def _linked(table: Table) -> t.Iterator[tuple[str, TableRow]]:
    return ((path, row) for path, row in table.rows.items() if row.type == FILE and not row.hash)


def _keep(anchor: Anchor, table: Table, farm: Farm, seconds: int, answer: int) -> None:
    """The life of the process."""
    signals = {signal.SIGRTMIN, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    lock = os.open(name_for(_LOCK, anchor.full("")), _WRITE, 0o600, dir_fd=farm.tree.fd)
    fcntl.flock(lock, fcntl.LOCK_EX)
    os.ftruncate(lock, 0)
    os.write(lock, b"%d" % os.getpid())
    # Locks of the module that are open here would last as long as this.
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    kept_open = sorted({lock, answer, anchor.parent.fd, farm.tree.fd})
    anchor.parent.forget()
    farm.tree.forget()
    for low, high in zip([2, *kept_open], [*kept_open, 4096]):
        os.closerange(low + 1, high)
    leases, refused = _lease(anchor, table)
    os.write(answer, b"".join(os.fsencode(path) + b"\0" for path in refused) + b"\0\0")
    os.close(answer)
    end = time.monotonic() + seconds
    number = 0
    while number != signal.SIGTERM and time.monotonic() < end:
        came = signal.sigtimedwait(signals, max(0.0, end - time.monotonic()))
        number = came.si_signo if came is not None else 0
        for fd in [fd for fd in leases if fcntl.fcntl(fd, fcntl.F_GETLEASE) != fcntl.F_RDLCK]:
            _copy(anchor, farm, fd, leases.pop(fd))


def _lease(anchor: Anchor, table: Table) -> tuple[dict[int, str], list[str]]:
    """Descriptors with leases → name of the link; and paths that got none."""
    linked = list(_linked(table))
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    enough = len(linked) + _SPARE
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(enough, limit[0]), max(enough, limit[1])))
    except (ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit[1], limit[1]))
    leases: dict[int, str] = {}
    refused: list[str] = []
    room = resource.getrlimit(resource.RLIMIT_NOFILE)[0] - _SPARE
    for path, row in linked:
        if len(leases) >= room:
            refused.append(path)
            continue
        try:
            directory, name = anchor.at(path)
            fd = os.open(name, _READ, dir_fd=directory)
        except (OSError, UnsafePath):
            refused.append(path)
            continue
        try:
            fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
            fcntl.fcntl(fd, fcntl.F_SETSIG, signal.SIGRTMIN)
            info = os.fstat(fd)
            if (info.st_ino, info.st_size, info.st_mtime_ns) != (row.inode, row.size, row.mtime):
                raise BlockingIOError
        except OSError:
            os.close(fd)
            refused.append(path)
            continue
        leases[fd] = link_name(row)
    return leases, refused


def _copy(anchor: Anchor, farm: Farm, fd: int, name: str) -> None:
    """Copy a file that somebody waits for, note it, and let the other go on."""
    try:
        digest = farm.copy_open(fd, name_for(_STAGED, anchor.full(""))).digest
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
