# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What people read at the end of a run that went well."""

from __future__ import annotations

import time
import typing as t

import pytest

from ansible_collections.intellistream.sage.plugins.plugin_utils._outcome import outcome
from ansible_collections.intellistream.sage.plugins.plugin_utils._summary import summary

RECORD: dict[str, t.Any] = {
    "install_id": "20251115_143000",
    "progress": {
        "install_id": "20251115_143000",
        "start_time": "2025-11-15T14:30:00+00:00",
        "last_update": "2025-11-15T14:31:00+00:00",
        "can_rollback": True,
    },
    "data": {"verification": "SAGE verify\n- version : 0.3.2.4\n"},
    "captured_total": {"files": 3, "bytes": 4096, "seconds": 0.1},
    "timing": {
        "phases": {
            "python_deps": {"took": 12.5, "expected": 60},
            "sage_packages": {"took": None, "expected": 30},
            "verification": {"took": 1.5, "expected": 10},
        }
    },
}
PROGRESS = [
    "Installation 20251115_143000, from 2025-11-15T14:30:00+00:00 to 2025-11-15T14:31:00+00:00",
    "Run it with:  /s/.sage/venv/bin/sage",
    "Undo it with: back 20251115_143000",
]


def _distribution(name: str, action: str = "replace", **more: str) -> dict[str, str]:
    return {"name": name, "action": action, "group": "third_party", "from_version": "", "version": "1.0", **more}


def _plan(*distributions: dict[str, str]) -> dict[str, t.Any]:
    return {"known": True, "installer": "uv", "distributions": list(distributions)}


def _summary(dry: bool = False, **options: t.Any) -> list[str]:
    given = {
        **dict.fromkeys(("status", "verified", "stays", "not_undone"), ""),
        **{name: {} for name in ("plan", "failure", "rollback", "record")},
        "phases": [],
        "unverified": [],
        "environment_kept": False,
        "gone": [],
        "checkpoints": "/s/.sage/checkpoints",
        "root": "/s",
        "install_mode": "standard",
        "checkpointing": True,
        "window_end": None,
        **options,
    }
    return summary(given, outcome(given, dry), dry, lambda install_id: f"back {install_id}").splitlines()


def test_nothing_was_left_to_do() -> None:
    lines = _summary(record=RECORD, plan=_plan(_distribution("isage")), window_end=9.0)
    assert lines == ["SAGE 0.3.2.4 (standard) is installed in /s; nothing was left to do.", *PROGRESS]
    # What was taken back cannot be taken back again.
    record = {**RECORD, "progress": {**RECORD["progress"], "can_rollback": False}}
    assert _summary(record=record)[1:] == PROGRESS[:2]


def test_a_run_that_continues_tells_what_the_whole_installation_changed_and_what_it_did() -> None:
    pytest.importorskip("jinja2", reason="sizes are written on a control node")
    changes = [
        {"name": "isage", "from_version": "1.0", "version": "2.0"},
        {"name": "numpy", "from_version": "", "version": "2.1"},
    ]
    record = {**RECORD, "changes": changes}
    lines = _summary(record=record, phases=["verification", "cleanup"])
    assert lines[1:3] == [
        "Changed 2 distributions: isage 1.0 -> 2.0, numpy 2.1",
        "An earlier run had done all of that. This one ran verification, cleanup.",
    ]
    plan = _plan(_distribution("isage", from_version="1.0", version="2.0"), _distribution("numpy", "keep"))
    lines = _summary(record=record, plan=plan, phases=["sage_packages", "verification", "cleanup"])
    here = "Of these, this run changed 1 distribution: isage 1.0 -> 2.0."
    ran = "It ran sage_packages, verification, cleanup; an earlier run had done the rest."
    assert lines[1:3] == ["Changed 2 distributions: isage 1.0 -> 2.0, numpy 2.1", f"{here} {ran}"]
    # Nobody had begun it.
    lines = _summary(record={**record, "changes": changes[:1]}, plan=plan, phases=["python_deps"])
    assert lines[1] == "Changed 1 distribution with uv: isage 1.0 -> 2.0"


def test_k10_what_goes_with_an_environment_that_is_made_anew_is_named() -> None:
    pytest.importorskip("jinja2", reason="sizes are written on a control node")
    gone = ["pip 25.0", "notes.txt (a file)"]
    lines = _summary(record=RECORD, phases=["environment_setup"], gone=gone)
    told = (
        "The environment was made anew. Not in the new one: pip 25.0, notes.txt (a file). A rollback brings that back."
    )
    assert lines[1] == told
    lines = _summary(dry=True, phases=["environment_setup"], gone=gone)
    assert lines[1] == "The environment would be made anew. Not in the new one: pip 25.0, notes.txt (a file)."


def test_k1_an_environment_that_was_not_made_anew_is_named() -> None:
    lines = _summary(record=RECORD, environment_kept=True)
    assert lines[1].startswith("Its environment is usable, and was not made anew: sage_recreate_venv")
    assert "anew" not in "".join(_summary(record=RECORD))


def test_k1_what_could_not_be_verified_is_not_said_to_be() -> None:
    pytest.importorskip("jinja2", reason="sizes are written on a control node")
    sentence = "1 file of yaml 6.0 is not in RECORD any more: lib/yaml.py"
    first, second, *dummy = _summary(phases=["verification"], record={**RECORD, "unverified": [sentence]})
    assert first == "SAGE 0.3.2.4 (standard) is installed in /s and verified, but for what follows."
    assert second == f"Not verified: {sentence}."
    assert _summary(record={**RECORD, "unverified": [sentence]})[1] == second


def test_an_installation_tells_what_changed() -> None:
    pytest.importorskip("jinja2", reason="sizes are written on a control node")
    plan = _plan(
        _distribution("isage", "add", group="sage", version="0.3.2.4"),
        _distribution("numpy", from_version="1.26.4", version="2.0.0"),
        _distribution("wheel", "keep"),
        _distribution("own", "add", version=""),
    )
    assert _summary(phases=["python_deps"], record=RECORD, plan=plan, window_end=time.time() + 3600.4) == [
        "SAGE 0.3.2.4 (standard) is installed in /s and verified.",
        "Changed 3 distributions with uv: isage 0.3.2.4, numpy 1.26.4 -> 2.0.0, own (built)",
        "Captured before that: 3 files, 4.0 KiB, in 0.1 s",
        "Window: 3600 s are left. python_deps took 12.5 s of 60 s expected, verification took 1.5 s of 10 s expected.",
        *PROGRESS,
    ]
    many = _plan(_distribution("isage", group="sage"), *(_distribution(f"d{number}") for number in range(8)))
    lines = _summary(phases=["python_deps"], record=RECORD, plan=many)
    assert lines[1] == "Changed 9 distributions with uv: among them isage 1.0"
    lines = _summary(phases=["cleanup"], record=RECORD, plan=_plan(_distribution("isage", "keep")))
    assert lines[1] == "Every distribution was there already; what was begun is finished."


def test_a_prediction_names_the_phases() -> None:
    lines = _summary(True, phases=["python_deps", "cleanup"], record=RECORD, plan=_plan(_distribution("isage")))
    assert lines == [
        "SAGE would be installed in /s. Phases to run: python_deps, cleanup.",
        "Would change 1 distribution with uv: isage 1.0",
    ]
    lines = _summary(True, phases=["cleanup"], plan=_plan(_distribution("isage", "keep")))
    assert lines[1:] == ["Every distribution is there already; none would be changed."]
    assert _summary(True, phases=["cleanup"], plan={"known": False})[1:] == []


def test_without_a_record() -> None:
    lines = _summary(phases=["python_deps"], verified="- version : 0.3.2.4", checkpointing=False)
    assert lines == [
        "SAGE 0.3.2.4 (standard) is installed in /s and verified.",
        "Checkpointing is off: this installation cannot be continued or rolled back.",
    ]


def test_what_a_host_answers_is_no_other_line() -> None:
    hostile = {
        "progress": {"install_id": "a\nb\x1b[2J", "start_time": [], "last_update": 3, "can_rollback": "yes"},
        "data": {"verification": ["x"]},
        "captured_total": {"files": "many", "bytes": "all"},
        "timing": {"phases": {"a\nb": {"took": "\x1b"}, "c": 3}},
    }
    plan = {"known": 1, "distributions": ["x", {"name": "a\nb"}], "installer": None}
    lines = _summary(phases=["a\nb"], record=hostile, plan=plan, window_end=1.0)
    assert len(lines) == 6, lines
    assert "\x1b" not in "".join(lines)
    assert _summary(record={"progress": ["x"], "timing": "y"}, phases=["x"], plan={"known": True}, window_end=0.0)
