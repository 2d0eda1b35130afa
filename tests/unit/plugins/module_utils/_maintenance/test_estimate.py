# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The arithmetic of a window never says less than it has to."""

from __future__ import annotations

import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.intellistream.sage.plugins.module_utils._maintenance import estimate as maintenance_estimate
from ansible_collections.intellistream.sage.plugins.module_utils._maintenance.estimate import Estimate, Rates, UndoSize

WORK = st.builds(UndoSize, st.integers(0, 100_000), st.integers(0, 10**10), st.integers(0, 300))
SECONDS = st.floats(0.01, 3_600)
PAST = st.lists(st.tuples(WORK, SECONDS), max_size=5)
NAMES = st.sampled_from(sorted(maintenance_estimate.PHASE_SECONDS))


@given(past=PAST, work=WORK, more=WORK)
def test_estimates_of_undos(past: list[tuple[UndoSize, float]], work: UndoSize, more: UndoSize) -> None:
    rates = maintenance_estimate.rates(past)
    estimate = maintenance_estimate.undo(work, rates).seconds
    for done, seconds in past:
        # Rounded to a tenth.
        assert maintenance_estimate.undo(done, rates).seconds >= seconds
        if all(mine >= theirs for mine, theirs in zip(work, done)):
            assert estimate >= seconds
    assert maintenance_estimate.undo(work + more, rates).seconds >= estimate
    assert estimate >= maintenance_estimate.OVERHEAD
    assert maintenance_estimate.undo(work, rates).measured == bool(past)


@given(work=WORK)
def test_who_knows_nothing_assumes_the_defaults(work: UndoSize) -> None:
    """A clock that stood still or was set back tells nothing."""
    assert maintenance_estimate.rates([]) == maintenance_estimate.rates([(work, 0.0), (work, -5.0)]) == Rates()


@given(past=st.lists(st.tuples(WORK, SECONDS), min_size=1, max_size=5), work=WORK)
def test_a_slower_past_gives_longer_estimates(past: list[tuple[UndoSize, float]], work: UndoSize) -> None:
    slower = [(done, seconds * 2) for done, seconds in past]
    assert (
        maintenance_estimate.undo(work, maintenance_estimate.rates(slower)).seconds
        >= maintenance_estimate.undo(work, maintenance_estimate.rates(past)).seconds
    )


@given(name=NAMES, past=st.lists(st.floats(-10, 10_000), max_size=5), passed=st.floats(-5_000, 5_000))
def test_phases(name: str, past: list[float], passed: float) -> None:
    found = maintenance_estimate.phase(name, past)
    known = [seconds for seconds in past if seconds >= 0]
    assert found.measured == bool(known)
    if known:
        assert found.seconds >= max(known) - 0.1
    else:
        assert found.seconds == maintenance_estimate.PHASE_SECONDS[name]
    assert maintenance_estimate.phase(name, past, 7.0) == Estimate(7.0, True)
    assert 0 <= maintenance_estimate.remaining(found, passed).seconds <= found.seconds


@given(left=st.floats(-100, 10_000), undo=st.floats(0, 10_000), phase=st.floats(1, 10_000))
def test_what_is_cut_leaves_time_for_the_undo(left: float, undo: float, phase: float) -> None:
    seconds = maintenance_estimate.cut(left, undo)
    assert seconds >= 1
    if maintenance_estimate.fits(left, undo + 1):
        assert seconds + undo <= left + 1e-6
    # What fits is not cut off before it has taken as long as was expected, but for part of a second.
    if maintenance_estimate.fits(left, phase + undo):
        assert seconds > phase - 1.001


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.44, "0.4 s"),
        (12.4, "12 s"),
        (99.4, "99 s"),
        (200.0, "3m 20s"),
        (7_500.0, "2h 05m"),
        (-200.0, "-3m 20s"),
    ],
)
def test_durations_for_people(seconds: float, text: str) -> None:
    assert maintenance_estimate.spell(seconds) == text


def test_work_adds_up() -> None:
    total: t.Any = UndoSize(1, 2, 3) + UndoSize(10, 20, 30)
    assert total == UndoSize(11, 22, 33)
    assert UndoSize(5_000, 0, 0).seconds == pytest.approx(1.0)
    assert UndoSize(0, 100_000_000, 0).seconds == pytest.approx(1.0)
    assert UndoSize(0, 0, 150).seconds == pytest.approx(12.0)
