# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs of dnf that Ansible knows nothing of are captured, and never kept from going on unless that was chosen."""

from __future__ import annotations

import os
import pathlib
import shutil
from typing import TYPE_CHECKING

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._hooks import places
from ansible_collections.intellistream.sage.plugins.module_utils._hooks.install import arrange
from ansible_collections.intellistream.sage.tests.system import hooked, oracle
from ansible_collections.intellistream.sage.tests.system.command import dnf
from ansible_collections.intellistream.sage.tests.system.content import File
from ansible_collections.intellistream.sage.tests.system.hooked import lock, points, settings
from ansible_collections.intellistream.sage.tests.system.rpm.capturing import CONFIG
from ansible_collections.intellistream.sage.tests.system.rpms import SHELL, installed

if TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.plugin_utils._events import Point
    from ansible_collections.intellistream.sage.tests.system.rpms import Repository


def undo(root: pathlib.Path) -> None:
    """Go back to before the newest run."""
    result = hooked.undo(root, "dnf")
    assert result["exact"] == (not result["inexact"])


def changes(point: Point) -> set[tuple[str, str, str | None, str | None]]:
    (taken,) = point["resources"]
    return {(one["name"], one["arch"], one["before"], one["after"]) for one in taken["changes"]}


@pytest.fixture
def host(repository: Repository, sage_root: pathlib.Path) -> pathlib.Path:
    """foo 1 and bar 1 are installed, foo's configuration is edited, and foo 2 needs goo and bar 2."""
    repository.build("foo", "1", files={"/opt/foo/data": "1", "/etc/foo.conf": File("1\n", rpm=CONFIG)})
    repository.build("bar", "1", files={"/opt/bar/data": "1"}, fields=["Epoch: 1"])
    repository.offer()
    dnf("install", "foo", "bar")
    pathlib.Path("/etc/foo.conf").write_text("mine\n")
    newer = {"/opt/foo/data": "2", "/etc/foo.conf": File("1\n", rpm=CONFIG)}
    repository.build("foo", "2", files=newer, fields=["Requires: goo", "Requires: bar >= 1:2"])
    repository.build("bar", "2", files={"/opt/bar/data": "2"}, fields=["Epoch: 1"])
    repository.build("goo", "1", files={"/opt/goo/data": "1"})
    repository.build("broken", "1", files={"/opt/broken/data": "1"}, scripts={"post": "exit 1"})
    repository.offer()
    return sage_root


def test_a_run_of_dnf_is_captured_and_undone(host: pathlib.Path) -> None:
    arrange(settings(host), True, False)
    before = oracle.snapshot()
    done = dnf("upgrade", "foo")
    (point,) = points(host)
    assert f"sage: What this run replaces is kept as rollback point {point['point']}." in done.stdout
    assert point["description"] == "dnf: dnf -q -y upgrade foo"
    assert changes(point) == {
        ("foo", "noarch", "1-1", "2-1"),
        ("bar", "noarch", "1:1-1", "1:2-1"),
        ("goo", "noarch", None, "1-1"),
    }
    # What it left is recorded, too.
    assert point["after"]
    assert installed() == ["bar-2-1.noarch", "foo-2-1.noarch", "goo-1-1.noarch"]
    undo(host)
    assert oracle.diff(before, oracle.snapshot()) == []


def test_what_a_run_overwrites_of_nobodys_comes_back(host: pathlib.Path) -> None:
    arrange(settings(host), True, False)
    pathlib.Path("/opt/goo").mkdir()
    pathlib.Path("/opt/goo/data").write_text("nobody's")
    before = oracle.snapshot()
    dnf("upgrade", "foo")
    assert pathlib.Path("/opt/goo/data").read_text() == "1"
    undo(host)
    assert oracle.diff(before, oracle.snapshot()) == []


def test_each_run_is_a_point_of_its_own(host: pathlib.Path) -> None:
    arrange(settings(host), True, False)
    first = oracle.snapshot()
    dnf("install", "goo")
    second = oracle.snapshot()
    dnf("remove", "foo")
    assert [point["description"].split()[-2:] for point in points(host)] == [["install", "goo"], ["remove", "foo"]]
    undo(host)
    assert oracle.diff(second, oracle.snapshot()) == []
    undo(host)
    assert oracle.diff(first, oracle.snapshot()) == []


def test_a_reinstallation_is_captured(host: pathlib.Path) -> None:
    arrange(settings(host), True, False)
    dnf("install", "goo")
    pathlib.Path("/opt/goo/data").write_text("edited")
    before = oracle.snapshot()
    dnf("reinstall", "goo")
    assert pathlib.Path("/opt/goo/data").read_text() == "1"
    assert changes(points(host)[-1]) == {("goo", "noarch", "1-1", "1-1")}
    undo(host)
    assert oracle.diff(before, oracle.snapshot()) == []


def test_what_only_looks_is_not_captured(host: pathlib.Path) -> None:
    arrange(settings(host), True, False)
    dnf("upgrade", "--downloadonly", "foo")
    dnf("upgrade", "--assumeno", "foo", ok=False)
    dnf("repoquery", "foo")
    assert points(host) == []


def test_several_versions_of_an_installonly_package_are_told_apart(host: pathlib.Path, repository: Repository) -> None:
    arrange(settings(host), True, False)
    for version in ("1", "2", "3", "4"):
        repository.add("kernel", version, files={f"/opt/kernel/{version}": version})
        dnf("install" if version == "1" else "upgrade", "kernel")
    # The oldest of three had to go for the fourth.
    assert changes(points(host)[-1]) == {("kernel", "noarch", "1-1", None), ("kernel", "noarch", None, "4-1")}


def test_a_failed_scriptlet_is_told_although_dnf_says_nothing(host: pathlib.Path) -> None:
    arrange(settings(host), True, False)
    before = oracle.snapshot()
    done = dnf("install", "broken")
    assert "broken" in done.stderr.partition("sage: ")[2]
    undo(host)
    assert oracle.diff(before, oracle.snapshot()) == []


def test_a_capture_that_fails_only_warns(host: pathlib.Path) -> None:
    arrange(settings(host), True, False)
    fd = lock(host)
    done = dnf("upgrade", "foo")
    os.close(fd)
    assert "sage: dnf goes on; this run cannot be rolled back." in done.stderr
    assert "foo-2-1.noarch" in installed()


def test_strict_ends_dnf_before_anything_changes(host: pathlib.Path) -> None:
    arrange(settings(host, strict=True), True, False)
    fd = lock(host)
    before = oracle.snapshot()
    done = dnf("upgrade", "foo", ok=False)
    assert done.returncode == 1
    assert "sage: Nothing was changed. To let dnf go on" in done.stderr
    assert "What would be replaced could not be kept" in done.stderr
    assert oracle.diff(before, oracle.snapshot()) == []
    # The way round it that the message names.
    dnf("upgrade", "foo", SAGE_CAPTURE="off")
    os.close(fd)
    assert "foo-2-1.noarch" in installed()
    assert points(host) == []


@pytest.mark.parametrize("strict", [False, True])
def test_the_program_is_gone(strict: bool, host: pathlib.Path) -> None:
    arrange(settings(host, strict), True, False)
    shutil.rmtree(host)
    done = dnf("upgrade", "foo", ok=False)
    assert f"sage: {host}/.sage/hook.pyz cannot be started" in done.stderr
    assert done.returncode == int(strict)
    assert ("foo-2-1.noarch" in installed()) == (not strict)


def test_another_root_is_somebody_elses(host: pathlib.Path, tmp_path: pathlib.Path) -> None:
    arrange(settings(host), True, False)
    other = tmp_path / "other"
    shell = tmp_path / "shell" / f"{SHELL}-1-1.noarch.rpm"
    dnf("--installroot", other, "--releasever", "1", "--setopt", "reposdir=/etc/yum.repos.d", "install", "goo", shell)
    assert points(host) == []


def test_it_is_put_there_once_and_removed_exactly(sage_root: pathlib.Path) -> None:
    before = oracle.snapshot()
    told = arrange(settings(sage_root), True, True)
    assert told["changed"]
    assert oracle.diff(before, oracle.snapshot()) == []
    made = arrange(settings(sage_root), True, False)
    assert (made["changed"], made["diff"], made["files"]) == (True, told["diff"], told["files"])
    plugin = pathlib.Path(made["files"][-1])
    assert str(plugin.parent) == places.dnf_plugins()
    assert not arrange(settings(sage_root), True, False)["changed"]
    # Any run of dnf makes Python write byte code.
    dnf("repolist", PYTHONDONTWRITEBYTECODE="")
    assert list((plugin.parent / "__pycache__").iterdir())
    plugin.chmod(0o600)
    assert arrange(settings(sage_root), True, False)["diff"][0]["before_header"] == str(plugin)
    assert arrange(settings(sage_root), False, False)["changed"]
    assert not arrange(settings(sage_root), False, False)["changed"]
    assert oracle.diff(before, oracle.snapshot()) == []
