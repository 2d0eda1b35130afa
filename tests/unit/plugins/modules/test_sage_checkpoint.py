# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module as Ansible runs it: JSON in, JSON out."""

from __future__ import annotations

import json
import typing as t

import pytest

from ansible_collections.intellistream.sage.tests.unit.plugins.modules.running import run_module

if t.TYPE_CHECKING:
    import pathlib


def test_options_become_one_call(tmp_path: pathlib.Path) -> None:
    result = run_module(
        "sage_checkpoint",
        root=str(tmp_path / "sage"),
        install_mode="dev",
        inputs={"python_deps": {"version": "1"}},
        transitions=[
            {"phase": "environment_setup", "status": "completed", "data": {"a": [1, None]}},
            {"phase": "python_deps", "status": "started"},
        ],
    )
    assert result["changed"]
    assert result["phases"]["python_deps"] == "started"
    assert result["data"] == {"environment_setup": {"a": [1, None]}}
    told = run_module("sage_checkpoint_info", root=str(tmp_path / "sage"))
    assert told["install_id"] == result["install_id"]
    assert told["progress"] == result["progress"]
    assert not told["changed"]


def test_check_mode_and_absent(tmp_path: pathlib.Path) -> None:
    root = tmp_path / "sage"
    assert run_module("sage_checkpoint", root=str(root), phase="cleanup", status="started", _ansible_check_mode=True)[
        "changed"
    ]
    assert not root.exists()
    assert not run_module("sage_checkpoint", root=str(root), state="absent")["changed"]


def test_the_environment_names_another_place(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAGE_CHECKPOINT_DIR", str(tmp_path / "elsewhere"))
    run_module("sage_checkpoint", root=str(tmp_path / "sage"), phase="cleanup", status="started")
    assert (tmp_path / "elsewhere" / "ledger.jsonl").exists()
    assert not (tmp_path / "sage").exists()


@pytest.mark.parametrize(
    "options",
    [
        {"phase": "cleanup"},
        {"status": "started"},
        {"decided": {"run": "r1", "decision": "abort"}, "phase": "cleanup", "status": "started"},
        {"data": "x"},
        {"phase": "nonsense", "status": "started"},
        {"phase": "cleanup", "status": "rolled_back"},
        {"phase": "cleanup", "status": "started", "transitions": []},
    ],
)
def test_options_that_contradict_each_other(tmp_path: pathlib.Path, options: dict[str, t.Any]) -> None:
    assert run_module("sage_checkpoint", root=str(tmp_path / "sage"), **options)["failed"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("module", ["sage_checkpoint", "sage_checkpoint_info"])
def test_errors_are_words_and_data(tmp_path: pathlib.Path, module: str) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "sage").mkdir()
    (tmp_path / "sage" / ".sage").symlink_to(tmp_path / "real")
    result = run_module(module, root=str(tmp_path / "sage"))
    assert result["failed"]
    assert result["error"]["kind"] == "UnsafePath"
    assert "What to do:" in result["msg"]
    assert "Traceback" not in json.dumps(result)


def test_a_root_that_no_directory_can_be(tmp_path: pathlib.Path) -> None:
    # Ansible's own logging refuses the NUL before the module gets to.
    assert run_module("sage_checkpoint", root="/tmp/with\0nul")["failed"]
    result = run_module("sage_checkpoint", root=str(tmp_path / "sage"), checkpoint_dir=f"{tmp_path}/file/below")
    assert "failed" not in result
    (tmp_path / "plain").write_text("")
    result = run_module("sage_checkpoint", root=f"{tmp_path}/plain/below")
    assert result["failed"]
    assert "Traceback" not in json.dumps(result)
