# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What events add up to."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._records.installation import (
    PHASES,
    Installation,
    fold,
    installations,
)
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils.recorded import event as recorded
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils.recorded import line

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._records.ledger import LedgerLine


def _installation(*events: dict[str, t.Any]) -> Installation:
    installation = Installation("20251115_143000", "t0")
    for number, event in enumerate(events, 1):
        installation.apply(recorded(event), f"t{number}")
    return installation


def _phase(phase: str, status: str, **more: t.Any) -> dict[str, t.Any]:
    return {"event": "phase", "phase": phase, "status": status, **more}


def _interrupted(installation: Installation) -> bool:
    return installation.undoing is not None


def _statuses(installation: Installation) -> list[str]:
    return [phase.status for phase in installation.phases.values()]


def test_a_new_one_is_running_with_all_phases_pending() -> None:
    installation = _installation()
    assert installation.status == "running"
    assert _statuses(installation) == ["pending"] * 6
    assert installation.unfinished


def test_begun_remembers_inputs_labels_and_carried_phases() -> None:
    done = {"status": "completed", "started": "a", "ended": "b", "data": "d", "failure": None, "result": [{"spec": 1}]}
    installation = _installation(
        {
            "event": "begun",
            "inputs": {"python_deps": {"version": "1"}},
            "environment": {"os": "debian"},
            "carried": {"environment_setup": done},
            "install_mode": "dev",
        }
    )
    assert installation.inputs == {"python_deps": {"version": "1"}}
    assert installation.environment == {"os": "debian"}
    assert installation.phases["environment_setup"].as_dict() == done
    assert installation.labels["install_mode"] == "dev"


def test_it_completes_with_its_last_phase() -> None:
    installation = _installation(*[_phase(name, "skipped" if name == "cleanup" else "completed") for name in PHASES])
    assert installation.status == "completed"
    assert not installation.unfinished


def test_a_start_sets_what_rests_on_it_back() -> None:
    installation = _installation(*[_phase(name, "completed") for name in PHASES], _phase("python_deps", "started"))
    assert _statuses(installation) == ["completed", "completed", "started", "pending", "pending", "pending"]
    assert installation.status == "running"


def test_times_data_failure_and_result_of_a_phase() -> None:
    failed = _installation(_phase("python_deps", "started"), _phase("python_deps", "failed", data="no disk"))
    phase = failed.phases["python_deps"]
    assert (phase.started, phase.ended, phase.data, phase.failure) == ("t1", "t2", "no disk", "no disk")
    assert failed.status == "failed"
    assert failed.unfinished
    failed.apply(recorded(_phase("python_deps", "started")), "t3")
    failed.apply(recorded(_phase("python_deps", "completed", result=[{"spec": {}, "facts": {}}])), "t4")
    assert (phase.started, phase.ended, phase.data, phase.failure) == ("t3", "t4", None, None)
    assert phase.result == [{"spec": {}, "facts": {}}]
    assert failed.updated == "t4"


def test_points_and_what_an_undo_uses_up() -> None:
    captured = {"event": "captured", "point": "20251115_143000.1", "phase": "python_deps"}
    installation = _installation(_phase("python_deps", "started"), captured, _phase("python_deps", "failed", data="x"))
    assert [point["point"] for point in installation.active_points] == ["20251115_143000.1"]
    undoing = {"event": "undoing", "points": ["20251115_143000.1"]}
    installation.apply(recorded(undoing), "t4")
    assert installation.undoing == recorded(undoing)
    undone = {"event": "undone", "points": ["20251115_143000.1"], "phases": ["python_deps"]}
    installation.apply(recorded({**undone, "outcome": "differs"}), "t5")
    assert not _interrupted(installation)
    assert installation.active_points
    installation.apply(recorded({**undone, "outcome": "exact"}), "t6")
    assert installation.active_points == []
    assert installation.points[0]["undone"] == "t6"
    assert installation.phases["python_deps"].status == "rolled_back"
    assert installation.phases["python_deps"].failure == "x"
    assert installation.status == "failed"
    installation.apply(recorded({**undone, "outcome": "exact", "status": "rolled_back"}), "t7")
    assert installation.status == "rolled_back"


def test_an_event_that_may_be_ignored_changes_nothing() -> None:
    installation = _installation({"event": "from_the_future", "ignorable": True})
    assert installation.as_dict() == {**_installation().as_dict(), "updated": "t1"}


def _entry(seq: int, install_id: str, *events: dict[str, t.Any]) -> LedgerLine:
    return line(seq, install_id, *events)


def test_fold_keeps_installations_apart_and_in_order() -> None:
    entries = [
        _entry(1, "a", {"event": "begun"}),
        _entry(2, "a", _phase("cleanup", "failed")),
        _entry(3, "b", {"event": "ended", "status": "abandoned", "installations": ["a"]}, {"event": "begun"}),
        _entry(4, "b", {"event": "ended", "status": "rolled_back", "installations": ["b", "a", "unknown"]}),
    ]
    assert [(one.install_id, one.state) for one in fold(entries[:3])] == [("a", "abandoned"), ("b", "running")]
    assert [(one.install_id, one.state) for one in fold(entries)] == [("a", "rolled_back"), ("b", "rolled_back")]


@pytest.mark.parametrize("cut", range(4))
def test_folding_in_two_parts_is_folding_at_once(cut: int) -> None:
    entries = [
        _entry(1, "a", {"event": "begun"}, _phase("python_deps", "started")),
        _entry(2, "a", _phase("python_deps", "failed", data={"why": "x"})),
        _entry(3, "b", {"event": "ended", "status": "abandoned", "installations": ["a"]}, {"event": "begun"}),
    ]
    parts = fold(entries[cut:], fold(entries[:cut]))
    assert [one.as_dict() for one in installations(parts)] == [one.as_dict() for one in installations(fold(entries))]
