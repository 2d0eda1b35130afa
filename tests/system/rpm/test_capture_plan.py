# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The plan: what dnf, or rpm, would do, and nothing done."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import CaptureError
from ansible_collections.intellistream.sage.plugins.module_utils._rpm import database, lock
from ansible_collections.intellistream.sage.plugins.module_utils._rpm.resource import RpmResource
from ansible_collections.intellistream.sage.tests.system import oracle
from ansible_collections.intellistream.sage.tests.system.command import dnf, run
from ansible_collections.intellistream.sage.tests.system.rpm.capturing import example
from ansible_collections.intellistream.sage.tests.system.rpms import installed

if TYPE_CHECKING:
    from collections.abc import Callable

    from ansible_collections.intellistream.sage.tests.system.rpms import Repository


def plan(*packages: object, state: str = "present") -> list[str]:
    return RpmResource([str(one) for one in packages], state).plan()


def test_an_upgrade_with_all_it_pulls_in_is_what_dnf_does(repository: Repository) -> None:
    example(repository)
    before, packages = oracle.snapshot(), set(installed())
    said = plan("foo", state="latest")
    assert said == ["[-] bar 1-1", "[+] bar 2-1", "[-] foo 1-1", "[+] foo 2-1", "[+] goo 1-1"]
    assert oracle.diff(before, oracle.snapshot()) == []
    dnf("upgrade", "foo")
    gone, come = packages - set(installed()), set(installed()) - packages
    assert sorted(gone) == ["bar-1-1.noarch", "foo-1-1.noarch"]
    assert sorted(come) == ["bar-2-1.noarch", "foo-2-1.noarch", "goo-1-1.noarch"]


def test_what_is_there_is_left_alone(repository: Repository) -> None:
    example(repository)
    assert plan("foo", "bar-1") == []
    assert plan("nothing-like-this", state="absent") == []
    dnf("upgrade", "foo")
    assert plan("foo", "bar", state="latest") == []


def test_a_version_and_a_downgrade(repository: Repository) -> None:
    example(repository)
    assert plan("bar-2") == ["[-] bar 1-1", "[+] bar 2-1"]
    dnf("upgrade", "bar")
    assert plan("bar-1") == ["[-] bar 2-1", "[+] bar 1-1"]


def test_everything(repository: Repository) -> None:
    example(repository)
    assert plan("*", state="latest") == plan("foo", state="latest")


def test_a_package_file_and_a_path_that_a_package_has(repository: Repository) -> None:
    example(repository)
    assert plan(repository.where / "bar-2-1.noarch.rpm") == ["[-] bar 1-1", "[+] bar 2-1"]
    assert plan("/opt/goo/data") == ["[+] goo 1-1"]


def test_a_removal_takes_along_what_depends_on_it_and_what_nothing_needs(repository: Repository) -> None:
    example(repository)
    dnf("upgrade", "foo")
    optional = "(if what nothing needs any more is removed, too)"
    # As Ansible's module, and unlike dnf's command, it downgrades what still works without.
    assert plan("bar", state="absent") == ["[-] bar 2-1", "[-] foo 2-1", "[+] foo 1-1", f"[-] goo 1-1 {optional}"]
    repository.remove(repository.where / "foo-1-1.noarch.rpm")
    assert plan("bar", state="absent") == ["[-] bar 2-1", "[-] foo 2-1", f"[-] goo 1-1 {optional}"]


def test_an_obsoleted_package_is_removed(repository: Repository) -> None:
    repository.add("old", files={"/opt/old": "1"})
    dnf("install", "old")
    repository.add("new", "2", files={"/opt/new": "1"}, fields=["Obsoletes: old < 2"])
    assert plan("new") == ["[+] new 2-1", "[-] old 1-1"]
    assert plan("*", state="latest") == plan("new")


def test_a_package_that_changes_its_architecture(repository: Repository) -> None:
    repository.add("foo", "1")
    dnf("install", "foo")
    repository.add("foo", "2", arch="this machine's")
    machine = os.uname().machine
    assert plan("foo", state="latest") == ["[-] foo.noarch 1-1", f"[+] foo.{machine} 2-1"]


def test_several_versions_of_a_kernel(repository: Repository) -> None:
    for version in ("1", "2"):
        repository.build("kernel-core", version, files={f"/boot/vmlinuz-{version}": version}, fields=["Epoch: 3"])
    repository.build("tool", "1")
    repository.offer()
    dnf("install", "kernel-core-1", "tool", "--setopt=installonlypkgs=kernel-core")
    pathlib.Path("/etc/dnf/dnf.conf").write_text("[main]\ninstallonlypkgs=kernel-core, kernel\n")
    assert plan("kernel-core", state="latest") == ["[+] kernel-core 3:2-1"]
    dnf("install", "kernel-core-2")
    assert sorted(plan("kernel-core", state="absent")) == [
        "[-] kernel-core-1-1.noarch 3:1-1",
        "[-] kernel-core-2-1.noarch 3:2-1",
    ]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        (["Requires: nothing-like-this"], "nothing provides nothing-like-this needed by foo-2-1.noarch"),
        (["Conflicts: bar"], "foo-2-1.noarch"),
    ],
)
def test_what_dnf_cannot_do_is_refused_in_its_words(repository: Repository, fields: list[str], said: str) -> None:
    example(repository)
    dnf("install", "bar")
    (repository.where / "foo-2-1.noarch.rpm").unlink()
    repository.add("foo", "2", fields=fields)
    with pytest.raises(CaptureError, match=said):
        plan("foo", state="latest")


def test_what_is_nowhere_or_is_no_package_is_refused(repository: Repository) -> None:
    example(repository)
    with pytest.raises(CaptureError, match="nothing-like-this"):
        plan("nothing-like-this")
    with pytest.raises(CaptureError, match="groups and modules"):
        plan("@development-tools")
    with pytest.raises(CaptureError, match="cannot be removed"):
        plan(repository.where / "foo-1-1.noarch.rpm", state="absent")


def test_a_repository_that_is_gone_is_planned_from_what_dnf_knows(repository: Repository) -> None:
    example(repository)
    known = plan("foo", state="latest")
    config = pathlib.Path("/etc/yum.repos.d/tests.repo")
    config.write_text(config.read_text() + "metadata_expire=1\nskip_if_unavailable=0\n")
    repository.where.rename(repository.where.parent / "elsewhere")
    time.sleep(1.1)
    assert plan("foo", state="latest") == known


class TestWithoutDnf:
    """A host that has rpm alone."""

    @pytest.fixture(autouse=True)
    def no_dnf(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "dnf", None)

    def test_package_files(self, repository: Repository) -> None:
        example(repository)
        files = [repository.where / f"{name}.noarch.rpm" for name in ("foo-2-1", "bar-2-1", "goo-1-1")]
        before = oracle.snapshot()
        assert plan(*files) == ["[-] bar 1-1", "[+] bar 2-1", "[-] foo 1-1", "[+] foo 2-1", "[+] goo 1-1"]
        assert oracle.diff(before, oracle.snapshot()) == []
        with pytest.raises(CaptureError, match=r"goo is needed by foo-2-1\.noarch"):
            plan(files[0])

    def test_an_obsoleted_package(self, repository: Repository) -> None:
        repository.add("old", files={"/opt/old": "1"}, fields=["Epoch: 1"])
        run("rpm", "-U", repository.where / "old-1-1.noarch.rpm")
        made = repository.build("new", "2", fields=["Obsoletes: old < 1:2"])
        assert plan(made) == ["[+] new 2-1", "[-] old 1:1-1"]

    def test_removals(self, repository: Repository) -> None:
        example(repository)
        run("dnf", "-q", "-y", "upgrade", "foo")
        assert plan("foo", state="absent") == ["[-] foo 2-1"]
        assert plan("nothing-like-this", state="absent") == []
        with pytest.raises(CaptureError, match=r"goo is needed by \(installed\) foo-2-1.noarch"):
            plan("goo", state="absent")

    def test_names_cannot_be_planned(self, repository: Repository) -> None:
        example(repository)
        assert plan("foo") == []
        with pytest.raises(CaptureError, match="python3-dnf"):
            plan("foo", state="latest")


class TestGivenChanges:
    """Whoever runs the change says what it is: a hook, or a redo."""

    def test_nobody_is_asked(self, repository: Repository) -> None:
        example(repository)
        changes: list[dict[str, Any]] = [
            {"name": "foo", "arch": "noarch", "before": "1-1", "after": "3-1"},
            {"name": "bar", "arch": "noarch", "before": "1-1", "after": None},
            {"name": "new", "arch": "noarch", "before": None, "after": "1-1"},
        ]
        assert RpmResource([], changes=changes).plan() == [
            "[-] bar 1-1",
            "[-] foo 1-1",
            "[+] foo 3-1",
            "[+] new 1-1",
        ]

    def test_what_is_not_there_cannot_go(self, repository: Repository) -> None:
        example(repository)
        with pytest.raises(CaptureError, match="bar 2-1 is not installed"):
            RpmResource([], changes=[{"name": "bar", "arch": "noarch", "before": "2-1", "after": None}]).plan()


def test_scripts_are_named(repository: Repository) -> None:
    repository.build("foo", scripts={"post": "true", "preun": "true"}, triggers={"triggerin -- bar": "true"})
    repository.build("bar", scripts={"post -p /sbin/ldconfig": ""}, fields=["Provides: /sbin/ldconfig"])
    repository.offer()
    dnf("install", "foo", "bar")
    assert plan("foo", "bar", state="absent")[:2] == [
        "[-] bar 1-1",
        "[-] foo 1-1 (its %post, %preun may change more than its files)",
    ]


def ends_when_seen(monkeypatch: pytest.MonkeyPatch, end: Callable[[], object]) -> list[str]:
    """Whoever holds a lock ends as soon as it was seen; who did at each look, empty when nobody."""
    holders: list[str] = []
    holder_now = lock.holder

    def look() -> str:
        holders.append(holder_now())
        if len(holders) == 1:
            end()
        return holders[-1]

    monkeypatch.setattr(lock, "holder", look)
    return holders


def test_a_change_by_somebody_else_is_waited_for(
    repository: Repository, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    example(repository)
    go = tmp_path / "go"
    repository.add("slow", scripts={"post": f"while [ ! -e {go} ]; do sleep 0.1; done"})
    with subprocess.Popen(["rpm", "-U", str(repository.where / "slow-1-1.noarch.rpm")]) as other:
        while not lock.holder():
            assert other.poll() is None
            time.sleep(0.01)

        def end() -> None:
            go.touch()
            other.wait()

        holders = ends_when_seen(monkeypatch, end)
        assert plan("foo", state="latest")
    assert [who.partition(" (")[0] for who in holders[:2]] == ["another transaction of rpm", ""]
    assert other.returncode == 0


def test_a_lock_that_is_not_released_refuses(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    example(repository)
    monkeypatch.setattr(lock, "TIMEOUT", 0.5)
    program = (
        "import fcntl,sys,time; f=open(sys.argv[1],'r+'); fcntl.lockf(f,fcntl.LOCK_EX); print(flush=True); input()"
    )
    path = os.path.join(database.dbpath(), ".rpm.lock")
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", program, path], **pipes) as holder:  # type: ignore[call-overload]
        holder.stdout.readline()
        with pytest.raises(CaptureError, match="locked"):
            plan("foo", state="latest")
        holder.communicate("\n")
    assert plan("foo", state="latest")


def test_dnf_at_work_is_waited_for_until_it_ends(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    example(repository)
    metadata = pathlib.Path("/var/cache/dnf/metadata_lock.pid")
    with subprocess.Popen(["sleep", "infinity"]) as other:
        metadata.write_text(str(other.pid))

        def end() -> None:
            other.kill()
            other.wait()

        holders = ends_when_seen(monkeypatch, end)
        assert plan("foo", state="latest")
    assert holders[:2] == [f"dnf, process {other.pid} ({metadata})", ""]


def test_only_root(repository: Repository) -> None:
    example(repository)
    resource = RpmResource(["foo"], "latest")
    os.seteuid(65534)
    try:
        with pytest.raises(CaptureError, match="root"):
            resource.plan()
    finally:
        os.seteuid(0)


def test_what_was_observed_holds_until_a_named_package_changes(repository: Repository) -> None:
    example(repository)
    resource = RpmResource(["foo", "goo"], "latest")
    seen = resource.observe()
    assert seen["packages"] == {"foo": ["1-1.noarch"], "goo": []}
    assert resource.differences(seen) == []
    repository.add("other")
    dnf("install", "other")
    assert RpmResource(["foo", "goo"]).differences(seen) == []
    dnf("upgrade", "foo")
    assert sorted(RpmResource(["foo", "goo"]).differences(seen)) == [
        "foo was 1-1.noarch, is 2-1.noarch",
        "goo was not installed, is 1-1.noarch",
    ]
