# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The plan: what apt would do, and nothing done."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import CaptureError, InputError
from ansible_collections.intellistream.sage.plugins.module_utils._dpkg.resource import DpkgResource
from ansible_collections.intellistream.sage.tests.system import oracle
from ansible_collections.intellistream.sage.tests.system.command import apt, run
from ansible_collections.intellistream.sage.tests.system.dpkg.capturing import changes, request

if TYPE_CHECKING:
    import pathlib

    from ansible_collections.intellistream.sage.tests.system.debs import Repository

UNKNOWN = "(its scripts, and what it overwrites, are not known before it is downloaded)"


def example(repository: Repository) -> None:
    """The documents' own: foo 2 needs goo, which is new, and a newer bar."""
    repository.build("foo", "1", files={"/opt/foo/data": "1"}, depends="bar")
    repository.build("bar", "1", files={"/opt/bar/data": "1"})
    repository.build("old", "1", files={"/opt/old/data": "1"}, scripts={"prerm": "rm -f /opt/elsewhere"})
    repository.offer()
    apt("install", "foo", "old")
    repository.build("foo", "2", files={"/opt/foo/data": "2"}, depends="goo, bar (>= 2)")
    repository.build("bar", "2", files={"/opt/bar/data": "2"})
    repository.build("goo", "1", files={"/opt/goo/data": "1"}, conflicts="old")
    repository.offer()


def plan(*packages: str, state: str = "present") -> list[str]:
    return [line.replace(UNKNOWN, "?") for line in DpkgResource(list(packages), state).plan()]


def test_an_upgrade_with_all_it_pulls_in(repository: Repository) -> None:
    example(repository)
    before = oracle.snapshot()
    assert plan("foo", state="latest") == [
        "[-] old 1 (its prerm may change more than its files)",
        "[-] bar 1",
        "[+] bar 2 ?",
        "[+] goo 1 ?",
        "[-] foo 1",
        "[+] foo 2 ?",
    ]
    assert oracle.diff(before, oracle.snapshot()) == []


def test_what_is_there_is_left_alone(repository: Repository) -> None:
    example(repository)
    assert plan("foo", "bar=1") == []
    assert plan("bar:all", "old=*") == []
    assert plan("nothing-like-this", state="absent") == []


def test_a_version(repository: Repository) -> None:
    example(repository)
    assert plan("bar=2") == ["[-] bar 1", "[+] bar 2 ?"]
    apt("install", "bar=2")
    assert plan("bar=1") == ["[-] bar 2", "[+] bar 1 ?"]


def test_a_removal_takes_along_what_depends_on_it(repository: Repository) -> None:
    example(repository)
    assert plan("bar", state="absent") == ["[-] foo 1", "[-] bar 1"]


def test_everything(repository: Repository) -> None:
    example(repository)
    assert "[+] foo 2 ?" in plan("*", state="latest")
    run("apt-mark", "hold", "foo")
    assert plan("*", state="latest") == ["[-] bar 1", "[+] bar 2 ?"]
    # Asked for by name, apt can be told to change it.
    assert "[+] foo 2 ?" in plan("foo", state="latest")


def test_a_package_file(repository: Repository, tmp_path: pathlib.Path) -> None:
    example(repository)
    path = repository.build("new", "1:3", scripts={"postinst": "touch /opt/made"}, depends="goo")
    apart = tmp_path / "new.deb"
    path.rename(apart)
    repository.offer()
    assert plan(str(apart)) == [
        "[-] old 1 (its prerm may change more than its files)",
        "[+] goo 1 ?",
        "[+] new 1:3 (its postinst may change more than its files)",
    ]


def test_what_is_only_provided(repository: Repository) -> None:
    example(repository)
    repository.add("real", "1", provides="imaginary (= 2), other")
    assert plan("imaginary") == ["[+] real 1 ?"]
    apt("install", "real")
    assert plan("imaginary", "other") == []


def test_an_architecture(repository: Repository) -> None:
    native = run("dpkg", "--print-architecture").stdout.strip()
    foreign = "i386" if native != "i386" else "amd64"
    run("dpkg", "--add-architecture", foreign)
    for arch in (native, foreign):
        repository.build("lib", "1", arch=arch, multi_arch="same")
        repository.build("lib", "2", arch=arch, multi_arch="same")
    repository.offer()
    apt("install", "lib=1")
    assert plan(f"lib:{foreign}=1") == [f"[+] lib:{foreign} 1 ?"]
    apt("install", f"lib:{foreign}=1")
    # The two can only be upgraded together.
    assert sorted(plan("lib", state="latest")) == sorted(
        ["[-] lib 1", "[+] lib 2 ?", f"[-] lib:{foreign} 1", f"[+] lib:{foreign} 2 ?"]
    )


def test_apts_refusal_is_told(repository: Repository) -> None:
    example(repository)
    repository.add("broken", "1", depends="not-here (>= 3)")
    with pytest.raises(CaptureError, match="Unable to locate package nothing-like-this"):
        plan("nothing-like-this")
    with pytest.raises(CaptureError, match=r"broken : Depends: not-here \(>= 3\) but it is not installable"):
        plan("broken")
    with pytest.raises(CaptureError, match="not there"):
        plan("/nowhere/x.deb")


@pytest.mark.parametrize("name", ["foo-", "--foo", "foo bar", "foo;reboot", "-oDir=/", "/x/y.rpm", "", "Foo", "foo\n"])
def test_what_is_no_name(name: str) -> None:
    with pytest.raises(InputError):
        DpkgResource([name], "present")


def test_given_changes_are_not_resolved(repository: Repository) -> None:
    example(repository)
    given = [
        {"name": "bar", "arch": "all", "before": "0", "after": None},
        {"name": "goo", "arch": "all", "before": None, "after": "1"},
    ]
    assert [line.replace(UNKNOWN, "?") for line in DpkgResource([], "present", given).plan()] == [
        "[-] bar 1",
        "[+] goo 1 ?",
    ]


def test_what_apt_has_downloaded_is_looked_at(repository: Repository) -> None:
    example(repository)
    repository.add("goo", "1:2", scripts={"preinst": "mkdir -p /opt/made"})
    apt("install", "--download-only", "goo")
    # From a directory apt does not copy: as if it came from a server.
    run("cp", repository.where / "goo_1%3a2_all.deb", "/var/cache/apt/archives/")
    assert plan("goo") == ["[+] goo 1:2 (its preinst may change more than its files)"]


def test_the_capture_is_of_the_plan(repository: Repository, tmp_path: pathlib.Path) -> None:
    example(repository)
    captured = request(tmp_path / "root", "foo", state="latest")
    assert changes(captured) == [("old", "1", None), ("bar", "1", "2"), ("goo", None, "1"), ("foo", "1", "2")]
    assert sorted(captured.facts["packages"]) == ["bar:all", "foo:all", "old:all"]
    assert captured.facts["known"]["bar:all"] == "1 ii"
    assert "goo:all" not in captured.facts["known"]
    assert len(captured.facts["known"]) == len(run("dpkg-query", "-W", "-f", "x").stdout)
    # What is in a directory of this host need not be fetched.
    assert captured.facts["unknown"] == []
    files = {one["name"]: one["file"] for one in captured.facts["changes"] if one["file"]}
    assert sorted(files) == ["bar", "foo", "goo"]
    assert os.path.samefile(files["goo"], repository.where / "goo_1_all.deb")


def test_packages_changed_between_plan_and_capture(repository: Repository, tmp_path: pathlib.Path) -> None:
    example(repository)
    resource = DpkgResource(["bar"], "latest")
    assert resource.need()[0] == 2
    apt("install", "bar=2")
    assert resource.plan() == []
    assert resource.need()[0] == 1


def test_marks_of_what_does_not_change(repository: Repository, tmp_path: pathlib.Path) -> None:
    example(repository)
    captured = request(tmp_path / "root", "bar")
    assert changes(captured) == []
    assert captured.facts["auto"] == ["bar:all"]
    assert captured.facts["files"] == 1


def test_nothing_is_asked_when_nothing_can_change(repository: Repository) -> None:
    example(repository)
    os.rename("/usr/bin/apt-get", "/usr/bin/apt-get.away")
    assert plan("foo") == []
    with pytest.raises(CaptureError, match="apt-get"):
        plan("goo")
