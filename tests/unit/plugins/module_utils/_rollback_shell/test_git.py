# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""rollback.sh with git work trees."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils.bareshell import (
    Host,
    check_same_as_module,
    killer,
    prepared,
)
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils.tree import changes, snapshot

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not shutil.which("dash"), reason="dash is not installed")]


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return prepared(tmp_path)


def git(path: Path, *arguments: str) -> str:
    options = ["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "protocol.file.allow=always"]
    done = subprocess.run(["git", *options, "-C", str(path), *arguments], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def commit(path: Path, text: str) -> None:
    (path / "file").write_text(text)
    git(path, "add", "-A")
    git(path, "commit", "-q", "-m", text)


@pytest.fixture
def clone(host: Host) -> Path:
    """A work tree with a submodule, and another one in its future."""
    found = shutil.which("git")
    if not found:
        pytest.skip("git is not installed")
    (host.tools / "git").symlink_to(found)
    for name in ("one", "two", "outer"):
        git(host.top, "init", "-q", "-b", "main", f"up/{name}")
        commit(host.top / "up" / name, "1")
    up = host.top / "up/outer"
    git(up, "submodule", "--quiet", "add", str(host.top / "up/one"), "mods/one")
    commit(up, "2")
    git(host.data, "clone", "-q", "--recurse-submodules", str(up), "clone")
    return host.data / "clone"


def move_on(host: Host, clone: Path) -> None:
    """What a sync of submodules does."""
    up = host.top / "up/outer"
    if not (up / "new").exists():
        commit(host.top / "up/one", "newer")
        git(up / "mods/one", "pull", "-q")
        git(up, "submodule", "--quiet", "add", str(host.top / "up/two"), "mods/two")
        (up / "new").write_text("new")
        commit(up, "3")
    git(clone, "pull", "-q", "--recurse-submodules=no")
    git(clone, "submodule", "--quiet", "update", "--init", "--recursive")


def look_git(clone: Path) -> dict[str, Any]:
    """What git says, and the files."""
    status = git(clone, "status", "--porcelain=v2", "--branch")
    heads = [git(clone, "rev-parse", "HEAD"), git(clone / "mods/one", "rev-parse", "HEAD"), git(clone, "diff", "HEAD")]
    modules = sorted(os.listdir(clone / ".git/modules"))
    config = git(clone, "config", "--local", "--list")
    files = {name: value for name, value in snapshot(clone, times=False).items() if ".git" not in name.split("/")}
    return {"status": status.split("# branch.ab")[0], "heads": heads, "modules": modules, "config": config, **files}


def test_git_goes_back(host: Host, clone: Path) -> None:
    (clone / "file").write_text("mine, and captured\n")
    (clone / "staged").write_text("staged\n")
    git(clone, "add", "staged")
    (clone / "mods/one/untracked").write_text("mine too\n")
    before = look_git(clone)
    host.capture({"kind": "git", "path": str(clone)})
    git(clone, "reset", "-q", "--hard")
    (clone / "mods/one/untracked").unlink()
    move_on(host, clone)
    git(clone, "checkout", "-q", "-b", "other")
    assert changes(before, look_git(clone))
    there = host.everything()
    assert f"restore  {clone} to main" in host.run("--dry-run").stdout
    assert changes(there, host.everything()) == {}
    host.undo()
    assert changes(before, look_git(clone)) == {}
    assert host.undo().startswith("Everything is as it was captured.\n")
    assert not any(host.module()["plan"].values())
    assert changes(before, look_git(clone)) == {}


def test_git_work_of_others(host: Host, clone: Path) -> None:
    before = look_git(clone)
    host.capture({"kind": "git", "path": str(clone)})
    move_on(host, clone)
    (clone / "file").write_text("precious\n")
    (clone / "mods/two/work").write_text("precious too\n")
    there = host.everything()
    done = host.run("--yes", "--force")
    assert (done.returncode, "mods/two was not there, and has work" in done.stderr) == (2, True)
    (clone / "mods/two/work").unlink()
    there = host.everything()
    done = host.run("--yes")
    assert (done.returncode, "file was changed and not committed" in done.stdout) == (2, True)
    assert changes(there, host.everything()) == {}
    host.undo("--force")
    assert changes(before, look_git(clone)) == {}
    kept = git(clone, "for-each-ref", "--format=%(refname)", "refs/sage/kept").split()
    assert "precious" in [git(clone, "show", f"{ref}:file") for ref in kept]
    assert not any(host.module()["plan"].values())


def test_git_is_missing_or_damaged(host: Host, clone: Path) -> None:
    host.capture({"kind": "git", "path": str(clone)})
    move_on(host, clone)
    before = host.everything()
    real = os.readlink(host.tools / "git")
    (host.tools / "git").unlink()
    done = host.run("--yes")
    assert (done.returncode, "git is missing" in done.stderr) == (2, True)
    (host.tools / "git").symlink_to(real)
    (clone / ".git/MERGE_HEAD").write_text(git(clone, "rev-parse", "HEAD"))
    assert "MERGE_HEAD" in host.run("--yes").stderr
    (clone / ".git/MERGE_HEAD").unlink()
    assert changes(before, host.everything()) == {}
    (clone / "mods/one/.git").unlink()
    assert "not checked out" in host.run("--yes").stderr


def test_git_killed_anywhere_finishes(host: Host, clone: Path) -> None:
    before = look_git(clone)
    host.capture({"kind": "git", "path": str(clone)})
    real = os.readlink(host.tools / "git")
    killed = 0
    for nth in range(24, 64, 3):
        move_on(host, clone)
        killer(host, "git", nth, after=bool(nth % 2))
        first = host.run("--yes", start_new_session=True)
        (host.tools / "git").unlink()
        (host.tools / "git").symlink_to(real)
        killed += first.returncode == -signal.SIGKILL
        host.undo()
        assert changes(before, look_git(clone)) == {}, nth
    assert killed
    assert not any(host.module()["plan"].values())


def test_new_clone_is_removed(host: Host, clone: Path) -> None:
    other = host.data / "other"
    host.capture({"kind": "git", "path": str(other)})
    before = host.look()
    git(host.data, "clone", "-q", str(clone), "other")
    (other / "mine").write_text("x")
    assert host.run("--yes").returncode == 2
    (other / "mine").unlink()
    host.undo()
    check_same_as_module(host, before)
