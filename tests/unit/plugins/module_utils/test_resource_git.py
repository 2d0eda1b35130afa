# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Capture and undo of a git work tree with a submodule."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._engine import Engine
from ansible_collections.intellistream.sage.plugins.module_utils._errors import CaptureError, ConflictError
from ansible_collections.intellistream.sage.plugins.module_utils._points import backup
from ansible_collections.intellistream.sage.plugins.module_utils._resource_git import GitResource
from ansible_collections.intellistream.sage.plugins.module_utils._rollback import rollback

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="needs git")


def git(path: Path, *arguments: str) -> str:
    options = ["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "protocol.file.allow=always"]
    done = subprocess.run(["git", *options, "-C", str(path), *arguments], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def commit(path: Path, text: str) -> str:
    (path / "file").write_text(text)
    git(path, "add", "-A")
    git(path, "commit", "-q", "-m", text)
    return git(path, "rev-parse", "HEAD")


@pytest.fixture
def work(tmp_path: Path) -> Path:
    (tmp_path / "root").mkdir()
    for name in ("sub", "main"):
        (tmp_path / name).mkdir()
        git(tmp_path / name, "init", "-q", "-b", "main")
        commit(tmp_path / name, "one")
    git(tmp_path / "main", "submodule", "add", "-q", str(tmp_path / "sub"), "inner")
    commit(tmp_path / "main", "two")
    git(tmp_path, "clone", "-q", "--recursive", str(tmp_path / "main"), "work")
    return tmp_path / "work"


def engine(work: Path) -> Engine:
    return Engine(str(work.parent / "root"))


def capture(work: Path) -> bool:
    return bool(backup(engine(work), [{"kind": "git", "path": str(work)}], None, "", False)["changed"])


def test_commits_come_back_offline(work: Path, tmp_path: Path) -> None:
    recorded = GitResource(str(work)).observe()
    assert recorded["branch"] == "main"
    assert list(recorded["submodules"]) == ["inner"]
    assert capture(work)
    assert not capture(work)
    commit(tmp_path / "sub", "newer")
    git(work / "inner", "fetch", "-q")
    git(work / "inner", "checkout", "-q", "origin/main")
    commit(work, "newer")
    shutil.rmtree(tmp_path / "main")
    shutil.rmtree(tmp_path / "sub")
    assert len(GitResource(str(work)).differences(recorded)) == 1
    result = rollback(engine(work), "last", False, [], False)
    assert result["plan"]["restore"]
    assert GitResource(str(work)).observe() == recorded
    assert (work / "file").read_text() == "two"
    assert (work / "inner/file").read_text() == "one"
    assert rollback(engine(work), "last", False, [], False)["changed"] is False


def test_detached_head_comes_back(work: Path) -> None:
    git(work, "checkout", "-q", "--detach", "HEAD~1")
    git(work, "submodule", "deinit", "-q", "-f", "--all")
    recorded = GitResource(str(work)).observe()
    assert recorded["branch"] is None
    capture(work)
    git(work, "checkout", "-q", "main")
    rollback(engine(work), "last", False, [], False)
    assert GitResource(str(work)).observe() == recorded


def test_absent_is_removed(work: Path, tmp_path: Path) -> None:
    os.rename(work, tmp_path / "elsewhere")
    capture(work)
    os.rename(tmp_path / "elsewhere", work)
    rollback(engine(work), "last", False, [], False)
    assert not work.exists()


def test_changes_are_refused(work: Path) -> None:
    (work / "file").write_text("not committed")
    with pytest.raises(CaptureError, match="not committed"):
        capture(work)


def test_changes_since_are_a_conflict_and_kept(work: Path) -> None:
    git(work, "config", "user.name", "t")
    git(work, "config", "user.email", "t@example.com")
    capture(work)
    (work / "file").write_text("precious")
    with pytest.raises(ConflictError, match="not committed"):
        rollback(engine(work), "last", False, [], False)
    rollback(engine(work), "last", True, [], False)
    assert (work / "file").read_text() == "two"
    kept = git(work, "for-each-ref", "--format=%(refname)", "refs/sage")
    assert git(work, "show", f"{kept}:file") == "precious"


def test_no_work_tree_is_refused(work: Path, tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    with pytest.raises(CaptureError, match="no git work tree"):
        capture(tmp_path / "plain")
