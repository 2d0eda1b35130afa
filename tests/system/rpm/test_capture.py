# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Saved packages: rpm's own program installs them again, and the system is as it was."""

from __future__ import annotations

import hashlib
import os
import pathlib
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import CaptureError
from ansible_collections.intellistream.sage.plugins.module_utils._content.manifest import Writer
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.absolute import Directories
from ansible_collections.intellistream.sage.plugins.module_utils._rpm import capture as rpm_capture
from ansible_collections.intellistream.sage.plugins.module_utils._rpm import database, protected, rpm_file
from ansible_collections.intellistream.sage.plugins.module_utils._rpm.resource import RpmResource
from ansible_collections.intellistream.sage.tests.system import oracle
from ansible_collections.intellistream.sage.tests.system.command import dnf, run
from ansible_collections.intellistream.sage.tests.system.content import Directory, File, Ghost, Hard, Link
from ansible_collections.intellistream.sage.tests.system.rpm.capturing import (
    CONFIG,
    capture,
    example,
    reinstall,
    writing,
)

if TYPE_CHECKING:
    from ansible_collections.intellistream.sage.tests.system.rpms import Repository

# All kinds of things in one package.
FILES = {
    "/opt/foo/tool": File("#!/bin/sh\n", 0o4750, 0, 33),
    "/opt/foo/name": Hard("/opt/foo/tool", "%attr(4750, root, www-data)"),
    "/opt/foo/zlast": Hard("/opt/foo/tool", "%attr(4750, root, www-data)"),
    "/opt/foo/spool": Directory(0o1777),
    "/opt/foo/link": Link("a/rather/long/target/that/is/not/there"),
    "/opt/foo/able": File("x", 0o755, rpm="%caps(cap_net_raw=ep)"),
    "/opt/foo/empty": "",
    "/opt/foo/odd": "abc",
    "/opt/foo/binary": File(bytes(range(256)) * 9000),
    "/opt/foo/ghost": Ghost(0o600),
    "/opt/foo/manual": File("read me", rpm="%doc"),
    "/etc/foo.conf": File("1\n", rpm=CONFIG),
    "/etc/foo.plain": File("1\n", rpm="%config"),
}


def rich(repository: Repository) -> None:
    """foo 1, of which there is a 2."""
    options: dict[str, Any] = {
        "scripts": {"post": "echo 100% >/opt/foo/state", "preun": "true", "pretrans -p <lua>": "x = 1"},
        "triggers": {"triggerin -- bar": "true"},
        "arch": "this machine's",
    }
    fields = ["Epoch: 2", "Requires(post): /bin/sh", "Provides: something = 3", "Recommends: more"]
    repository.build("foo", "1.0~rc1", "3", files=FILES, fields=fields, **options)
    repository.build("foo", "2", files=FILES, fields=fields, **options)
    repository.offer()
    dnf("install", "foo-1.0~rc1")


def key() -> str:
    return f"foo.{os.uname().machine}"


def without_marks(found: list[str]) -> list[str]:
    """rpm's program knows nothing of dnf's marks, nor of how often something was installed."""
    return [line for line in found if not line.startswith("dnf wanted")]


def test_a_package_comes_back_as_it_was(repository: Repository, tmp_path: pathlib.Path) -> None:
    rich(repository)
    before = oracle.snapshot()
    begun = int(time.time())
    made = capture(tmp_path / "point", "foo")
    ended = time.time()
    assert oracle.diff(before, oracle.snapshot()) == []
    saved = made.package(key())
    assert "DIGEST" not in run("rpm", "-K", saved).stdout
    assert run("rpm", "-qp", "--qf", "%{NEVRA} %{REMOVETID}", saved).stdout.split()[0] == f"foo-2:1.0~rc1-3.{key()[4:]}"
    assert begun <= int(run("rpm", "-qp", "--qf", "%{REMOVETID}", saved).stdout) <= ended
    os.unlink("/opt/foo/state")
    reinstall(saved, "foo")
    pathlib.Path("/opt/foo/state").write_text("100%\n")
    assert without_marks(oracle.diff(before, oracle.snapshot())) == []


def edit() -> None:
    """What people do to files of packages."""
    pathlib.Path("/etc/foo.conf").write_text("edited by hand\n")
    os.chmod("/etc/foo.conf", 0o600)
    os.chown("/etc/foo.conf", 33, 33)
    pathlib.Path("/etc/foo.plain").write_text("")
    pathlib.Path("/opt/foo/binary").write_bytes(b"patched")
    os.utime("/opt/foo/binary", (10**9, 10**9))
    os.chmod("/opt/foo/spool", 0o2700)
    os.unlink("/opt/foo/link")
    os.symlink("elsewhere", "/opt/foo/link")
    # Two of three names of one file still belong together.
    os.unlink("/opt/foo/name")
    pathlib.Path("/opt/foo/name").write_text("on its own")
    os.chmod("/opt/foo/name", 0o700)


def test_an_edited_package_comes_back_edited_and_rpm_knows_what_was_edited(
    repository: Repository, tmp_path: pathlib.Path
) -> None:
    rich(repository)
    edit()
    before, verified = oracle.snapshot(), run("rpm", "-V", "foo", ok=False).stdout
    assert verified.count("\n") >= 6
    made = capture(tmp_path / "point", "foo")
    reinstall(made.package(key()), "foo")
    pathlib.Path("/opt/foo/state").write_text("100%\n")
    for path in ("/etc/foo.conf", "/etc/foo.plain"):
        os.unlink(f"{path}.rpmsave")
    found = without_marks(oracle.diff(before, oracle.snapshot()))
    # What differs is only that the header now has modes, owners and targets as they are: nothing to complain about.
    assert [line for line in found if not line.startswith("rpm ")] == []
    assert sorted({line.split()[2].rstrip(":") for line in found if " -Va" not in line}) == [
        "FILEGROUPNAME",
        "FILENLINKS",
        "FILEUSERNAME",
    ]
    assert "5" in next(line for line in run("rpm", "-V", "foo", ok=False).stdout.splitlines() if "foo.conf" in line)
    assert int(os.stat("/opt/foo/binary").st_mtime) == 10**9
    # A later upgrade respects the edit.
    dnf("upgrade", "foo")
    assert pathlib.Path("/etc/foo.conf").read_text() == "edited by hand\n"


def test_large_files_are_packed_in_the_form_that_has_no_sizes(
    repository: Repository, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rich(repository)
    before = oracle.snapshot()
    monkeypatch.setattr(rpm_file, "LARGEST", 1000)
    made = capture(tmp_path / "point", "foo")
    assert "LONGFILESIZES" in run("rpm", "-qp", "--xml", made.package(key())).stdout.upper()
    reinstall(made.package(key()), "foo")
    pathlib.Path("/opt/foo/state").write_text("100%\n")
    assert without_marks(oracle.diff(before, oracle.snapshot())) == []


def test_odd_names(repository: Repository, tmp_path: pathlib.Path) -> None:
    # rpmbuild refuses control characters, and rpm itself names longer than this.
    names = ["sp ace", "back\\slash", "quote'\"", "ü", "*?[x]", "-rf", "a" * 246]
    head = "Name: odd\nVersion: 1\nRelease: 1\nSummary: odd\nLicense: GPL-3.0-or-later\nBuildArch: noarch\n"
    text = f"{head}%description\nodd\n%install\ncp -a %{{source}} %{{buildroot}}/\n%files\n/odd\n"
    source = tmp_path / "odd"
    source.mkdir(0o755)
    for name in names:
        (source / name).write_text(name)
    (tmp_path / "odd.spec").write_text(text)
    define = [f"_topdir {tmp_path}/b", f"source {source}", f"_rpmdir {tmp_path}"]
    run("rpmbuild", "-bb", *(word for one in define for word in ("--define", one)), tmp_path / "odd.spec")
    run("rpm", "-U", tmp_path / "noarch" / "odd-1-1.noarch.rpm")
    os.symlink("\n ü", "/odd/link")
    before = oracle.snapshot()
    made = capture(tmp_path / "point", "odd", state="absent")
    listed = made.sections["odd.noarch", "files"]
    assert {path for path, item in listed.items() if item.kind == "file"} == {f"odd/{name}" for name in names}
    reinstall(made.package("odd.noarch"), "odd")
    assert oracle.diff(before, oracle.snapshot()) == []


def test_every_file_is_listed_as_it_is(repository: Repository, tmp_path: pathlib.Path) -> None:
    rich(repository)
    edit()
    os.unlink("/opt/foo/odd")
    made = capture(tmp_path / "point", "foo")
    listed = made.sections[key(), "files"]
    assert {f"/{path}" for path in listed} == set(FILES) - {"/opt/foo/ghost"}
    for path, item in listed.items():
        if item.kind == "absent":
            assert path == "opt/foo/odd"
            continue
        info = os.lstat(f"/{path}")
        assert (item.mode, item.uid, item.gid, item.mtime) == (
            info.st_mode & 0o7777,
            info.st_uid,
            info.st_gid,
            info.st_mtime_ns,
        )
        if item.kind == "file":
            assert item.value == hashlib.sha256(pathlib.Path(f"/{path}").read_bytes()).hexdigest()
        elif item.kind == "link":
            assert item.value == os.readlink(f"/{path}")
    assert listed["opt/foo/able"].xattrs == {
        "security.capability": os.getxattr("/opt/foo/able", "security.capability").hex()
    }
    own = {**made.sections[key(), made.package(key()).name], **made.sections["incoming", ""]}
    # The paths of the new version that are not there.
    assert (made.where / "incoming").read_bytes() == b"/opt/foo/ghost\0/opt/foo/odd\0"
    for path, item in own.items():
        assert item.value == hashlib.sha256((made.where / path).read_bytes()).hexdigest()
    assert sum(item.size for item in own.values()) == made.facts["bytes"]
    assert len(own) == made.facts["files"]


def test_what_no_package_file_holds_is_kept_aside(repository: Repository, tmp_path: pathlib.Path) -> None:
    files = {
        **FILES,
        "/opt/foo/pipe": Ghost(),
        "/opt/foo/ghosts": Directory(0o750, rpm="%ghost"),
        "/opt/foo/none": Ghost(),
        "/var/lib/rpm/ghost": Ghost(),
    }
    repository.add("foo", "1", files=files)
    dnf("install", "foo")
    repository.add("foo", "2", files=files)
    pathlib.Path("/opt/foo/ghost").write_text("a ghost's")
    os.chown("/opt/foo/ghost", 33, 33)
    os.setxattr("/opt/foo/ghost", "user.note", b"x")
    pathlib.Path("/var/lib/rpm/ghost").write_text("rpm's own")
    os.mkfifo("/opt/foo/pipe")
    os.makedirs("/opt/foo/ghosts", exist_ok=True)
    pathlib.Path("/etc/foo.conf.rpmnew").write_text("new")
    pathlib.Path("/etc/foo.plain.rpmsave").write_text("saved")
    os.symlink("nowhere", "/etc/foo.plain.rpmorig")
    os.unlink("/etc/foo.plain")
    os.unlink("/opt/foo/odd")
    os.symlink("tool", "/opt/foo/odd")
    made = capture(tmp_path / "point", "foo")
    facts = made.facts["packages"]["foo.noarch"]
    extra = facts["extra"]
    assert sorted(extra) == [
        "/etc/foo.conf.rpmnew",
        "/etc/foo.plain.rpmorig",
        "/etc/foo.plain.rpmsave",
        "/opt/foo/ghost",
        "/opt/foo/ghosts",
        "/opt/foo/odd",
    ]
    at, item = extra["/opt/foo/ghost"]
    assert (made.where / at).read_text() == "a ghost's"
    assert (item[0], item[5], item[6], item[8]) == ("file", 33, 33, {"user.note": b"x".hex()})
    assert (made.where / extra["/etc/foo.conf.rpmnew"][0]).read_text() == "new"
    assert extra["/opt/foo/odd"][0] == ""
    assert extra["/opt/foo/odd"][1][:2] == ["link", "tool"]
    assert extra["/opt/foo/ghosts"][1][0] == "dir"
    assert facts["missing"] == ["/etc/foo.plain"]
    assert facts["config"]["/etc/foo.plain"][0] == "absent"
    assert facts["config"]["/etc/foo.conf"][1] == hashlib.sha256(b"1\n").hexdigest()
    assert any("/opt/foo/pipe is a device, pipe or socket" in line for line in facts["inexact"])
    flags = run("rpm", "-qp", "--qf", "[%{FILENAMES} %{FILEFLAGS:fflags}\n]", made.package("foo.noarch")).stdout
    for path in ("/etc/foo.plain", "/opt/foo/odd", "/opt/foo/ghost"):
        assert next(line for line in flags.splitlines() if line.startswith(f"{path} ")).endswith("g")


def test_a_directory_that_was_moved_away_behind_a_link(repository: Repository, tmp_path: pathlib.Path) -> None:
    rich(repository)
    os.rename("/opt/foo", "/opt/moved")
    os.symlink("moved", "/opt/foo")
    before = oracle.snapshot()
    made = capture(tmp_path / "point", "foo")
    assert made.facts["packages"][key()]["missing"] == []
    reinstall(made.package(key()), "foo")
    pathlib.Path("/opt/foo/state").write_text("100%\n")
    assert without_marks(oracle.diff(before, oracle.snapshot())) == []


def test_another_users_link_is_not_followed(repository: Repository, tmp_path: pathlib.Path) -> None:
    rich(repository)
    os.rename("/opt/foo", "/opt/moved")
    os.symlink("moved", "/opt/foo")
    os.lchown("/opt/foo", 33, 33)
    with pytest.raises(Exception, match="symbolic link of user id 33"):
        capture(tmp_path / "point", "foo")


def test_all_that_changes_is_captured_and_what_else_was_there_is_known(
    repository: Repository, tmp_path: pathlib.Path
) -> None:
    example(repository)
    repository.add("other", "3", fields=["Epoch: 1"])
    dnf("install", "other")
    dnf("mark", "remove", "bar")
    made = capture(tmp_path / "point", "foo")
    assert {path.name for path in made.where.glob("*.rpm")} == {"foo-1-1.noarch.rpm", "bar-1-1.noarch.rpm"}
    facts = made.facts
    assert [(one["key"], one["before"], one["after"]) for one in facts["changes"]] == [
        ("bar.noarch", "1-1", "2-1"),
        ("foo.noarch", "1-1", "2-1"),
        ("goo.noarch", None, "1-1"),
    ]
    assert facts["known"] == {
        "foo.noarch": "1-1",
        "bar.noarch": "1-1",
        "other.noarch": "1:3-1",
        "shell-of-the-system.noarch": "1-1",
    }
    wanted = {key.rpartition(".")[0] for key, reason in facts["marks"].items() if reason == "user"}
    said = run("dnf", "-q", "-C", "history", "userinstalled").stdout.split()
    assert {name.rpartition("-")[0].rpartition("-")[0] for name in said} >= wanted == {"foo", "other"}
    assert facts["packages"]["bar.noarch"]["reason"] == "dependency"
    assert facts["tid"] == max(int(one) for one in run("rpm", "-qa", "--qf", "%{INSTALLTID}\n").stdout.split())


def test_space_is_not_underestimated(repository: Repository, tmp_path: pathlib.Path) -> None:
    rich(repository)
    pathlib.Path("/opt/foo/binary").write_bytes(os.urandom(5_000_000))
    pathlib.Path("/opt/foo/ghost").write_bytes(os.urandom(100_000))
    files, size = RpmResource(["foo"], "latest").need()
    made = capture(tmp_path / "point", "foo")
    assert files == made.facts["files"]
    assert made.facts["bytes"] <= size < made.facts["bytes"] * 1.2


def test_a_file_that_does_not_hold_still_refuses(repository: Repository, tmp_path: pathlib.Path) -> None:
    files = {"/opt/foo/first": File(os.urandom(20_000_000)), "/opt/foo/second": "x"}
    repository.add("foo", files=files)
    dnf("install", "foo")
    with subprocess.Popen(["sh", "-c", "while :; do echo x >>/opt/foo/second; done"]) as writer:
        try:
            with pytest.raises(CaptureError, match="/opt/foo/second was changed while it was captured"):
                capture(tmp_path / "point", "foo", state="absent")
        finally:
            writer.kill()


def test_a_package_changed_by_somebody_else_meanwhile_refuses(repository: Repository, tmp_path: pathlib.Path) -> None:
    example(repository)
    resource = RpmResource(["foo"], "latest")
    assert resource.plan()
    repository.add("other")
    dnf("install", "other")
    with writing() as point:
        items = Writer(point, "0.items")
        with pytest.raises(CaptureError, match="changed while they were captured"):
            resource.capture(point, items)


@pytest.mark.parametrize("place", ["lead", "header", "payload", "last"])
def test_a_disk_that_does_not_keep_what_is_written_is_noticed(
    place: str, repository: Repository, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rich(repository)
    wrong = {"lead": 0, "header": 500, "payload": 12000, "last": -9}[place]
    good = os.pwrite

    def pwrite(fd: int, data: bytes, offset: int) -> int:
        done = good(fd, data, offset)
        size = os.fstat(fd).st_size
        at = wrong % size
        good(fd, bytes([os.pread(fd, 1, at)[0] ^ 0x40]), at)
        return done

    monkeypatch.setattr(os, "pwrite", pwrite)
    with pytest.raises(CaptureError, match="is not right"):
        capture(tmp_path / "point", "foo")


def test_what_is_installed_twice_is_refused(repository: Repository, tmp_path: pathlib.Path) -> None:
    repository.add("foo", "1", scripts={"preun": "exit 1"})
    dnf("install", "foo")
    repository.add("foo", "2")
    dnf("upgrade", "foo", ok=False)
    repository.add("foo", "3")
    with pytest.raises(CaptureError, match="installed twice"):
        capture(tmp_path / "point", "foo")


def test_a_kernel_is_captured_under_its_version(repository: Repository, tmp_path: pathlib.Path) -> None:
    for version in ("1", "2"):
        repository.build("kernel", version, files={f"/boot/vmlinuz-{version}": version})
    repository.offer()
    dnf("install", "kernel-1")
    dnf("install", "kernel-2")
    made = capture(tmp_path / "point", "kernel-1", state="absent")
    assert list(made.facts["packages"]) == ["kernel-1-1.noarch"]
    assert made.facts["packages"]["kernel-1-1.noarch"]["installonly"] is True
    assert set(made.facts["known"]) >= {"kernel-1-1.noarch", "kernel-2-1.noarch"}


def test_a_huge_ghost_of_holes_is_named_and_left_out(repository: Repository, tmp_path: pathlib.Path) -> None:
    repository.add("foo", files={"/opt/foo/data": "", "/opt/foo/lastlog": Ghost()})
    dnf("install", "foo")
    with open("/opt/foo/lastlog", "wb") as hole:
        hole.truncate(1 << 40)
    made = capture(tmp_path / "point", "foo", state="absent")
    assert made.facts["packages"]["foo.noarch"]["extra"] == {}
    assert any("mostly holes" in line for line in made.facts["inexact"])
    assert RpmResource(["foo"], "absent").need()[1] < 1 << 20


def test_a_package_without_files(repository: Repository, tmp_path: pathlib.Path) -> None:
    repository.add("foo", fields=["Provides: something"])
    dnf("install", "foo")
    before = oracle.snapshot()
    made = capture(tmp_path / "point", "foo", state="absent")
    reinstall(made.package("foo.noarch"), "foo")
    assert without_marks(oracle.diff(before, oracle.snapshot())) == []


def test_what_must_not_be_erased_is_known(repository: Repository) -> None:
    repository.build("python3", files={"/opt/python": ""})
    repository.build("mine", files={"/opt/mine": ""})
    repository.build("modules", files={f"/lib/modules/{os.uname().release}": Directory()})
    repository.build("other", files={"/opt/other": ""})
    repository.offer()
    dnf("install", "python3", "mine", "other", "modules")
    os.makedirs("/etc/dnf/protected.d", exist_ok=True)
    pathlib.Path("/etc/dnf/protected.d/mine.conf").write_text("mine\n")
    found = set(protected.protected(database.transaction_set()))
    assert found == {"python3.noarch", "mine.noarch", "modules.noarch"}


def test_look_reads_no_content(repository: Repository) -> None:
    rich(repository)
    ts = database.transaction_set()
    (package,) = database.named(ts, "foo")
    os.utime("/opt/foo/binary", (1, 10**9))
    with Directories() as directories:
        assert rpm_capture.look(ts, package, directories).need[1] > 9000 * 256
    assert os.stat("/opt/foo/binary").st_atime == 1
