# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The table of the status: what a host says stays in its row, whatever it says."""

from __future__ import annotations

import json
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.intellistream.sage.plugins.plugin_utils import _cell, _status

DONE: dict[str, t.Any] = {
    "exists": True,
    "status": "completed",
    "version": "0.3.2.4",
    "in_force": "20251115_143000",
    "install_id": "20251115_143000",
    "resume": {"phase": None, "reasons": []},
    "ledger": {"message": ""},
    "fleet": None,
    "phases": {},
}
FAILED: dict[str, t.Any] = {
    **DONE,
    "status": "failed",
    "version": "0.3.2.3",
    "resume": {"phase": "python_deps", "reasons": [{"phase": "python_deps", "reason": "it failed"}]},
    "phases": {"python_deps": {"status": "failed", "data": {"message": "no route to the index"}}},
}
DRIFTED: dict[str, t.Any] = {
    **DONE,
    "resume": {"phase": "sage_packages", "reasons": [{"phase": "sage_packages", "reason": "isage was 1, is gone"}]},
}
DOUBT: dict[str, t.Any] = {
    **DONE,
    "status": "prepared",
    "fleet": {"state": "in_doubt", "since": "2025-11-15T14:30:00.000+08:00", "run": "r", "asks": True},
}
FORGED = "x\nh002  9.9.9  completed  -  nothing to do\r\x1b[2J\x1b]0;mine\x07\u2028\u202e\x00"
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def test_e17_columns_and_the_count() -> None:
    hosts: dict[str, t.Any] = {"a": DONE, "bb": FAILED, "c": DRIFTED, "d": DOUBT, "e": {"exists": False}, "f": {}}
    rows = [_status.row(host, record, {"msg": "Nobody decided."}) for host, record in hosts.items()]
    lines = _status.table(rows, []).splitlines()
    assert [line.split(None, 3)[:3] for line in lines[:-1]] == [
        ["HOST", "SAGE", "STATUS"],
        ["a", "0.3.2.4", "completed"],
        ["bb", "0.3.2.3", "failed"],
        ["c", "0.3.2.4", "drift"],
        ["d", "0.3.2.4", "doubt"],
        ["e", "-", "none"],
        ["f", "-", "unknown"],
    ]
    assert "python_deps: no route to the index" in lines[2]
    assert lines[2].endswith("install_sage, from python_deps")
    assert "sage_packages: isage was 1, is gone" in lines[3]
    assert "in doubt since 2025-11-15T14:30:00. Nobody decided." in lines[4]
    assert lines[-1] == "6 hosts: 1 failed, 1 doubt, 1 drift, 1 unknown, 1 none, 1 completed"


def test_e17_after_an_undo_the_error_is_why() -> None:
    """It said that it was rolled back, and of a version that is in force nothing."""
    undone = {"python_deps": {"status": "rolled_back", "data": None, "failure": {"message": "no route to the index"}}}
    row = _status.row("h", {**FAILED, "phases": undone}, {})
    assert (row.status, row.why) == ("failed", "python_deps: no route to the index")
    row = _status.row("h", {**FAILED, "status": "rolled_back", "phases": undone}, {})
    assert row.why == "as 20251115_143000: python_deps: no route to the index"
    # By hand, of what had gone well.
    good = {"python_deps": {"status": "rolled_back", "data": "x", "failure": None}}
    row = _status.row("h", {**DONE, "status": "rolled_back", "phases": good}, {})
    assert row.why == "as 20251115_143000"


def test_k2_whoever_is_at_work_is_told_and_a_dead_run_is_none() -> None:
    """A run that was killed was shown as running."""
    running = {**DONE, "status": "running", "resume": {"phase": "python_deps", "reasons": [{"reason": "it is"}]}}
    told = "run r1 of alice on deploy is at work since 2025-11-15T14:30:00 (last call 3 s ago)"
    row = _status.row("h", {**running, "at_work": {"told": told}}, {})
    assert (row.status, row.why, row.next) == ("running", told, "ask again when it has ended")
    row = _status.row("h", {**running, "at_work": None}, {})
    assert (row.status, row.next) == ("interrupted", "install_sage, from python_deps")


def test_k1_what_rollback_sh_took_back_is_not_to_be_installed_again() -> None:
    """The next step was the installation that somebody had just taken back."""
    told = "rollback.sh took back the change 20251115_143000 at 2025-11-15T15:00:00, which is not on record yet"
    row = _status.row("h", {**DRIFTED, "script": {"ended": True, "told": told}}, {})
    assert (row.status, row.why, row.next) == ("rolled_back", told, "rollback_sage, to record that")
    row = _status.row("h", {**DRIFTED, "script": {"ended": False, "told": "rollback.sh began"}}, {})
    assert (row.status, row.next) == ("interrupted", "rollback_sage, to finish that")


def test_e17_only_what_is_asked_for_is_shown_and_all_is_counted() -> None:
    rows = [_status.row(f"h{number:03}", FAILED if number % 70 == 1 else DONE, {}) for number in range(200)]
    lines = _status.table(rows, ["failed", "doubt", "drift"]).splitlines()
    assert [line.split()[0] for line in lines] == ["HOST", "h001", "h071", "h141", "200"]
    assert lines[-1] == "200 hosts: 3 failed, 197 completed; 3 shown"
    assert _status.table(rows, ["doubt"]) == "200 hosts: 3 failed, 197 completed; 0 shown\n"


@pytest.mark.parametrize(
    "record",
    [
        {**DONE, "version": FORGED},
        {"msg": FORGED},
        {**DONE, "status": FORGED},
        {**DONE, "ledger": {"message": FORGED}},
        {**FAILED, "phases": {FORGED: {"status": "failed", "data": {"message": FORGED}}}},
        {**DRIFTED, "resume": {"phase": FORGED, "reasons": [{"reason": FORGED}]}},
        {**DONE, "status": "rolled_back", "in_force": FORGED},
        {**DOUBT, "fleet": {"state": "in_doubt", "since": FORGED, "run": FORGED}},
        {**DONE, "at_work": {"told": FORGED}},
        {**DONE, "script": {"told": FORGED}},
        {**DOUBT, "fleet": {"state": "aborting", "run": FORGED * 1000}},
    ],
)
def test_x9_a_host_cannot_forge_rows(record: dict[str, t.Any]) -> None:
    table = _status.table([_status.row("h001", record, {}), _status.row("h002", FAILED, {})], [])
    lines = table.split("\n")
    assert [line.split(" ")[0] for line in lines] == ["HOST", "h001", "h002", "2", ""]
    assert all(line.isprintable() for line in lines)
    # Two spaces are what separates columns.
    assert "  9.9.9" not in table
    assert max(map(_cell.width, lines)) < 800


@given(record=JSON, answer=JSON, field=st.sampled_from(sorted(DONE)), text=st.text())
def test_x9_whatever_a_host_says_is_one_row(record: object, answer: object, field: str, text: str) -> None:
    for told in (record, {**FAILED, field: record}, {**DOUBT, field: text}):
        row = _status.row("h", told, answer)
        lines = _status.table([row], []).split("\n")
        assert len(lines) == 4
        assert all(line.isprintable() for line in lines)
        assert row.status in _status.STATES
        json.dumps(_status.details(row, told, answer, True))


def test_x9_cells_are_measured_as_a_terminal_shows_them() -> None:
    assert _cell.cell("a\tb  c\n") == "a b c"
    assert _cell.cell("\x1b[31m") == "\\x1b[31m"
    assert _cell.cell("e\u0301") == "e\\u0301"
    assert _cell.width(_cell.cell("主机" * 50, 20)) <= 20
    assert _cell.cell("x" * 21, 20) == "x" * 17 + "..."
    assert _cell.cell("x" * 20, 20) == "x" * 20
    assert _cell.cell("\x00" * 10**7, 20).endswith("...")
    assert _cell.cell(None) == ""


def test_e27_a_host_that_only_makes_points_has_no_installation() -> None:
    row = _status.row("h", {**DONE, "status": None, "install_id": None, "version": None}, {})
    assert row.status == "none"
    assert "points to go back to" in row.why
