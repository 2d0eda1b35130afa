# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""X5: root puts a user's tree back while this user swaps directories, files and each new name in it."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import SageError
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils._footprint.bench import Bench, snapshot

if TYPE_CHECKING:
    from collections.abc import Iterator

USER = 12345
ROUNDS = 300 if os.environ.get("SAGE_TEST_ALL") else 25
MEMORY = "/dev/shm"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can act in a user's tree"),
]


@contextlib.contextmanager
def _hostile(top: Path, outside: Path) -> Iterator[None]:
    """A process of the user's that swaps whatever it finds, as fast as it can."""
    child = os.fork()
    if not child:
        try:
            os.setgroups([])
            os.setgid(USER)
            os.setuid(USER)
            while True:
                _swap_all(top, outside)
        finally:
            os._exit(1)
    try:
        yield
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def _swap_all(top: Path, outside: Path) -> None:
    directory, away = top / "directory", top / "away"
    for here in (top, directory, top / "new"):
        for name in [name for name in _listing(here) if name.startswith(".intellistream")]:
            with contextlib.suppress(OSError):
                os.rename(here / name, here / "stolen")
            with contextlib.suppress(OSError):
                os.rename(top / "root's", here / name)
            with contextlib.suppress(OSError):
                os.symlink(outside / "secret", here / name)
    with contextlib.suppress(OSError):
        os.rename(directory, away)
        os.symlink(outside, directory)
    with contextlib.suppress(OSError):
        os.unlink(directory)
    with contextlib.suppress(OSError):
        os.rename(away, directory)
    # What is root's in the tree can be renamed, and must stay root's.
    with contextlib.suppress(OSError):
        os.rename(directory / "file", top / "mine")
        os.rename(top / "root's", directory / "file")
        os.rename(directory / "file", top / "root's")
    with contextlib.suppress(OSError):
        os.rename(top / "mine", directory / "file")


def _listing(directory: Path) -> list[str]:
    try:
        return os.listdir(directory)
    except OSError:
        return []


@pytest.mark.parametrize("store_on", ["the same file system", "another file system"])
def test_x5_nothing_outside_is_written_nor_given_away(store_on: str) -> None:
    where = Path(tempfile.mkdtemp())
    store = Path(tempfile.mkdtemp(dir=MEMORY)) if store_on.startswith("another") else where / "store"
    try:
        _play(where, store)
    finally:
        shutil.rmtree(where)
        shutil.rmtree(store, ignore_errors=True)


def _play(where: Path, store: Path) -> None:
    where.chmod(0o755)
    outside = where / "outside"
    outside.mkdir(0o755)
    (outside / "secret").write_bytes(b"root's!")
    (outside / "secret").chmod(0o600)
    (outside / "file").write_bytes(b"not to be replaced")
    untouched = snapshot(outside)
    for _round in range(ROUNDS):
        top = where / "tree"
        shutil.rmtree(top, ignore_errors=True)
        (top / "directory").mkdir(parents=True)
        (top / "directory/file").write_bytes(b"before!")
        (top / "directory/gone").write_bytes(b"before!")
        (top / "link").symlink_to("directory")
        (top / "root's").write_bytes(b"root's?")
        (top / "root's").chmod(0o600)
        # Held open, wherever it is moved.
        roots = os.open(top / "root's", os.O_RDONLY)
        for path in (top, top / "directory", top / "directory/file", top / "directory/gone"):
            os.chown(path, USER, USER)
        with Bench(where, links=False, store=store) as bench:
            before = bench.capture()
            (top / "directory/file").chmod(0o700)
            (top / "directory/gone").unlink()
            (top / "new").mkdir()
            (top / "new/new").write_bytes(b"new")
            os.chown(top / "new", USER, USER)
            (top / "link").unlink()
            footprint = bench.settle(before)
            with _hostile(top, outside):
                for _attempt in range(3):
                    with contextlib.suppress(OSError, SageError):
                        bench.undo(before, [footprint], force=True)
        assert snapshot(outside) == untouched
        info = os.fstat(roots)
        os.close(roots)
        assert (info.st_uid, info.st_mode & 0o777) == (0, 0o600)
