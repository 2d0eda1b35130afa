# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Package files of what is on disk: dpkg alone puts the packages back from them, as they were.

The oracle looks at everything; what a package file cannot hold is told by the capture, and is all that may differ.
"""

from __future__ import annotations

import hashlib
import os
import pathlib
import shutil
import stat
from typing import TYPE_CHECKING

import pytest

from ansible_collections.intellistream.sage.tests.system import oracle
from ansible_collections.intellistream.sage.tests.system.command import apt, run
from ansible_collections.intellistream.sage.tests.system.content import Directory, File, Hard, Link
from ansible_collections.intellistream.sage.tests.system.dpkg.capturing import members, reinstall, removal

if TYPE_CHECKING:
    from ansible_collections.intellistream.sage.tests.system.debs import Repository

LONG = "/opt/foo/" + "/".join(["d" * 90] * 3) + "/" + "n" * 200
ODD = "/opt/foo/ odd\tname 'with' \"quotes\" \\ $(x) ü *?[a]"


def everything(repository: Repository) -> None:
    """A package with all that a package can have."""
    repository.add(
        "foo",
        "1:2.0~rc1+x-1",
        files={
            "/opt/foo/tool": File("#!/bin/sh\n", 0o4755, 0, 33),
            "/opt/foo/name": Hard("/opt/foo/tool"),
            "/opt/foo/zzz": Hard("/opt/foo/tool"),
            "/opt/foo/group": File("x", 0o2710, 1, 2),
            "/opt/foo/empty": "",
            "/opt/foo/big": os.urandom(3_000_000),
            "/opt/foo/zeros": bytes(5_000_001),
            "/opt/foo/spool": Directory(0o1777, 33, 33),
            "/opt/foo/link": Link("tool"),
            "/opt/foo/dangling": Link("../nowhere/" + "l" * 150),
            LONG: "long",
            LONG + "2": Link("n" * 180),
            LONG + "3": Hard(LONG),
            ODD: "odd",
            "/etc/foo/a.conf": "a\n",
            "/etc/foo/b.conf": File("b\n", 0o600, 0, 33),
            "/lib/udev/rules.d/99-foo.rules": "# below a link, maybe\n",
        },
        conffiles=["/etc/foo/a.conf", "/etc/foo/b.conf"],
        scripts={name: f"echo {name} $1 >>/var/log/foo.log" for name in ("preinst", "postinst", "prerm", "postrm")},
        triggers="interest-noawait /opt/trigger\n",
        depends="libc6 | x, bar (>= 1)",
        provides="virtual (= 3)",
        recommends="git",
        section="misc",
        priority="optional",
        installed_size="123",
        homepage="https://localhost/",
        x_own="kept",
    )
    repository.add("bar", multi_arch="foreign", files={"/opt/bar/data": "bar"})
    apt("install", "foo")


def back(root: pathlib.Path, *names: str) -> list[str]:
    """What differs after packages were captured, purged, and installed from what was captured."""
    captured = removal(root, *names)
    before = oracle.snapshot()
    debs = [captured.deb(key) for key in captured.facts["packages"]]
    run("dpkg", "--purge", "--force-depends", *names)
    assert oracle.diff(before, oracle.snapshot())
    reinstall(*debs)
    return oracle.diff(before, oracle.snapshot())


def test_a_package_with_everything_comes_back(repository: Repository, tmp_path: pathlib.Path) -> None:
    everything(repository)
    assert back(tmp_path / "root", "foo") == []


def test_a_name_that_is_no_text(repository: Repository, tmp_path: pathlib.Path) -> None:
    top = tmp_path / "raw"
    (top / "opt/raw").mkdir(parents=True)
    (top / "DEBIAN").mkdir()
    name = b"latin-1 \xe4\xff \x01\x7f"
    for letter in (b"a", b"b"):
        pathlib.Path(os.fsdecode(os.fsencode(top) + b"/opt/raw/" + letter + name)).write_text("x")
    control = "Package: raw\nVersion: 1\nArchitecture: all\nMaintainer: X <x@localhost>\nDescription: x\n"
    (top / "DEBIAN/control").write_text(control)
    run("chmod", "-R", "go-w", top)
    run("dpkg-deb", "--build", top, tmp_path / "raw.deb")
    run("dpkg", "--install", tmp_path / "raw.deb")
    os.unlink(os.fsdecode(b"/opt/raw/b" + name))
    captured = removal(tmp_path / "root", "raw")
    before = oracle.snapshot()
    assert captured.facts["packages"]["raw:all"]["missing"] == [os.fsdecode(b"/opt/raw/b" + name)]
    run("dpkg", "--purge", "raw")
    reinstall(captured.deb("raw:all"))
    differing = {line.partition(": ")[0] for line in oracle.diff(before, oracle.snapshot())}
    # The deleted one is in neither now; what there was of it is kept beside.
    assert differing == {f"file /var/lib/dpkg/info/raw.{kind}" for kind in ("list", "md5sums")} | {"dpkg -V"}


def test_all_is_told_and_private(repository: Repository, tmp_path: pathlib.Path) -> None:
    everything(repository)
    captured = removal(tmp_path / "root", "foo")
    facts = captured.facts["packages"]["foo:all"]
    assert facts["deb"] == "foo_1%3a2.0~rc1+x-1_all.deb"
    assert facts["missing"] == facts["leftovers"] == []
    assert facts["extra"] == ["/etc/foo/a.conf", "/etc/foo/b.conf"]
    assert facts["conffiles"]["/etc/foo/a.conf"] == {
        "md5": "60b725f10c9c85c70d97880dfe8191b3",
        "flags": "",
        "now": "60b725f10c9c85c70d97880dfe8191b3",
    }
    assert facts["inexact"] == [
        f"its {name} may change more than its files" for name in ("preinst", "postinst", "prerm", "postrm")
    ]
    assert captured.facts["inexact"] == [f"foo:all: {reason}" for reason in facts["inexact"]]
    assert captured.versions["foo:all"] == ("1:2.0~rc1+x-1", facts["deb"])
    assert set(captured.items["foo:all"]) == {facts["deb"], *(f"extra/foo:all{path}" for path in facts["extra"])}
    written = [path for path in captured.content.rglob("*") if path.is_file()]
    assert captured.facts["files"] == len(written) == 4
    assert captured.facts["bytes"] == sum(path.stat().st_size for path in written)
    for item in captured.items.values():
        for path, one in item.items():
            data = (captured.content / path).read_bytes()
            assert (hashlib.sha256(data).hexdigest(), len(data)) == (one.value, one.size)
    for place in [captured.content, *captured.content.rglob("*")]:
        if place.is_dir() or place.suffix == ".deb" or place.name == "status":
            assert stat.S_IMODE(place.stat().st_mode) == (0o700 if place.is_dir() else 0o600), place
    assert run("dpkg-query", "-s", "foo").stdout == (captured.content / "status").read_text()


def test_dpkg_deb_reads_the_same_as_of_the_original(repository: Repository, tmp_path: pathlib.Path) -> None:
    everything(repository)
    made = removal(tmp_path / "root", "foo").deb("foo:all")
    original = repository.where / made.name
    of_made, of_original = members(made), members(original)
    # The root is whatever it is here.
    assert of_made.pop("./").startswith("dr-xr-xr-x")
    assert of_original.pop("./").startswith("drwxr-xr-x")
    assert of_made == of_original
    for deb, where in ((made, tmp_path / "made"), (original, tmp_path / "original")):
        run("dpkg-deb", "--raw-extract", deb, where)
    # dpkg's record of a field is in its own order.
    controls = [
        sorted((tmp_path / where / "DEBIAN/control").read_text().splitlines()) for where in ("made", "original")
    ]
    assert controls[0] == controls[1]
    for name in ("md5sums", "conffiles", "triggers", "preinst", "postinst", "prerm", "postrm"):
        made_of, original_of = (tmp_path / where / "DEBIAN" / name for where in ("made", "original"))
        assert made_of.read_bytes() == original_of.read_bytes()
        assert made_of.stat().st_mode == original_of.stat().st_mode
    assert os.stat(tmp_path / "made/opt/foo/tool").st_nlink == 3


def test_apt_takes_it(repository: Repository, tmp_path: pathlib.Path) -> None:
    everything(repository)
    captured = removal(tmp_path / "root", "foo")
    before = oracle.snapshot()
    run("dpkg", "--purge", "foo")
    apart = tmp_path / "foo.deb"
    shutil.copy(captured.deb("foo:all"), apart)
    apt("install", "--allow-downgrades", "--no-install-recommends", apart)
    assert oracle.diff(before, oracle.snapshot()) == []


def test_what_somebody_changed(repository: Repository, tmp_path: pathlib.Path) -> None:
    everything(repository)
    pathlib.Path("/opt/foo/empty").write_text("no longer")
    os.chmod("/opt/foo/group", 0o604)
    os.chown("/opt/foo/group", 12, 13)
    os.unlink("/opt/foo/link")
    pathlib.Path("/opt/foo/link").write_text("a file")
    os.unlink("/opt/foo/big")
    os.symlink("zeros", "/opt/foo/big")
    os.chmod("/opt/foo/spool", 0o700)
    # Only the recorded sums, and the order of the list, are lost: they are kept beside.
    differing = back(tmp_path / "root", "foo")
    lists = {f"file /var/lib/dpkg/info/foo.{name}" for name in ("list", "md5sums")}
    assert {line.partition(": ")[0] for line in differing} == {"dpkg -V", *lists}
    captured = removal(tmp_path / "again", "foo")
    # Installed from that, it would be written just like it is now.
    assert captured.facts["packages"]["foo:all"]["extra"] == ["/etc/foo/a.conf", "/etc/foo/b.conf"]
    sums = (tmp_path / "x").as_posix()
    run("dpkg-deb", "--raw-extract", captured.deb("foo:all"), sums)
    said = run("sh", "-c", f"cd {sums} && md5sum --check --quiet DEBIAN/md5sums")
    assert said.stdout == ""


def test_recorded_sums_and_lists_are_kept_when_they_would_differ(
    repository: Repository, tmp_path: pathlib.Path
) -> None:
    everything(repository)
    pathlib.Path("/opt/foo/empty").write_text("no longer")
    os.unlink("/opt/foo/zeros")
    info = [pathlib.Path(f"/var/lib/dpkg/info/foo.{name}") for name in ("list", "md5sums")]
    captured = removal(tmp_path / "root", "foo")
    facts = captured.facts["packages"]["foo:all"]
    assert facts["missing"] == ["/opt/foo/zeros"]
    assert facts["extra"][-2:] == list(map(str, info))
    assert "./opt/foo/zeros" not in members(captured.deb("foo:all"))
    before = oracle.snapshot()
    run("dpkg", "--purge", "foo")
    reinstall(captured.deb("foo:all"))
    assert not os.path.exists("/opt/foo/zeros")
    for path in info:
        shutil.copy(f"{captured.content}/extra/foo:all{path}", path)
    assert oracle.diff(before, oracle.snapshot()) == []


def test_a_directory_and_all_in_it_was_deleted(repository: Repository, tmp_path: pathlib.Path) -> None:
    everything(repository)
    shutil.rmtree("/opt/foo")
    captured = removal(tmp_path / "root", "foo")
    assert "/opt/foo/tool" in captured.facts["packages"]["foo:all"]["missing"]
    assert not [path for path in members(captured.deb("foo:all")) if path.startswith("./opt/foo")]
    pathlib.Path("/opt/foo").write_text("a file")
    captured = removal(tmp_path / "again", "foo")
    assert members(captured.deb("foo:all"))["./opt/foo"].startswith("-rw-r--r-- 0/0 6")


def test_a_directory_is_elsewhere(repository: Repository, tmp_path: pathlib.Path) -> None:
    everything(repository)
    run("mv", "/opt/foo", "/srv/foo")
    os.symlink("/srv/foo", "/opt/foo")
    packed = members(removal(tmp_path / "root", "foo").deb("foo:all"))
    assert packed["./opt/foo/"].startswith("drwxr-xr-x 0/0")
    assert packed["./opt/foo/name"] == "-rwsr-xr-x 0/33 10"
    assert packed["./opt/foo/tool"] == "hrwsr-xr-x 0/33 0 ./opt/foo/name"


def test_capabilities_times_and_acls_are_told(repository: Repository, tmp_path: pathlib.Path) -> None:
    everything(repository)
    run("setcap", "cap_net_raw+ep", "/opt/foo/empty")
    os.setxattr("/opt/foo/spool", "user.x", b"y")
    os.setxattr("/etc/foo/a.conf", "user.a", b"b")
    os.utime("/opt/foo/big", ns=(5, 1_700_000_000_123_456_789))
    os.utime("/opt/foo/link", ns=(5, 1_700_000_000_000_000_001), follow_symlinks=False)
    os.utime("/opt/foo/zeros", ns=(5, -5_000_000_000))
    captured = removal(tmp_path / "root", "foo")
    facts = captured.facts["packages"]["foo:all"]
    assert list(facts["xattrs"]["/opt/foo/empty"]) == ["security.capability"]
    assert facts["xattrs"]["/opt/foo/spool"] == {"user.x": "79"}
    assert facts["times"] == {
        "/opt/foo/big": 1_700_000_000_123_456_789,
        "/opt/foo/link": 1_700_000_000_000_000_001,
        "/opt/foo/zeros": -5_000_000_000,
    }
    assert captured.items["foo:all"]["extra/foo:all/etc/foo/a.conf"].xattrs == {"user.a": "62"}


@pytest.mark.parametrize("kind", ["pipe", "device", "socket"])
def test_what_no_package_can_have(kind: str, repository: Repository, tmp_path: pathlib.Path) -> None:
    from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import CaptureError

    everything(repository)
    os.unlink("/opt/foo/empty")
    if kind == "pipe":
        os.mkfifo("/opt/foo/empty")
    elif kind == "device":
        os.mknod("/opt/foo/empty", stat.S_IFCHR | 0o600, os.makedev(1, 3))
    else:
        import socket

        socket.socket(socket.AF_UNIX).bind("/opt/foo/empty")
    with pytest.raises(CaptureError, match=f"/opt/foo/empty cannot be packed, it is a {kind}"):
        removal(tmp_path / "root", "foo")


def test_real_packages_come_back(tmp_path: pathlib.Path) -> None:
    """Those of the distribution, their documentation left out by the image: lists and sums are kept for that."""
    names = ["git", "git-man", "sudo"]
    captured = removal(tmp_path / "root", *names)
    before = oracle.snapshot()
    run("dpkg", "--purge", "--force-depends", *names, SUDO_FORCE_REMOVE="yes")
    reinstall(*(captured.deb(key) for key in captured.facts["packages"]))
    for key, facts in captured.facts["packages"].items():
        for path in facts["extra"]:
            if path.startswith("/var/lib/dpkg/info/"):
                shutil.copy(f"{captured.content}/extra/{key}{path}", path)
    # sudo's own scripts make and remove a file or two.
    assert [line for line in oracle.diff(before, oracle.snapshot()) if "sudo" not in line] == []
