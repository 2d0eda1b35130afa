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
from ansible_collections.intellistream.sage.tests.system.command import dnf, run
from ansible_collections.intellistream.sage.tests.system.content import Directory, File, Ghost, Hard, Link
from ansible_collections.intellistream.sage.tests.system.rpm.capturing import CONFIG, example
from ansible_collections.intellistream.sage.tests.system.rpms import Repository, installed

if TYPE_CHECKING:
    from ansible_collections.intellistream.sage.tests.system.base import Base


def test_the_repository_gives_dnf_what_the_documents_example_needs(repository: Repository) -> None:
    example(repository)
    assert installed() == ["bar-1-1.noarch", "foo-1-1.noarch"]
    dnf("upgrade", "foo")
    assert installed() == ["bar-2-1.noarch", "foo-2-1.noarch", "goo-1-1.noarch"]


def test_a_package_has_the_files_that_were_asked_for(repository: Repository) -> None:
    repository.add(
        "foo",
        "1.0~rc1",
        "3",
        arch="this machine's",
        files={
            "/opt/foo/tool": File("#!/bin/sh\n", 0o4750, 0, 33),
            "/opt/foo/name": Hard("/opt/foo/tool", "%attr(4750, root, www-data)"),
            "/opt/foo/spool": Directory(0o1777),
            "/opt/foo/link": Link("tool"),
            "/opt/foo/able": File("x", 0o755, rpm="%caps(cap_net_raw=ep)"),
            "/opt/foo/ghost": Ghost(0o600),
            "/etc/foo.conf": File("1\n", rpm=CONFIG),
        },
        scripts={"post": "echo 100% >/opt/foo/state"},
        triggers={"triggerin -- bar": "echo bar >/opt/foo/triggered"},
        fields=["Epoch: 2"],
    )
    repository.add("bar")
    dnf("install", "foo")
    info = os.stat("/opt/foo/tool")
    assert (info.st_mode & 0o7777, info.st_uid, info.st_gid, info.st_nlink) == (0o4750, 0, 33, 2)
    assert os.stat("/opt/foo/spool").st_mode & 0o7777 == 0o1777
    assert os.readlink("/opt/foo/link") == "tool"
    assert os.getxattr("/opt/foo/able", "security.capability")
    assert not os.path.lexists("/opt/foo/ghost")
    assert run("rpm", "-q", "--configfiles", "foo").stdout == "/etc/foo.conf\n"
    assert "/opt/foo/ghost" in run("rpm", "-ql", "foo").stdout
    assert pathlib.Path("/opt/foo/state").read_text() == "100%\n"
    machine = os.uname().machine
    assert run("rpm", "-q", "--qf", "%{NEVRA}", "foo").stdout == f"foo-2:1.0~rc1-3.{machine}"
    assert run("rpm", "-V", "--nodeps", "foo").stdout == ""
    dnf("install", "bar")
    assert pathlib.Path("/opt/foo/triggered").read_text() == "bar\n"


def test_a_package_made_again_in_the_same_second_is_the_new_one(repository: Repository) -> None:
    """As signing does, which fills room that is kept for it."""
    first = repository.add("foo", files={"/opt/foo/data": "1"}, payload="w.ufdio").stat()
    again = repository.build("foo", files={"/opt/foo/data": "2"}, payload="w.ufdio")
    assert again.stat().st_size == first.st_size
    os.utime(again, ns=(first.st_atime_ns, first.st_mtime_ns))
    repository.offer()
    dnf("install", "foo")
    assert pathlib.Path("/opt/foo/data").read_text() == "2"


def test_a_failing_post_is_success_for_dnf(repository: Repository) -> None:
    repository.add("foo", scripts={"post": "exit 1"})
    dnf("install", "foo")
    assert installed() == ["foo-1-1.noarch"]


def test_two_looks_at_the_same_system_are_equal(repository: Repository) -> None:
    example(repository)
    before = oracle.snapshot()
    assert before["rpm foo-1-1.noarch"] == "1 installed"
    assert "dnf wanted: foo-1-1.noarch" in before
    assert oracle.diff(before, oracle.snapshot()) == []


# What was changed → what the oracle has to say.
CHANGES: dict[str, tuple[Callable[[], object], str]] = {
    "content": (lambda: pathlib.Path("/opt/foo/data").write_text("X"), "rpm -Va: ..5....T.    /opt/foo/data"),
    "mode": (lambda: os.chmod("/opt/foo/data", 0o600), "file /opt/foo/data: -rw-r--r-- 0:0"),
    "capability": (lambda: run("setcap", "cap_net_raw+ep", "/opt/foo/data"), "rpm -Va: ........P    /opt/foo/data"),
    "removed": (lambda: run("rpm", "-e", "foo"), "rpm foo-1-1.noarch: 1 installed => (absent)"),
    "upgraded": (lambda: dnf("upgrade", "foo"), "rpm goo-1-1.noarch: (absent) => 1 installed"),
    "marked": (lambda: dnf("mark", "remove", "foo"), "dnf wanted: foo-1-1.noarch: yes => (absent)"),
    "no file": (lambda: run("rpm", "-e", "--justdb", "foo"), "rpm foo-1-1.noarch FILENAMES"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_the_oracle_sees(change: str, repository: Repository) -> None:
    example(repository)
    act, said = CHANGES[change]
    before = oracle.snapshot()
    act()
    found = oracle.diff(before, oracle.snapshot())
    assert any(said in line for line in found), found


def test_the_oracle_sees_another_header(repository: Repository) -> None:
    first = repository.add("foo", files={"/etc/foo.conf": File("1\n", rpm=CONFIG)})
    run("rpm", "-U", first)
    before = oracle.snapshot()
    second = repository.build(
        "foo", files={"/etc/foo.conf": "1\n"}, scripts={"preun": "true"}, fields=["Requires: /bin/sh"]
    )
    run("rpm", "-U", "--force", "--nodeps", second)
    keys = {line.partition(": ")[0] for line in oracle.diff(before, oracle.snapshot())}
    wanted = {f"rpm foo-1-1.noarch {tag}" for tag in ("FILEFLAGS", "PREUN", "REQUIRENEVRS")}
    assert wanted <= keys, keys


def test_the_system_is_put_back(base: Base, repository: Repository) -> None:
    base.restore()
    before = oracle.snapshot()
    example(Repository(repository.where))
    dnf("upgrade", "foo")
    assert oracle.diff(before, oracle.snapshot())
    base.restore()
    assert oracle.diff(before, oracle.snapshot()) == []
