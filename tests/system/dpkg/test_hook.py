# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs of apt that Ansible knows nothing of are captured, and never kept from going on unless that was chosen."""

from __future__ import annotations

import os
import pathlib
import shutil
from typing import TYPE_CHECKING

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import InputError, UnsafePath
from ansible_collections.intellistream.sage.plugins.module_utils._calls.backup import backup
from ansible_collections.intellistream.sage.plugins.module_utils._hooks import places
from ansible_collections.intellistream.sage.plugins.module_utils._hooks.install import arrange
from ansible_collections.intellistream.sage.plugins.module_utils._records.session import Engine
from ansible_collections.intellistream.sage.plugins.module_utils._removal.remove import remove
from ansible_collections.intellistream.sage.tests.system import oracle
from ansible_collections.intellistream.sage.tests.system.command import apt, run
from ansible_collections.intellistream.sage.tests.system.debs import status
from ansible_collections.intellistream.sage.tests.system.hooked import lock, points, settings, undo

if TYPE_CHECKING:
    from ansible_collections.intellistream.sage.tests.system.debs import Repository

SNIPPETS = pathlib.Path("/etc/apt/apt.conf.d")


@pytest.fixture
def host(repository: Repository, sage_root: pathlib.Path) -> pathlib.Path:
    """foo 1 and bar 1 are installed, foo's configuration is edited, and foo 2 needs goo and bar 2."""
    conf = {"files": {"/opt/foo/data": "1", "/etc/foo.conf": "1\n"}, "conffiles": ["/etc/foo.conf"]}
    repository.build("foo", "1", **conf)
    repository.build("bar", "1", files={"/opt/bar/data": "1"})
    repository.offer()
    apt("install", "foo", "bar")
    pathlib.Path("/etc/foo.conf").write_text("mine\n")
    newer = {"/opt/foo/data": "2", "/etc/foo.conf": "1\n"}
    repository.build("foo", "2", files=newer, conffiles=["/etc/foo.conf"], depends="goo, bar (>= 2)")
    repository.build("bar", "2", files={"/opt/bar/data": "2"})
    repository.build("goo", "1", files={"/opt/goo/data": "1"})
    repository.build("broken", "1", files={"/opt/broken/data": "1"}, scripts={"postinst": "exit 1"})
    repository.offer()
    return sage_root


def test_a_run_of_apt_is_captured_and_undone(host: pathlib.Path) -> None:
    arrange(settings(host), True, False)
    before = oracle.snapshot()
    done = apt("install", "foo")
    (point,) = points(host)
    assert f"sage: What this run replaces is kept as rollback point {point['point']}." in done.stdout
    assert point["description"].startswith("apt: apt-get -q -y -o Dpkg::Options::=--force-confold install foo")
    assert point["phase"] is None
    (taken,) = point["resources"]
    found = {(one["name"], one["before"], one["after"]) for one in taken["changes"]}
    assert found == {("foo", "1", "2"), ("bar", "1", "2"), ("goo", None, "1")}
    # What it left is recorded, too.
    assert point["after"][0]["facts"]["known"]["foo:all"] == "2 ii"
    assert status("foo") == "2 ii"
    undo(host, "apt")
    assert oracle.diff(before, oracle.snapshot()) == []


def test_each_run_is_a_point_of_its_own(host: pathlib.Path) -> None:
    arrange(settings(host), True, False)
    first = oracle.snapshot()
    apt("install", "goo")
    second = oracle.snapshot()
    apt("purge", "foo")
    assert [point["description"].split()[-2:] for point in points(host)] == [["install", "goo"], ["purge", "foo"]]
    undo(host, "apt")
    assert oracle.diff(second, oracle.snapshot()) == []
    undo(host, "apt")
    assert oracle.diff(first, oracle.snapshot()) == []


def test_a_reinstallation_is_captured(host: pathlib.Path) -> None:
    arrange(settings(host), True, False)
    apt("install", "goo")
    pathlib.Path("/opt/goo/data").write_text("edited")
    before = oracle.snapshot()
    apt("install", "--reinstall", "goo")
    assert pathlib.Path("/opt/goo/data").read_text() == "1"
    undo(host, "apt")
    assert oracle.diff(before, oracle.snapshot()) == []


def test_what_only_looks_is_not_captured(host: pathlib.Path) -> None:
    arrange(settings(host), True, False)
    apt("install", "--simulate", "foo")
    apt("install", "--download-only", "foo")
    apt("update")
    assert points(host) == []


def test_a_run_that_a_playbook_has_captured_is_not_captured_twice(host: pathlib.Path) -> None:
    arrange(settings(host), True, False)
    made = backup(Engine(str(host)), [{"kind": "dpkg", "packages": ["foo"], "state": "latest"}], None, "by hand", False)
    apt("install", "foo")
    assert [point["point"] for point in points(host)] == [made["rollback_point"]["id"]]
    # That was another change.
    apt("remove", "foo")
    assert len(points(host)) == 2


def test_a_capture_that_was_overtaken_by_an_edit_is_made_again(host: pathlib.Path) -> None:
    arrange(settings(host), True, False)
    backup(Engine(str(host)), [{"kind": "dpkg", "packages": ["foo"], "state": "latest"}], None, "by hand", False)
    pathlib.Path("/etc/foo.conf").write_text("edited since\n")
    apt("install", "foo")
    assert len(points(host)) == 2


def test_a_failed_script_is_told_and_can_be_rolled_back(host: pathlib.Path) -> None:
    arrange(settings(host), True, False)
    before = oracle.snapshot()
    done = apt("install", "broken", ok=False)
    assert done.returncode == 100
    assert "sage: " in done.stderr
    assert "broken" in done.stderr.partition("sage: ")[2]
    assert status("broken") == "1 iF"
    undo(host, "apt")
    assert oracle.diff(before, oracle.snapshot()) == []


def test_a_capture_that_fails_only_warns(host: pathlib.Path) -> None:
    arrange(settings(host), True, False)
    fd = lock(host)
    done = apt("install", "foo")
    os.close(fd)
    assert "sage: apt goes on; this run cannot be rolled back." in done.stderr
    assert status("foo") == "2 ii"


def test_strict_ends_apt_before_anything_changes(host: pathlib.Path) -> None:
    arrange(settings(host, strict=True), True, False)
    fd = lock(host)
    before = oracle.snapshot()
    done = apt("install", "foo", ok=False)
    assert done.returncode == 100
    assert "sage: Nothing was changed. To let apt go on" in done.stderr
    assert oracle.diff(before, oracle.snapshot()) == []
    # The way round it that the message names.
    apt("install", "foo", SAGE_CAPTURE="off")
    os.close(fd)
    assert status("foo") == "2 ii"
    assert points(host) == []


def test_strict_lets_a_captured_run_go_on(host: pathlib.Path) -> None:
    arrange(settings(host, strict=True), True, False)
    apt("install", "foo")
    assert (status("foo"), len(points(host))) == ("2 ii", 1)


def test_apt_works_when_the_program_is_gone(host: pathlib.Path) -> None:
    arrange(settings(host), True, False)
    shutil.rmtree(host)
    apt("install", "foo")
    assert status("foo") == "2 ii"


def test_strict_says_what_to_remove_when_the_program_is_gone(host: pathlib.Path) -> None:
    arrange(settings(host, strict=True), True, False)
    shutil.rmtree(host)
    done = apt("install", "foo", ok=False)
    assert done.returncode == 100
    (snippet,) = SNIPPETS.glob("80intellistream-sage-*")
    assert f"sage: {host}/.sage/hook.pyz is gone; remove {snippet}, too" in done.stderr
    snippet.unlink()
    apt("install", "foo")


def test_a_chroot_is_somebody_elses(host: pathlib.Path) -> None:
    arrange(settings(host), True, False)
    (program,) = host.glob(".sage/hook.pyz")
    line = "foo 1 all none < 2 all none /x/foo_2_all.deb"
    for setting in ("RootDir=/mnt", "Dir=/mnt/", "DPkg::Chroot-Directory=/mnt"):
        run(program, "apt", "before", text=f"VERSION 3\n{setting}\nCommandLine::AsString=apt%20x\n\n{line}\n")
    assert points(host) == []
    run(program, "apt", "before", text=f"VERSION 3\nDir=/\nCommandLine::AsString=apt%20x\n\n{line}\n")
    assert [point["description"] for point in points(host)] == ["apt: apt x"]


def test_what_cannot_be_understood_is_not_taken_for_nothing(host: pathlib.Path) -> None:
    arrange(settings(host, strict=True), True, False)
    (program,) = host.glob(".sage/hook.pyz")
    for text in ("", "VERSION 2\n\n", "VERSION 3\nDir=/\n\nfoo 1 < 2 /x/foo_2_all.deb\n"):
        assert run(program, "apt", "before", text=text, ok=False).returncode == 1


def test_it_is_put_there_once_and_removed_exactly(repository: Repository, sage_root: pathlib.Path) -> None:
    before = oracle.snapshot()
    told = arrange(settings(sage_root), True, True)
    assert told["changed"]
    assert oracle.diff(before, oracle.snapshot()) == []
    made = arrange(settings(sage_root), True, False)
    assert (made["changed"], made["diff"], made["files"]) == (True, told["diff"], told["files"])
    assert [os.path.exists(path) for path in made["files"]] == [True] * len(made["files"])
    program = sage_root / ".sage/hook.pyz"
    assert (program.stat().st_mode & 0o7777, program.stat().st_uid) == (0o700, 0)
    assert not arrange(settings(sage_root), True, False)["changed"]
    assert not arrange(settings(sage_root), True, True)["changed"]
    # Whatever of it is not as it was made is made again.
    program.chmod(0o755)
    (snippet,) = SNIPPETS.glob("80intellistream-sage-*")
    snippet.write_text("")
    assert [one["before_header"] for one in arrange(settings(sage_root), True, False)["diff"]] == [
        str(program),
        str(snippet),
    ]
    assert arrange(settings(sage_root, strict=True), True, False)["changed"]
    assert arrange(settings(sage_root), False, True)["changed"]
    assert arrange(settings(sage_root), False, False)["changed"]
    assert not arrange(settings(sage_root), False, False)["changed"]
    assert oracle.diff(before, oracle.snapshot()) == []
    assert not program.exists()


def test_removing_sage_takes_the_hook_along_and_names_packages(host: pathlib.Path) -> None:
    before = oracle.snapshot()
    # As the role does it: the record is there first, and knows what was not.
    with Engine(str(host)).session():
        pass
    arrange(settings(host), True, False)
    apt("install", "goo")
    captured = remove(Engine(str(host)), False, True)
    names = [pathlib.Path(part["path"]).name for part in captured["removed"]]
    (snippet,) = SNIPPETS.glob("80intellistream-sage-*")
    assert {"hook.pyz", snippet.name, "checkpoints"} <= set(names)
    assert [part["path"] for part in captured["stays"] if part["description"] == "packages of the system"] == [
        "[+] goo 1"
    ]
    assert remove(Engine(str(host)), False, False) == captured
    assert not snippet.exists()
    assert not (host / ".sage").exists()
    # apt works without it, and what came with SAGE stays.
    apt("purge", "goo")
    assert oracle.diff(before, oracle.snapshot()) == []


def test_two_roots_have_a_hook_each(host: pathlib.Path, tmp_path: pathlib.Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    arrange(settings(host), True, False)
    arrange(settings(other), True, False)
    apt("install", "goo")
    assert (len(points(host)), len(points(other))) == (1, 1)
    arrange(settings(other), False, False)
    apt("remove", "goo")
    assert (len(points(host)), len(points(other))) == (2, 1)


def test_a_root_that_others_could_change_is_refused(sage_root: pathlib.Path) -> None:
    sage_root.chmod(0o777)
    with pytest.raises(UnsafePath):
        arrange(settings(sage_root), True, False)
    sage_root.chmod(0o755)
    os.chown(sage_root, 1, 1)
    with pytest.raises(UnsafePath):
        arrange(settings(sage_root), True, False)
    assert list(SNIPPETS.glob("80*")) == []
    assert list(sage_root.iterdir()) == []


def test_a_root_that_a_shell_would_misread_is_refused(tmp_path: pathlib.Path) -> None:
    root = tmp_path / "a root; touch x"
    with pytest.raises(InputError, match="apt cannot start a hook as"):
        arrange(settings(root), True, False)


def test_a_host_without_python_is_told_so(sage_root: pathlib.Path) -> None:
    os.rename(places.PYTHON, f"{places.PYTHON}.away")
    try:
        with pytest.raises(InputError, match="The hook needs /usr/bin/python3"):
            arrange(settings(sage_root), True, False)
    finally:
        os.rename(f"{places.PYTHON}.away", places.PYTHON)


def test_the_program_needs_nothing_but_python(sage_root: pathlib.Path) -> None:
    arrange(settings(sage_root), True, False)
    program = sage_root / ".sage/hook.pyz"
    # Neither this checkout nor Ansible is in the system's Python.
    assert run("/usr/bin/python3", "-I", "-c", "import ansible", ok=False).returncode == 1
    run(program, "apt", "after")
