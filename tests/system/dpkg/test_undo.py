# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Changes of packages undone: afterwards the whole system is as it was, by the oracle."""

from __future__ import annotations

import datetime as dt
import pathlib
import time

import pytest

from ansible_collections.intellistream.sage.tests.system import oracle
from ansible_collections.intellistream.sage.tests.system.command import apt, run
from ansible_collections.intellistream.sage.tests.system.debs import Repository, build, status
from ansible_collections.intellistream.sage.tests.system.dpkg.host import FOO_CONF, Host, example, package, same


@pytest.fixture
def host(sage_root: pathlib.Path) -> Host:
    return Host(sage_root)


def test_the_documents_example(repository: Repository, host: Host) -> None:
    example(repository)
    before = oracle.snapshot()
    point = host.capture("foo")
    apt("install", "foo")
    assert (status("foo"), status("bar"), status("goo")) == ("2 ii", "2 ii", "1 ii")
    host.settle(point)
    predicted = host.undo(check_mode=True)
    done = host.undo()
    assert predicted["plan"] == done["plan"]
    assert done["plan"]["erase"] == ["goo 1"]
    assert done["plan"]["install"] == ["bar 1 (now 2)", "foo 1 (now 2)"]
    assert done["exact"]
    same(before)
    assert host.undo()["changed"] is False


def test_redo(repository: Repository, host: Host) -> None:
    example(repository)
    host.capture("foo")
    apt("install", "foo")
    before = oracle.snapshot()
    redo = host.undo()["redo_point"]
    assert status("foo") == "1 ii"
    # What was taken back comes from the store, too.
    for deb in repository.where.glob("*.deb"):
        deb.unlink()
    repository.offer()
    host.undo(redo)
    same(before)


def test_several_changes_undone_as_one_and_by_date(repository: Repository, host: Host) -> None:
    example(repository)
    before = oracle.snapshot()
    time.sleep(1.1)
    when = dt.datetime.now(dt.timezone.utc).isoformat()
    time.sleep(1.1)
    host.capture("foo")
    apt("install", "foo")
    repository.build("foo", "3", **package("3"))
    repository.add("zoo", "1", **package("1", "zoo"))
    middle = oracle.snapshot()
    host.capture("foo", "zoo")
    apt("install", "foo", "zoo")
    host.undo()
    same(middle)
    host.capture("foo", "zoo")
    apt("install", "foo", "zoo")
    host.capture("foo", state="absent")
    apt("purge", "foo")
    done = host.undo(when)
    assert sorted(done["plan"]["erase"]) == ["goo 1", "zoo 1"]
    assert done["plan"]["install"] == ["bar 1 (now 2)", "foo 1"]
    same(before)


@pytest.mark.parametrize("settled", [True, False])
def test_edited_configuration_survives_the_undo_and_the_next_upgrade(
    settled: bool, repository: Repository, host: Host
) -> None:
    example(repository)
    conf = pathlib.Path(FOO_CONF)
    conf.write_text("edited\n")
    conf.chmod(0o640)
    before = oracle.snapshot()
    point = host.capture("foo")
    apt("install", "foo")
    assert pathlib.Path(f"{FOO_CONF}.dpkg-dist").exists()
    if settled:
        host.settle(point)
    host.undo()
    same(before)
    apt("install", "foo")
    assert conf.read_text() == "edited\n"
    assert pathlib.Path(f"{FOO_CONF}.dpkg-dist").read_text() == "foo 2\n"


def test_an_untouched_configuration_is_upgraded_after_the_undo(repository: Repository, host: Host) -> None:
    example(repository)
    host.capture("foo")
    apt("install", "foo")
    host.undo()
    assert pathlib.Path(FOO_CONF).read_text() == "foo 1\n"
    apt("install", "foo")
    assert pathlib.Path(FOO_CONF).read_text() == "foo 2\n"


def test_new_configuration_taken_by_the_maintainer_goes_back_to_the_edited_one(
    repository: Repository, host: Host
) -> None:
    example(repository)
    pathlib.Path(FOO_CONF).write_text("edited\n")
    pathlib.Path(f"{FOO_CONF}.dpkg-dist").write_text("from long ago\n")
    pathlib.Path(f"{FOO_CONF}~").write_text("an editor's\n")
    before = oracle.snapshot()
    point = host.capture("foo")
    apt("install", "-o", "Dpkg::Options::=--force-confnew", "foo")
    host.settle(point)
    assert pathlib.Path(FOO_CONF).read_text() == "foo 2\n"
    assert pathlib.Path(f"{FOO_CONF}.dpkg-old").exists()
    host.undo()
    same(before)


def test_deleted_configuration_stays_deleted(repository: Repository, host: Host) -> None:
    example(repository)
    pathlib.Path(FOO_CONF).unlink()
    before = oracle.snapshot()
    point = host.capture("foo")
    apt("install", "foo")
    host.settle(point)
    host.undo()
    same(before)
    apt("install", "foo")
    assert not pathlib.Path(FOO_CONF).exists()


@pytest.mark.parametrize("edited", [True, False])
def test_configuration_that_became_a_link(edited: bool, repository: Repository, host: Host) -> None:
    example(repository)
    target = pathlib.Path("/opt/elsewhere.conf")
    target.write_text("edited\n" if edited else "foo 1\n")
    pathlib.Path(FOO_CONF).unlink()
    pathlib.Path(FOO_CONF).symlink_to(target)
    before = oracle.snapshot()
    point = host.capture("foo")
    apt("install", "foo")
    host.settle(point)
    host.undo()
    same(before)


def test_configuration_that_became_a_directory(repository: Repository, host: Host) -> None:
    example(repository)
    pathlib.Path(FOO_CONF).unlink()
    pathlib.Path(FOO_CONF).mkdir()
    before = oracle.snapshot()
    host.capture("foo")
    apt("install", "foo")
    host.undo()
    same(before)


def test_configuration_that_comes_goes_and_becomes_obsolete(repository: Repository, host: Host) -> None:
    files = {"/etc/foo.conf": "1\n", "/etc/foo.d/old": "old\n", "/etc/foo.d/dropped": "dropped\n"}
    repository.add("foo", "1", files=files, conffiles=list(files))
    apt("install", "foo")
    pathlib.Path("/etc/foo.d/old").write_text("edited\n")
    files = {"/etc/foo.conf": "2\n", "/etc/foo.new.d/deep/new": "new\n"}
    helper = 'dpkg-maintscript-helper rm_conffile /etc/foo.d/dropped 2 foo -- "$@"'
    remove = dict.fromkeys(("preinst", "postinst", "postrm"), helper)
    repository.add("foo", "2", files=files, conffiles=list(files), scripts=remove)
    before = oracle.snapshot()
    point = host.capture("foo")
    apt("install", "foo")
    host.settle(point)
    assert pathlib.Path("/etc/foo.new.d/deep/new").exists()
    assert not pathlib.Path("/etc/foo.d/dropped").exists()
    host.undo()
    same(before)
    # And the obsolete ones of a package that is captured.
    apt("install", "foo")
    repository.add("foo", "3", files=files, conffiles=list(files))
    before = oracle.snapshot()
    host.capture("foo")
    apt("install", "foo")
    host.undo()
    same(before)


@pytest.mark.parametrize("how", ["remove", "purge"])
def test_removal_undone(how: str, repository: Repository, host: Host) -> None:
    example(repository)
    pathlib.Path(FOO_CONF).write_text("edited\n")
    before = oracle.snapshot()
    host.capture("foo", "bar", state="absent")
    apt(how, "foo", "bar")
    done = host.undo()
    assert done["plan"]["install"] == ["foo 1", "bar 1"] or done["plan"]["install"] == ["bar 1", "foo 1"]
    same(before)
    apt("install", "foo")
    assert pathlib.Path(FOO_CONF).read_text() == "edited\n"


@pytest.mark.parametrize("how", ["install", "purge", "install and purge"])
def test_a_removed_package_whose_configuration_was_there(how: str, repository: Repository, host: Host) -> None:
    example(repository)
    pathlib.Path(FOO_CONF).write_text("edited\n")
    apt("remove", "foo")
    assert status("foo") == "1 rc"
    before = oracle.snapshot()
    first = None
    if "install" in how:
        first = host.capture("foo", state="latest")
        apt("install", "foo")
    if "purge" in how:
        # The resolver has nothing to say about what is removed already.
        host.capture("foo", changes=[{"name": "foo", "arch": "all", "before": None, "after": None}])
        apt("purge", "foo")
        assert status("foo") in ("", "un")
        assert not pathlib.Path(FOO_CONF).exists()
        done = host.undo()
        assert first is None or (status("foo"), done["plan"]["install"]) == ("2 ii", ["foo 2"])
    if first:
        host.undo(first)
    same(before)


def test_hold_and_marks(repository: Repository, host: Host) -> None:
    example(repository)
    run("apt-mark", "hold", "foo")
    run("apt-mark", "auto", "foo")
    before = oracle.snapshot()
    host.capture("foo")
    apt("install", "--allow-change-held-packages", "foo", "bar")
    run("apt-mark", "unhold", "foo")
    assert "bar" not in run("apt-mark", "showauto").stdout.split()
    host.undo()
    same(before)


def test_marks_alone(repository: Repository, host: Host) -> None:
    example(repository)
    before = oracle.snapshot()
    host.capture("foo")
    run("apt-mark", "hold", "foo")
    run("apt-mark", "manual", "bar")
    # As an attempt that came to nothing.
    done = host.undo(force=True)
    assert done["plan"]["install"] == []
    same(before)


def test_the_mark_of_what_was_there_already(repository: Repository, host: Host) -> None:
    example(repository)
    repository.add("zoo", "1", **package("1", "zoo"))
    before = oracle.snapshot()
    host.capture("zoo", "bar", state="present")
    apt("install", "zoo", "bar=1")
    assert "bar" not in run("apt-mark", "showauto").stdout.split()
    host.undo()
    same(before)


def test_what_was_missing_and_what_was_given_other_modes(repository: Repository, host: Host) -> None:
    example(repository)
    pathlib.Path("/opt/foo/only-1").unlink()
    data = pathlib.Path("/opt/foo/data")
    data.chmod(0o4750)
    run("chown", "1:33", data)
    data.write_text("edited in place")
    run("setcap", "cap_net_raw+ep", "/opt/bar/data")
    pathlib.Path("/opt/foo").chmod(0o700)
    before = oracle.snapshot()
    host.capture("foo")
    apt("install", "foo")
    assert data.read_text() == "foo 2"
    host.undo()
    same(before)


def test_diversions_and_statoverrides(repository: Repository, host: Host) -> None:
    example(repository)
    run("dpkg-divert", "--local", "--rename", "--divert", "/opt/foo/data.mine", "--add", "/opt/foo/data")
    pathlib.Path("/opt/foo/data").write_text("the admin's")
    run("dpkg-divert", "--local", "--rename", "--add", FOO_CONF)
    run("dpkg-statoverride", "--update", "--add", "root", "www-data", "2750", "/opt/bar/data")
    before = oracle.snapshot()
    host.capture("foo")
    apt("install", "foo")
    assert pathlib.Path("/opt/foo/data.mine").read_text() == "foo 2"
    host.undo()
    same(before)


def test_a_diversion_made_by_the_change(repository: Repository, host: Host) -> None:
    example(repository)
    divert = "dpkg-divert --package foo --rename --divert /opt/bar/data.by-foo --add /opt/bar/data"
    repository.add("foo", "3", files={"/opt/bar/data": "foo's"}, scripts={"preinst": divert}, depends="bar")
    before = oracle.snapshot()
    point = host.capture("foo")
    apt("install", "foo")
    assert pathlib.Path("/opt/bar/data").read_text() == "foo's"
    repository.add("foo", "4", files={"/opt/bar/data": "foo's 4"}, depends="bar")
    # Has the diversion among what it captured.
    host.capture("foo")
    apt("install", "foo")
    host.undo(point)
    same(before)


def test_all_instances_of_a_package(repository: Repository, host: Host) -> None:
    native = run("dpkg", "--print-architecture").stdout.strip()
    other = "i386" if native != "i386" else "amd64"
    run("dpkg", "--add-architecture", other)
    for version in "12":
        for arch in (native, other):
            files = {
                "/opt/foo/shared": version,
                f"/opt/foo/{arch}/lib": f"{arch} {version}",
                "/etc/foo.conf": f"{version}\n",
            }
            repository.build("foo", version, arch=arch, multi_arch="same", files=files, conffiles=["/etc/foo.conf"])
        repository.offer()
        if version == "1":
            apt("install", "foo", f"foo:{other}")
            pathlib.Path(FOO_CONF).write_text("edited\n")
            before = oracle.snapshot()
    host.capture("foo", f"foo:{other}")
    apt("install", "foo", f"foo:{other}")
    assert status(f"foo:{other}") == "2 ii"
    host.undo()
    same(before)
    host.capture(f"foo:{other}", state="absent")
    apt("purge", f"foo:{other}")
    host.undo()
    same(before)


def test_an_architecture_that_changed(repository: Repository, host: Host) -> None:
    native = run("dpkg", "--print-architecture").stdout.strip()
    repository.add("foo", "1", **package("1"))
    apt("install", "foo")
    before = oracle.snapshot()
    repository.add("foo", "2", **package("2", arch=native))
    host.capture("foo")
    apt("install", "foo")
    assert run("dpkg-query", "-W", "-f", "${Architecture}", "foo").stdout == native
    host.undo()
    same(before)


def test_a_file_that_moved_to_another_package(repository: Repository, host: Host) -> None:
    example(repository)
    moved = {"/opt/bar/data": "bar 1", "/opt/foo/data": "moved", "/opt/foo/only-1": "1", FOO_CONF: "moved\n"}
    repository.build("foo", "3", files={"/opt/foo/new": "3"}, depends="bar (>= 3)")
    options = {"replaces": "foo (<< 3)", "breaks": "foo (<< 3)"}
    repository.build("bar", "3", files=moved, conffiles=[FOO_CONF], **options)
    repository.offer()
    before = oracle.snapshot()
    host.capture("foo")
    apt("install", "foo")
    assert pathlib.Path("/opt/foo/data").read_text() == "moved"
    host.undo()
    same(before)


def test_one_package_replaced_by_another(repository: Repository, host: Host) -> None:
    example(repository)
    repository.add("newfoo", "1", **package("1", "foo", provides="foo", conflicts="foo", replaces="foo"))
    before = oracle.snapshot()
    host.capture("newfoo")
    apt("install", "newfoo")
    assert status("foo") in ("1 rc", "1 un", "")
    host.undo()
    same(before)


def test_the_same_version_with_other_content(repository: Repository, host: Host, tmp_path: pathlib.Path) -> None:
    example(repository)
    before = oracle.snapshot()
    other = build(tmp_path / "other", "foo", "1", files={"/opt/foo/data": "another 1"})
    host.capture("foo", changes=[{"name": "foo", "arch": "all", "before": "1", "after": "1"}])
    run("dpkg", "-i", other)
    assert pathlib.Path("/opt/foo/data").read_text() == "another 1"
    host.undo()
    same(before)
