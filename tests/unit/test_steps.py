# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The steps of `make test`: a name means one thing, and what is named exists."""

from __future__ import annotations

import importlib
import pathlib
import typing as t

import pytest

RUN = pathlib.Path(__file__).resolve().parents[1] / "run"
pytestmark = pytest.mark.skipif(not RUN.is_dir(), reason="the tarball has no runner")


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> t.Any:
    monkeypatch.syspath_prepend(str(RUN))
    return importlib.import_module("run")


def test_no_step_is_called_like_a_group(run: t.Any) -> None:
    names = [step.name for step in run.STEPS] + ["check-unit", "check-changed"]
    groups = {step.group for step in run.STEPS} | {"check"}
    assert len(names) == len(set(names))
    assert not groups & set(names)


def test_every_step_has_a_script_and_needs_what_there_is(run: t.Any) -> None:
    names = {step.name for step in run.STEPS}
    for step in (*run.STEPS, *run.QUICK):
        assert (RUN / "steps" / f"{step.script}.sh").is_file()
        assert set(step.needs) <= names


def test_one_step_is_chosen_by_its_name_and_brings_what_it_needs(run: t.Any) -> None:
    assert [step.name for step in run.select(["unit-3.9"])] == ["image-bullseye", "unit-3.9"]
    assert {step.group for step in run.select(["unit"])} == {"image", "unit"}
    assert not {step.name for step in run.select([])} & {"check-unit", "check-changed"}
    with pytest.raises(SystemExit, match="no such step: units"):
        run.select(["units"])


def test_the_quick_check_with_tests_runs_only_those(run: t.Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TESTS", raising=False)
    assert {"check-unit", "ruff", "mypy", "check-changed"} <= {step.name for step in run.select(["check"])}
    monkeypatch.setenv("TESTS", "tests/unit/test_steps.py")
    assert [step.name for step in run.select(["check"])] == ["check-unit", "ruff"]
