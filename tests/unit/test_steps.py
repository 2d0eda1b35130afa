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


# As Molecule frames what a scenario wrote that failed; what an ignored task says is none of the fault.
PLAYBOOK = """\
  ┌──────────────────────────── Failed: fleet > converge ────────────────────────────
  │ TASK [Look for what is not there] **********************************************
  │ fatal: [localhost]: FAILED! =>
  │     changed: false
  │     msg: ignored
  │ ...ignoring
  │
  │ TASK [Try to break it] *********************************************************
  │ failed: [localhost] (item=back) =>
  │     ansible_loop_var: item
  │     cmd:
  │     - driver/main.py
  │     msg: The command exited with a non-zero return code.
  │     stderr: ''
  │     stderr_lines: <omitted>
  │     stdout: |-
  │         back: 343 s
  │         hangs: it took 195 s
  │
  │         fatal: [fleet01]: FAILED! =>
  │             msg: of a playbook that it started
  │     stdout_lines: <omitted>
  └──────────────────────────────────────────────────────────────────────────────────
CRITICAL Scenarios failed: fleet
"""
PYTEST = """\
tests/unit/test_x.py ..F                                                 [100%]
    def test_sum():
>       assert 1 + 1 == 3
E       assert (1 + 1) == 3

tests/unit/test_x.py:5: AssertionError
=========================== short test summary info ============================
FAILED tests/unit/test_x.py::test_sum - assert (1 + 1) == 3
========================= 1 failed, 2 passed in 0.03s ==========================
"""
TRACEBACK = """\
hangs: A task hangs
Traceback (most recent call last):
  File "window.py", line 3, in <module>
    main()
window.Wrong: sage verify: it does not say 'x':
PLAY [Install]
ERROR: Command "runme.sh" returned exit status 1.
"""


@pytest.fixture
def faults(monkeypatch: pytest.MonkeyPatch) -> t.Any:
    monkeypatch.syspath_prepend(str(RUN))
    return importlib.import_module("faults")


def test_a_failed_playbook_names_its_last_task_that_failed(faults: t.Any) -> None:
    assert faults.tell(PLAYBOOK) == [
        "failed: [localhost] (item=back) (Try to break it)",
        "  msg: The command exited with a non-zero return code.",
        "  stdout: back: 343 s",
        "  stdout: hangs: it took 195 s",
        "  stdout: fatal: [fleet01]: FAILED! =>",
        "  stdout: msg: of a playbook that it started",
        "CRITICAL Scenarios failed: fleet",
    ]
    one_line = 'TASK [x : Try] ***\nfatal: [a]: FAILED! => {"changed": false, "msg": "no\\nspace", "rc": 1}\n'
    assert faults.tell(one_line) == ["fatal: [a]: FAILED (x : Try)", "  msg: no", "  msg: space"]


def test_a_failed_pytest_names_its_tests_and_what_was_wrong(faults: t.Any) -> None:
    assert faults.tell(PYTEST) == [
        "FAILED tests/unit/test_x.py::test_sum - assert (1 + 1) == 3",
        "E       assert (1 + 1) == 3",
    ]


def test_a_failed_script_tells_how_it_ended(faults: t.Any) -> None:
    assert faults.tell(TRACEBACK) == [
        'File "window.py", line 3, in <module>',
        "main()",
        "window.Wrong: sage verify: it does not say 'x':",
        "PLAY [Install]",
        'ERROR: Command "runme.sh" returned exit status 1.',
    ]
    assert faults.tell("\x1b[31ma.py:1: error: No\x1b[0m\n\nFound 1 error\n") == ["a.py:1: error: No", "Found 1 error"]


def test_what_is_told_of_faults_is_short(faults: t.Any) -> None:
    many = "".join(f"E   {number} {'x' * 1000}\n" for number in range(1000))
    assert [len(line) for line in faults.tell(many)] == [faults.WIDTH] * faults.LINES
    assert [faults.share(steps) for steps in (1, 2, 3, 6, 25)] == [25, 25, 20, 10, 4]
    assert len(faults.tell(many, faults.share(6))) == 10


def test_outputs_of_the_last_runs_that_failed_are_kept(run: t.Any, tmp_path: pathlib.Path) -> None:
    work = tmp_path / "run.x"
    work.mkdir()
    failed = [run.Result(run.STEPS[number], False, 1.0, 0, 1) for number in (5, 6)]
    assert run.keep(failed, work) is None
    (work / "ruff.log").write_text("E501\n")
    for number in range(run.KEPT_RUNS + 1):
        (tmp_path / "failed" / f"2026010{number}-000000-1").mkdir(parents=True)
    kept = run.keep(failed, work)
    assert [path.name for path in kept.iterdir()] == ["ruff.log"]
    runs = sorted(path.name for path in (tmp_path / "failed").iterdir())
    assert (len(runs), runs[-1]) == (run.KEPT_RUNS, kept.name)
