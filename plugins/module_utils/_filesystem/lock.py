"""A lock that a dead process cannot hold.

C(flock) belongs to the open file: the kernel lets go when the process ends, however it ends.
"""

from __future__ import annotations

import fcntl
import os
import time
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import Busy

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.private import PrivateDir

_NAME = "lock"
_PAUSE = 0.01


class Lock:
    """An exclusive lock on a state directory, as a context manager.

    C(lock) in that directory holds the process id of whoever took it last, ten characters and a newline, for messages.

    :param state: the directory.
    :param timeout: seconds to wait for whoever holds the lock.
    :raises Busy: it was not had in time, or the state was reset meanwhile.
    """

    def __init__(self, state: PrivateDir, timeout: float) -> None:
        self._state = state
        self._timeout = timeout
        self._fd = -1

    def __enter__(self) -> Lock:
        try:
            self._fd = self._state.open(_NAME, os.O_RDWR | os.O_CREAT)
        except FileNotFoundError:
            raise self._was_reset() from None
        deadline = time.monotonic() + self._timeout
        pause = _PAUSE
        while True:
            try:
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    pid = os.pread(self._fd, 32, 0).decode("ascii", "replace").strip()
                    holder = f"process {pid}" if pid else "another process"
                    self.__exit__()
                    raise Busy(
                        f"{self._state.path} has been locked for {self._timeout:g} s by {holder}.",
                        untouched="everything.",
                        advice="Wait for that run to end, or raise the module's option `lock_timeout`. A "
                        "dead process holds no lock.",
                    ) from None
                time.sleep(pause)
                pause = min(pause * 1.5, 0.1)
            else:
                self._sign()
                self._check_not_reset()
                return self

    def _check_not_reset(self) -> None:
        """Whoever held the lock may have reset the state: then this directory is no longer there."""
        try:
            same = os.path.samestat(os.stat(self._state.path), os.fstat(self._state.fd))
        except OSError:
            same = False
        if not same:
            self.__exit__()
            raise self._was_reset()

    def _was_reset(self) -> Busy:
        return Busy(
            f"{self._state.path} was reset by another process while this one waited.",
            untouched="everything.",
            advice="Run again.",
        )

    def _sign(self) -> None:
        """Leave the process id for whoever has to wait; a full disk is no reason not to work."""
        try:
            os.pwrite(self._fd, f"{os.getpid():<10}\n".encode("ascii"), 0)
        except OSError:
            pass

    def __exit__(self, *exc: object) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
