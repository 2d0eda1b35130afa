# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Statoverrides are as they were when what a change's scripts or an admin did to them is undone with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ansible_collections.intellistream.sage.tests.system import oracle
from ansible_collections.intellistream.sage.tests.system.command import apt, run
from ansible_collections.intellistream.sage.tests.system.debs import status
from ansible_collections.intellistream.sage.tests.system.dpkg.host import Host, example, package, same

if TYPE_CHECKING:
    import pathlib

    from ansible_collections.intellistream.sage.tests.system.debs import Repository


@pytest.fixture
def host(sage_root: pathlib.Path) -> Host:
    return Host(sage_root)


def override(*arguments: str) -> None:
    run("dpkg-statoverride", *arguments)


# Made for a user that goes with the package, and changed, on a file that was there and on one that comes.
SCRIPT = """
if [ "$1" = configure ]; then
    getent passwd keeper >/dev/null || useradd --system --no-create-home keeper
    dpkg-statoverride --update --add keeper root 0750 /opt/%s/data
    dpkg-statoverride --update --add root root 0700 /opt/%s/only-%s
fi
"""


@pytest.mark.parametrize("settled", [True, False])
def test_what_scripts_add(settled: bool, repository: Repository, host: Host) -> None:
    example(repository)
    scripts = {"postinst": SCRIPT % ("goo", "goo", "2"), "postrm": '[ "$1" != purge ] || userdel keeper'}
    repository.build("goo", "2", **package("2", "goo", scripts=scripts))
    scripts = {"postinst": SCRIPT.replace("keeper", "daemon") % ("foo", "foo", "3")}
    repository.build("foo", "3", **package("3", depends="goo (>= 2)", scripts=scripts))
    repository.offer()
    before = oracle.snapshot()
    point = host.capture("foo")
    apt("install", "foo")
    assert len(run("dpkg-statoverride", "--list").stdout.splitlines()) >= 4
    if settled:
        host.settle(point)
    done = host.undo()
    assert "statoverride of /opt/goo/data is keeper root 750, was absent" in done["plan"]["restore"]
    # What adding a user leaves behind is the script's: copies of the files it wrote.
    for name in ("passwd-", "shadow-", "group-", "gshadow-"):
        before.pop(f"file /etc/{name}", None)
    now = oracle.snapshot()
    for name in ("passwd-", "shadow-", "group-", "gshadow-"):
        now.pop(f"file /etc/{name}", None)
    assert oracle.diff(before, now) == []


def test_what_an_admin_adds_changes_and_removes_between(repository: Repository, host: Host) -> None:
    example(repository)
    override("--update", "--add", "root", "mail", "2755", "/opt/foo/data")
    override("--update", "--add", "root", "mail", "2750", "/opt/bar/data")
    before = oracle.snapshot()
    host.capture("foo")
    apt("install", "foo")
    override("--remove", "/opt/foo/data")
    override("--update", "--add", "root", "games", "0700", "/opt/foo/data")
    override("--remove", "/opt/bar/data")
    override("--update", "--add", "root", "root", "0600", "/opt/bar/only-2")
    override("--update", "--add", "root", "root", "0700", "/opt/foo")
    host.undo()
    same(before)


def test_it_is_undone_where_nothing_else_changed(repository: Repository, host: Host) -> None:
    example(repository)
    before = oracle.snapshot()
    host.capture("foo")
    override("--update", "--add", "root", "games", "0700", "/opt/foo/data")
    assert host.undo()["changed"]
    assert status("foo") == "1 ii"
    same(before)


def test_those_of_others_stay(repository: Repository, host: Host) -> None:
    example(repository)
    host.capture("foo")
    apt("install", "foo")
    repository.add("zoo", "1", **package("1", "zoo"))
    apt("install", "zoo")
    override("--update", "--add", "root", "games", "0700", "/opt/zoo/data")
    # Every package here has it.
    override("--add", "root", "root", "0755", "/opt")
    host.undo()
    listed = run("dpkg-statoverride", "--list").stdout
    assert "root games 700 /opt/zoo/data\n" in listed
    assert "root root 755 /opt\n" in listed
