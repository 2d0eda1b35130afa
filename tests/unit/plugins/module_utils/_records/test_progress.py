# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""install_progress.json: eleven keys with the original's meaning, and what a found file is worth."""

from __future__ import annotations

import json
import typing as t

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._records import progress
from ansible_collections.intellistream.sage.plugins.module_utils._records.installation import (
    PHASES,
    Installation,
    fold,
    installations,
)
from ansible_collections.intellistream.sage.plugins.module_utils._records.progress import KEYS
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils.recorded import event as recorded
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils.recorded import line

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._records.ledger import LedgerLine


def _entries(*lines: list[dict[str, t.Any]]) -> list[LedgerLine]:
    return [line(seq, "20251115_143000", *events) for seq, events in enumerate(lines, 1)]


def installations_of(lines: t.Iterable[LedgerLine]) -> list[Installation]:
    return installations(fold(lines))


def _after(*events: dict[str, t.Any]) -> dict[str, t.Any]:
    return {**progress.view(installations_of(_entries([{"event": "begun"}, *events]))[0])}


def _phase(phase: str, status: str, data: t.Any = None) -> dict[str, t.Any]:
    return {"event": "phase", "phase": phase, "status": status, "data": data}


def test_the_eleven_keys() -> None:
    view = _after()
    assert tuple(view) == KEYS
    assert view == {
        "install_id": "20251115_143000",
        "start_time": "t1",
        "current_phase": "environment_setup",
        "completed_phases": [],
        "failed_phases": [],
        "install_mode": "",
        "environment_name": "",
        "python_path": "",
        "backup_created": False,
        "can_rollback": False,
        "last_update": "t1",
        "last_error": None,
        "additional_data": {},
    }


def test_s60_what_failed_and_what_callers_said() -> None:
    failed = [_phase("environment_setup", "completed", "as ever"), _phase("python_deps", "failed", {"message": "no"})]
    view = _after(*failed)
    assert view["last_error"] == "python_deps: no"
    assert view["additional_data"] == {"environment_setup": "as ever", "python_deps": {"message": "no"}}
    undone = {"event": "undone", "outcome": "exact", "phases": ["python_deps"]}
    assert _after(*failed, undone)["last_error"] == "python_deps: no"
    again = _after(*failed, _phase("python_deps", "started"))
    assert again["last_error"] is None
    assert again["additional_data"] == {"environment_setup": "as ever"}
    assert _after(_phase("cleanup", "failed"))["last_error"] == "cleanup: it failed"


@pytest.mark.parametrize(
    ("events", "current", "completed", "failed"),
    [
        ([_phase("environment_setup", "started")], "environment_setup", 0, []),
        ([_phase("environment_setup", "completed")], "submodule_sync", 1, []),
        ([_phase("environment_setup", "completed"), _phase("submodule_sync", "skipped")], "python_deps", 2, []),
        ([_phase("environment_setup", "failed", "no")], "environment_setup", 0, ["environment_setup"]),
        ([_phase("environment_setup", "failed"), _phase("python_deps", "started")], "python_deps", 0, None),
        ([_phase(name, "completed") for name in PHASES], "cleanup", 6, []),
    ],
)
def test_phases(events: list[dict[str, t.Any]], current: str, completed: int, failed: list[str] | None) -> None:
    view = _after(*events)
    assert view["current_phase"] == current
    assert view["completed_phases"] == list(PHASES[:completed])
    assert view["failed_phases"] == (["environment_setup"] if failed is None else failed)


def test_a_failed_phase_that_was_undone_still_counts_as_failed() -> None:
    undone = {"event": "undone", "outcome": "exact", "points": [], "phases": ["python_deps"]}
    view = _after(_phase("python_deps", "failed", "no"), undone)
    assert view["failed_phases"] == ["python_deps"]
    assert view["current_phase"] == "python_deps"
    assert (
        _after(_phase("python_deps", "failed", "no"), undone, _phase("python_deps", "started"))["failed_phases"] == []
    )


def test_backup_created_and_can_rollback() -> None:
    captured = {"event": "captured", "point": "20251115_143000.1", "phase": "cleanup"}
    undone = {"event": "undone", "outcome": "exact", "points": ["20251115_143000.1"]}
    assert (_after(captured)["backup_created"], _after(captured)["can_rollback"]) == (True, True)
    assert (_after(captured, undone)["backup_created"], _after(captured, undone)["can_rollback"]) == (True, False)


@pytest.mark.parametrize("text", ["安装", "a\nb\"'", "\ud800", "$(id) {{ x }} \0"])
def test_labels_survive(text: str) -> None:
    installation = Installation("20251115_143000", "t0")
    installation.apply(recorded({"event": "described", "install_mode": text}), "t1")
    content = progress.render(installation)
    assert json.loads(content)["install_mode"] == text
    assert content.endswith(b"}\n")


def test_chinese_is_readable_in_the_file() -> None:
    installation = Installation("20251115_143000", "t0")
    installation.apply(recorded({"event": "described", "environment_name": "环境"}), "t1")
    assert "环境".encode() in progress.render(installation)


ENTRIES = _entries([{"event": "begun"}], [_phase("python_deps", "started")], [_phase("python_deps", "failed")])


@pytest.mark.parametrize(
    ("content", "condition"),
    [
        (None, "missing"),
        (b"", "corrupt"),
        (b"\0" * 300, "corrupt"),
        (b"[]", "corrupt"),
        (b"{", "corrupt"),
        (b"\xff\xfe", "corrupt"),
        # Nested too deeply (X11).
        (b"[" * 200_000, "corrupt"),
        (b"{}", "edited"),
        (progress.render(installations_of(ENTRIES)[0]), "current"),
        (progress.render(installations_of(ENTRIES[:2])[0]), "stale"),
        (progress.render(installations_of(ENTRIES[:1])[0]), "stale"),
        (progress.render(installations_of(ENTRIES)[0]) + b" ", "edited"),
        (progress.render(installations_of(ENTRIES)[0])[:-20], "corrupt"),
    ],
)
def test_condition(content: bytes | None, condition: str) -> None:
    assert progress.condition(content, ENTRIES) == condition


def test_the_file_of_an_installation_that_was_just_replaced_is_stale() -> None:
    ended = {"event": "ended", "status": "abandoned", "installations": ["20251115_143000"]}
    entries = [
        *ENTRIES,
        line(4, "20251115_150000", ended, {"event": "begun"}),
    ]
    assert progress.condition(progress.render(installations_of(ENTRIES)[0]), entries) == "stale"
    assert progress.condition(progress.render(installations_of(entries)[1]), entries) == "current"
