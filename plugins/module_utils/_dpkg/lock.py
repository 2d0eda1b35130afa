"""dpkg's locks: nobody changes packages while they are captured or put back."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import struct
import time
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base import processes
from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import CaptureError

# What apt and dpkg take first, and hold until all is done.
_FRONTEND = "lock-frontend"
# struct flock: type, whence, start, length, process
_FLOCK = "hhqqi"
_PATIENCE = 10.0
_PAUSE = 0.1


@contextlib.contextmanager
def held(admin: str, patience: float = _PATIENCE) -> t.Iterator[None]:
    """Hold the lock; that of an apt that this was started by, as its hook, is as good.

    :param admin: dpkg's directory.
    :param patience: seconds to wait for it.
    :raises CaptureError: somebody else holds it, or this is not root.
    """
    path = os.path.join(admin, _FRONTEND)
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o640)
    except OSError as error:
        raise CaptureError(
            f"dpkg's lock {path} cannot be opened: {error.strerror or error}.",
            untouched="everything.",
            advice="Packages can only be captured by root (become: true).",
        ) from error
    try:
        holder = wait(fd, patience, processes.ancestors())
        if holder is not None:
            raise _busy(path, holder)
        yield
    finally:
        os.close(fd)


def wait(fd: int, seconds: float, ours: t.Collection[int] = ()) -> int | None:
    """Take the lock of an open file.

    :param seconds: to wait for it.
    :param ours: processes whose lock is as good.
    :returns: None once there is such a lock; else the process that still holds it, 0 when nobody knows.
    """
    until = time.monotonic() + seconds
    while True:
        try:
            fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return None
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EAGAIN):
                raise
        holder = _holder(fd)
        if holder and holder in ours:
            return None
        if time.monotonic() >= until:
            return holder
        time.sleep(_PAUSE)


def _busy(path: str, holder: int) -> CaptureError:
    who = f"process {holder} ({processes.name(holder)})" if holder else "another process"
    return CaptureError(
        f"{who} is changing packages and holds {path}.",
        untouched="everything.",
        advice="Wait until it has ended, then run again.",
        process=holder,
    )


def _holder(fd: int) -> int:
    """The process that holds the lock; 0 when it just let go or is not seen from here."""
    asked = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
    kind, dummy, dummy, dummy, process = struct.unpack(_FLOCK, fcntl.fcntl(fd, fcntl.F_GETLK, asked))
    return int(process) if kind != fcntl.F_UNLCK else 0
