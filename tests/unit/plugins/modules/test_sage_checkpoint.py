# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module as Ansible runs it: JSON in, JSON out."""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import subprocess
import sys
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


@pytest.mark.slow
@pytest.mark.skipif(sys.version_info < (3, 11), reason="no SAGE runs on this Python")
def test_x11_what_a_module_makes_is_nobody_else_s_to_write(tmp_path: pathlib.Path) -> None:
    # Debian has the module venv without the pip that it brings.
    installer = "pip" if importlib.util.find_spec("ensurepip") else "uv"
    before = os.umask(0)
    try:
        said = run_module(
            "sage_venv", path=str(tmp_path / "root/.sage/venv"), python=sys.executable, installer=installer
        )
    finally:
        os.umask(before)
    made = [path for path in (tmp_path / "root").rglob("*") if not path.is_symlink()]
    assert len(made) > 5, said
    assert [str(path) for path in made if path.stat().st_mode & 0o022] == []


def test_e22_a_python_that_names_files_in_ascii_is_told_so(tmp_path: pathlib.Path) -> None:
    options = {
        "root": str(tmp_path / "\N{LATIN SMALL LETTER U WITH DIAERESIS}"),
        "phase": "cleanup",
        "status": "started",
    }
    code = (
        "import sys\n"
        "from ansible_collections.intellistream.sage.tests.unit.plugins.modules.running import run_module\n"
        f"print(ascii(run_module('sage_checkpoint', **{options!a})))\n"
    )
    # Only a new interpreter takes another encoding.
    ascii_only = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **ascii_only}, capture_output=True, text=True, check=False
    )
    said = ast.literal_eval(done.stdout) if done.stdout else pytest.fail(done.stderr)
    assert said["failed"]
    assert "set PYTHONUTF8 to 1" in said["msg"]


def test_e22_a_name_that_is_no_text_leaves_the_result_readable(tmp_path: pathlib.Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    name = os.fsdecode(b"name \xff.conf")
    (data / name).write_text("captured")
    run_module("sage_backup", root=str(tmp_path / "root"), resources=[{"kind": "files", "paths": [str(data)]}])
    (data / name).write_text("changed")
    said = run_module("sage_rollback", root=str(tmp_path / "root"), _ansible_check_mode=True, _ansible_diff=True)
    assert "name \\xff.conf" in str(said).replace("\\\\", "\\")
    json.dumps(said, ensure_ascii=False).encode()


def test_e27_a_call_that_records_nothing_makes_nothing(tmp_path: pathlib.Path) -> None:
    assert not run_module("sage_checkpoint", root=str(tmp_path / "root"))["changed"]
    assert list(tmp_path.iterdir()) == []
