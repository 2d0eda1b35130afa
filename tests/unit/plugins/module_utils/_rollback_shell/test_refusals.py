# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What rollback.sh refuses, and that it touches nothing then."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import UnsafePath
from ansible_collections.intellistream.sage.plugins.module_utils._base.processes import started
from ansible_collections.intellistream.sage.plugins.module_utils._calls.backup import backup
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.ownership import check_owned
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.private import open_state
from ansible_collections.intellistream.sage.plugins.module_utils._records import lease
from ansible_collections.intellistream.sage.plugins.module_utils._records.lease import Run
from ansible_collections.intellistream.sage.plugins.module_utils._rollback_shell.script import render
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils.bareshell import (
    Host,
    change,
    check_same_as_module,
    fill,
    paths,
    prepared,
    wreck,
)
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils.tinyvenv import SITE
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils.tree import changes, snapshot

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.skipif(not shutil.which("dash"), reason="dash is not installed")


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return prepared(tmp_path)


def _holding(host: Host, content: bytes) -> Path:
    """The copy that holds a content."""
    return next(path for path in host.state.glob("store/*/*/1/copies/*/*") if path.read_bytes() == content)


def _held(host: Host) -> Path:
    """The copy that holds the old version of a package."""
    return next(path for path in host.state.glob("store/*/*/0/copies/*/*") if path.read_bytes() == b"version = '1.0'\n")


def _lose(host: Host, digest: str) -> None:
    """Remove a content wherever it is held: what was written in the tick of the look is copied to the farm too."""
    for path in list((host.state / "store").rglob(digest)):
        path.unlink()


def _edit(path: Path, old: bytes, new: bytes) -> None:
    data = path.read_bytes()
    assert old in data
    path.write_bytes(data.replace(old, new))


def _swap(path: Path, other: Path) -> None:
    path.rename(other)
    path.symlink_to(other)


def _directory(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.mkdir()


REFUSALS: dict[str, Callable[[Host], object]] = {
    "header": lambda host: _edit(next(host.state.glob("store/*/*/0.json")), b"true", b"True"),
    "header gone": lambda host: next(host.state.glob("store/*/*/0.json")).unlink(),
    "content": lambda host: _edit(_held(host), b"1.0", b"6.6"),
    "content gone": lambda host: _lose(host, _held(host).name),
    "content is a link": lambda host: _swap(_held(host), host.top / "elsewhere"),
    "content of files": lambda host: _holding(host, b"1").write_text("3"),
    "store gone": lambda host: (host.state / "store").rename(host.top / "moved"),
    "venv is a link": lambda host: _swap(host.venv.path, host.top / "elsewhere"),
    "link in the venv": lambda host: _swap(host.venv.site / "pack", host.top / "elsewhere"),
    "site is a link": lambda host: _swap(host.venv.site, host.top / "elsewhere"),
    "state is writable": lambda host: host.state.chmod(0o777),
}


@pytest.mark.parametrize(
    "force", [pytest.param([], id="plain"), pytest.param(["--force"], id="forced", marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("what", REFUSALS)
def test_refusals_touch_nothing(host: Host, what: str, force: list[str]) -> None:
    fill(host.data)
    host.capture(host.spec("pack==2.0", "fresh==1.0"), paths(host))
    change(host)
    wreck(host.data)
    host.settle()
    REFUSALS[what](host)
    before = host.everything()
    outside = snapshot(host.top / "elsewhere")
    done = host.run("--yes", *force)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "Nothing was touched." in done.stderr
    assert "Refused: " in done.stderr
    assert changes(before, host.everything()) == {}
    assert changes(outside, snapshot(host.top / "elsewhere")) == {}


@pytest.mark.parametrize("what", ["changed", "gone"])
def test_f7_a_table_that_is_not_what_was_captured_is_refused(host: Host, what: str) -> None:
    """What a change touched that nobody looked at is found by it."""
    host.capture(host.spec("pack==2.0"))
    change(host)
    table = next(host.state.glob("store/*/*/0/0.before"))
    if what == "gone":
        table.unlink()
    else:
        _edit(table, b"0644", b"4755")
    before = host.everything()
    done = host.run("--yes", "--force")
    assert (done.returncode, "0.before is not what was captured" in done.stderr) == (2, True)
    assert changes(before, host.everything()) == {}


def test_f9_a_link_in_place_of_what_came_is_left_alone_and_not_followed(host: Host) -> None:
    host.capture(host.spec("fresh==1.0"))
    host.venv.install("fresh", "1.0")
    host.settle()
    _swap(host.venv.site / "fresh", host.top / "elsewhere")
    outside = snapshot(host.top / "elsewhere")
    assert f"{SITE}/fresh" in host.undo().partition("Left alone")[2]
    assert (host.venv.site / "fresh").is_symlink()
    assert changes(outside, snapshot(host.top / "elsewhere")) == {}


def test_v9_a_directory_in_the_way_is_kept_aside(host: Host) -> None:
    before = host.look()
    host.capture(host.spec("pack==2.0"))
    host.venv.install("pack", "2.0")
    host.settle()
    _directory(host.venv.path / "bin/pack")
    (host.venv.path / "bin/pack/precious").write_text("mine")
    there = host.everything()
    assert host.run("--yes").returncode == 2
    assert changes(there, host.everything()) == {}
    host.undo("--force")
    assert [path.read_text() for path in host.state.glob("store/*/*/0/aside/**/precious")] == ["mine"]
    check_same_as_module(host, before)


def test_stale_copy_is_refused(host: Host) -> None:
    host.capture(host.spec("pack==2.0"))
    stale = host.top / "old.sh"
    shutil.copy(host.script, stale)
    shutil.copy(host.script, host.top / "same.sh")
    host.write("two")
    host.venv.install("pack", "2.0")
    before = host.everything()
    found = shutil.which("dash")
    assert found
    for path in (stale, host.top / "gone.sh"):
        done = subprocess.run(
            [found, str(path), "--yes"], env={"PATH": str(host.tools)}, capture_output=True, text=True, check=False
        )
        assert done.returncode == 2
    with open(host.script, encoding="utf-8") as stream:
        done = subprocess.run(
            [found, "-s", "--", "--yes"],
            stdin=stream,
            env={"PATH": str(host.tools)},
            cwd="/",
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 2
    assert changes(before, host.everything()) == {}


def test_options(host: Host) -> None:
    host.capture(host.spec("pack==2.0"))
    host.venv.install("pack", "2.0")
    before = host.everything()
    assert "--dry-run" in host.run("--help").stdout
    assert host.run("--nonsense").returncode == 2
    refused = host.run()
    assert (refused.returncode, "no terminal" in refused.stderr) == (3, True)
    assert host.run("--dry-run", "--yes").returncode == 0
    assert changes(before, host.everything()) == {}


@pytest.mark.parametrize(("answer", "code"), [("n", 3), ("", 3), ("y", 0)])
def test_asks_at_a_terminal(host: Host, answer: str, code: int) -> None:
    host.capture(host.spec("pack==2.0"))
    host.venv.install("pack", "2.0")
    before = host.everything()
    ours, theirs = pty.openpty()
    try:
        os.write(ours, f"{answer}\n".encode())
        done = host.run(stdin=theirs)
    finally:
        os.close(ours)
        os.close(theirs)
    assert "Roll back? [y/N] " in done.stdout
    assert done.returncode == code
    assert (changes(before, host.everything()) == {}) == (code == 3)


def test_another_run_holds_the_lock(host: Host) -> None:
    flock = shutil.which("flock")
    if not flock:
        pytest.skip("flock is not installed")
    host.capture(host.spec("pack==2.0"))
    host.venv.install("pack", "2.0")
    (host.tools / "flock").symlink_to(flock)
    with host.engine.session():
        before = host.everything()
        done = host.run("--yes")
    assert (done.returncode, "another run holds" in done.stderr) == (2, True)
    assert changes(before, host.everything()) == {}
    assert "flock" not in host.run("--yes").stderr


@contextlib.contextmanager
def _process(**environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process that ends with the block."""
    with subprocess.Popen(["sleep", "600"], env=environment) as child:
        try:
            yield child
        finally:
            child.kill()


def _leased(host: Host, seconds_ago: float = 0.0, touched_ago: float = 0.0, **facts: Any) -> None:
    """A run has the lease, and made its last call so long ago, or one that knows nothing of the record."""
    state = open_state(host.engine.root, host.engine.checkpoint_dir)
    assert state is not None
    with state:
        lease.take(state, Run("abc", "deploy", user="alice", **facts), held=True)
        fields = json.loads(state.read(lease.NAME) or b"")
        state.write(lease.NAME, json.dumps({**fields, "wall": fields["wall"] - seconds_ago}).encode())
        os.utime(lease.NAME, (0, fields["wall"] - (touched_ago or seconds_ago)), dir_fd=state.fd)


def test_e3_a_run_that_is_at_work_is_respected(host: Host) -> None:
    """The lock is free between its calls."""
    # Of controllers alone.
    run = pytest.importorskip("ansible_collections.intellistream.sage.plugins.plugin_utils._run", exc_type=ImportError)
    host.capture(host.spec("pack==2.0"))
    host.venv.install("pack", "2.0")
    with _process() as controller:
        facts = {"pid_namespace": run.pid_namespace(), "pid": controller.pid, "started": started(controller.pid)}
        _leased(host, 500, **facts)
        before = host.everything()
        done = host.run("--yes", "--force")
        assert (done.returncode, changes(before, host.everything())) == (2, {})
        assert "alice on deploy has a run at work here since 2" in done.stderr
        assert "(run abc, last call 5" in done.stderr
        # What it starts itself is not refused.
        assert host.run("--dry-run", env={"PATH": str(host.tools), "SAGE_RUN": "abc"}).returncode == 0
    # Its process was one of this machine, so it is known to be dead, and has left something.
    with _process(SAGE_RUN="abc") as left:
        done = host.run("--yes")
        assert (done.returncode, changes(before, host.everything())) == (2, {})
        assert f"run abc is gone, and has left processes at work: {left.pid}" in done.stderr
    assert host.run("--yes").returncode == 0


def test_e3_a_run_that_was_silent_for_too_long_has_to_have_processes(host: Host) -> None:
    host.capture(host.spec("pack==2.0"))
    host.venv.install("pack", "2.0")
    _leased(host, 601, 30)
    before = host.everything()
    assert (host.run("--yes").returncode, changes(before, host.everything())) == (2, {})
    _leased(host, 601)
    before = host.everything()
    with _process(SAGE_RUN="abc") as module:
        done = host.run("--yes")
        assert (done.returncode, changes(before, host.everything())) == (2, {})
        assert f"ago). It has processes at work here: {module.pid}" in done.stderr
    assert host.run("--yes").returncode == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_another_user_is_refused(host: Host) -> None:
    host.capture(host.spec("pack==2.0"))
    host.venv.install("pack", "2.0")
    os.chown(host.state, 12345, 12345)
    before = host.everything()
    done = host.run("--yes")
    assert (done.returncode, "12345" in done.stderr) == (2, True)
    assert changes(before, host.everything()) == {}


def test_removed_environment_is_refused(host: Host) -> None:
    host.capture(host.spec("pack==2.0"))
    host.venv.remove()
    assert host.run("--yes").returncode == 2
    assert host.run("--yes", "--force").returncode == 2


def test_conflicts_are_refused_and_forced(host: Host) -> None:
    before = host.look()
    host.capture(host.spec("pack==2.0"))
    host.venv.install("pack", "2.0")
    host.settle()
    (host.venv.site / "pack/__init__.py").write_text("precious\n")
    there = host.everything()
    done = host.run("--yes")
    assert (done.returncode, "pack/__init__.py was changed by somebody" in done.stdout) == (2, True)
    assert changes(there, host.everything()) == {}
    host.undo("--force")
    kept = [path.read_text() for path in host.state.glob(f"store/*/*/0/aside/**/{SITE}/pack/__init__.py")]
    assert kept == ["precious\n"]
    check_same_as_module(host, before)


@pytest.mark.parametrize("what", ["foreign version", "removed"])
def test_f14_foreign_changes_are_refused_and_forced(host: Host, what: str) -> None:
    """What others upgraded over the change's leaves no file behind: two versions of one distribution are none."""
    before = host.look()
    host.capture(host.spec("pack==2.0"))
    host.venv.install("pack", "2.0")
    host.settle()
    if what == "removed":
        host.venv.uninstall("pack")
    else:
        host.venv.install("pack", "9.0", {"pack/__init__.py": "nine\n", "pack/nine/only.py": "", "nine.py": "9\n"})
    there = host.everything()
    done = host.run("--yes")
    assert (done.returncode, "by somebody" in done.stdout) == (2, True)
    if what != "removed":
        assert f"pack 9.0 in {host.venv.path} was installed by somebody else" in done.stdout
    assert changes(there, host.everything()) == {}
    host.undo("--force")
    check_same_as_module(host, before)


def test_link_swapped_in_for_a_captured_directory_is_not_followed(host: Host) -> None:
    fill(host.data)
    before = host.look()
    host.capture(paths(host))
    outside = host.top / "outside"
    (outside / "one").mkdir(parents=True)
    (outside / "one/precious").write_text("not yours")
    secret = snapshot(outside)
    shutil.rmtree(host.data / "tree/sub")
    (host.data / "tree/sub").symlink_to(outside)
    host.undo()
    assert changes(secret, snapshot(outside)) == {}
    (host.data / "tree/locked").chmod(0o700)
    shutil.rmtree(host.data / "tree")
    (host.data / "tree").symlink_to(outside)
    host.undo()
    assert changes(secret, snapshot(outside)) == {}
    check_same_as_module(host, before)


def test_missing_tool_is_named(host: Host) -> None:
    host.capture(host.spec("pack==2.0"))
    host.venv.install("pack", "2.0")
    (host.tools / "uniq").unlink()
    before = host.everything()
    done = host.run("--yes")
    assert (done.returncode, "uniq" in done.stderr) == (2, True)
    assert changes(before, host.everything()) == {}


@pytest.mark.parametrize("name", ["user.colour", "system.posix_acl_default"])
def test_directory_attributes_are_refused_where_a_directory_has_to_be_made(host: Host, name: str) -> None:
    fill(host.data)
    # An access list of version 2 with nothing but owner, group and others.
    acl = b"\2\0\0\0" + b"".join(bytes((tag, 0, 5, 0)) + b"\xff" * 4 for tag in (1, 4, 32))
    try:
        os.setxattr(host.data / "tree/sub", name, acl)
    except OSError:
        pytest.skip("the file system has no such attributes")
    before = host.look()
    host.capture(paths(host))
    (host.data / "tree/sub/one").write_text("2")
    host.undo()
    check_same_as_module(host, before)
    host.capture(paths(host))
    shutil.rmtree(host.data / "tree/sub")
    there = host.everything()
    done = host.run("--yes")
    assert (done.returncode, "extended attributes" in done.stderr) == (2, True)
    assert changes(there, host.everything()) == {}


def test_what_the_module_alone_can_do_is_said(host: Host) -> None:
    host.capture(host.spec("pack==2.0"))
    target = {
        "tid": "x",
        "time": "2026-01-01T00:00:00+00:00",
        "generation": "two",
        "command": "ansible-playbook",
        "machine": "",
        "unsupported": "it is archived.",
        "store": f"{host.engine.path}/store",
    }
    host.script.write_bytes(render(host.engine.path, target, [], {}))
    before = host.everything()
    done = host.run("--yes")
    assert (done.returncode, "it is archived." in done.stderr) == (2, True)
    assert changes(before, host.everything()) == {}


def test_e20_the_script_runs_by_its_path(host: Host) -> None:
    backup(host.engine, [host.spec("pack==2.0")], None, "", False)
    assert host.script.stat().st_mode & 0o7777 == 0o700
    host.venv.install("pack", "2.0")
    done = subprocess.run([host.script, "--yes"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert host.venv.installed()["pack"] == "1.0"


def test_x11_the_script_looks_for_programs_in_the_system_alone(host: Host) -> None:
    backup(host.engine, [host.spec("pack==2.0")], None, "", False)
    planted = host.top / "planted"
    planted.mkdir()
    for name in ("id", "cat", "sha256sum", "stat", "rm", "mv", "cp", "sync", "flock", "git"):
        (planted / name).write_text(f"#!/bin/sh\ntouch {host.top}/taken\n")
        (planted / name).chmod(0o755)
    done = subprocess.run(
        [host.script, "--dry-run"],
        env={"PATH": f"{planted}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert not (host.top / "taken").exists()


def test_b5_what_is_no_machine_id_tells_no_machine_from_another(host: Host, tmp_path: Path) -> None:
    """As the modules judge: an image that was never started says "uninitialized" there."""
    host.capture(host.spec("pack==2.0"))
    host.venv.install("pack", "2.0")
    script = host.script.read_text().replace("/etc/machine-id", str(tmp_path / "id"))
    host.script.write_text(script.replace("\nmachine=''\n", f"\nmachine='{'e' * 32}'\n"))
    for text, code in (("uninitialized\n", 0), ("", 0), ("f" * 32 + "\n", 2), ("F" * 32, 0), ("f" * 31, 0)):
        (tmp_path / "id").write_text(text)
        assert host.run("--dry-run").returncode == code, text
    (tmp_path / "id").unlink()
    assert host.run("--dry-run").returncode == 0


@pytest.mark.parametrize("mode", [0o700, 0o755, 0o775, 0o770, 0o777, 0o707])
@pytest.mark.parametrize("group", [0, 1, 4_000_000])
def test_x6_rollback_sh_and_the_modules_judge_a_directory_alike(host: Host, mode: int, group: int) -> None:
    """It refused a directory that is writable for the group, whoever is in that."""
    if os.geteuid() != 0:
        pytest.skip("only root can give files to other groups")
    getent = shutil.which("getent")
    ls = shutil.which("ls")
    assert getent
    assert ls
    (host.tools / "getent").symlink_to(getent)
    (host.tools / "ls").symlink_to(ls)
    host.capture(host.spec("pack==2.0"))
    os.chown(host.state, 0, group)
    host.state.chmod(mode)
    try:
        check_owned(str(host.state))
    except UnsafePath:
        safe = False
    else:
        safe = True
    done = host.run("--dry-run")
    assert done.returncode == (0 if safe else 2), done.stderr
    if not safe:
        assert f"chmod go-w '{host.state}'" in done.stderr
        host.state.chmod(mode & ~0o022)
        assert host.run("--dry-run").returncode == 0
