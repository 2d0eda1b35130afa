# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether the harness itself tells the truth: packages are as asked for, and the oracle sees every kind of change."""

from __future__ import annotations

import os
import pathlib
from typing import TYPE_CHECKING, Callable

import pytest

from ansible_collections.intellistream.sage.tests.system import oracle
from ansible_collections.intellistream.sage.tests.system.command import Failed, apt, run
from ansible_collections.intellistream.sage.tests.system.content import Directory, File, Hard, Link
from ansible_collections.intellistream.sage.tests.system.debs import Repository, status

if TYPE_CHECKING:
    from ansible_collections.intellistream.sage.tests.system.base import Base


def documents_example(repository: Repository) -> None:
    """foo 2 needs goo, which is new, and a newer bar."""
    repository.build("foo", "1", files={"/opt/foo/data": "1", "/etc/foo.conf": "1\n"}, conffiles=["/etc/foo.conf"])
    repository.build("bar", "1", files={"/opt/bar/data": "1"})
    repository.offer()
    apt("install", "foo", "bar")
    repository.build(
        "foo",
        "2",
        files={"/opt/foo/data": "2", "/etc/foo.conf": "2\n"},
        conffiles=["/etc/foo.conf"],
        depends="goo, bar (>= 2)",
    )
    repository.build("bar", "2", files={"/opt/bar/data": "2"})
    repository.build("goo", "1", files={"/opt/goo/data": "1"})
    repository.offer()


def test_the_repository_gives_apt_what_the_documents_example_needs(repository: Repository) -> None:
    documents_example(repository)
    assert (status("foo"), status("bar")) == ("1 ii", "1 ii")
    apt("install", "foo")
    assert (status("foo"), status("bar"), status("goo")) == ("2 ii", "2 ii", "1 ii")
    assert run("apt-mark", "showauto", "goo").stdout.strip() == "goo"


def test_a_package_has_the_files_that_were_asked_for(repository: Repository) -> None:
    repository.add(
        "foo",
        "1:2~rc1-3",
        arch=run("dpkg", "--print-architecture").stdout.strip(),
        multi_arch="same",
        files={
            "/opt/foo/tool": File("#!/bin/sh\n", 0o4750, 0, 33),
            "/opt/foo/spool": Directory(0o1777),
            "/opt/foo/link": Link("tool"),
            "/opt/foo/name": Hard("/opt/foo/tool"),
        },
        scripts={"postinst": "echo configured >/opt/foo/state"},
    )
    apt("install", "foo")
    info = os.stat("/opt/foo/tool")
    assert (info.st_mode & 0o7777, info.st_uid, info.st_gid, info.st_nlink) == (0o4750, 0, 33, 2)
    assert os.stat("/opt/foo/spool").st_mode & 0o7777 == 0o1777
    assert os.readlink("/opt/foo/link") == "tool"
    assert pathlib.Path("/opt/foo/state").read_text() == "configured\n"
    assert status("foo") == "1:2~rc1-3 ii"
    assert run("dpkg", "-V", "foo").stdout == ""


def test_a_failing_script_fails_apt(repository: Repository) -> None:
    repository.add("foo", scripts={"postinst": "exit 1"})
    with pytest.raises(Failed):
        apt("install", "foo")
    assert status("foo") == "1 iF"


def test_two_looks_at_the_same_system_are_equal(repository: Repository) -> None:
    documents_example(repository)
    before = oracle.snapshot()
    assert len(before) > 10000
    assert oracle.diff(before, oracle.snapshot()) == []


# What was changed → what the oracle has to say, and nothing else.
CHANGES: dict[str, tuple[Callable[[], object], str]] = {
    "content": (
        lambda: pathlib.Path("/opt/foo/data").write_text("X"),
        "dpkg -V: ??5??????   /opt/foo/data: (absent) => yes",
    ),
    "mode": (lambda: os.chmod("/opt/foo/data", 0o600), "file /opt/foo/data: -rw-r--r-- 0:0"),
    "owner": (lambda: os.chown("/opt/foo/data", 1, 1), "file /opt/foo/data: -rw-r--r-- 0:0"),
    "absent": (lambda: os.unlink("/opt/foo/data"), "=> (absent)"),
    "new": (lambda: pathlib.Path("/opt/foo/new").write_text(""), "file /opt/foo/new: (absent) =>"),
    "attribute": (lambda: os.setxattr("/opt/foo/data", "user.a", b"b"), "user.a=62"),
    "capability": (lambda: run("setcap", "cap_net_raw+ep", "/opt/foo/data"), "security.capability="),
    "hold": (lambda: run("apt-mark", "hold", "foo"), "apt hold: foo: (absent) => yes"),
    "auto": (lambda: run("apt-mark", "auto", "foo"), "apt auto: foo: (absent) => yes"),
    "diversion": (
        lambda: run("dpkg-divert", "--add", "--no-rename", "/opt/foo/data"),
        "dpkg diversions: local diversion of /opt/foo/data to /opt/foo/data.distrib: (absent) => yes",
    ),
    "override": (
        lambda: run("dpkg-statoverride", "--add", "root", "root", "0600", "/opt/foo/none"),
        "dpkg statoverrides: root root 600 /opt/foo/none: (absent) => yes",
    ),
    "removed": (lambda: apt("remove", "foo"), "dpkg foo:all Status: install ok installed => deinstall ok config-files"),
    "purged": (lambda: apt("purge", "foo"), "dpkg foo:all Status: install ok installed => (absent)"),
    "pristine": (
        lambda: pathlib.Path("/var/lib/dpkg/status").write_text(
            pathlib.Path("/var/lib/dpkg/status").read_text().replace(" /etc/foo.conf b026", " /etc/foo.conf 0000")
        ),
        "dpkg foo:all Conffiles",
    ),
    "scripts": (lambda: pathlib.Path("/var/lib/dpkg/info/foo.prerm").write_text(""), "foo.prerm: (absent) =>"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_the_oracle_sees(change: str, repository: Repository) -> None:
    documents_example(repository)
    act, said = CHANGES[change]
    before = oracle.snapshot()
    act()
    found = oracle.diff(before, oracle.snapshot())
    assert any(said in line for line in found), found


def test_the_oracle_as_a_program(repository: Repository, tmp_path: pathlib.Path) -> None:
    saved = tmp_path / "saved"
    run("/usr/bin/python3", oracle.__file__, "save", saved)
    assert run("/usr/bin/python3", oracle.__file__, "diff", saved).stdout.strip() == ""
    pathlib.Path("/etc/new").write_text("")
    done = run("/usr/bin/python3", oracle.__file__, "diff", saved, ok=False)
    assert done.returncode == 1
    assert done.stdout.startswith("file /etc/new: (absent) => -rw-r--r-- 0:0 0 ")


def test_the_system_is_put_back_whatever_happened_to_it(base: Base, repository: Repository) -> None:
    base.restore()
    before = oracle.snapshot()
    repository = Repository(repository.where)
    repository.add("foo", files={"/opt/foo/data": "1"}, scripts={"postinst": "exit 1"})
    apt("install", "foo", ok=False)
    run("apt-mark", "hold", "git")
    pathlib.Path("/var/lib/dpkg/updates/0000").write_text("")
    os.unlink("/etc/debian_version")
    os.symlink("nowhere", "/etc/debian_version")
    os.chown("/etc/ssh", 1, 1)
    run("rm", "-rf", "/usr/share/perl5", "/etc/sudoers.d")
    pathlib.Path("/etc/sudoers.d").write_text("no directory")
    run("setcap", "cap_net_raw+ep", "/usr/bin/git")
    assert oracle.diff(before, oracle.snapshot())
    base.restore()
    assert oracle.diff(before, oracle.snapshot()) == []
    assert [path for path in base.restore() if not path.startswith("/var/cache/")] == []
