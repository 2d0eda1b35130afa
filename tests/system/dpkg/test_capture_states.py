# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""When nothing may be captured, and what is found once a change has ended."""

from __future__ import annotations

import fcntl
import multiprocessing
import os
import pathlib
import shutil
import sys
import time
from typing import TYPE_CHECKING

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import (
    CaptureError,
    ChangeFailed,
    StorageError,
)
from ansible_collections.intellistream.sage.plugins.module_utils._dpkg import lock as dpkg_lock
from ansible_collections.intellistream.sage.plugins.module_utils._dpkg.disk import Disk
from ansible_collections.intellistream.sage.plugins.module_utils._dpkg.resource import DpkgResource
from ansible_collections.intellistream.sage.tests.system import oracle
from ansible_collections.intellistream.sage.tests.system.command import apt, run
from ansible_collections.intellistream.sage.tests.system.debs import status
from ansible_collections.intellistream.sage.tests.system.dpkg.capturing import removal, request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ansible_collections.intellistream.sage.tests.system.debs import Repository

ADMIN = "/var/lib/dpkg"


def simple(repository: Repository) -> None:
    repository.build("foo", files={"/opt/foo/data": "1", "/etc/foo.conf": "1\n"}, conffiles=["/etc/foo.conf"])
    repository.offer()
    apt("install", "foo")
    repository.add("foo", "2", files={"/opt/foo/data": "2", "/etc/foo.conf": "2\n"}, conffiles=["/etc/foo.conf"])


# Script → what it does, how apt is called, and the state it leaves the package in; none: as it was.
BROKEN = {
    "postinst of a new one": ({"postinst": "exit 1"}, ["install"], "half-configured"),
    "preinst of a new one": ({"preinst": "exit 1"}, ["install"], ""),
    "postrm at removal": ({"postrm": '[ "$1" != remove ]'}, ["install", "remove"], "half-installed"),
    "prerm at removal": ({"prerm": '[ "$1" != remove ]'}, ["install", "remove"], ""),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_package_that_is_not_properly_there(case: str, repository: Repository, tmp_path: pathlib.Path) -> None:
    scripts, actions, state = BROKEN[case]
    simple(repository)
    repository.add("bad", scripts=scripts, files={"/opt/bad/data": "x"})
    for action in actions:
        captured = request(tmp_path / "root", "bad", state="absent" if action == "remove" else "present")
        assert bool(apt(action, "bad", ok=False).returncode) is (action == actions[-1])
    before = oracle.snapshot()
    if state:
        with pytest.raises(CaptureError, match=rf"bad:all 1 \({state}\).*dpkg --configure -a"):
            removal(tmp_path / "root", "foo")
        with pytest.raises(CaptureError):
            DpkgResource(["foo"], "latest").plan()
        with pytest.raises(ChangeFailed, match="bad:all") as failure:
            captured.after()
        assert failure.value.details["packages"] == ["bad:all"]
    else:
        # dpkg has put it back: apt alone says that something failed.
        assert removal(tmp_path / "root", "foo").facts["packages"]
        left = captured.after()["packages"]
        assert left == {} if actions == ["install"] else left["bad:all"]["version"] == "1"
    assert oracle.diff(before, oracle.snapshot()) == []


def test_a_killed_dpkg(repository: Repository, tmp_path: pathlib.Path) -> None:
    simple(repository)
    captured = removal(tmp_path / "root", "foo")
    pathlib.Path(ADMIN, "updates/0001").write_text("")
    with pytest.raises(CaptureError, match="ended halfway"):
        removal(tmp_path / "root", "foo")
    with pytest.raises(ChangeFailed, match="ended halfway"):
        captured.after()


def test_a_trigger_that_failed(repository: Repository, tmp_path: pathlib.Path) -> None:
    simple(repository)
    repository.add("slow", triggers="interest-await /opt/watched\n", scripts={"postinst": '[ "$1" != triggered ]'})
    repository.add("ringer", files={"/opt/watched/x": "x"})
    apt("install", "slow")
    captured = request(tmp_path / "root", "ringer")
    apt("install", "ringer", ok=False)
    assert (status("ringer"), status("slow")) == ("1 ii", "1 iF")
    # It was not among the changes, and failed because of them.
    with pytest.raises(ChangeFailed, match="slow:all: its postinst failed"):
        captured.after()


def test_a_package_that_waits_for_a_trigger(repository: Repository, tmp_path: pathlib.Path) -> None:
    simple(repository)
    repository.add("slow", triggers="interest-await /opt/watched\n")
    apt("install", "slow")
    captured = request(tmp_path / "root", "foo", state="latest")
    path = repository.add("ringer", files={"/opt/watched/x": "x"})
    run("dpkg", "--no-triggers", "--install", path)
    assert (status("ringer"), status("slow")) == ("1 iW", "1 it")
    with pytest.raises(ChangeFailed) as failure:
        captured.after()
    assert failure.value.details["packages"] == ["ringer:all", "slow:all"]
    with pytest.raises(CaptureError, match="triggers-awaited"):
        removal(tmp_path / "root", "foo")


def test_a_package_without_a_list(repository: Repository, tmp_path: pathlib.Path) -> None:
    simple(repository)
    os.unlink(f"{ADMIN}/info/foo.list")
    with pytest.raises(CaptureError, match="foo:all cannot be captured: dpkg's list of its files is missing"):
        removal(tmp_path / "root", "foo")


def test_only_root_can(repository: Repository, tmp_path: pathlib.Path) -> None:
    simple(repository)
    code = (
        "import os, sys; os.setuid(33)\n"
        "from ansible_collections.intellistream.sage.plugins.module_utils._dpkg.resource import DpkgResource\n"
        "DpkgResource(['foo'], 'latest').plan()\n"
    )
    done = run(sys.executable, "-c", code, ok=False)
    assert "CaptureError: Packages can only be captured by root" in done.stderr


@pytest.fixture
def locked() -> Iterator[multiprocessing.Process]:
    """Another process that has dpkg's lock, as apt has while it works."""

    def hold(ready: multiprocessing.synchronize.Event) -> None:
        with open(f"{ADMIN}/lock-frontend", "w") as lock:
            fcntl.lockf(lock, fcntl.LOCK_EX)
            ready.set()
            time.sleep(600)

    context = multiprocessing.get_context("fork")
    ready = context.Event()
    process = context.Process(target=hold, args=(ready,), daemon=True)
    process.start()
    assert ready.wait(10)
    yield process  # type: ignore[misc]
    process.kill()
    process.join()


def test_the_lock_of_another(locked: multiprocessing.Process) -> None:
    with (
        pytest.raises(CaptureError, match=rf"process {locked.pid} \(.*\) is changing packages") as failure,
        dpkg_lock.held(ADMIN, 0.5),
    ):
        pass
    assert failure.value.details["process"] == locked.pid


def test_it_is_waited_for(locked: multiprocessing.Process, monkeypatch: pytest.MonkeyPatch) -> None:
    holders: list[int] = []
    holder_of = dpkg_lock._holder

    def look(fd: int) -> int:
        """The lock was just refused: see who has it, who then ends."""
        holders.append(holder_of(fd))
        locked.kill()
        locked.join()
        return holders[-1]

    monkeypatch.setattr(dpkg_lock, "_holder", look)
    with dpkg_lock.held(ADMIN, 200):
        assert holders == [locked.pid]


def test_nobody_can_change_packages_meanwhile(repository: Repository) -> None:
    simple(repository)
    with dpkg_lock.held(ADMIN):
        done = apt("install", "-o", "DPkg::Lock::Timeout=0", "foo", ok=False)
        assert done.returncode
        assert "lock" in done.stderr
    apt("install", "foo")


def test_a_hook_of_apt_captures_although_apt_has_the_lock(repository: Repository, tmp_path: pathlib.Path) -> None:
    simple(repository)
    hook = tmp_path / "hook"
    code = (
        "import pathlib\n"
        "from ansible_collections.intellistream.sage.tests.system.dpkg.capturing import removal\n"
        f"made = removal(pathlib.Path({str(tmp_path / 'root')!r}), 'foo')\n"
        f"pathlib.Path({str(tmp_path / 'done')!r}).write_text(made.facts['packages']['foo:all']['version'])\n"
    )
    (tmp_path / "code.py").write_text(code)
    hook.write_text(f"#!/bin/sh\nexec {sys.executable} {tmp_path / 'code.py'}\n")
    hook.chmod(0o755)
    apt("install", "-o", f"DPkg::Pre-Install-Pkgs::={hook}", "foo")
    assert ((tmp_path / "done").read_text(), status("foo")) == ("1", "2 ii")


def appended(log: pathlib.Path) -> None:
    with log.open("a") as target:
        target.write("y")


def written_within(log: pathlib.Path) -> None:
    with log.open("r+") as target:
        target.write("y")


def cut_short(log: pathlib.Path) -> None:
    os.truncate(log, 1)


def replaced(log: pathlib.Path) -> None:
    new = log.with_name("new")
    new.write_bytes(log.read_bytes())
    new.rename(log)


@pytest.mark.parametrize("change", [appended, written_within, cut_short, replaced])
def test_a_file_that_is_being_written(
    change: Callable[[pathlib.Path], None],
    repository: Repository,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log = pathlib.Path("/opt/foo/log")
    repository.add("foo", files={str(log): "x" * 5_000_000})
    apt("install", "foo")
    content = Disk.content
    changes = 0

    def read(disk: Disk, path: str, info: os.stat_result) -> Iterator[bytes]:
        """Read it as ever, and somebody changes it after the first block."""
        nonlocal changes
        for block in content(disk, path, info):
            yield block
            if path == str(log) and not changes:
                changes += 1
                change(log)

    monkeypatch.setattr(Disk, "content", read)
    with pytest.raises(CaptureError, match=r"/opt/foo/log .*was changed while it was"):
        removal(tmp_path / "root", "foo")
    assert changes == 1


def test_a_full_disk(repository: Repository, tmp_path: pathlib.Path) -> None:
    repository.add("foo", files={"/opt/foo/data": os.urandom(3_000_000)})
    apt("install", "foo")
    files, size = DpkgResource([], "present", [{"name": "foo", "arch": "", "after": None}]).need()
    assert (files, 3_000_000 < size < 3_100_000) == (2, True)
    # A small file system of its own, in every container.
    small = pathlib.Path("/dev/shm")
    free = os.statvfs(small)
    filler = small / "filler"
    try:
        with filler.open("wb") as target:
            os.posix_fallocate(target.fileno(), 0, free.f_bavail * free.f_frsize - 2_000_000)
        with pytest.raises(StorageError, match="No space left"):
            removal(small / "root", "foo")
    finally:
        filler.unlink()
        shutil.rmtree(small / "root", ignore_errors=True)
    captured = removal(tmp_path / "root", "foo")
    assert captured.facts["bytes"] <= size
    assert captured.facts["files"] == files


def test_what_a_change_left(repository: Repository, tmp_path: pathlib.Path) -> None:
    simple(repository)
    repository.add("foo", "3", files={"/etc/foo.conf": "3\n"}, conffiles=["/etc/foo.conf"], depends="goo")
    repository.add("goo", scripts={"postinst": "mkdir -p /opt/made"})
    captured = request(tmp_path / "root", "foo", state="latest")
    apt("install", "foo")
    left = captured.after()
    assert left["packages"] == {
        "goo:all": {"version": "1", "state": "installed", "want": "install", "auto": True, "conffiles": {}},
        "foo:all": {
            "version": "3",
            "state": "installed",
            "want": "install",
            "auto": False,
            "conffiles": {"/etc/foo.conf": "6d7fce9fee471194aa8b5b6e47267f03"},
        },
    }
    assert left["inexact"] == {"goo:all": ["its postinst may change more than its files"]}
    assert left["known"]["goo:all"] == "1 ii"


def test_what_was_recorded_still_holds(repository: Repository, tmp_path: pathlib.Path) -> None:
    simple(repository)
    resource = DpkgResource(["foo", "goo"], "present")
    recorded = resource.observe()
    assert recorded["versions"] == {"foo:all": "1 ii"}
    assert resource.differences(recorded) == []
    repository.add("other")
    apt("install", "other")
    assert resource.differences(recorded) == []
    apt("install", "foo")
    assert resource.differences(recorded) == ["package foo:all is 2 ii, it was 1 ii"]
    apt("purge", "foo")
    assert resource.differences(recorded) == ["package foo:all is not there, it was 1 ii"]
