# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module as Ansible runs it."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.intellistream.sage.tests.unit.plugins.modules.running import run_module

if t.TYPE_CHECKING:
    import pathlib


def test_a_run(tmp_path: pathlib.Path) -> None:
    log = {"fleet_dir": str(tmp_path / "fleet")}
    begun = run_module("sage_decision", state="opened", **log)
    assert begun["changed"]
    assert begun["decision"] is None
    run = {"run": begun["run"], **log}
    hosts = {"hosts": ["a", "b"], "prepared": ["a", "b"], "seconds_left": {"a": "90", "b": 80.5}}
    predicted = run_module("sage_decision", state="decided", _ansible_check_mode=True, **run, **hosts)
    assert (predicted["decision"], predicted["changed"]) == ("commit", True)
    made = run_module("sage_decision", state="decided", **run, **hosts)
    assert (made["decision"], made["changed"], made["in_doubt"]) == ("commit", True, False)
    assert made["deadline"]
    later = run_module(
        "sage_decision", state="finished", decision_log=begun["decision_log"], hosts=["a"], word="abort", **run
    )
    assert (later["decision"], later["changed"]) == ("commit", False)
    elsewhere = {"run": begun["run"], "decision_log": begun["decision_log"], "fleet_dir": str(tmp_path / "other")}
    asked = run_module("sage_decision", state="finished", where=begun["where"], **elsewhere)
    assert (asked["decision"], asked["in_doubt"]) == (None, True)
    assert begun["where"] in asked["msg"]


@pytest.mark.parametrize(
    "options",
    [
        {"state": "decided", "hosts": ["a"]},
        {"state": "finished", "run": "r1"},
        {"state": "decided", "run": "r1"},
        {"state": "decided", "run": "a/b", "hosts": ["a"]},
        {"state": "decided", "run": "r1", "hosts": ["a"], "seconds_left": {"a": "soon"}},
        {"state": "opened", "run": "."},
    ],
)
def test_what_cannot_be_asked(tmp_path: pathlib.Path, options: dict[str, t.Any]) -> None:
    told = run_module("sage_decision", fleet_dir=str(tmp_path / "fleet"), **options)
    assert told["failed"]
    assert "Traceback" not in str(told)
    assert not (tmp_path / "fleet").exists()


def test_a_decision_that_was_edited(tmp_path: pathlib.Path) -> None:
    log = {"fleet_dir": str(tmp_path / "fleet"), "run": "r1"}
    run_module("sage_decision", state="decided", hosts=["a"], prepared=["a"], **log)
    file = tmp_path / "fleet" / "r1.json"
    file.write_text(file.read_text().replace("commit", "abort"))
    told = run_module("sage_decision", state="decided", hosts=["a"], prepared=["a"], **log)
    assert told["failed"]
    assert told["error"]["kind"] == "StateError"
    assert "Never remove it" in told["msg"]
