# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Full disks, of the repackage directory and of the packages: exact by the next run, or refused before any change."""

from __future__ import annotations

import contextlib
import os
import pathlib
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import (
    CaptureError,
    RollbackError,
    SageError,
)
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.private import MARK
from ansible_collections.intellistream.sage.plugins.module_utils._records.session import Engine
from ansible_collections.intellistream.sage.plugins.module_utils._storage import store
from ansible_collections.intellistream.sage.tests.system import oracle
from ansible_collections.intellistream.sage.tests.system.command import dnf, run
from ansible_collections.intellistream.sage.tests.system.content import File
from ansible_collections.intellistream.sage.tests.system.rpm.undoing import (
    CONFIG,
    ORIGINAL,
    UPGRADED,
    Host,
    example,
    snapshot,
    write,
)
from ansible_collections.intellistream.sage.tests.system.rpms import installed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ansible_collections.intellistream.sage.tests.system.rpms import Repository

# A small file system of its own, in every container; the oracle of the whole system does not look there.
SMALL = pathlib.Path("/dev/shm")
MIB = 1 << 20


@contextlib.contextmanager
def room(size: int) -> Iterator[None]:
    """Nothing but so many bytes are free."""
    filler = SMALL / "filler"
    filler.unlink(missing_ok=True)
    free = os.statvfs(SMALL)
    with filler.open("wb") as target:
        os.posix_fallocate(target.fileno(), 0, free.f_bavail * free.f_frsize - size)
    try:
        yield
    finally:
        filler.unlink()


@pytest.fixture
def host(sage_root: pathlib.Path) -> Iterator[Host]:
    """Its store is on the small file system."""
    made = Host(sage_root)
    made.engine = Engine(str(sage_root), repackage_dir=str(SMALL / "store"))
    yield made
    for path in SMALL.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def points(host: Host) -> list[str]:
    with host.engine.reading() as session:
        return [point["point"] for one in session.history() for point in one.active_points]


def kept() -> list[pathlib.Path]:
    """All that is in the store, but for the mark that says whose it is."""
    return [path for path in (SMALL / "store").rglob("*") if path.is_file() and path.name != MARK]


def large(repository: Repository) -> None:
    """The documents' example, with something in it that takes space."""
    example(repository)
    noise = {"/opt/noise/data": os.urandom(3 * MIB)}
    repository.add("noise", "1", files=noise)
    dnf("install", "noise")
    write("/etc/foo.conf", "mine\n")


def test_a_capture_that_does_not_fit_is_not_begun(host: Host, repository: Repository) -> None:
    large(repository)
    before = snapshot()
    with room(2 * MIB), pytest.raises(CaptureError, match=r"needs \d+ bytes and \d+ files .* are available"):
        host.capture("noise", state="absent")
    assert oracle.diff(before, snapshot()) == []
    assert (points(host), kept()) == ([], [])
    host.capture("noise", state="absent")
    dnf("remove", "noise")
    host.undo()
    assert host.differences() == []


@pytest.mark.parametrize("size", [0, 4096, 32768, MIB, 3 * MIB])
def test_the_disk_fills_during_the_capture(
    host: Host, repository: Repository, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    """Somebody else takes the space that had been there when it was looked for."""
    large(repository)
    before = snapshot()
    with contextlib.ExitStack() as stack:
        with monkeypatch.context() as patch:
            patch.setattr(store, "check_space", lambda *dummy: stack.enter_context(room(size)))
            with pytest.raises(SageError, match=r"No space left|There is no room in") as caught:
                host.capture("noise", state="absent")
        assert "everything" in caught.value.untouched
        assert oracle.diff(before, snapshot()) == []
        assert (points(host), kept()) == ([], [])
    host.capture("noise", state="absent")
    dnf("remove", "noise")
    host.undo()
    assert host.differences() == []


@pytest.mark.parametrize("size", [0, 4096, 12288, 65536])
def test_the_repackage_directory_is_full_during_the_undo(host: Host, repository: Repository, size: int) -> None:
    large(repository)
    point = host.capture("foo", state="latest")
    dnf("upgrade", "foo")
    host.settle(point)
    changed = snapshot()
    stopped: SageError | None = None
    with room(size):
        try:
            host.undo()
        except SageError as error:
            stopped = error
    if stopped is not None:
        assert "No space left" in stopped.what
        if isinstance(stopped, RollbackError):
            assert "continues" in stopped.advice
        else:
            assert oracle.diff(changed, snapshot()) == []
        host.undo()
    assert host.differences() == []


def test_everything_is_full_during_the_undo(host: Host, repository: Repository) -> None:
    """The state, too: nothing can be recorded, so nothing is begun."""
    host.engine = Engine(str(SMALL / "root"), repackage_dir=str(SMALL / "root" / "store"))
    (SMALL / "root").mkdir(0o700)
    large(repository)
    host.capture("foo", state="latest")
    dnf("upgrade", "foo")
    changed = snapshot()
    with room(0), pytest.raises(SageError, match="No space left"):
        host.undo()
    assert oracle.diff(changed, snapshot()) == []
    host.undo()
    assert host.differences() == []


def test_no_space_for_the_packages(host: Host, repository: Repository) -> None:
    """Refused by rpm's own look at the disk, before anything is changed."""
    host.engine = Engine(str(host.root))
    data = SMALL / "opt" / "data"
    repository.build("foo", "1", files={str(data): File(b"x" * (20 * MIB), rpm=CONFIG)})
    repository.build("foo", "2", files={f"{data}2": "2"})
    repository.offer()
    dnf("install", "foo-1")
    host.capture("foo", state="latest")
    dnf("upgrade", "foo")
    before, there = snapshot(), oracle.files(str(SMALL / "opt"), ())
    with room(4 * MIB):
        with pytest.raises(SageError, match=r"needs .* more space"):
            host.undo()
        assert oracle.diff(before, snapshot()) == []
        assert oracle.diff(there, oracle.files(str(SMALL / "opt"), ())) == []
    host.undo()
    assert host.differences() == []
    assert data.read_bytes() == b"x" * (20 * MIB)


UNDO = """
import pathlib, sys
from ansible_collections.intellistream.sage.plugins.module_utils._records.session import Engine
from ansible_collections.intellistream.sage.tests.system.rpm.undoing import Host
host = Host(pathlib.Path(sys.argv[1]))
host.engine = Engine(sys.argv[1], repackage_dir=sys.argv[2])
host.undo()
"""
CALLS = "write,pwrite64,fsync,fdatasync,fallocate,ftruncate,mkdir,mkdirat,link,linkat,rename,renameat,renameat2,symlink"
SAMPLES = 60 if os.environ.get("SAGE_TEST_ALL") else 6


def traced(host: Host, *options: str) -> subprocess.CompletedProcess[bytes]:
    command = ["strace", "-f", "-qq", "-e", f"trace={CALLS}", *options]
    undo = [sys.executable, "-c", UNDO, str(host.root), str(SMALL / "store")]
    return subprocess.run([*command, *undo], stdin=subprocess.DEVNULL, capture_output=True, check=False)


def again(host: Host, repository: Repository) -> None:
    """Another upgrade to undo."""
    point = host.capture("foo", state="latest")
    run("rpm", "-U", *(repository.where / f"{name}.rpm" for name in UPGRADED))
    host.settle(point)


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("lasting", ["", "+"], ids=["once", "from then on"])
def test_any_call_of_the_undo_finds_the_disk_full(
    host: Host, repository: Repository, tmp_path: pathlib.Path, lasting: str
) -> None:
    example(repository, scripts={"post": "mkdir -p /var/tmp/foo"})
    write("/etc/foo.conf", "mine\n")
    again(host, repository)
    log = tmp_path / "calls"
    done = traced(host, "-o", str(log))
    assert done.returncode == 0, done.stderr
    assert host.differences() == []
    calls = len(log.read_bytes().splitlines())
    for number in range(SAMPLES):
        again(host, repository)
        nth = 1 + calls * number // SAMPLES
        done = traced(host, "-o", "/dev/null", "-e", f"inject={CALLS}:error=ENOSPC:when={nth}{lasting}")
        if done.returncode:
            host.undo()
        assert host.differences() == [], (nth, calls, done.stderr.decode()[-2000:])
        assert installed() == ORIGINAL
