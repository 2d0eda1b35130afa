# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Configuration as people leave it, and what else is not simply there: diverted, overridden, shared, removed."""

from __future__ import annotations

import hashlib
import os
import pathlib
import shutil
from typing import TYPE_CHECKING

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import CaptureError
from ansible_collections.intellistream.sage.plugins.module_utils._content.item import DIRECTORY, FILE, LINK
from ansible_collections.intellistream.sage.tests.system import oracle
from ansible_collections.intellistream.sage.tests.system.command import apt, run
from ansible_collections.intellistream.sage.tests.system.content import File
from ansible_collections.intellistream.sage.tests.system.debs import status
from ansible_collections.intellistream.sage.tests.system.dpkg.capturing import members, reinstall, removal

if TYPE_CHECKING:
    from ansible_collections.intellistream.sage.tests.system.debs import Repository

# dpkg's record is by MD5.
PRISTINE, MINE = (hashlib.md5(text).hexdigest() for text in (b"1\n", b"mine\n"))  # noqa: S324


def conf(repository: Repository) -> None:
    names = ("edited", "deleted", "link", "dangling", "directory", "plain")
    repository.add(
        "foo",
        files={"/opt/foo/data": "1", **{f"/etc/foo/{name}.conf": "1\n" for name in names}},
        conffiles=[f"/etc/foo/{name}.conf" for name in names],
    )
    apt("install", "foo")
    pathlib.Path("/etc/foo/edited.conf").write_text("mine\n")
    os.chmod("/etc/foo/edited.conf", 0o640)
    for name in names[1:5]:
        os.unlink(f"/etc/foo/{name}.conf")
    pathlib.Path("/etc/foo/elsewhere").write_text("there\n")
    os.symlink("elsewhere", "/etc/foo/link.conf")
    os.symlink("nowhere", "/etc/foo/dangling.conf")
    os.mkdir("/etc/foo/directory.conf", 0o751)


def test_configuration_files(repository: Repository, tmp_path: pathlib.Path) -> None:
    conf(repository)
    captured = removal(tmp_path / "root", "foo")
    facts = captured.facts["packages"]["foo:all"]
    assert {one["md5"] for one in facts["conffiles"].values()} == {PRISTINE}
    assert {os.path.basename(path).split(".")[0]: one["now"] for path, one in facts["conffiles"].items()} == {
        "edited": MINE,
        "deleted": "",
        "link": "link elsewhere",
        "dangling": "link nowhere",
        "directory": "dir",
        "plain": PRISTINE,
    }
    assert facts["missing"] == ["/etc/foo/deleted.conf"]
    packed = members(captured.deb("foo:all"))
    assert [path for path in packed if path.endswith(".conf")] == [
        path for path in packed if path.split("/")[-1] in ("edited.conf", "link.conf", "plain.conf")
    ]
    assert packed["./etc/foo/edited.conf"] == "-rw-r----- 0/0 5"
    assert packed["./etc/foo/link.conf"] == "-rw-r--r-- 0/0 6"
    kinds = {path.split("/")[-1]: item.kind for path, item in captured.items["foo:all"].items() if "/etc/" in path}
    assert kinds == {
        "edited.conf": FILE,
        "link.conf": LINK,
        "dangling.conf": LINK,
        "directory.conf": DIRECTORY,
        "plain.conf": FILE,
    }
    kept = captured.content / "extra/foo:all/etc/foo/edited.conf"
    assert kept.read_text() == "mine\n"
    run("dpkg-deb", "--raw-extract", captured.deb("foo:all"), tmp_path / "x")
    assert sorted((tmp_path / "x/DEBIAN/conffiles").read_text().split()) == [
        "/etc/foo/edited.conf",
        "/etc/foo/link.conf",
        "/etc/foo/plain.conf",
    ]


def test_dpkg_leaves_links_to_configuration_alone(repository: Repository, tmp_path: pathlib.Path) -> None:
    conf(repository)
    shutil.rmtree("/etc/foo/directory.conf")
    captured = removal(tmp_path / "root", "foo")
    before = oracle.files("/etc/foo")
    repository.add("foo", "2", files={"/opt/foo/data": "2"})
    apt("install", "foo")
    reinstall(captured.deb("foo:all"))
    assert status("foo") == "1 ii"
    after = oracle.files("/etc/foo")
    # dpkg's own leavings, which an undo knows for what they are.
    after.pop("file /etc/foo/link.conf.dpkg-new", None)
    assert after == before


def test_what_lies_beside_configuration(repository: Repository, tmp_path: pathlib.Path) -> None:
    repository.add("foo", files={"/etc/foo.conf": "1\n"}, conffiles=["/etc/foo.conf"])
    apt("install", "foo")
    beside = [
        "/etc/#foo.conf#",
        *("/etc/foo.conf" + end for end in (".bak", ".dpkg-dist", ".dpkg-old", ".ucf-old", "~")),
    ]
    beside.insert(6, "/etc/foo.conf.~12~")
    for path in [*beside, "/etc/foo.conf.orig", "/etc/foo.conf2", "/etc/xfoo.conf~"]:
        pathlib.Path(path).write_text(path)
    captured = removal(tmp_path / "root", "foo")
    facts = captured.facts["packages"]["foo:all"]
    assert sorted(facts["leftovers"]) == sorted(beside)
    assert sorted(facts["extra"]) == sorted([*beside, "/etc/foo.conf"])
    run("dpkg", "--purge", "foo")
    # All that dpkg removes is among them.
    removed = {path for path in [*beside, "/etc/foo.conf.orig", "/etc/foo.conf2"] if not os.path.exists(path)}
    assert "/etc/foo.conf.dpkg-old" in removed
    assert removed <= set(facts["leftovers"])


def obsolete(repository: Repository) -> None:
    repository.add(
        "foo", files={"/etc/foo.conf": "1\n", "/etc/old.conf": "1\n"}, conffiles=["/etc/foo.conf", "/etc/old.conf"]
    )
    apt("install", "foo")
    repository.add("foo", "2", files={"/etc/foo.conf": "1\n"}, conffiles=["/etc/foo.conf"])
    apt("install", "foo")


def test_an_obsolete_configuration_file(repository: Repository, tmp_path: pathlib.Path) -> None:
    obsolete(repository)
    captured = removal(tmp_path / "root", "foo")
    facts = captured.facts["packages"]["foo:all"]
    assert {path: one["flags"] for path, one in facts["conffiles"].items()} == {
        "/etc/foo.conf": "",
        "/etc/old.conf": "obsolete",
    }
    before = oracle.snapshot()
    run("dpkg", "--purge", "foo")
    reinstall(captured.deb("foo:all"))
    for path in facts["extra"]:
        if path.startswith("/var/lib/dpkg/info/"):
            shutil.copy(f"{captured.content}/extra/foo:all{path}", path)
    # dpkg takes it for a current one: its record is put right by the undo.
    assert [line.partition(": ")[0] for line in oracle.diff(before, oracle.snapshot())] in (
        ["dpkg foo:all Conffiles"],
        ["dpkg foo:all Conffiles", "file /var/lib/dpkg/info/foo.conffiles"],
    )


def test_an_obsolete_configuration_file_that_another_package_has_now(
    repository: Repository, tmp_path: pathlib.Path
) -> None:
    obsolete(repository)
    repository.add("heir", files={"/etc/old.conf": "2\n"}, conffiles=["/etc/old.conf"], replaces="foo (<< 2)")
    apt("install", "heir")
    captured = removal(tmp_path / "root", "foo")
    assert "./etc/old.conf" not in members(captured.deb("foo:all"))
    assert "/etc/old.conf" in captured.facts["packages"]["foo:all"]["extra"]
    run("dpkg", "--remove", "foo")
    reinstall(captured.deb("foo:all"))
    assert status("foo") == "2 ii"


def test_a_configuration_file_that_is_to_be_removed(repository: Repository, tmp_path: pathlib.Path) -> None:
    repository.add("foo", files={"/etc/foo.conf": "1\n", "/opt/foo/data": "1"}, conffiles=["/etc/foo.conf"])
    apt("install", "foo")
    pathlib.Path("/etc/foo.conf").write_text("mine\n")
    repository.add("foo", "2", files={"/opt/foo/data": "1"}, conffiles=["remove-on-upgrade /etc/foo.conf"])
    apt("install", "foo")
    captured = removal(tmp_path / "root", "foo")
    run("dpkg-deb", "--raw-extract", captured.deb("foo:all"), tmp_path / "x")
    assert (tmp_path / "x/DEBIAN/conffiles").read_text() == "remove-on-upgrade /etc/foo.conf\n"
    facts = captured.facts["packages"]["foo:all"]
    assert [path for path in facts["extra"] if path.startswith("/etc/")] == facts["leftovers"]
    before = oracle.snapshot()
    run("dpkg", "--purge", "foo")
    reinstall(captured.deb("foo:all"))
    for path in facts["extra"]:
        shutil.copy2(f"{captured.content}/extra/foo:all{path}", path)
    assert {line.partition(": ")[0] for line in oracle.diff(before, oracle.snapshot())} <= {"dpkg foo:all Conffiles"}


def test_a_removed_package_whose_configuration_is_still_there(repository: Repository, tmp_path: pathlib.Path) -> None:
    conf(repository)
    repository.add("foo", "2", files={"/opt/foo/data": "2"}, scripts={"postrm": "true"})
    apt("remove", "foo")
    captured = removal(tmp_path / "root", "foo")
    facts = captured.facts["packages"]["foo:all"]
    assert (facts["state"], facts["want"], facts["deb"]) == ("config-files", "deinstall", None)
    assert "/etc/foo/edited.conf" in facts["extra"]
    assert "/var/lib/dpkg/info/foo.list" in facts["extra"]
    assert captured.versions["foo:all"] == ("1", "")
    assert captured.facts["known"]["foo:all"] == "1 rc"
    assert captured.facts["changes"][0]["before"] is None
    assert "Status: deinstall ok config-files" in (captured.content / "status").read_text()


def test_diverted_files(repository: Repository, tmp_path: pathlib.Path) -> None:
    repository.add("foo", files={"/opt/foo/data": "theirs", "/opt/foo/other": "x"}, conffiles=[])
    apt("install", "foo")
    run("dpkg-divert", "--local", "--rename", "--divert", "/opt/aside", "--add", "/opt/foo/data")
    pathlib.Path("/opt/foo/data").write_text("mine, and longer")
    run("dpkg-divert", "--package", "foo", "--divert", "/opt/foo/other.x", "--no-rename", "--add", "/opt/foo/other")
    captured = removal(tmp_path / "root", "foo")
    packed = members(captured.deb("foo:all"))
    assert packed["./opt/foo/data"] == "-rw-r--r-- 0/0 6"
    assert "./opt/foo/other" in packed
    assert "./opt/aside" not in packed
    assert sorted(captured.facts["diversions"]) == [
        ["/opt/foo/data", "/opt/aside", ""],
        ["/opt/foo/other", "/opt/foo/other.x", "foo"],
    ]
    before = oracle.snapshot()
    run("dpkg", "--purge", "foo")
    reinstall(captured.deb("foo:all"))
    assert oracle.diff(before, oracle.snapshot()) == []


def test_overridden_owners_and_modes(repository: Repository, tmp_path: pathlib.Path) -> None:
    repository.add("foo", files={"/opt/foo/tool": File("x", 0o755), "/opt/foo/dir/file": "x"})
    apt("install", "foo")
    run("dpkg-statoverride", "--update", "--add", "root", "mail", "2711", "/opt/foo/tool")
    run("dpkg-statoverride", "--update", "--add", "www-data", "www-data", "0700", "/opt/foo/dir")
    captured = removal(tmp_path / "root", "foo")
    assert captured.facts["packages"]["foo:all"]["overrides"] == {
        "/opt/foo/tool": "root mail 2711",
        "/opt/foo/dir": "www-data www-data 700",
    }
    before = oracle.snapshot()
    run("dpkg", "--purge", "foo")
    reinstall(captured.deb("foo:all"))
    assert oracle.diff(before, oracle.snapshot()) == []


def test_all_instances_of_what_must_be_the_same(repository: Repository, tmp_path: pathlib.Path) -> None:
    native = run("dpkg", "--print-architecture").stdout.strip()
    foreign = "i386" if native != "i386" else "amd64"
    run("dpkg", "--add-architecture", foreign)
    for arch in (native, foreign):
        files = {f"/usr/lib/{arch}/lib.so": arch, "/usr/share/doc/lib/readme": "same", "/etc/lib.conf": "1\n"}
        repository.build("lib", "1", arch=arch, multi_arch="same", files=files, conffiles=["/etc/lib.conf"])
    repository.offer()
    apt("install", f"lib:{native}", f"lib:{foreign}")
    run("apt-mark", "auto", f"lib:{foreign}")
    pathlib.Path("/etc/lib.conf").write_text("mine\n")
    captured = removal(tmp_path / "root", f"lib:{foreign}")
    assert sorted(captured.facts["packages"]) == sorted([f"lib:{native}", f"lib:{foreign}"])
    assert captured.facts["packages"][f"lib:{foreign}"]["auto"] is True
    assert captured.facts["packages"][f"lib:{native}"]["auto"] is False
    before = oracle.snapshot()
    run("dpkg", "--purge", f"lib:{native}", f"lib:{foreign}")
    reinstall(captured.deb(f"lib:{native}"), captured.deb(f"lib:{foreign}"))
    run("apt-mark", "auto", f"lib:{foreign}")
    # The edited file has become what the packages brought: the record is put right by the undo.
    assert {line.partition(": ")[0] for line in oracle.diff(before, oracle.snapshot())} == {
        f"dpkg lib:{native} Conffiles",
        f"dpkg lib:{foreign} Conffiles",
        "dpkg -V",
    }


def test_marks(repository: Repository, tmp_path: pathlib.Path) -> None:
    repository.build("foo", depends="bar", files={"/opt/foo/data": "x"})
    repository.build("bar", files={"/opt/bar/data": "x"})
    repository.offer()
    apt("install", "foo")
    run("apt-mark", "hold", "foo")
    packages = removal(tmp_path / "root", "foo", "bar").facts["packages"]
    assert [(one["want"], one["auto"]) for one in packages.values()] == [("hold", False), ("install", True)]


@pytest.mark.parametrize("path", ["/bin/foo", "/sbin/foo", "/lib/foo/x", "/lib64/foo", "/usr/bin/foo"])
def test_paths_through_the_systems_links(path: str, repository: Repository, tmp_path: pathlib.Path) -> None:
    repository.add("foo", files={path: "x"})
    # Newer dpkg-deb and dpkg are asked nothing here: apt unpacks it wherever the link leads.
    apt("install", "foo")
    captured = removal(tmp_path / "root", "foo")
    packed = members(captured.deb("foo:all"))
    assert packed[f".{path}"] == "-rw-r--r-- 0/0 1"
    assert packed[f"./{path.split('/')[1]}/"].startswith("drwxr-xr-x 0/0")
    before = oracle.snapshot()
    run("dpkg", "--purge", "foo")
    reinstall(captured.deb("foo:all"))
    assert oracle.diff(before, oracle.snapshot()) == []


def test_a_link_of_somebody_else_is_not_followed(repository: Repository, tmp_path: pathlib.Path) -> None:
    from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import UnsafePath

    repository.add("foo", files={"/opt/foo/state/data": "x"})
    apt("install", "foo")
    os.chown("/opt/foo", 33, 33)
    shutil.rmtree("/opt/foo/state")
    os.symlink("/root", "/opt/foo/state")
    os.lchown("/opt/foo/state", 33, 33)
    pathlib.Path("/root/data").write_text("secret")
    with pytest.raises(UnsafePath, match="state is a symbolic link of user id 33"):
        removal(tmp_path / "root", "foo")


def test_a_file_in_place_of_the_directory_of_configuration(repository: Repository, tmp_path: pathlib.Path) -> None:
    repository.add("foo", files={"/etc/foo/sub/foo.conf": "1\n"}, conffiles=["/etc/foo/sub/foo.conf"])
    apt("install", "foo")
    shutil.rmtree("/etc/foo/sub")
    pathlib.Path("/etc/foo/sub").write_text("mine\n")
    before = oracle.snapshot()
    with pytest.raises(CaptureError, match="cannot be captured") as refused:
        removal(tmp_path / "root", "foo")
    assert "/etc/foo/sub/foo.conf" in str(refused.value)
    assert oracle.diff(before, oracle.snapshot()) == []
