# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a change takes from others comes back: files of nobody's, and files of packages that stay."""

from __future__ import annotations

import os
import pathlib

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import ConflictError
from ansible_collections.intellistream.sage.tests.system import oracle
from ansible_collections.intellistream.sage.tests.system.command import apt, run
from ansible_collections.intellistream.sage.tests.system.content import Directory, Link
from ansible_collections.intellistream.sage.tests.system.debs import LISTS, Repository, status
from ansible_collections.intellistream.sage.tests.system.dpkg.host import Host, example, package, same

MINE = pathlib.Path("/opt/foo/only-2")


@pytest.fixture
def host(sage_root: pathlib.Path) -> Host:
    return Host(sage_root)


def nobodys() -> None:
    """Files, links and directories that no package has, where goo is going to put its own."""
    for path, mode in (("/opt/goo", 0o750), ("/opt/goo/empty", 0o700), ("/opt/goo/ä b →", 0o755)):
        pathlib.Path(path).mkdir()
        pathlib.Path(path).chmod(mode)
    for path in ("/opt/goo/data", "/opt/goo/ä b →/file", "/etc/goo.conf", "/usr/lib/goo-library"):
        pathlib.Path(path).write_text(f"mine: {path}\n", "utf-8")
    data = pathlib.Path("/opt/goo/data")
    os.chown(data, 12, 34)
    data.chmod(0o4711)
    os.setxattr(data, "user.mine", b"yes")
    os.utime(data, ns=(10**18 + 1, 10**18 + 1))
    pathlib.Path("/opt/goo/link").symlink_to("/nowhere/mine")
    pathlib.Path("/opt/goo/beside").write_text("in the way of nothing")


def goo(repository: Repository) -> None:
    files = {
        "/opt/goo/empty": Directory(),
        "/opt/goo/data": "goo's",
        "/opt/goo/link": Link("data"),
        "/opt/goo/new": "goo's",
        "/opt/goo/ä b →/file": "goo's",
        "/etc/goo.conf": "goo's\n",
        # By its old name: the directory is the one of /usr today.
        "/lib/goo-library": "goo's",
    }
    repository.add("goo", "1", files=files, conffiles=["/etc/goo.conf"])


@pytest.mark.parametrize(("keep", "settled"), [("confold", False), ("confnew", True)])
def test_files_of_nobodys_that_a_new_package_overwrites(
    keep: str, settled: bool, repository: Repository, host: Host
) -> None:
    nobodys()
    goo(repository)
    before = oracle.snapshot()
    times = [os.lstat(path).st_mtime_ns for path in ("/opt/goo/data", "/opt/goo/link")]
    point = host.capture("goo")
    apt("install", "-o", f"Dpkg::Options::=--force-{keep}", "goo")
    assert pathlib.Path("/opt/goo/data").read_text() == "goo's"
    if settled:
        host.settle(point)
    done = host.undo()
    assert done["exact"]
    assert not pathlib.Path("/opt/goo/new").exists()
    same(before)
    assert times == [os.lstat(path).st_mtime_ns for path in ("/opt/goo/data", "/opt/goo/link")]


def test_files_of_nobodys_that_an_upgrade_overwrites_and_redo(repository: Repository, host: Host) -> None:
    example(repository)
    MINE.write_text("mine", "utf-8")
    before = oracle.snapshot()
    host.capture("foo")
    apt("install", "foo")
    assert MINE.read_text() == "2"
    after = oracle.snapshot()
    redo = host.undo()["redo_point"]
    assert MINE.read_text() == "mine"
    same(before)
    back = host.undo(redo)["redo_point"]
    same(after)
    host.undo(back)
    same(before)


def test_what_an_undo_overwrites_comes_back_by_its_redo(repository: Repository, host: Host) -> None:
    example(repository)
    host.capture("foo", state="absent")
    apt("purge", "foo")
    data = pathlib.Path("/opt/foo/data")
    data.parent.mkdir(exist_ok=True)
    data.write_text("somebody's own, since foo is gone")
    after = oracle.snapshot()
    redo = host.undo()["redo_point"]
    assert data.read_text() == "foo 1"
    host.undo(redo)
    same(after)


def test_what_somebody_put_there_since_is_a_conflict(repository: Repository, host: Host) -> None:
    example(repository)
    MINE.write_text("mine", "utf-8")
    before = oracle.snapshot()
    host.capture("foo")
    MINE.write_text("edited since, and the change never came")
    with pytest.raises(ConflictError, match=f"{MINE} was changed by somebody"):
        host.undo()
    host.undo(force=True)
    (aside,) = host.root.rglob(f"aside{MINE}")
    assert aside.read_text().startswith("edited since")
    same(before)


def taking(repository: Repository) -> None:
    """bar stays and lets taker have its files."""
    example(repository)
    run("apt-mark", "manual", "bar")
    files = {"/opt/bar/data": "taker's", "/opt/taker": Directory()}
    repository.build("taker", "1", files=files, replaces="bar")
    files = {"/etc/bar.conf": "taker's\n", "/opt/taker": Directory()}
    repository.build("conftaker", "1", files=files, conffiles=["/etc/bar.conf"], replaces="bar")
    files = {"/opt/bar/data": "t", "/opt/bar/only-1": "t", "/etc/bar.conf": "t\n"}
    repository.build("alltaker", "1", files=files, conffiles=["/etc/bar.conf"], replaces="bar")
    repository.offer()


@pytest.mark.parametrize(("settled", "edited"), [(True, False), (False, True)])
@pytest.mark.parametrize("name", ["taker", "conftaker", "alltaker"])
def test_a_file_taken_from_a_package_that_stays(
    name: str, settled: bool, edited: bool, repository: Repository, host: Host
) -> None:
    taking(repository)
    if edited:
        pathlib.Path("/etc/bar.conf").write_text("edited\n")
        pathlib.Path("/opt/bar/data").write_text("edited")
    before = oracle.snapshot()
    point = host.capture(name)
    apt("install", name)
    assert status(name) == "1 ii"
    assert status("bar") == ("1 ii" if name != "alltaker" else status("bar"))
    if settled:
        host.settle(point)
    assert host.undo()["exact"]
    same(before)


def test_a_package_that_lost_a_file_and_changed_since_is_a_conflict(repository: Repository, host: Host) -> None:
    taking(repository)
    host.capture("taker")
    apt("install", "taker")
    repository.add("bar", "4", **package("4", "bar"))
    apt("install", "bar")
    with pytest.raises(ConflictError, match="bar is 4, which no recorded change brought"):
        host.undo()


def test_what_is_not_known_before_is_never_called_exact(repository: Repository, host: Host) -> None:
    example(repository)
    pathlib.Path("/opt/goo").mkdir()
    pathlib.Path("/opt/goo/data").write_text("mine")
    changes = [{"name": "goo", "arch": "all", "before": None, "after": "1"}]
    point = host.capture(changes=changes)
    apt("install", "goo")
    host.settle(point)
    done = host.undo()
    assert not done["exact"]
    assert done["inexact"] == ["goo: what it overwrote of others could not be known before"]


def test_another_version_than_was_looked_at_is_never_called_exact(repository: Repository, host: Host) -> None:
    example(repository)
    point = host.capture("goo")
    repository.add("goo", "2", **package("2", "goo"))
    apt("install", "goo")
    host.settle(point)
    done = host.undo()
    assert done["inexact"] == ["goo: it is 2 instead of 1: what it overwrote is not known"]


def test_what_is_not_on_this_host_is_fetched(repository: Repository, host: Host) -> None:
    nobodys()
    goo(repository)
    (LISTS / "tests.list").write_text(f"deb [trusted=yes] copy:{repository.where} ./\n", "utf-8")
    apt("update")
    before = oracle.snapshot()
    host.capture("goo")
    assert pathlib.Path("/var/cache/apt/archives/goo_1_all.deb").exists()
    # Nothing was installed by that.
    same(before)
    apt("install", "goo")
    assert host.undo()["exact"]
    same(before)


def test_what_cannot_be_fetched_is_named(repository: Repository, host: Host) -> None:
    example(repository)
    (repository.where / "goo_1_all.deb").unlink()
    host.capture("goo")
    with host.engine.reading() as session:
        (point,) = [point for change in session.history() for point in change.active_points]
    why = "goo:all: its scripts, and what it overwrites, are not known before it is downloaded"
    assert point["resources"][0]["inexact"] == [why]


def test_a_pipe_in_the_way_is_named(repository: Repository, host: Host) -> None:
    example(repository)
    pathlib.Path("/opt/goo").mkdir()
    os.mkfifo("/opt/goo/data")
    host.capture("goo")
    apt("install", "goo")
    done = host.undo()
    assert done["inexact"] == ["goo: it overwrites /opt/goo/data, a device, pipe or socket"]


def test_configuration_that_is_there_already(repository: Repository, host: Host) -> None:
    """Of a package that was removed and is known as removed only."""
    example(repository)
    apt("install", "goo")
    apt("remove", "goo")
    pathlib.Path("/etc/goo.conf").write_text("edited\n")
    files = {"/etc/goo.conf": "other's\n"}
    repository.add("other", "1", files=files, conffiles=["/etc/goo.conf"], replaces="goo")
    before = oracle.snapshot()
    host.capture("other")
    apt("install", "other")
    host.undo()
    same(before)
