# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The plain copies that tell what was there before an installation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._calls.backup import backup
from ansible_collections.intellistream.sage.plugins.module_utils._pruning.policy import Limits
from ansible_collections.intellistream.sage.plugins.module_utils._pruning.prune import retain
from ansible_collections.intellistream.sage.plugins.module_utils._records.session import Engine
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils.tinyvenv import TinyVenv

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def venv(tmp_path: Path) -> TinyVenv:
    return TinyVenv(tmp_path / "venv")


def backups(tmp_path: Path, resources: list[dict[str, Any]], phase: str | None = "python_deps") -> dict[str, str]:
    """What is in the directory after another capture, installation ids taken out of the names."""
    made = backup(Engine(str(tmp_path)), resources, phase, str(resources), False)["rollback_point"]
    tid = made["id"].rpartition(".")[0]
    where = tmp_path / ".sage/checkpoints/backups"
    return {path.name.replace(tid, "ID"): path.read_text() for path in where.glob("*")}


def test_the_first_capture_of_an_environment_decides(tmp_path: Path, venv: TinyVenv) -> None:
    venv.make()
    venv.install("two", "2.0")
    venv.install("one", "1.0")
    spec = {"kind": "venv", "path": str(venv.path), "distributions": [{"name": "one", "version": "3.0"}]}
    assert backups(tmp_path, [spec]) == {"environment_ID.txt": "one==1.0\ntwo==2.0\n"}
    venv.install("one", "3.0")
    assert backups(tmp_path, [{**spec, "distributions": []}]) == {"environment_ID.txt": "one==1.0\ntwo==2.0\n"}


def test_an_absent_environment_is_told(tmp_path: Path, venv: TinyVenv) -> None:
    spec = {"kind": "venv", "path": str(venv.path)}
    assert backups(tmp_path, [spec]) == {"environment_ID.txt": "# There was no environment.\n"}


def test_a_project_file_is_copied(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[project]\n")
    paths = [str(tmp_path / "absent/pyproject.toml"), str(tmp_path / "pyproject.toml"), str(tmp_path / "other")]
    assert backups(tmp_path, [{"kind": "files", "paths": paths}]) == {"pyproject_ID.toml": "[project]\n"}


def test_e8_the_files_themselves_are_copied(tmp_path: Path, venv: TinyVenv) -> None:
    """A list of packages was under the name of requirements.txt."""
    venv.make()
    venv.install("one", "1.0")
    (tmp_path / "requirements.txt").write_text("one>=1  # mine\n")
    (tmp_path / "src").mkdir()
    (tmp_path / "src/pyproject.toml").write_text("[project]\n")
    names = ("requirements.txt", "pyproject.toml", "src/requirements.txt", "src/pyproject.toml")
    files = {"kind": "files", "paths": [str(tmp_path / name) for name in names]}
    assert backups(tmp_path, [{"kind": "venv", "path": str(venv.path)}, files]) == {
        "requirements_ID.txt": "one>=1  # mine\n",
        "pyproject_ID.toml": "[project]\n",
        "environment_ID.txt": "one==1.0\n",
    }


def test_e6_points_made_by_hand_have_their_own_and_those_of_hooks_have_none(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[project]\n")
    files = [{"kind": "files", "paths": [str(tmp_path / "pyproject.toml")]}]
    backup(Engine(str(tmp_path)), files, None, "apt: install", False, "hook")
    assert backups(tmp_path, files, phase=None) == {"pyproject_ID.toml": "[project]\n"}
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'x'\n")
    backup(Engine(str(tmp_path)), files, None, "the next", False)
    assert len(list((tmp_path / ".sage/checkpoints/backups").iterdir())) == 2
    retain(Engine(str(tmp_path)), Limits(installations=1), False)
    assert [path.read_text() for path in (tmp_path / ".sage/checkpoints/backups").iterdir()] == [
        "[project]\nname = 'x'\n"
    ]
