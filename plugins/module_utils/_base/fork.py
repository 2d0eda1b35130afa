"""Work that a second process does while this one goes on, where there is a second processor.

The process is a fork: it has all that this one has, locks included, so nobody else gets in before both have
ended. It dies with this one.
"""

from __future__ import annotations

import functools
import json
import os
import signal
import typing as t
import warnings

T = t.TypeVar("T")
R = t.TypeVar("R")

_PR_SET_PDEATHSIG = 1
# Fewer take no longer than it takes to begin a process.
_MANY = 4000
_MANY_BYTES = 64 * 1024 * 1024


class ForkedCall(t.Generic[R]):
    """A function carried out by a forked process.

    :param work: returns what JSON can hold; whatever it changes in memory is lost.
    """

    def __init__(self, work: t.Callable[[], R]) -> None:
        self._pid = 0
        self._fd, writing = os.pipe()
        parent = os.getpid()
        # Looked up once here, not in each of the others.
        prctl = _prctl()
        try:
            with warnings.catch_warnings():
                # What other threads there are, of a test runner for instance, have nothing that this needs.
                warnings.simplefilter("ignore", DeprecationWarning)
                self._pid = os.fork()
        except OSError:
            # There is no result then, and the caller does it.
            os.close(writing)
            return
        if self._pid == 0:
            _child(work, writing, parent, prctl)
        os.close(writing)

    def result(self) -> R | None:
        """Wait for its end.

        :returns: what the work returned, as JSON gives it back; None when it failed, or was killed.
        """
        if not self._pid:
            self.stop()
            return None
        with os.fdopen(self._fd, "rb") as stream:
            self._fd = -1
            data = stream.read()
        pid, self._pid = self._pid, 0
        return t.cast("R", json.loads(data)) if os.waitpid(pid, 0)[1] == 0 else None

    def stop(self) -> None:
        """End it; harmless when it has ended."""
        if self._pid:
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)
            self._pid = 0
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def split_over_two_processes(
    work: t.Callable[[t.Sequence[T]], list[R]], inputs: t.Sequence[T], bytes_of: t.Callable[[T], int] | None = None
) -> list[R]:
    """What C(work) makes of the inputs, in their order; half of many are given to a second process.

    :param work: safe to repeat, since what the second process could not do is done again. What it returns there has
        been JSON since: a tuple is a list.
    :param bytes_of: how much an input makes the work read, where that takes longest.
    """
    half = len(inputs)
    if has_second_processor():
        half = _half_of_bytes(list(map(bytes_of, inputs))) if bytes_of else half // 2 if half >= _MANY else half
    if half == len(inputs):
        return work(inputs)
    child = ForkedCall(lambda: work(inputs[half:]))
    try:
        first_half = work(inputs[:half])
        second_half = child.result()
    finally:
        child.stop()
    return first_half + (work(inputs[half:]) if second_half is None else second_half)


def _half_of_bytes(sizes: t.Sequence[int]) -> int:
    """How many of the inputs have half of what is to be read, or all when it is little."""
    total, read = sum(sizes), 0
    if total < _MANY_BYTES:
        return len(sizes)
    for number, size in enumerate(sizes, start=1):
        read += size
        if 2 * read >= total:
            return number
    return len(sizes)


def has_second_processor() -> bool:
    """Whether this process may use more than one processor."""
    return len(os.sched_getaffinity(0)) > 1


def _child(
    work: t.Callable[[], object], writing: int, parent: int, prctl: t.Callable[..., object] | None
) -> t.NoReturn:
    """Do the work, write its result as JSON, and end."""
    status = 1
    try:
        if prctl is not None:
            # It dies with its parent. Where it does not it ends by itself, and the lock keeps everybody out until then.
            prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() == parent:
            data = json.dumps(work()).encode()
            while data:
                data = data[os.write(writing, data) :]
            status = 0
    finally:
        # Nothing of the other process is finished here: no buffer, no exit handler, no with statement.
        os._exit(status)


@functools.lru_cache(maxsize=1)
def _prctl() -> t.Callable[..., object] | None:
    """The C library's function; None where it has none."""
    try:
        import ctypes

        return t.cast("t.Callable[..., object]", ctypes.CDLL(None).prctl)
    except (ImportError, OSError, AttributeError):
        return None
