# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which commit a branch or tag is, as the role looks it up: on real repositories."""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess

import pytest

SCRIPT = pathlib.Path(__file__).resolve().parents[2] / "roles/sage/files/look_up_commit.sh"
pytestmark = pytest.mark.skipif(not shutil.which("git"), reason="git is not installed")
ENVIRONMENT = {
    **os.environ,
    **{f"GIT_{who}_{what}": "x" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
    "GIT_CONFIG_GLOBAL": "/dev/null",
}


def _git(where: pathlib.Path, *words: str) -> str:
    done = subprocess.run(["git", "-C", where, *words], env=ENVIRONMENT, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def _commit(where: pathlib.Path) -> str:
    _git(where, "commit", "-q", "--allow-empty", "-m", "x")
    return _git(where, "rev-parse", "HEAD")


def _look_up(name: str, clone: pathlib.Path, repository: pathlib.Path, ask: bool = True) -> list[str]:
    done = subprocess.run(
        ["sh", SCRIPT, name, clone, str(ask).lower()],
        env={**ENVIRONMENT, "SAGE_REPOSITORY": str(repository)},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()


@pytest.fixture
def repository(tmp_path: pathlib.Path) -> pathlib.Path:
    where = tmp_path / "repository"
    where.mkdir()
    _git(where, "init", "-q", "-b", "main")
    _commit(where)
    return where


def test_e28_a_branch_is_looked_up_again(tmp_path: pathlib.Path, repository: pathlib.Path) -> None:
    clone = tmp_path / "clone"
    first = _git(repository, "rev-parse", "HEAD")
    assert _look_up("main", clone, repository, ask=False) == [first]
    _git(tmp_path, "clone", "-q", str(repository), str(clone))
    second = _commit(repository)
    for name in ("main", "HEAD"):
        assert _look_up(name, clone, repository) == [second]
        assert _look_up(name, clone, repository, ask=False) == [first]
        # A rerun without the network keeps what is there, and says so.
        assert _look_up(name, clone, tmp_path / "gone") == [first, "unreached"]
    assert _look_up("main", tmp_path / "none", tmp_path / "gone") == ["", "unreached"]


def test_e28_a_tag_is_the_commit_it_points_to_and_a_branch_comes_before_it(
    tmp_path: pathlib.Path, repository: pathlib.Path
) -> None:
    tagged = _git(repository, "rev-parse", "HEAD")
    _git(repository, "tag", "light")
    _git(repository, "tag", "-a", "-m", "x", "heavy")
    _git(repository, "tag", "both")
    _git(repository, "branch", "other/main")
    newer = _commit(repository)
    _git(repository, "branch", "both")
    for name, commit in (
        ("light", tagged),
        ("heavy", tagged),
        ("both", newer),
        ("main", newer),
        ("other/main", tagged),
    ):
        assert _look_up(name, tmp_path / "none", repository) == [commit]
    assert _look_up("absent", tmp_path / "none", repository) == [""]
