# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What retention decides, from histories and sizes alone."""

from __future__ import annotations

import datetime as dt
import itertools
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import InputError
from ansible_collections.intellistream.sage.plugins.module_utils._pruning.policy import (
    Limits,
    RetentionDecision,
    decide,
)
from ansible_collections.intellistream.sage.plugins.module_utils._pruning.usage import Usage
from ansible_collections.intellistream.sage.plugins.module_utils._records.installation import (
    PHASES,
    Change,
    Installation,
)
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils.recorded import event as recorded

NOW = dt.datetime(2025, 6, 1, tzinfo=dt.timezone.utc)


class Sizes(Usage):
    """Points of 100 bytes each, unless said otherwise."""

    def __init__(self, history: t.Sequence[Change], **sizes: int) -> None:
        super().__init__()
        names = [point["point"] for one in history for point in one.points if not point.get("pruned")]
        self._own = {name: sizes.get(name.replace(".", "_"), 100) for name in names}
        self.alone = set(names)


_SEQ = itertools.count(1)


def _one(name: str, status: str = "completed", points: int = 2, age: int = 0, **values: t.Any) -> Installation:
    """An installation C(age) days old."""
    time = (NOW - dt.timedelta(days=age)).isoformat()
    one = Installation(name, time, next(_SEQ))
    one.apply(recorded({"event": "begun"}), time)
    for number in range(1, points + 1):
        captured = recorded({"event": "captured", "point": f"{name}.{number}", "phase": "python_deps"})
        one.apply(captured, time, next(_SEQ))
    for phase in PHASES if status == "completed" else ():
        one.apply(recorded({"event": "phase", "phase": phase, "status": "completed"}), time)
    one.status = status
    for key, value in values.items():
        setattr(one, key, value)
    return one


def _idle(name: str, age: int = 0) -> Installation:
    """One that captured, and changed nothing."""
    one = _one(name, age=age)
    for point in one.points:
        point["unchanged"] = True
    return one


def _outside(name: str, by: str, age: int = 0) -> Change:
    """A change by hand or by a hook."""
    time = (NOW - dt.timedelta(days=age)).isoformat()
    one = Change(name, time, by, next(_SEQ))
    one.apply(recorded({"event": "captured", "point": f"{name}.1", "by": by}), time, one.seq)
    return one


def _undo(one: Change, *names: str) -> None:
    for point in one.points:
        if point["point"] in names or not names:
            point["undone"] = NOW.isoformat()


def _redo(name: str, *undone: str) -> Change:
    """What a rollback captured before it."""
    one = Change(name, NOW.isoformat(), "rollback", next(_SEQ))
    event = {"event": "captured", "point": f"{name}.1", "phase": None, "redo": {"points": list(undone)}}
    one.apply(recorded(event), NOW.isoformat(), one.seq)
    return one


def _decide(history: t.Sequence[Change], usage: Usage | None = None, **limits: t.Any) -> RetentionDecision:
    return decide(history, usage or Sizes(history), Limits(**{"archive": False, **limits}), NOW.timestamp())


def test_no_limit_removes_nothing() -> None:
    history = [_one(name, age=1000) for name in "abc"]
    assert _decide(history) == RetentionDecision([], [], 6, [])


def test_the_newest_good_ones_are_kept() -> None:
    history = [_one(name) for name in "abcd"]
    assert _decide(history, installations=2).prune == ["a.1", "a.2", "b.1", "b.2"]
    assert _decide(history, installations=4).prune == []
    assert _decide(history, installations=1).remaining == 2


def test_failed_attempts_push_nothing_out() -> None:
    history = [_one("a"), _one("b"), *(_one(name, "abandoned") for name in "cdefg"), _one("h", "failed")]
    assert _decide(history, installations=2).prune == []
    assert _decide(history, installations=1).prune == ["a.1", "a.2"]


def test_what_failed_before_a_good_one_is_part_of_the_way_back() -> None:
    history = [_one("a"), _one("b", "abandoned"), _one("c")]
    assert _decide(history, installations=1).prune == ["a.1", "a.2"]


def test_age_counts_from_the_end_of_an_installation() -> None:
    history = [_one("a", age=30), _one("b", age=11), _one("c", age=9), _one("d", age=1)]
    assert _decide(history, days=10).prune == ["a.1", "a.2", "b.1", "b.2"]
    # A young one keeps everything after it, whatever a clock that was set back says of those.
    history = [_one("a", age=30), _one("b", age=1), _one("c", age=20), _one("d", age=1)]
    assert _decide(history, days=10).prune == ["a.1", "a.2"]
    # That it was archived or looked at later makes no installation younger.
    history[0].apply(recorded({"event": "archived", "points": {}}), NOW.isoformat())
    assert _decide(history, days=10).prune == ["a.1", "a.2"]


def test_the_last_good_one_and_all_after_it_outlive_every_limit() -> None:
    history = [_one("a", age=90), _one("b", age=80), _one("c", "abandoned", age=70)]
    decision = _decide(history, days=1, bytes=1, installations=1)
    assert decision.prune == ["a.1", "a.2"]
    assert decision.protected == [
        "installation b and all after it are kept: it is the last good one",
        "the store occupies 400 bytes, more than 1: installation b and all after it are kept: it is the last good one",
    ]


def test_an_unfinished_one_is_kept_even_if_none_was_ever_good() -> None:
    history = [_one("a", "abandoned", age=90), _one("b", "failed", age=80)]
    assert _decide(history, days=1).prune == ["a.1", "a.2"]
    history[-1].status = "rolled_back"
    assert _decide(history, days=1).prune == ["a.1", "a.2", "b.1", "b.2"]


def test_what_an_interrupted_rollback_needs_is_kept() -> None:
    history = [_one("a"), _one("b", undoing={"points": ["b.2"]}), _one("c"), _one("d")]
    _undo(history[1], "b.1")
    decision = _decide(history, installations=1, archive=True)
    assert decision.prune == ["a.1", "a.2"]
    assert decision.archive == ["c.1", "c.2"]
    assert "a rollback of it was interrupted" in decision.protected[0]


def test_bytes_take_the_oldest_until_it_fits() -> None:
    history = [_one(name) for name in "abcd"]
    assert _decide(history, bytes=800).prune == []
    assert _decide(history, bytes=799).prune == ["a.1", "a.2"]
    assert _decide(history, bytes=600).prune == ["a.1", "a.2"]
    assert _decide(history, bytes=599).prune == ["a.1", "a.2", "b.1", "b.2"]


def test_where_no_limit_can_be_kept_nothing_goes_without_a_gain() -> None:
    history = [_one(name, points=1) for name in "abcd"]
    usage = Sizes(history, b_1=0, c_1=0, d_1=1000)
    decision = _decide(history, usage, bytes=500)
    assert decision.prune == ["a.1"]
    assert len(decision.protected) == 1
    assert decision.protected[0].startswith("the store occupies 1000 bytes, more than 500: installation d and all ")


def test_what_was_undone_and_cannot_come_back_goes_at_any_age() -> None:
    history = [_one("a"), _one("b", "rolled_back"), _one("c")]
    _undo(history[1])
    assert _decide(history).prune == ["b.1", "b.2"]
    usage = Sizes(history)
    usage.aside = {"b.2"}
    assert _decide(history, usage).prune == ["b.1"]
    assert _decide([*history, _one("d")], usage, installations=1).prune == ["a.1", "a.2", "b.1", "b.2", "c.1", "c.2"]


def test_what_a_redo_point_brings_back_stays_with_it() -> None:
    history: list[Change] = [_one("a"), _one("b"), _one("c", "rolled_back", points=1), _one("d"), _one("e")]
    _undo(history[2])
    history.insert(3, _redo("r", "c.1"))
    assert _decide(history).prune == []
    assert _decide(history, redo=False).prune == ["c.1", "r.1"]
    assert _decide(history, installations=2).prune == ["a.1", "a.2", "b.1", "b.2"]
    assert _decide(history, installations=1).prune == ["a.1", "a.2", "b.1", "b.2", "c.1", "r.1", "d.1", "d.2"]


def test_a_redo_point_goes_with_what_it_undid() -> None:
    """It was made much later, in an installation that stays."""
    history: list[Change] = [_one("a", points=1), _one("b", "rolled_back", points=1), _one("c"), _one("d", points=1)]
    _undo(history[1])
    history += [_redo("r", "b.1"), _one("e")]
    assert _decide(history, installations=2).prune == ["a.1", "b.1", "c.1", "c.2", "r.1"]


def test_what_can_be_brought_back_into_the_current_one_is_kept() -> None:
    history: list[Change] = [_one("a", "rolled_back", points=1, age=90), _one("b", "failed", points=1)]
    _undo(history[0])
    history.append(_redo("r", "a.1"))
    assert _decide(history, days=10).prune == []
    assert _decide(history, redo=False).prune == ["a.1", "r.1"]


def test_e4_what_changed_nothing_counts_nothing_and_goes_at_once() -> None:
    history = [_one("a", age=9), _one("b", age=8), *(_idle(name) for name in "cdefg")]
    assert _decide(history, installations=2).prune == [f"{name}.{number}" for name in "cdefg" for number in (1, 2)]
    assert _decide(history, installations=1).prune[:2] == ["a.1", "a.2"]
    assert "b.1" not in _decide(history, installations=1, days=1).prune


def test_e5_points_made_by_hand_and_by_hooks_go_by_the_same_limits() -> None:
    history: list[Change] = [_one("a", age=40), _one("b", age=30)]
    history += [_outside(f"k{number}", "hook", age=20 - number) for number in range(10)]
    history += [_outside(f"m{number}", "hand", age=9 - number) for number in range(9)]
    assert _decide(history, installations=2).prune == [
        *(f"k{number}.1" for number in range(8)),
        *(f"m{number}.1" for number in range(7)),
    ]
    # The upgrade is the last good one, and older than any of them.
    assert _decide(history, days=10).prune == ["a.1", "a.2", *(f"k{number}.1" for number in range(10))]
    # The oldest go until it fits.
    assert _decide(history, bytes=2000).prune == ["a.1", "a.2", "k0.1"]
    decision = _decide(history, bytes=1)
    assert decision.remaining == 3
    assert "m8.1" not in decision.prune
    assert "b.1" not in decision.prune


def test_e5_what_an_unfinished_installation_rests_on_stays() -> None:
    history = [_outside("k0", "hook"), _one("a", "failed"), _outside("k1", "hook"), _outside("k2", "hook")]
    assert _decide(history, installations=1, bytes=1).prune == ["k0.1"]


def test_what_was_pruned_is_not_pruned_again() -> None:
    history = [_one(name) for name in "abc"]
    first = _decide(history, installations=1)
    for one in history:
        one.apply(recorded({"event": "pruned", "points": first.prune}), NOW.isoformat())
    assert _decide(history, installations=1) == RetentionDecision([], [], 2, [])


def test_older_good_ones_are_compressed_once() -> None:
    history = [_one("a", points=1), _one("b", "abandoned"), _one("c"), _one("d")]
    assert _decide(history, archive=True).archive == ["a.1", "c.1", "c.2"]
    assert _decide(history, archive=True, uncompressed=2).archive == ["a.1"]
    assert _decide(history, archive=True, uncompressed=9).archive == []
    assert _decide(history, archive=True, uncompressed=0).archive == ["a.1", "c.1", "c.2", "d.1", "d.2"]
    assert _decide(history, archive=True, installations=2).archive == ["c.1", "c.2"]
    history[2].apply(recorded({"event": "archived", "points": {"c.1": {"name": "c.1.tar.gz"}}}), NOW.isoformat())
    usage = Sizes(history)
    usage.alone.discard("a.1")
    assert _decide(history, usage, archive=True).archive == ["c.2"]


def test_an_empty_history() -> None:
    assert _decide([], installations=1, days=1, bytes=1) == RetentionDecision([], [], 0, [])


@pytest.mark.parametrize("name", ["installations", "days", "bytes", "uncompressed"])
def test_negative_limits_are_refused(name: str) -> None:
    limits: dict[str, t.Any] = {name: -1}
    with pytest.raises(InputError, match=f"{name} must not be negative, and is -1"):
        Limits(**limits).check()


_STATUSES = st.lists(st.sampled_from(["completed", "completed", "abandoned", "rolled_back"]), min_size=1, max_size=8)


@given(_STATUSES, st.integers(0, 4), st.integers(0, 9), st.integers(0, 20), st.data())
def test_whatever_happened(statuses: list[str], keep: int, days: int, size: int, data: st.DataObject) -> None:
    """What is kept can be gone back through: no hole in what still counts, and the last good one is there."""
    total = len(statuses)
    history: list[Change] = []
    for number, status in enumerate(statuses):
        one = _one(f"i{number}", status, age=2 * (total - number))
        history.append(one)
        if one.status == "rolled_back":
            _undo(one)
            if data.draw(st.booleans()):
                history.append(_redo(f"r{len(history)}", *(point["point"] for point in one.points)))
    redo = data.draw(st.booleans())
    limits = Limits(keep, days, 100 * size, archive=False, redo=redo)
    decision = decide(history, Sizes(history), limits, NOW.timestamp())
    gone = set(decision.prune)
    counting = [point["point"] for one in history for point in one.points if not point.get("undone")]
    counting = [name for name in counting if not name.startswith("r")]
    holes = [name in gone for name in counting]
    assert holes == sorted(holes, reverse=True)
    for change in history:
        for point in change.points:
            if point.get("redo"):
                assert {name in gone for name in [point["point"], *point["redo"]["points"]]} in ({True}, {False})
    good = [change for change in history if change.origin == "installation" and change.state == "completed"]
    assert not good or not gone & {point["point"] for point in good[-1].points}
    if keep and not days and not size:
        for change in good[-keep:]:
            assert not gone & {point["point"] for point in change.points}
    left = 100 * sum(len(one.points) for one in history) - 100 * len(gone)
    assert not size or left <= 100 * size or decision.protected
    assert decision == decide(history, Sizes(history), limits, NOW.timestamp())
