# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Capture and rollback, ended before each of the calls that change something, then run again.

A forked child ends at the call as SIGKILL would end it: nothing is cleaned up. Or the call fails
as on a full disk, which must leave a clear error and a state to go on from.
"""

from __future__ import annotations

import errno
import functools
import os
import pathlib
import shutil
import subprocess
import tempfile
import typing as t

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._base import fork
from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import SageError
from ansible_collections.intellistream.sage.tests.unit.crash.undo_places import (
    CASES,
    SITUATIONS,
    act,
    change,
    engine,
    made,
    unrecorded,
)
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils.tree import changes, snapshot

if t.TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.crash

EACH = int(os.environ.get("SAGE_TEST_ALL_CALLS", "0"))
CALLS = ("link", "unlink", "rename", "mkdir", "rmdir", "symlink", "write", "fsync", "fchmod", "utime", "fchown")
# Those that only look, and those that only some file systems see.
LOOKS = (
    *("open", "stat", "lstat", "fstat", "read", "readlink", "scandir", "listdir", "dup", "close", "fstatvfs"),
    *("getxattr", "listxattr", "setxattr", "removexattr", "ftruncate", "fdatasync", "replace", "chown"),
)
MEMORY = "/dev/shm"
FINISHED, CLEAR, KILLED, UNCLEAR = 0, 10, 11, 12


def attempt(
    action: t.Callable[[], object],
    nth: int,
    error: OSError | None,
    calls: t.Sequence[str] = CALLS,
    reported: tuple[type[Exception], ...] = (SageError, OSError),
) -> int:
    """Carry an action out in a child that ends, or fails, at its C(nth) call of these.

    :param reported: errors that the action may end with; the modules report both.
    """
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    seen = 0

    def spoiled(real: t.Callable[..., t.Any]) -> t.Callable[..., t.Any]:
        def call(*args: t.Any, **kwargs: t.Any) -> t.Any:
            nonlocal seen
            seen += 1
            if seen == nth and error is None:
                os._exit(KILLED)
            if seen == nth and error is not None:
                raise error
            return real(*args, **kwargs)

        return call

    result = UNCLEAR
    # The calls of a second process are not counted; those are ended by the test with strace.
    fork.has_second_processor = lambda: False
    try:
        for name in calls:
            setattr(os, name, spoiled(getattr(os, name)))
        action()
        result = FINISHED if seen < nth else CLEAR
    except reported:
        result = CLEAR
    finally:
        os._exit(result)


ERRORS = {
    "killed": None,
    "full": OSError(errno.ENOSPC, "No space left on device"),
    "broken": OSError(errno.EIO, "Input/output error"),
    "refused": OSError(errno.EACCES, "Permission denied"),
}


def _again(saved: Path, host: Path) -> None:
    shutil.rmtree(host, ignore_errors=True)
    subprocess.run(["cp", "-a", str(saved), str(host)], check=True)


@pytest.fixture
def fast() -> t.Iterator[Path]:
    """A place where a sync costs nothing: what ends here is a process, not the machine."""
    with tempfile.TemporaryDirectory(dir=MEMORY if os.access(MEMORY, os.W_OK) else None) as path:
        yield pathlib.Path(path)


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize(("action", "situation"), CASES, ids=[" ".join(case) for case in CASES])
def test_at_every_call(fast: Path, action: str, situation: str, error: str) -> None:
    saved, host = fast / "saved", fast / "host"
    SITUATIONS[situation](host)
    # The ledger has absolute names, so each trial is where the first one was.
    host.rename(saved)
    _again(saved, host)
    before = snapshot(host / "data")
    act(host, action)
    wanted = snapshot(host / "data")
    for calls, step in ((CALLS, EACH or 7), ((*CALLS, *LOOKS), EACH or 97)):
        nth, result, tried = 1, KILLED, 0
        while result != FINISHED:
            _again(saved, host)
            result = attempt(functools.partial(act, host, action), nth, ERRORS[error], calls)
            assert result != UNCLEAR, nth
            if action == "capture":
                assert changes(before, snapshot(host / "data")) == {}, nth
            act(host, action)
            if action == "capture":
                change(host)
                act(host, "undo")
            assert changes(wanted, snapshot(host / "data")) == {}, nth
            with engine(host).reading() as session:
                history = session.history()
            assert all(one.undoing is None for one in history), nth
            assert unrecorded(host) == set(), nth
            nth, tried = nth + step, tried + 1
        assert nth > 20
        assert tried > 1


@pytest.mark.parametrize("error", ["killed", "full", "broken"])
def test_removal_across_file_systems(tmp_path: Path, error: str) -> None:
    """What cannot be moved into the store stays beside its place, and comes back from there."""
    if not os.access(MEMORY, os.W_OK) or os.stat(MEMORY).st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second file system")
    nth, result = 1, KILLED
    with tempfile.TemporaryDirectory(dir=MEMORY) as other:
        while result != FINISHED:
            host = tmp_path / str(nth)
            host.mkdir()
            (host / "root").symlink_to(os.path.join(other, str(nth)))
            os.mkdir(os.path.join(other, str(nth)))
            made(host)
            before = snapshot(host / "data")
            result = attempt(functools.partial(act, host, "first"), nth, ERRORS[error])
            assert result != UNCLEAR, nth
            act(host, "first")
            left = os.listdir(host / "data")
            with engine(host).reading() as session:
                points = [point for change in session.history() for point in change.points]
            kept = [point["point"] for point in points if point.get("redo")]
            # A rollback is more than the chance to undo it: what could not be captured is not kept.
            assert left == [f".venv.sage-{name}.0" for name in kept], (nth, left)
            assert kept or error != "killed"
            if kept:
                act(host, "redo")
                assert changes(before, snapshot(host / "data")) == {}, nth
            # The memory of a container is small, and each store reserves some of it.
            shutil.rmtree(os.path.join(other, str(nth)))
            nth += EACH or 3
    assert nth > 20
