# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What goes round with the commits: each run plays something of each kind, and a few runs play all."""

from __future__ import annotations

import importlib
import pathlib
import typing as t

import pytest
import yaml

TOP = pathlib.Path(__file__).resolve().parents[2]
DRIVER = TOP / "extensions" / "molecule" / "fleet" / "driver"
MATRIX = TOP / "extensions" / "molecule" / "rolled_back" / "matrix.yml"
pytestmark = pytest.mark.skipif(
    not (TOP / "tests" / "run").is_dir(), reason="the tarball has neither runner nor scenarios"
)


@pytest.fixture
def turns(monkeypatch: pytest.MonkeyPatch) -> t.Any:
    monkeypatch.syspath_prepend(str(DRIVER))
    return importlib.import_module("turns")


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> t.Any:
    monkeypatch.syspath_prepend(str(TOP / "tests" / "run"))
    return importlib.import_module("run")


@pytest.mark.parametrize(("count", "shares"), [(6, 3), (5, 2), (2, 2), (3, 3)])
def test_consecutive_commits_play_each_member_once(
    turns: t.Any, monkeypatch: pytest.MonkeyPatch, count: int, shares: int
) -> None:
    members = [f"member {number}" for number in range(count)]
    for begin in (0, 7, 4711):
        played = []
        for turn in range(begin, begin + shares):
            monkeypatch.setenv("SAGE_TEST_TURN", str(turn))
            share = turns.played(members, shares)
            assert share
            assert share == turns.played(members, shares)
            played += share
        assert sorted(played) == members


def test_all_are_played_without_a_turn(turns: t.Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SAGE_TEST_TURN", raising=False)
    assert turns.played({"one": 1, "two": 2, "three": 3}, 3) == ["one", "two", "three"]


def test_the_fleet_breaks_and_kills_with_every_commit(turns: t.Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(DRIVER))
    cases = {name: importlib.import_module(name) for name in ("aborted", "back", "decided")}
    breaks, kills = cases["back"].BREAKS, cases["decided"].KILLS
    for turn in range(6):
        monkeypatch.setenv("SAGE_TEST_TURN", str(turn))
        # A rollback is broken by a cut and by a kill.
        assert {breaks[step][1] for step in turns.played(breaks, 2)} == {True, False}
        assert "old" in {kills[step][2] for step in turns.played(kills, 3)}
        for members, shares in ((cases["aborted"].FAILURES, 3), (cases["aborted"].CUTS, 3), (kills, 3)):
            assert len(turns.played(members, shares)) in (len(members) // shares, len(members) // shares + 1)
            assert len(turns.played(members, shares)) >= 2


def test_each_list_of_the_matrix_has_every_value_and_all_have_every_pair() -> None:
    play = yaml.safe_load(MATRIX.read_text(encoding="utf-8"))[0]
    lists = play["vars"]["cases"]
    assert len(lists) == 3
    whole = [tuple(case) for cases in lists for case in cases]
    assert len(set(whole)) == len(whole) == 18
    assert len({(phase, policy) for phase, policy, _situation, _installer in whole}) == 18
    for cases in lists:
        for dimension in range(4):
            assert {case[dimension] for case in cases} == {case[dimension] for case in whole}


def test_a_run_tells_its_steps_whose_turn_it_is(run: t.Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "turn", lambda: 12)
    for given, number, told in (
        ({}, 12, "12"),
        ({"SAGE_TEST_TURN": "5"}, 5, "5"),
        ({"SAGE_TEST_TURN": "5", "TESTS": "fleet"}, 5, "5"),
        ({"TESTS": "fleet"}, 12, None),
        ({"SAGE_TEST_ALL": "1", "SAGE_TEST_TURN": "5"}, 5, None),
    ):
        environment = dict(given)
        assert run.take_turn(environment) == number
        assert environment.get("SAGE_TEST_TURN") == told


def test_a_run_prints_the_number_that_plays_it_again(
    run: t.Any, monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("SAGE_TEST_CHECKOUT", "SAGE_TEST_CACHE"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.setenv("SAGE_TEST_STEPS", "")
    monkeypatch.setenv("SAGE_TEST_TURN", "815")
    monkeypatch.delenv("MAKELEVEL", raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(run, "snapshot", lambda work: None)
    monkeypatch.setattr(run, "select", lambda names: [])
    monkeypatch.setattr(run.signal, "signal", lambda number, handler: None)
    assert run.main() == 1
    assert "with SAGE_TEST_TURN=815\n" in capsys.readouterr().out
