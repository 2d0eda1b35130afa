# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""dpkg's and apt's own files, read."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._dpkg.database import (
    Conffile,
    Database,
    Diversion,
    fingerprint,
)

if TYPE_CHECKING:
    import pathlib

STATUS = b"""\
Package: dpkg
Essential: yes
Status: install ok installed
Architecture: amd64
Version: 1.21

Package: foo
Status: hold ok installed
Architecture: all
Version: 1:2~3
Conffiles:
 /etc/foo.conf 60b725f10c9c85c70d97880dfe8191b3
 /etc/a b.conf 60b725f10c9c85c70d97880dfe8191b3 obsolete
 /etc/gone 60b725f10c9c85c70d97880dfe8191b3 obsolete remove-on-upgrade
 /etc/new newconffile
Description: x: y
 \xff\xfe long
 .
 Version: 9

Package: lib
Status: install ok installed
Multi-Arch: same
Architecture: amd64
Version: 1

Package: lib
Status: install reinstreq half-installed
Multi-Arch: same
Architecture: i386
Version: 1

Package: lib1.2
Status: deinstall ok config-files
Architecture: amd64
Version: 1

Package: never
Status: unknown ok not-installed
Architecture: all

Package: broken
Architecture: all
"""


@pytest.fixture
def database(tmp_path: pathlib.Path) -> Database:
    (tmp_path / "status").write_bytes(STATUS)
    info = tmp_path / "info"
    info.mkdir()
    for name in ("foo.list", "foo.postinst", "lib:amd64.list", "lib:i386.list", "lib:i386.symbols", "lib1.2.list"):
        (info / name).write_bytes(b"/.\n/opt\n/opt/\xff \n")
    (tmp_path / "diversions").write_text("/a\n/a.distrib\nfoo\n/opt\n/c d\n:\n")
    (tmp_path / "statoverride").write_text("root mail 2755 /opt/a b\n#0 #7 755 /opt\n")
    (tmp_path / "extended").write_text(
        "Package: foo\nArchitecture: amd64\nAuto-Installed: 1\n\n"
        "Package: lib\nArchitecture: i386\nAuto-Installed: 1\n\n"
        "Package: dpkg\nArchitecture: amd64\nAuto-Installed: 0\n\n"
        "Package: away\nArchitecture: amd64\nAuto-Installed: 1\n"
    )
    return Database(str(tmp_path), str(tmp_path / "extended"))


def test_packages(database: Database) -> None:
    assert database.known() == {
        "dpkg:amd64": "1.21 ii",
        "foo:all": "1:2~3 hi",
        "lib:amd64": "1 ii",
        "lib:i386": "1 iHR",
        "lib1.2:amd64": "1 rc",
    }
    assert database.native == "amd64"
    assert [one.key for one in database.unfinished()] == ["lib:i386"]
    assert "".join(f"{one.stanza}\n" for one in database.packages.values()) in os.fsdecode(STATUS)


def test_configuration_files(database: Database) -> None:
    md5 = "60b725f10c9c85c70d97880dfe8191b3"
    assert database.packages["foo:all"].conffiles() == {
        "/etc/foo.conf": Conffile(md5),
        "/etc/a b.conf": Conffile(md5, "obsolete"),
        "/etc/gone": Conffile(md5, "obsolete remove-on-upgrade"),
        "/etc/new": Conffile("newconffile"),
    }
    assert database.packages["lib:amd64"].conffiles() == {}


def test_which_instance(database: Database) -> None:
    def key(name: str, arch: str = "") -> str | None:
        package = database.get(name, arch)
        return package and package.key

    assert key("foo") == key("foo", "amd64") == key("foo", "all") == "foo:all"
    assert (key("lib"), key("lib", "i386"), key("lib", "arm64")) == ("lib:amd64", "lib:i386", None)
    assert key("foo", "i386") is key("never") is None
    assert [one.key for one in database.named("lib")] == ["lib:amd64", "lib:i386"]


def test_files_about_a_package(database: Database) -> None:
    def names(key: str) -> list[str]:
        return [os.path.basename(path) for path in database.info(database.packages[key]).values()]

    assert names("foo:all") == ["foo.list", "foo.postinst"]
    assert names("lib:i386") == ["lib:i386.list", "lib:i386.symbols"]
    assert names("lib:amd64") == ["lib:amd64.list"]
    assert names("lib1.2:amd64") == ["lib1.2.list"]
    assert names("dpkg:amd64") == []
    assert database.paths(database.packages["foo:all"]) == ["/.", "/opt", os.fsdecode(b"/opt/\xff ")]
    assert database.shared(database.packages["foo:all"], ["/opt", "/etc"]) == {"/opt"}
    assert database.shared(database.packages["foo:all"], []) == set()


def test_diversions_overrides_and_marks(database: Database) -> None:
    assert database.diversions() == [Diversion("/a", "/a.distrib", "foo"), Diversion("/opt", "/c d", "")]
    assert database.diverted(database.packages["foo:all"]) == {"/opt": "/c d"}
    assert database.diverted(database.packages["dpkg:amd64"]) == {"/a": "/a.distrib", "/opt": "/c d"}
    assert database.overrides() == {"/opt/a b": "root mail 2755", "/opt": "#0 #7 755"}
    assert database.auto() == {"foo:all", "lib:i386"}


def test_what_is_not_there(tmp_path: pathlib.Path) -> None:
    empty = Database(str(tmp_path), str(tmp_path / "extended"))
    assert (empty.packages, empty.diversions(), empty.overrides(), empty.auto(), empty.pending()) == (
        {},
        [],
        {},
        set(),
        [],
    )


def test_fingerprints(tmp_path: pathlib.Path) -> None:
    (tmp_path / "file").write_text("hello")
    (tmp_path / "link").symlink_to("file")
    os.mkfifo(tmp_path / "pipe")
    assert fingerprint(str(tmp_path / "file")) == "5d41402abc4b2a76b9719d911017c592"
    assert fingerprint(str(tmp_path / "link")) == "link file"
    assert fingerprint(str(tmp_path)) == "dir"
    assert fingerprint(str(tmp_path / "pipe")) == "other"
    assert fingerprint(str(tmp_path / "none")) == fingerprint(str(tmp_path / "file/below")) == ""
