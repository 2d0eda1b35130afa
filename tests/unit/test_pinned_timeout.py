# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""No timeout that a caller hands down reaches a task of the role that undoes."""

from __future__ import annotations

import pathlib
import re

import pytest

TASKS = pathlib.Path(__file__).resolve().parents[2] / "roles/sage/tasks"
CALL = re.compile(r"(?m)^( *)intellistream\.sage\.sage_rollback:\n(?:\1 +.*\n|\n)*")
UNDOING = [
    pytest.param(path, match, id=f"{path.relative_to(TASKS)}:{match.start()}")
    for path in sorted(TASKS.rglob("*.yml"))
    for match in CALL.finditer(path.read_text(encoding="utf-8"))
]


def _task(text: str, match: re.Match[str]) -> str:
    """The task around a call: from its name to the next line that is less indented."""
    indent = match[1]
    begin = text.rindex(f"\n{indent[:-2]}- name:", 0, match.start())
    end = re.compile(rf"(?m)^(?!{indent}|\n)").search(text, match.end())
    return text[begin : end.start() if end else len(text)]


@pytest.mark.parametrize(("path", "match"), UNDOING)
def test_e22_a_task_timeout_does_not_cut_an_undo_off(path: pathlib.Path, match: re.Match[str]) -> None:
    text = path.read_text(encoding="utf-8")
    if not text.rfind("module_defaults:\n", 0, match.start()) < text.rfind("- name:", 0, match.start()):
        return
    task = _task(text, match)
    # A prediction undoes nothing.
    assert "\n" + match[1] + "timeout: 0\n" in task or "check_mode: true" in task


def test_undoing_tasks_are_found() -> None:
    assert len(UNDOING) >= 8
