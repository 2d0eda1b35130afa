# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The verdict: the earliest phase that must run, and why."""

from __future__ import annotations

import hashlib
import os
import typing as t

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._calls.verdict import judge, on_host
from ansible_collections.intellistream.sage.plugins.module_utils._records.installation import PHASES, Installation
from ansible_collections.intellistream.sage.plugins.module_utils._registry import registry
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils.recorded import event as recorded
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils.tinyvenv import TinyVenv

if t.TYPE_CHECKING:
    import pathlib

    from ansible_collections.intellistream.sage.plugins.plugin_utils._events import Environment

HOST: Environment = {"os": "debian", "os_version": "12", "architecture": "x86_64"}
INPUTS: dict[str, dict[str, t.Any]] = {"environment_setup": {"python": "3.11"}, "sage_packages": {"version": "1"}}


def _installation(*moves: tuple[str, str], results: t.Any = None) -> Installation:
    """Begun for INPUTS on HOST; then these transitions."""
    one = Installation("20251115_143000", "t")
    one.apply(recorded({"event": "begun", "inputs": INPUTS, "environment": HOST}), "t")
    for phase, status in moves:
        event = {"event": "phase", "phase": phase, "status": status, "data": None}
        one.apply(recorded({**event, "result": (results or {}).get(phase)}), "t")
    return one


def _finished(results: t.Any = None) -> Installation:
    return _installation(*[(name, "completed") for name in PHASES], results=results)


def test_nothing_yet() -> None:
    verdict = judge(None, INPUTS, HOST)
    assert (verdict.state, verdict.phase) == ("none", "environment_setup")
    assert verdict.phases_to_run == list(PHASES)


def test_finished_and_as_recorded() -> None:
    verdict = judge(_finished(), INPUTS, HOST)
    assert verdict.as_dict() == {
        "state": "finished",
        "phase": None,
        "reasons": [],
        "phases_to_run": [],
        "damaged": [],
        "needed": False,
    }
    assert judge(_finished(), None, HOST).state == "finished"


@pytest.mark.parametrize(
    ("moves", "phase", "reason"),
    [
        ([], "environment_setup", "it has not run yet"),
        ([("environment_setup", "completed")], "submodule_sync", "it has not run yet"),
        ([("environment_setup", "completed"), ("submodule_sync", "skipped")], "python_deps", "it has not run yet"),
        ([("environment_setup", "started")], "environment_setup", "it was interrupted"),
        ([("environment_setup", "completed"), ("submodule_sync", "failed")], "submodule_sync", "it failed"),
    ],
)
def test_unfinished(moves: list[tuple[str, str]], phase: str, reason: str) -> None:
    verdict = judge(_installation(*moves), INPUTS, HOST)
    assert verdict.state == "unfinished"
    assert verdict.phase == phase
    assert verdict.reasons == [{"phase": phase, "reason": reason}]
    assert verdict.phases_to_run == list(PHASES[PHASES.index(phase) :])
    assert verdict.as_dict()["needed"]


def test_rolled_back() -> None:
    one = _installation(("environment_setup", "completed"), ("submodule_sync", "failed"))
    one.apply(recorded({"event": "undone", "outcome": "exact", "phases": ["submodule_sync"]}), "t")
    assert judge(one, INPUTS, HOST).reasons == [{"phase": "submodule_sync", "reason": "it was rolled back"}]


@pytest.mark.parametrize(
    ("inputs", "phase", "reason"),
    [
        ({**INPUTS, "sage_packages": {"version": "2"}}, "sage_packages", "input version changed from '1' to '2'"),
        ({**INPUTS, "sage_packages": {}}, "sage_packages", "input version changed from '1' to None"),
        ({**INPUTS, "verification": {"new": [1]}}, "verification", "input new changed from None to [1]"),
        ({}, "environment_setup", "input python changed from '3.11' to None"),
    ],
)
def test_changed_inputs(inputs: dict[str, dict[str, t.Any]], phase: str, reason: str) -> None:
    verdict = judge(_finished(), inputs, HOST)
    assert verdict.state == "outdated"
    assert verdict.phase == phase
    assert verdict.reasons[0] == {"phase": phase, "reason": reason}
    assert reason.startswith("input ")


def test_what_is_in_a_file_of_the_host_is_an_input(tmp_path: pathlib.Path) -> None:
    # A name that looks like a credential's hides nothing of what is compared.
    path = tmp_path / "token.txt"
    given = {"python_deps": {"environment": {"PIP_CONSTRAINT": str(path)}, "files_on_host": [str(path)]}}

    def content() -> object:
        return on_host(given)["python_deps"][f"content of {path}"]

    assert content() == ""
    path.write_text("yaml==6.0\n")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert on_host(given) == {
        "python_deps": {"environment": {"PIP_CONSTRAINT": str(path)}, f"content of {path}": digest}
    }
    path.write_text("yaml==6.1\n")
    assert content() not in ("", digest)
    # And so is what is in those that it includes, here each the other.
    inner = tmp_path / "inner.txt"
    path.write_text("-r inner.txt  # of all hosts\n")
    inner.write_text("pyyaml<6.0.4\n-c token.txt\n")
    nested = content()
    inner.write_text("pyyaml<6.0.3\n-c token.txt\n")
    assert content() not in ("", nested)
    path.unlink()
    os.mkfifo(path)
    assert content() == ""


def test_inputs_of_no_phase_change_nothing() -> None:
    assert judge(_finished(), {**INPUTS, "unknown": {"a": 1}}, HOST).state == "finished"


@pytest.mark.parametrize("fact", HOST)
def test_another_host_or_system_begins_with_the_first_phase(fact: str) -> None:
    verdict = judge(_finished(), INPUTS, t.cast("Environment", {**HOST, fact: "other"}))
    assert (verdict.state, verdict.phase) == ("outdated", "environment_setup")
    assert not any(reason["reason"].startswith("input ") for reason in verdict.reasons)


def test_the_earliest_phase_wins_and_all_reasons_are_told() -> None:
    one = _installation(("environment_setup", "completed"), ("python_deps", "failed"))
    verdict = judge(one, {**INPUTS, "cleanup": {"x": 1}}, {**HOST, "os_version": "13"})
    assert verdict.phase == "environment_setup"
    assert [reason["phase"] for reason in verdict.reasons] == ["environment_setup", "python_deps", "cleanup"]


def _observed(spec: dict[str, t.Any]) -> dict[str, t.Any]:
    return {"spec": spec, "facts": registry.make(spec).observe()}


def test_a_file_that_changed(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "file"
    path.write_text("content")
    one = _finished({"submodule_sync": [_observed({"kind": "files", "paths": [str(path)]})]})
    assert judge(one, INPUTS, HOST).state == "finished"
    path.unlink()
    verdict = judge(one, INPUTS, HOST)
    assert verdict.reasons == [{"phase": "submodule_sync", "reason": f"{path} was changed"}]


def test_drift_of_a_venv_leads_to_the_right_phase(tmp_path: pathlib.Path) -> None:
    venv = TinyVenv(tmp_path / "venv").make()
    venv.install("yaml", "6.0")
    venv.install("isage", "0.3")
    at = {"kind": "venv", "path": str(venv.path)}
    one = _finished(
        {
            "environment_setup": [_observed(at)],
            "python_deps": [_observed({**at, "distributions": [{"name": "yaml", "version": "6.0"}]})],
            "sage_packages": [_observed({**at, "distributions": [{"name": "isage", "version": "0.3"}]})],
        }
    )
    assert judge(one, INPUTS, HOST).state == "finished"
    venv.install("other", "1")
    assert judge(one, INPUTS, HOST).state == "finished"
    venv.uninstall("isage")
    assert judge(one, INPUTS, HOST).reasons == [{"phase": "sage_packages", "reason": "isage was 0.3, is gone"}]
    venv.install("yaml", "7.0")
    assert judge(one, INPUTS, HOST).phase == "python_deps"
    (venv.path / "bin" / "python").unlink()
    verdict = judge(one, INPUTS, HOST)
    assert verdict.phase == "environment_setup"
    assert "interpreter" in verdict.reasons[0]["reason"]


def test_a_phase_whose_result_was_not_there_when_it_ended(tmp_path: pathlib.Path) -> None:
    """Somebody else had taken it away in between, as another run of the same root may."""
    venv = TinyVenv(tmp_path / "venv")
    at = {"kind": "venv", "path": str(venv.path)}
    one = _finished({"environment_setup": [_observed(at)]})
    wanted = [{"phase": "environment_setup", "reason": f"{venv.path} was not there when it ended"}]
    assert judge(one, INPUTS, HOST).reasons == wanted
    venv.make()
    assert judge(one, INPUTS, HOST).reasons == wanted
    part = {**at, "distributions": [{"name": "Yaml", "version": "6.0"}]}
    one = _finished({"environment_setup": [_observed(at)], "python_deps": [_observed(part)]})
    wanted = [{"phase": "python_deps", "reason": "yaml was not there when it was recorded"}]
    assert judge(one, INPUTS, HOST).reasons == wanted
    venv.install("yaml", "6.0")
    assert judge(one, INPUTS, HOST).reasons == wanted


def test_a_result_that_cannot_be_judged_is_a_reason() -> None:
    one = _finished({"verification": [{"spec": {"kind": "nonsense", "path": "/x"}, "facts": {}}]})
    verdict = judge(one, INPUTS, HOST)
    assert verdict.phase == "verification"
    assert "nonsense" in verdict.reasons[0]["reason"]


NAMED = {"message": "not as it has to be", "differences": ["1 file of yaml 6.0 was edited: lib/yaml.py"]}


def _failed(data: t.Any, *, undone: list[str] | None = None, status: str | None = None) -> Installation:
    """Everything but the verification went well."""
    one = _installation(*[(name, "completed") for name in PHASES[:4]], (PHASES[4], "started"))
    one.apply(recorded({"event": "phase", "phase": PHASES[4], "status": "failed", "data": data}), "t")
    if undone is not None:
        one.apply(recorded({"event": "undone", "outcome": "exact", "phases": undone, "status": status}), "t")
    return one


def test_k9_what_verification_names_is_mended_by_the_phase_that_installs() -> None:
    """A rerun verified once more, for ever."""
    named = {"phase": "python_deps", "reason": "verification found: 1 file of yaml 6.0 was edited: lib/yaml.py"}
    assert judge(_failed(NAMED), INPUTS, HOST).reasons == [named, {"phase": PHASES[4], "reason": "it failed"}]
    undone = _failed(NAMED, undone=[PHASES[4]])
    assert judge(undone, INPUTS, HOST).reasons[0] == named
    # It ran since, so what was named may be mended.
    undone.apply(recorded({"event": "phase", "phase": PHASES[2], "status": "started", "data": None}), "t")
    assert "verification found" not in str(judge(undone, INPUTS, HOST).reasons)
    for data in ("it said no", {"message": "it said no", "differences": []}, None):
        assert judge(_failed(data), INPUTS, HOST).phase == PHASES[4]


def test_k9_what_an_attempt_named_that_was_undone_counts_where_it_had_changed_nothing() -> None:
    latest = _failed(NAMED, undone=[PHASES[4]], status="rolled_back")
    assert judge(_finished(), INPUTS, HOST, latest=latest).phase == "python_deps"
    point = {"event": "captured", "point": "x.1", "phase": "python_deps", "specs": [], "resources": []}
    latest.apply(recorded(point), "t")
    assert judge(_finished(), INPUTS, HOST, latest=latest).phase is None


@pytest.mark.parametrize("status", ["failed", "started", "rolled_back"])
def test_e10_who_ends_an_installation_verifies_it(status: str) -> None:
    one = _installation(*[(name, "completed") for name in PHASES[:-1]], ("cleanup", status))
    verdict = judge(one, INPUTS, HOST)
    assert verdict.phases_to_run == ["verification", "cleanup"]
    assert [reason["phase"] for reason in verdict.reasons] == ["verification", "cleanup"]
