# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Failing scriptlets, locks, damage and full disks: exact in the end, or refused before anything was changed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import (
    Busy,
    ConflictError,
    StoreError,
)
from ansible_collections.intellistream.sage.plugins.module_utils._rpm import lock
from ansible_collections.intellistream.sage.tests.system import oracle
from ansible_collections.intellistream.sage.tests.system.command import dnf, run
from ansible_collections.intellistream.sage.tests.system.content import Directory, Link
from ansible_collections.intellistream.sage.tests.system.rpm.undoing import (
    ORIGINAL,
    UPGRADED,
    Host,
    example,
    files_of,
    snapshot,
    write,
)
from ansible_collections.intellistream.sage.tests.system.rpms import installed

if TYPE_CHECKING:
    import pathlib

    from ansible_collections.intellistream.sage.tests.system.rpms import Repository


@pytest.fixture
def host(sage_root: pathlib.Path) -> Host:
    return Host(sage_root)


SCRIPTS = ("pre", "post", "preun", "postun", "pretrans", "posttrans")
EVERY = bool(os.environ.get("SAGE_TEST_ALL"))
SAMPLES = 40 if EVERY else 5


@pytest.mark.parametrize("script", SCRIPTS if EVERY else SCRIPTS[1:3])
def test_a_script_of_the_new_version_fails(host: Host, repository: Repository, script: str) -> None:
    example(repository, scripts={script: "exit 1"})
    host.capture("foo", state="latest")
    dnf("upgrade", "foo", ok=False)
    result = host.undo()
    assert host.differences() == []
    if script == "preun":
        assert "foo: its %preun failed during the rollback, and was left out" in result["inexact"]
        assert not result["exact"]


@pytest.mark.parametrize("script", SCRIPTS if EVERY else SCRIPTS[:1])
def test_a_script_of_the_old_version_fails(host: Host, repository: Repository, script: str) -> None:
    repository.build("foo", "1", files=files_of("1"), scripts={script: "test ! -e /var/tmp/fail"})
    repository.build("foo", "2", files=files_of("2"))
    repository.offer()
    dnf("install", "foo-1")
    host.capture("foo", state="latest")
    dnf("upgrade", "foo")
    write("/var/tmp/fail", "")
    result = host.undo()
    assert installed() == ["foo-1-1.noarch"]
    assert host.differences() == []
    if script in ("pre", "post"):
        assert any(f"its %{script} failed during the rollback" in line for line in result["inexact"])


@pytest.mark.parametrize("script", ["preun", "postun"] if EVERY else ["preun"])
def test_a_script_of_the_old_version_fails_in_the_upgrade(host: Host, repository: Repository, script: str) -> None:
    """A failing %preun leaves both versions."""
    repository.build("foo", "1", files=files_of("1"), scripts={script: "exit 1"})
    repository.build("foo", "2", files=files_of("2"))
    repository.offer()
    dnf("install", "foo-1")
    host.capture("foo", state="latest")
    dnf("upgrade", "foo", ok=False)
    assert installed() == (["foo-1-1.noarch", "foo-2-1.noarch"] if script == "preun" else ["foo-2-1.noarch"])
    host.undo()
    assert host.differences() == []


def test_triggers_run_and_may_fail(host: Host, repository: Repository) -> None:
    repository.add("watcher", triggers={"triggerin -- foo": "echo in $2 >>/var/tmp/log; exit 1"})
    example(repository)
    dnf("install", "watcher")
    host.capture("foo", state="latest")
    dnf("upgrade", "foo")
    host.undo()
    assert host.differences() == []


def test_only_installed_beside(host: Host, repository: Repository) -> None:
    """Kernels and their like: the new one goes, a removed one comes back, the others stay."""
    for version in "123":
        repository.build("kern", version, files={f"/opt/kern-{version}": version}, fields=["Provides: kernel"])
    repository.offer()
    run("rpm", "-i", *(repository.where / f"kern-{version}-1.noarch.rpm" for version in "12"))
    changes = [
        {"name": "kern", "arch": "noarch", "before": None, "after": "3-1"},
        {"name": "kern", "arch": "noarch", "before": "1-1", "after": None},
    ]
    point = host.capture(changes=changes)
    run("rpm", "-i", repository.where / "kern-3-1.noarch.rpm")
    run("rpm", "-e", "kern-1")
    host.settle(point)
    host.undo()
    assert installed() == ["kern-1-1.noarch", "kern-2-1.noarch"]
    assert host.differences() == []


def test_obsoleted_and_of_another_architecture(host: Host, repository: Repository) -> None:
    machine = os.uname().machine
    repository.build("old", files={"/opt/old": "old"})
    repository.build("arch", "1", files={"/opt/arch": "1"})
    repository.build("new", files={"/opt/new": "new"}, fields=["Obsoletes: old"])
    repository.build("arch", "2", files={"/opt/arch": "2"}, arch=machine)
    run("rpm", "-i", repository.where / "old-1-1.noarch.rpm", repository.where / "arch-1-1.noarch.rpm")
    changes = [
        {"name": "old", "arch": "noarch", "before": "1-1", "after": None},
        {"name": "new", "arch": "noarch", "before": None, "after": "1-1"},
        {"name": "arch", "arch": "noarch", "before": "1-1", "after": None},
        {"name": "arch", "arch": machine, "before": None, "after": "2-1"},
    ]
    host.capture(changes=changes)
    run("rpm", "-U", repository.where / "new-1-1.noarch.rpm", repository.where / f"arch-2-1.{machine}.rpm")
    assert installed() == [f"arch-2-1.{machine}", "new-1-1.noarch"]
    host.undo()
    assert host.differences() == []


def test_a_directory_took_the_place_of_a_file(host: Host, repository: Repository) -> None:
    repository.build("foo", "1", files={"/opt/foo/thing": "a file", "/opt/foo/link": Link("thing")})
    gone = 'for i, p in ipairs({"/opt/foo/thing", "/opt/foo/link"}) do os.remove(p) end'
    files = {"/opt/foo/thing/inside": "2", "/opt/foo/link": Directory(0o700)}
    repository.build("foo", "2", files=files, scripts={"pretrans -p <lua>": gone})
    repository.offer()
    dnf("install", "foo-1")
    host.capture("foo", state="latest")
    dnf("upgrade", "foo")
    assert os.path.isdir("/opt/foo/thing")
    write("/opt/foo/thing/theirs", "somebody's")
    with pytest.raises(ConflictError, match="/opt/foo/thing/theirs is where a file of a package was"):
        host.undo()
    os.unlink("/opt/foo/thing/theirs")
    host.undo()
    assert host.differences() == []


def test_a_file_took_the_place_of_a_directory(host: Host, repository: Repository) -> None:
    repository.build("foo", "1", files={"/opt/foo/thing/inside": "1", "/opt/foo/link": Directory(0o700)})
    gone = 'os.remove("/opt/foo/thing/inside"); os.remove("/opt/foo/thing"); os.remove("/opt/foo/link")'
    files = {"/opt/foo/thing": "2", "/opt/foo/link": Link("thing")}
    repository.build("foo", "2", files=files, scripts={"pretrans -p <lua>": gone})
    repository.offer()
    dnf("install", "foo-1")
    host.capture("foo", state="latest")
    dnf("upgrade", "foo")
    assert os.path.isfile("/opt/foo/thing")
    host.undo()
    assert host.differences() == []


def saved(host: Host) -> list[pathlib.Path]:
    return sorted(host.root.rglob("foo*.rpm"))


@pytest.mark.parametrize("damage", ["changed", "cut", "gone"] if EVERY else ["changed", "gone"])
def test_a_damaged_saved_package(host: Host, repository: Repository, damage: str) -> None:
    example(repository)
    host.capture("foo", state="latest")
    dnf("upgrade", "foo")
    (path,) = saved(host)
    data = path.read_bytes()
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(data[:-1] + b"X" if damage == "changed" else data[:-100])
    before = snapshot()
    for check in (True, False):
        with pytest.raises(StoreError, match="foo"):
            host.undo(check=check)
    assert oracle.diff(before, snapshot()) == []
    path.write_bytes(data)
    path.chmod(0o600)
    host.undo()
    assert host.differences() == []


def test_rpm_is_at_work(host: Host, repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    example(repository)
    host.capture("foo", state="latest")
    dnf("upgrade", "foo")
    before = snapshot()
    code = "import fcntl, sys; f = open(sys.argv[1], 'r+'); fcntl.lockf(f, fcntl.LOCK_EX); print(flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code, "/var/lib/rpm/.rpm.lock"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        monkeypatch.setattr(lock, "TIMEOUT", 0.5)
        with pytest.raises(Busy, match="another transaction of rpm"):
            host.undo()
        holder.kill()
    assert oracle.diff(before, snapshot()) == []
    host.undo()
    assert host.differences() == []


def test_dnf_is_at_work(host: Host, repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    example(repository)
    host.capture("foo", state="latest")
    dnf("upgrade", "foo")
    with subprocess.Popen(["sleep", "60"]) as other:
        write("/var/lib/dnf/rpmdb_lock.pid", str(other.pid))
        monkeypatch.setattr(lock, "TIMEOUT", 0.5)
        with pytest.raises(Busy, match=f"dnf, process {other.pid}"):
            host.undo()
        assert installed() == UPGRADED
        other.kill()
    # A dead one's file is no lock.
    host.undo()
    assert host.differences() == []


UNDO = """
import sys
from ansible_collections.intellistream.sage.tests.system.rpm.undoing import Host
import pathlib
Host(pathlib.Path(sys.argv[1])).undo()
"""
CALLS = "rename,renameat,renameat2,unlink,unlinkat,pwrite64,fsync,fdatasync,link,linkat,mkdir,mkdirat,chmod,utimensat"


def traced(host: Host, *options: str) -> subprocess.CompletedProcess[bytes]:
    command = ["strace", "-f", "-qq", "-e", f"trace={CALLS}", *options, sys.executable, "-c", UNDO, str(host.root)]
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)


def again(host: Host, repository: Repository) -> None:
    """Another upgrade to undo."""
    point = host.capture("foo", state="latest")
    by = [repository.where / f"{name}.noarch.rpm" for name in ("foo-2-1", "bar-2-1", "goo-1-1")]
    run("rpm", "-U", *by)
    host.settle(point)


@pytest.mark.timeout(900)
def test_the_undo_is_killed_anywhere(host: Host, repository: Repository, tmp_path: pathlib.Path) -> None:
    example(repository)
    write("/etc/foo.conf", "mine\n")
    again(host, repository)
    log = tmp_path / "calls"
    done = traced(host, "-o", str(log))
    assert done.returncode == 0, done.stderr
    assert host.differences() == []
    calls = len(log.read_bytes().splitlines())
    killed = 0
    for number in range(SAMPLES):
        again(host, repository)
        nth = 1 + calls * number // SAMPLES
        done = traced(host, "-o", "/dev/null", "-e", f"inject={CALLS}:signal=SIGKILL:when={nth}")
        assert done.returncode in (0, -signal.SIGKILL, 128 + signal.SIGKILL), (nth, done.stderr)
        killed += done.returncode != 0
        host.undo()
        assert host.differences() == [], (nth, calls)
    # Each process is counted by itself, and the first undo had more to do: the last ones come too late.
    assert killed >= SAMPLES * 0.7


UPGRADE = ("foo-2-1", "bar-2-1", "goo-1-1")


@pytest.mark.timeout(900)
@pytest.mark.parametrize("tool", ["rpm", "dnf"] if EVERY else ["rpm"])
def test_the_change_is_killed_anywhere(host: Host, repository: Repository, tmp_path: pathlib.Path, tool: str) -> None:
    example(repository)
    if tool == "rpm":
        command = ["rpm", "-U", *(str(repository.where / f"{name}.noarch.rpm") for name in UPGRADE)]
    else:
        command = ["dnf", "-q", "-y", "upgrade", "foo"]
    dnf("makecache")
    log = tmp_path / "calls"
    strace = ["strace", "-f", "-qq", "-e", f"trace={CALLS}"]
    point = host.capture("foo", state="latest")
    run(*strace, "-o", str(log), *command)
    assert installed() == UPGRADED
    host.undo(to=point)
    assert host.differences() == []
    calls = len(log.read_bytes().splitlines())
    for number in range(SAMPLES):
        point = host.capture("foo", state="latest")
        nth = 1 + calls * number // SAMPLES
        run(*strace, "-o", "/dev/null", "-e", f"inject={CALLS}:signal=SIGKILL:when={nth}", *command, ok=False)
        host.undo(to=point)
        assert host.differences() == [], (nth, calls)
        assert installed() == ORIGINAL
