# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""rollback.sh and what is odd in environments; whole trees are compared by a look of the tests' own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._venv.resource import VenvResource
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
    from pathlib import Path

pytestmark = pytest.mark.skipif(not shutil.which("dash"), reason="dash is not installed")
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
USER = 61234


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return prepared(tmp_path)


def _kept(host: Host, name: str) -> list[str]:
    """The content of what was kept aside under a name."""
    return [path.read_text() for path in host.state.glob(f"store/*/*/0/aside/**/{name}")]


def _give_away(path: Path) -> None:
    for each in (path, *path.rglob("*")):
        os.chown(each, USER, USER, follow_symlinks=False)


def test_v4_what_no_record_lists_comes_back(host: Host) -> None:
    """An egg-info, a RECORD that was removed, a link, a .pth written in place, byte code without a source."""
    site = host.venv.site
    (site / "legacy-1.0.egg-info").mkdir()
    (site / "legacy-1.0.egg-info/PKG-INFO").write_text("Name: legacy\n")
    (site / "legacy.py").write_text("1")
    (site / "easy-install.pth").write_text("/srv/one\n")
    (host.venv.info("keep", "1.0") / "RECORD").unlink()
    (site / "linked").symlink_to("keep")
    (site / "alone.pyc").write_bytes(b"code")
    before = host.look()
    host.capture(host.spec("pack==2.0"))
    shutil.rmtree(site / "legacy-1.0.egg-info")
    (site / "legacy.py").unlink()
    (site / "legacy.py").write_text("2, longer")
    with open(site / "easy-install.pth", "a", encoding="utf-8") as stream:
        stream.write("/srv/two\n")
    shutil.rmtree(site / "keep")
    (site / "linked").unlink()
    (site / "linked").mkdir()
    (site / "alone.pyc").unlink()
    change(host)
    host.settle()
    host.undo()
    check_same_as_module(host, before)


def _move(host: Host, status: str) -> None:
    with host.engine.session() as session:
        session.move("python_deps", status)
        session.commit()


@pytest.mark.parametrize("settle", [False, True])
def test_f5_what_the_change_wrote_in_place_comes_back(host: Host, settle: bool) -> None:
    data = host.venv.site / "keep/data/1.0.txt"
    time.sleep(0.05)
    before = host.look()
    _move(host, "started")
    host.capture(host.spec("keep==2.0", "pack==2.0"), phase="python_deps")
    info = data.stat()
    with open(data, "r+", encoding="utf-8") as stream:
        stream.write("2")
    os.utime(data, ns=(info.st_mtime_ns, info.st_mtime_ns))
    with open(host.venv.site / "keep/__init__.py", "a", encoding="utf-8") as stream:
        stream.write("more\n")
    host.venv.install("pack", "2.0")
    _move(host, "failed")
    host.write()
    if settle:
        host.settle()
    done = host.run("--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    assert changes(before, host.look()) == {}


def test_f5_what_was_written_in_place_and_is_not_held_bars_nothing_else(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(VenvResource, "watched", property(lambda _self: False, lambda _self, _value: None))
    (host.venv.site / "data").write_text("old")
    os.utime(host.venv.site / "data", (1, 1))
    time.sleep(0.05)
    before = host.look()
    host.capture(host.spec("pack==2.0"))
    host.venv.install("pack", "2.0")
    with open(host.venv.site / "data", "r+", encoding="utf-8") as stream:
        stream.write("new and longer")
    host.settle()
    there = host.everything()
    done = host.run("--yes")
    assert (done.returncode, "data was changed, and its content from before is not held" in done.stdout) == (2, True)
    assert changes(there, host.everything()) == {}
    done = host.run("--yes", "--force")
    assert (done.returncode, "data has lost what it was" in done.stderr) == (1, True)
    assert set(changes(before, host.look())) == {f"root/venv/{SITE}/data"}


def test_f19_byte_code_goes_with_its_source_and_bars_nothing(host: Host) -> None:
    before = host.look()
    host.capture(host.spec("pack==2.0", "fresh==1.0"))
    change(host)
    host.settle()
    # As interpreters do when they import what is new, or compile it anew.
    for name in ("pack", "fresh"):
        cache = host.venv.site / name / "__pycache__"
        (cache / "__init__.cpython-311.pyc").write_bytes(b"compiled again")
        (cache / "__init__.cpython-312.pyc").write_bytes(b"by another interpreter")
    (host.venv.site / "pack/new/__pycache__").mkdir()
    (host.venv.site / "pack/new/__pycache__/deep.cpython-311.pyc").write_bytes(b"code")
    host.undo()
    check_same_as_module(host, before)


def test_f19_byte_code_since_is_no_reason_to_leave_a_directory_its_time(host: Host) -> None:
    plain, others = host.venv.site / "plain", host.venv.site / "others"
    for directory in (plain, others):
        directory.mkdir()
        (directory / "module.py").write_text("old")
    times = plain.stat().st_mtime_ns, others.stat().st_mtime_ns
    host.capture(host.spec("pack==2.0"))
    for directory in (plain, others):
        (directory / "module.py").unlink()
        (directory / "module.py").write_text("new")
    host.settle()
    # Python imports one, and somebody puts something into the other.
    (plain / "__pycache__").mkdir()
    (plain / "__pycache__/module.cpython-311.pyc").write_bytes(b"code")
    (others / "notes").write_text("mine")
    left = others.stat().st_mtime_ns
    host.undo()
    assert (plain.stat().st_mtime_ns, others.stat().st_mtime_ns) == (times[0], left)
    assert sorted(os.listdir(plain)) == ["module.py"]


def test_f20_what_came_into_a_directory_that_goes_is_kept_aside(host: Host) -> None:
    before = host.look()
    host.capture(host.spec("fresh==1.0"))
    host.venv.install("fresh", "1.0")
    host.settle()
    (host.venv.site / "fresh/cache").mkdir()
    (host.venv.site / "fresh/cache/runtime.db").write_text("data")
    (host.venv.site / "fresh/__pycache__/notes").write_text("no byte code")
    assert "fresh/cache (kept aside)" in host.undo()
    assert (_kept(host, "fresh/cache/runtime.db"), _kept(host, "__pycache__/notes")) == (["data"], ["no byte code"])
    check_same_as_module(host, before)


def test_others_distributions_since_stay(host: Host) -> None:
    """Also where they share a directory with what goes."""
    host.capture(host.spec("fresh==1.0"))
    host.venv.install("fresh", "1.0", {"space/fresh/__init__.py": "", "space/fresh/one.py": "1"})
    host.settle()
    host.venv.install("mine", "1.0", {"space/mine/__init__.py": "", "mine.py": "1"})
    mine = {name: value for name, value in host.look().items() if "mine" in name}
    host.undo()
    there = host.look()
    assert {name: value for name, value in there.items() if "mine" in name} == mine
    assert not [name for name in there if "fresh" in name]
    assert host.venv.installed() == {"keep": "1.0", "mine": "1.0", "pack": "1.0"}


def test_f14_a_distribution_that_took_a_path_over_goes_aside_as_a_whole(host: Host) -> None:
    before = host.look()
    host.capture(host.spec("pack==2.0"))
    host.venv.install("pack", "2.0")
    host.settle()
    host.venv.install("fork", "1.0", {"pack/__init__.py": "fork's", "fork/only.py": "1", "pack/fork.py": "2"})
    there = host.everything()
    done = host.run("--yes")
    assert (done.returncode, "fork 1.0 in" in done.stdout) == (2, True)
    assert changes(there, host.everything()) == {}
    host.undo("--force")
    assert (_kept(host, "fork/only.py"), _kept(host, "pack/fork.py")) == (["1"], ["2"])
    check_same_as_module(host, before)


def test_v7_of_an_interrupted_change_nothing_is_lost_and_others_stay(host: Host) -> None:
    """The table is read in the store: nothing of it is in the script."""
    before = host.look()
    host.capture(host.spec("pack==2.0", "fresh==1.0"))
    host.venv.install("pack", "2.0")
    host.venv.install("fresh", "1.0", register=False)
    (host.venv.site / "handmade.py").write_text("mine")
    (host.venv.site / "keep/__init__.py").unlink()
    (host.venv.site / "keep/__init__.py").write_text("edited meanwhile")
    host.venv.install("mine", "1.0")
    assert "handmade" not in host.script.read_text()
    host.undo()
    assert host.venv.installed() == {"keep": "1.0", "mine": "1.0", "pack": "1.0"}
    host.venv.uninstall("mine")
    assert changes(before, host.look()) == {}
    assert (_kept(host, "handmade.py"), _kept(host, f"{SITE}/keep/__init__.py")) == (["mine"], ["edited meanwhile"])
    assert _kept(host, f"{SITE}/pack/__init__.py") == ["version = '2.0'\n"]


def test_an_environment_that_came_goes_as_a_whole_and_is_kept(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.capture(host.spec("pack==1.0"))
    host.venv.make()
    host.venv.install("pack", "1.0")
    host.settle()
    host.venv.install("mine", "1.0")
    there = {name.partition("venv/")[2]: value for name, value in host.look().items() if "venv/" in name}
    assert host.run("--yes").returncode == 2
    assert "What was in" in host.undo("--force")
    assert not os.path.lexists(host.venv.path)
    [kept] = host.state.glob("store/*/*/0/aside/venv")
    there.pop("", None)
    assert {name: value for name, value in snapshot(kept).items() if name != "."} == there


def _users(host: Host) -> Path:
    """A directory of a user, who can reach it, and what lets root become that user."""
    found = shutil.which("setpriv")
    if found is None:
        pytest.skip("setpriv is not installed")
    (host.tools / "setpriv").symlink_to(found)
    for directory in (host.top, *host.top.parents):
        if directory.stat().st_mode & 0o055 != 0o055:
            directory.chmod(directory.stat().st_mode | 0o055)
    fill(host.data)
    _give_away(host.data / "tree")
    return host.data / "tree"


def _change_tree(tree: Path) -> None:
    (tree / "sub/one").write_text("2")
    (tree / "sub/new").write_text("came")
    (tree / "sub/empty").rmdir()
    (tree / "locked/inside").unlink()
    _give_away(tree)


@AS_ROOT
def test_x5_root_works_in_a_users_directory_as_this_user(host: Host) -> None:
    """What a user plants where files are made ready is not written through; a closed directory is closed again."""
    tree = _users(host)
    before = host.look()
    host.capture(host.files(tree))
    _change_tree(tree)
    host.settle()
    precious = host.top / "precious"
    precious.write_text("root's")
    precious.chmod(0o666)
    (tree / "sub/.intellistream-sage.undo").symlink_to(precious)
    host.undo()
    assert precious.read_text() == "root's"
    assert changes(before, host.look()) == {}


@AS_ROOT
def test_f24_a_directory_that_was_opened_by_a_killed_run_is_closed(host: Host) -> None:
    tree = _users(host)
    before = host.look()
    host.capture(host.files(tree))
    _change_tree(tree)
    host.settle()
    # It is still root's when it is called, and can end all of the run.
    real = os.readlink(host.tools / "setpriv")
    (host.tools / "setpriv").unlink()
    (host.tools / "setpriv").write_text(f'#!/bin/sh\ncase $* in *tee*) kill -KILL 0 ;; esac\nexec {real} "$@"\n')
    (host.tools / "setpriv").chmod(0o755)
    assert host.run("--yes", start_new_session=True).returncode == -signal.SIGKILL
    assert (tree / "locked").stat().st_mode & 0o7777 == 0o755
    (host.tools / "setpriv").unlink()
    (host.tools / "setpriv").symlink_to(real)
    host.undo()
    assert changes(before, host.look()) == {}


@AS_ROOT
@pytest.mark.parametrize("command", ["rm", "tee", "mv", "chmod", "touch"])
def test_x5_a_directory_that_is_swapped_meanwhile_leads_nowhere(host: Host, command: str) -> None:
    """Before a call of a command the user puts a link to root's own files in the place of a directory."""
    tree = _users(host)
    host.capture(host.files(tree))
    _change_tree(tree)
    host.settle()
    outside = host.top / "outside"
    shutil.copytree(tree / "sub", outside)
    secret = snapshot(outside)
    real = os.readlink(host.tools / command)
    (host.tools / command).unlink()
    (host.tools / command).write_text(
        f"#!/bin/sh\n[ -d {tree}/moved ] || {{ /bin/mv {tree}/sub {tree}/moved && /bin/ln -s {outside} {tree}/sub; }}\n"
        f'exec {real} "$@"\n'
    )
    (host.tools / command).chmod(0o755)
    host.run("--yes")
    assert (tree / "moved").is_dir()
    assert changes(secret, snapshot(outside)) == {}


def test_the_script_is_of_the_record_whatever_happens_since(host: Host) -> None:
    """A check compares it with what the record makes of it."""
    host.capture(host.spec("pack==2.0", "fresh==1.0"))
    change(host)
    host.settle()
    script = host.script.read_text()
    host.venv.install("fork", "1.0", {"pack/__init__.py": "fork's"})
    host.write()
    assert host.script.read_text() == script
    host.undo("--force")
    host.write()
    assert host.script.read_text() == script


@AS_ROOT
def test_f24_what_another_user_may_write_to_is_for_the_module(host: Host) -> None:
    fill(host.data)
    (host.data / "tree/sub").chmod(0o777)
    host.capture(host.files(host.data / "tree"))
    (host.data / "tree/sub/one").write_text("2")
    host.settle()
    there = host.everything()
    done = host.run("--yes", "--force")
    assert (done.returncode, "sage_rollback" in done.stderr) == (2, True)
    assert changes(there, host.everything()) == {}


def test_f18_busybox_alone(host: Host) -> None:
    """Neither coreutils nor dash; times to the second where its touch can take none over."""
    busybox = shutil.which("busybox")
    if busybox is None:
        pytest.skip("busybox is not installed")
    for tool in host.tools.iterdir():
        tool.unlink()
    applets = subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True).stdout.split()
    for name in applets:
        (host.tools / name).symlink_to(busybox)
    fill(host.data)
    before = host.look()
    host.capture(host.spec("pack==2.0", "fresh==1.0"), paths(host))
    change(host)
    wreck(host.data)
    host.settle()
    done = host.run("--yes", shell=["busybox", "sh"])  # noqa: S604 # no shell of subprocess
    assert done.returncode == 0, done.stdout + done.stderr
    rough = {name: tuple(_whole_seconds(fact) for fact in facts) for name, facts in before.items()}
    assert rough == {name: tuple(_whole_seconds(fact) for fact in facts) for name, facts in host.look().items()}


def _whole_seconds(fact: object) -> object:
    return fact // 10**9 if isinstance(fact, int) and fact > 10**12 else fact


@pytest.mark.skipif(not shutil.which("bash"), reason="bash is not installed")
@pytest.mark.parametrize("share", range(6))
def test_f11_killed_at_a_line_and_run_again_it_finishes(host: Host, share: int) -> None:
    """bash counts the commands of the script; a sixth of its work is done at each kill."""
    before = host.look()
    host.capture(host.spec("pack==2.0", "fresh==1.0"))
    change(host)
    host.settle()
    script = host.script.read_text()
    counting = "trap 'commands=$((${commands-0} + 1)); [ $commands != STOP ] || kill -KILL $$' DEBUG\n"
    bash = ["bash", "-T"]
    head, body = script.split("        changing=1\n")
    lines = 0
    for stop in range(1 + 37 * share, 4000, 6 * 37):
        host.script.write_text(f"{head}        changing=1\n        {counting.replace('STOP', str(stop))}{body}")
        done = host.run("--yes", shell=bash)
        if done.returncode == 0:
            break
        assert done.returncode == -9, done.stdout + done.stderr
        lines += 1
    assert lines > 3
    host.script.write_text(script)
    host.undo()
    assert changes(before, host.look()) == {}


def test_f12_a_full_disk_ends_it_and_room_lets_it_finish(host: Host, tmp_path: Path) -> None:
    """What goes goes first; what does not fit is named, and the next run goes on."""
    small = tmp_path / "small"
    small.mkdir()
    if (
        os.geteuid()
        or subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=3m,mode=755", "none", str(small)], capture_output=True, check=False
        ).returncode
    ):
        pytest.skip("only root can mount")
    try:
        big = small / "big"
        big.write_bytes(b"1" * 1_000_000)
        captured = {"kind": "files", "paths": [str(big)]}
        host.capture(captured)
        big.unlink()
        host.settle()
        (small / "filler").write_bytes(b"2" * 2_500_000)
        done = host.run("--yes")
        assert (done.returncode, "could not be written" in done.stderr) == (1, True), done.stdout + done.stderr
        (small / "filler").unlink()
        host.undo()
        assert big.read_bytes() == b"1" * 1_000_000
        assert sorted(path.name for path in small.iterdir()) == ["big"]
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_f16_where_links_are_impossible_what_the_plan_did_not_name_is_lost_alone(tmp_path: Path) -> None:
    """The environment is on another file system, and the change was interrupted."""
    host = Host(tmp_path)
    host.venv.path.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=3m,mode=755", "none", str(host.venv.path)]
    if os.geteuid() or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root can mount")
    try:
        host.venv.make()
        host.venv.install("keep", "1.0")
        host.venv.install("pack", "1.0")
        host.data.mkdir()
        before = host.look()
        host.capture(host.spec("pack==2.0"))
        host.venv.install("pack", "2.0")
        host.undo()
        assert changes(before, host.look()) == {}
        host.venv.install("pack", "2.0")
        (host.venv.site / "keep/__init__.py").unlink()
        (host.venv.site / "keep/__init__.py").write_text("other")
        done = host.run("--yes")
        assert (done.returncode, "keep/__init__.py was changed, and its content" in done.stdout) == (2, True)
        assert host.run("--yes", "--force").returncode == 1
        assert set(changes(before, host.look())) == {f"root/venv/{SITE}/keep/__init__.py"}
    finally:
        subprocess.run(["umount", str(host.venv.path)], check=True)


def test_works_without_python(host: Host) -> None:
    """Not even the environment's own interpreter is asked."""
    host.capture(host.spec("pack==2.0"))
    host.venv.install("pack", "2.0")
    host.settle()
    assert sys.executable not in host.script.read_text()
    assert not [tool.name for tool in host.tools.iterdir() if "python" in tool.name]
    host.undo()
    assert host.venv.installed()["pack"] == "1.0"
