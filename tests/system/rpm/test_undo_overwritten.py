# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files of nobody's, and of other packages, that a new package overwrites: they come back, or that is not claimed."""

from __future__ import annotations

import os
import pathlib
from typing import TYPE_CHECKING

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import ConflictError, StoreError
from ansible_collections.intellistream.sage.plugins.module_utils._calls import backup as calls_backup
from ansible_collections.intellistream.sage.tests.system.command import dnf, run
from ansible_collections.intellistream.sage.tests.system.content import Directory, File, Ghost, Link
from ansible_collections.intellistream.sage.tests.system.rpm.undoing import (
    CONFIG,
    ORIGINAL,
    Host,
    example,
    files_of,
    read,
    write,
)
from ansible_collections.intellistream.sage.tests.system.rpms import installed

if TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.plugin_utils._structures import BackupResult
    from ansible_collections.intellistream.sage.tests.system.rpms import Repository

# What the new goo and the newer foo bring, and what is there of nobody's.
GOO = {
    "/opt/goo/data": "1",
    "/opt/goo/link": Link("data"),
    "/opt/goo/mine": Directory(0o755),
    "/opt/goo/empty": Directory(0o755),
    "/etc/goo.conf": File("goo\n", rpm="%config"),
    "/etc/goo.kept": File("goo\n", rpm=CONFIG),
    "/opt/goo/ghost": Ghost(),
}
NEW = {"/opt/foo/new": "2", "/opt/foo/linked": Link("data")}


@pytest.fixture
def host(sage_root: pathlib.Path) -> Host:
    return Host(sage_root)


def mess(repository: Repository) -> None:
    """The documents' example, with files of nobody's wherever packages bring something."""
    example(repository, files=files_of("2", NEW))
    repository.add("goo", "1", "2", files=GOO)
    for path in ("/opt/goo/data", "/etc/goo.conf", "/etc/goo.kept", "/opt/goo/ghost", "/opt/foo/new"):
        write(path, f"nobody's {path}\n", 0o640)
    os.chown("/opt/goo/data", 1, 1)
    os.utime("/opt/goo/data", ns=(10**18, 10**18 + 1))
    os.setxattr("/opt/goo/data", "user.note", b"mine")
    for path in ("/opt/goo/link", "/opt/foo/linked"):
        os.symlink("elsewhere", path)
    for path in ("/opt/goo/mine", "/opt/goo/empty"):
        pathlib.Path(path).mkdir(0o711)
    write("/opt/goo/mine/file", "nobody's\n")
    write("/etc/goo.conf.rpmorig", "an older one\n")


@pytest.mark.parametrize("settled", [True, False])
def test_what_was_nobodys_comes_back(host: Host, repository: Repository, settled: bool) -> None:
    mess(repository)
    point = host.capture("foo", state="latest")
    dnf("upgrade", "foo")
    assert read("/opt/goo/data") == "1"
    if settled:
        host.settle(point)
    told = host.undo(check=True)
    assert "/opt/goo/data (overwritten)" in told["plan"]["restore"]
    assert host.undo()["exact"]
    assert host.differences() == []


def test_the_undo_of_the_undo(host: Host, repository: Repository) -> None:
    mess(repository)
    point = host.capture("foo", state="latest")
    dnf("upgrade", "foo")
    host.settle(point)
    redo = str(host.undo()["redo_point"])
    assert host.undo(to=redo)["exact"]
    assert read("/opt/goo/data") == "1"
    assert os.readlink("/opt/foo/linked") == "data"
    assert host.undo(to=point)["exact"]
    assert host.differences() == []


def test_a_package_file(host: Host, repository: Repository) -> None:
    """Nothing but its header says what it brings."""
    path = repository.build("goo", "1", files=GOO)
    write("/opt/goo/data", "nobody's\n")
    host.capture(str(path))
    run("rpm", "-U", path)
    assert host.undo()["exact"]
    assert host.differences() == []


def test_without_the_list_of_files_nothing_is_claimed(host: Host, repository: Repository) -> None:
    path = repository.build("goo", "1", files=GOO)
    write("/opt/goo/data", "nobody's\n")
    change = {"name": "goo", "arch": "noarch", "before": None, "after": "1-1"}
    host.capture(changes=[change])
    run("rpm", "-U", path)
    result = host.undo()
    assert result["inexact"] == ["goo: which files it brings was not known, so what they overwrite was not kept"]
    assert not result["exact"]


def test_what_is_told_with_its_file(host: Host, repository: Repository) -> None:
    path = repository.build("goo", "1", files=GOO)
    write("/opt/goo/data", "nobody's\n")
    host.capture(changes=[{"name": "goo", "arch": "noarch", "before": None, "after": "1-1", "file": str(path)}])
    run("rpm", "-U", path)
    assert host.undo()["exact"]
    assert host.differences() == []


def test_the_same_file_of_another_package(host: Host, repository: Repository) -> None:
    """rpm permits files that are the same; they stay, as the other package's."""
    shared = {"/opt/shared/file": "same", "/opt/shared": Directory(0o755)}
    repository.build("one", "1", files=shared)
    repository.build("two", "1", files={**shared, "/opt/two": "two"})
    repository.offer()
    dnf("install", "one")
    write("/opt/shared/file", "edited\n")
    host.capture("two")
    dnf("install", "two")
    assert host.undo()["exact"]
    assert host.differences() == []
    assert read("/opt/shared/file") == "edited\n"


def test_another_file_of_another_package(host: Host, repository: Repository) -> None:
    """With --replacefiles; rpm itself keeps a record of it that it does not take back."""
    one = repository.build("one", "1", files={"/opt/shared": "one"})
    two = repository.build("two", "1", files={"/opt/shared": "two"})
    run("rpm", "-U", one)
    host.capture(str(two))
    run("rpm", "-U", "--replacefiles", two)
    result = host.undo()
    assert read("/opt/shared") == "one"
    assert result["exact"] == (host.differences() == [])
    if not result["exact"]:
        assert result["inexact"] == ["one.noarch: /opt/shared was overwritten, and stays recorded so"]


def test_an_edit_since_is_a_conflict(host: Host, repository: Repository) -> None:
    mess(repository)
    host.capture("foo", state="latest")
    dnf("upgrade", "foo")
    write("/opt/goo/data", "edited since\n")
    with pytest.raises(ConflictError, match="/opt/goo/data was edited by somebody"):
        host.undo()
    host.undo(force=True)
    assert host.differences() == []
    (kept,) = host.root.rglob("aside/opt/goo/data")
    assert read(str(kept)) == "edited since\n"


def test_what_is_kept_of_it_was_damaged(host: Host, repository: Repository) -> None:
    mess(repository)
    host.capture("foo", state="latest")
    dnf("upgrade", "foo")
    kept = [path for path in host.root.rglob("overwritten/*") if path.read_text() == "nobody's /opt/goo/data\n"]
    kept[0].write_text("another\n")
    with pytest.raises(StoreError, match="overwritten"):
        host.undo()
    assert "goo-1-2.noarch" in installed()


def test_what_cannot_be_kept_is_told(host: Host, repository: Repository) -> None:
    repository.add("goo", "1", files={"/opt/goo/pipe": Link("data"), "/opt/goo/data": "1"})
    os.makedirs("/opt/goo")
    os.mkfifo("/opt/goo/pipe")
    host.capture("goo")
    dnf("install", "goo")
    result = host.undo()
    why = "/opt/goo/pipe, which it overwrites, is a device, pipe or socket that its package does not hold"
    assert (result["exact"], result["inexact"]) == (False, [f"goo: {why}"])


CALLS = "rename,renameat,renameat2,unlink,unlinkat,link,linkat,symlink,mkdir,mkdirat,chmod"


@pytest.mark.timeout(900)
def test_the_change_is_killed(host: Host, repository: Repository, tmp_path: pathlib.Path) -> None:
    mess(repository)
    names = ("foo-2-1", "bar-2-1", "goo-1-2")
    command = ["rpm", "-U", *(str(repository.where / f"{name}.noarch.rpm") for name in names)]
    log = tmp_path / "calls"
    strace = ["strace", "-f", "-qq", "-e", f"trace={CALLS}"]
    point = host.capture("foo", state="latest")
    run(*strace, "-o", str(log), *command)
    host.undo(to=point)
    assert host.differences() == []
    calls = len(log.read_bytes().splitlines())
    samples = 30 if os.environ.get("SAGE_TEST_ALL") else 4
    for number in range(samples):
        point = host.capture("foo", state="latest")
        nth = 1 + calls * number // samples
        inject = f"inject={CALLS}:signal=SIGKILL:when={nth}"
        # Each process has its own count: rpm may get through before it is reached.
        run(*strace, "-o", "/dev/null", "-e", inject, *command, ok=False)
        host.undo(to=point)
        assert host.differences() == [], (nth, calls)
        assert installed() == ORIGINAL


def test_what_was_not_overwritten_stays_its_owners(host: Host, repository: Repository) -> None:
    """foo was upgraded alone, to a version that needs no goo."""
    mess(repository)
    point = host.capture("foo", state="latest")
    repository.add("foo", "3", files=files_of("3"))
    dnf("upgrade", "foo")
    host.settle(point)
    write("/opt/goo/data", "edited\n")
    os.unlink("/etc/goo.conf")
    host.undo()
    assert installed() == ORIGINAL
    assert read("/opt/goo/data") == "edited\n"
    assert not os.path.exists("/etc/goo.conf")


def test_a_file_of_nobodys_where_the_old_package_had_one(host: Host, repository: Repository) -> None:
    """The saved package overwrites it; what somebody had made there is kept aside."""
    example(repository)
    point = host.capture("foo", state="latest")
    dnf("upgrade", "foo")
    host.settle(point)
    write("/opt/foo/only-in-1", "somebody's\n")
    told = host.undo(check=True)
    assert told["plan"]["remove"] == ["/opt/foo/only-in-1 (of nobody's; kept aside)"]
    host.undo()
    assert host.differences() == []
    (kept,) = host.root.rglob("aside/opt/foo/only-in-1")
    assert read(str(kept)) == "somebody's\n"


def test_a_capture_is_made_anew_when_what_is_in_the_way_was_edited(host: Host, repository: Repository) -> None:
    repository.add("goo", "1", files=GOO)
    write("/opt/goo/data", "nobody's\n")

    def backup() -> BackupResult:
        spec = {"kind": "rpm", "packages": ["goo"], "state": "present"}
        return calls_backup.backup(host.engine, [spec], None, "the same", False)

    assert backup()["changed"]
    assert not backup()["changed"]
    write("/opt/goo/data", "edited\n")
    assert backup()["changed"]
    dnf("install", "goo")
    host.undo()
    assert read("/opt/goo/data") == "edited\n"


def test_a_repository_without_lists_of_files(host: Host, repository: Repository) -> None:
    repository.add("goo", "1", files=GOO)
    run("modifyrepo_c", "--remove", "filelists", repository.where / "repodata")
    write("/opt/goo/data", "nobody's\n")
    host.capture("goo")
    dnf("install", "goo")
    result = host.undo()
    assert result["inexact"] == ["goo: which files it brings was not known, so what they overwrite was not kept"]
