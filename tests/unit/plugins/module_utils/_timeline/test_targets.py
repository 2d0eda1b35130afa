# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a rollback's target means."""

from __future__ import annotations

import datetime as dt
import itertools
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import InputError
from ansible_collections.intellistream.sage.plugins.module_utils._calls.rollback import rollback
from ansible_collections.intellistream.sage.plugins.module_utils._records.installation import (
    PHASES,
    Change,
    Installation,
)
from ansible_collections.intellistream.sage.plugins.module_utils._records.session import Engine
from ansible_collections.intellistream.sage.plugins.module_utils._timeline.targets import (
    ResolvedTarget,
    fixed,
    latest,
    nothing_to_undo,
    resolve,
    widen,
)
from ansible_collections.intellistream.sage.plugins.module_utils._undo.rollback import RollbackRequest
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils.recorded import event as recorded

if TYPE_CHECKING:
    from pathlib import Path


_SEQ = itertools.count(1)


def installation(name: str, *phases: str, date: str = "2025-11-15") -> Installation:
    """An installation with one rollback point per phase named."""
    one = Installation(name, f"{date}T14:30:0{name}.000+00:00", next(_SEQ))
    for number, phase in enumerate(phases, 1):
        event: dict[str, Any] = {"event": "captured", "point": f"{name}.{number}", "phase": phase, "resources": []}
        one.apply(recorded(event), f"{date}T14:31:0{number}.000+00:00", next(_SEQ))
    return one


def outside(name: str, by: str = "hand", time: str = "2025-11-15T14:31:09.000+00:00") -> Change:
    """A change of its own, made by hand or by a hook."""
    one = Change(name, time, by, next(_SEQ))
    event: dict[str, Any] = {"event": "captured", "point": f"{name}.1", "phase": None, "by": by, "resources": []}
    one.apply(recorded(event), time, one.seq)
    return one


def points(chosen: ResolvedTarget) -> list[str]:
    return [point["point"] for point in chosen.points]


HISTORY = ("environment_setup", "python_deps", "sage_packages")


def test_install_id_is_all_of_it_and_all_after() -> None:
    history = [installation("1", *HISTORY), installation("2", "python_deps")]
    chosen = resolve(history, "1")
    assert points(chosen) == ["1.1", "1.2", "1.3", "2.1"]
    assert [part.entire for part in chosen.parts] == [True, True]
    assert chosen.tid == "1"


def test_last_is_the_installation_when_a_phase_captured_last() -> None:
    chosen = resolve([installation("1", *HISTORY), installation("2", "python_deps", "sage_packages")], "last")
    assert points(chosen) == ["2.1", "2.2"]
    assert chosen.parts[0].phases == list(PHASES)


def test_last_is_the_point_when_it_was_made_by_hand() -> None:
    chosen = resolve([installation("1", *HISTORY), outside("7")], "last")
    assert points(chosen) == ["7.1"]
    assert (chosen.parts[0].phases, chosen.parts[0].entire) == ([], True)


def test_e1_last_is_the_installation_when_a_hook_captured_last() -> None:
    """What the system's upgrades changed since stays."""
    history = [installation("1", *HISTORY), installation("2", "python_deps"), outside("7", "hook")]
    assert fixed(history, "last") == "2"
    for to in ("last", "2"):
        assert points(resolve(history, to)) == ["2.1"]
    assert points(resolve(history, "python_deps")) == ["2.1"]
    assert points(resolve(history, "1")) == ["1.1", "1.2", "1.3", "2.1"]
    # It is reached by its id, and by a date.
    for to in ("7", "7.1"):
        assert points(resolve(history, to)) == ["7.1"]
    assert points(resolve(history, "2025-11-15T14:31:05+00:00")) == ["7.1"]


def test_e1_last_is_the_installation_when_it_went_on_after_the_point() -> None:
    one, two = installation("1"), outside("7")
    event: dict[str, Any] = {"event": "captured", "point": "1.1", "phase": "python_deps", "resources": []}
    one.apply(recorded(event), "2025-11-15T14:31:10.000+00:00", next(_SEQ))
    assert points(resolve([one, two], "last")) == ["7.1", "1.1"]


def test_e1_last_that_changed_nothing_is_nothing_to_undo() -> None:
    works = installation("1", *HISTORY)
    for newest in (installation("2"), installation("2", "python_deps")):
        for point in newest.points:
            newest.apply(recorded({"event": "settled", "point": point["point"], "unchanged": True}), "t")
        history = [works, newest]
        assert points(resolve(history, "last")) == []
        assert "2, the last one, changed nothing. To go back further" in nothing_to_undo(history)
        # The script is for the latest change.
        assert latest(history) == "1"


def test_e1_last_that_was_undone_is_nothing_to_undo() -> None:
    history = [installation("1", *HISTORY), outside("7")]
    history[1].apply(recorded({"event": "undone", "points": ["7.1"], "outcome": "exact"}), "t")
    assert points(resolve(history, "last")) == []
    assert latest(history) == "last"
    assert "rolled back already" in nothing_to_undo(history)


def test_what_hooks_captured_is_no_last_at_all() -> None:
    history = [outside("7", "hook")]
    assert points(resolve(history, "last")) == []
    assert "no installation was begun here" in nothing_to_undo(history)
    assert latest(history) == "last"


def test_e5_a_pruned_point_made_by_hand_bars_no_way_back_and_is_named() -> None:
    history = [installation("1", *HISTORY), outside("7"), outside("8")]
    history[1].apply(recorded({"event": "pruned", "points": ["7.1"]}), "t")
    chosen = resolve(history, "1")
    assert points(chosen) == ["1.1", "1.2", "1.3", "8.1"]
    assert "rollback point 7.1" in chosen.uncovered[0]
    with pytest.raises(InputError, match="retention removed"):
        resolve(history, "7")


def test_e5_a_pruned_point_bars_no_date_but_one_before_a_hooks() -> None:
    """A date before a point made by hand that was gone was refused; sage_retention's documentation said otherwise."""
    first, last_one = installation("1", "python_deps"), installation("9", "python_deps", date="2025-11-17")
    for by in ("hand", "hook"):
        history = [first, outside("7", by), last_one]
        history[1].apply(recorded({"event": "pruned", "points": ["7.1"]}), "t")
        if by == "hook":
            with pytest.raises(InputError, match=r"needs rollback point 7\.1, which retention removed"):
                resolve(history, "2025-11-15T14:00:00+00:00")
            continue
        chosen = resolve(history, "2025-11-15T14:00:00+00:00")
        assert points(chosen) == ["1.1", "9.1"]
        assert "7.1" in chosen.uncovered[0]


def test_e5_a_point_made_by_hand_where_the_root_was_bars_no_way_back() -> None:
    history: list[Change] = [installation("1", "python_deps"), outside("7"), installation("9", "python_deps")]
    chosen = resolve(history, "1", elsewhere={"7.1"})
    assert points(chosen) == ["1.1", "9.1"]
    assert "7.1" in chosen.uncovered[0]
    with pytest.raises(InputError, match="cannot be put back") as caught:
        resolve(history, "7.1", elsewhere={"7.1"})
    assert "The oldest that can be reached is 9.1 of " in caught.value.advice


def test_e5_the_oldest_that_a_refusal_names_can_be_reached() -> None:
    history: list[Change] = [
        installation("1", "python_deps"),
        installation("2", "python_deps"),
        outside("7"),
        installation("8", "python_deps"),
        installation("9", "python_deps"),
    ]
    history[0].apply(recorded({"event": "pruned", "points": ["1.1"]}), "t")
    for elsewhere, oldest in ((set(), "2.1"), ({"7.1"}, "2.1"), ({"2.1", "7.1"}, "8.1"), ({"9.1"}, "how it is now")):
        with pytest.raises(InputError) as caught:
            resolve(history, "1", elsewhere=elsewhere)
        assert f"The oldest that can be reached is {oldest}" in caught.value.advice
        if oldest in ("2.1", "8.1"):
            assert points(resolve(history, oldest, elsewhere=elsewhere))[0] == oldest


def test_phase_is_what_it_captured_first_and_all_after() -> None:
    history = [installation("1", *HISTORY, "python_deps")]
    chosen = resolve(history, "python_deps")
    assert points(chosen) == ["1.2", "1.3", "1.4"]
    assert chosen.parts[0].phases == list(PHASES[2:])


def test_phase_without_a_capture_is_the_next_one() -> None:
    assert points(resolve([installation("1", *HISTORY)], "submodule_sync")) == ["1.2", "1.3"]
    assert points(resolve([installation("1", *HISTORY)], "cleanup")) == []


def test_what_was_undone_is_not_undone_again() -> None:
    one = installation("1", *HISTORY)
    one.apply(recorded({"event": "undone", "points": ["1.3"], "phases": ["sage_packages"], "outcome": "exact"}), "t")
    assert points(resolve([one], "1.2")) == ["1.2"]
    assert points(resolve([one], "sage_packages")) == []


def test_interrupted_rollback_is_finished_first() -> None:
    one = installation("1", *HISTORY)
    one.apply(recorded({"event": "undoing", "points": ["1.2", "1.3"]}), "t")
    assert points(widen([one], resolve([one], "1.3"))) == ["1.2", "1.3"]
    assert points(widen([one], resolve([one], "1.1"))) == ["1.1", "1.2", "1.3"]


def test_interrupted_rollback_takes_back_also_what_was_undone_before() -> None:
    """It goes back through the rollback that had undone it, which brings that back first."""
    one, before = installation("1", *HISTORY), Change("2", "t", "rollback")
    undone = {"1.3": None}
    redo = {"points": ["1.3"], "before": {"1": {"status": "completed", "phases": {}, "undone": undone}}}
    captured: dict[str, Any] = {"event": "captured", "point": "2.1", "phase": None, "redo": redo, "resources": []}
    before.apply(recorded(captured), "2025-11-15T14:32:00.000+00:00", next(_SEQ))
    one.apply(recorded({"event": "undone", "points": ["1.3"], "outcome": "exact"}), "2025-11-15T14:32:00.000+00:00")
    history: list[Change] = [one, before]
    going = resolve(history, "1.3")
    assert points(going) == []
    one.apply(recorded({"event": "undoing", "points": ["1.2", "1.3"]}), "t")
    before.apply(recorded({"event": "undoing", "points": ["2.1"]}), "t")
    assert points(widen(history, going)) == ["1.2", "1.3", "2.1"]


def test_unknown_target_names_what_is_known() -> None:
    with pytest.raises(InputError, match=r"1\.3"):
        resolve([installation("1", *HISTORY)], "yesteryear")
    with pytest.raises(InputError):
        resolve([], "1")


def test_fixed_target_means_the_same_later() -> None:
    early: list[Change] = [installation("1", *HISTORY), installation("2", "python_deps")]
    later = [*early, installation("3", "python_deps")]
    now = dt.datetime(2025, 11, 15, 14, 32, 30, 250, dt.timezone.utc)
    hours = dt.timedelta(hours=3)
    assert fixed(early, "last") == "2"
    assert points(resolve(later, fixed(early, "last"))) == ["2.1", "3.1"]
    assert fixed([installation("1", *HISTORY), outside("7")], "last") == "7.1"
    ago = fixed(early, "1 minute ago", now)
    assert dt.datetime.fromisoformat(ago) == now - dt.timedelta(minutes=1)
    assert fixed(early, ago, now + hours) == ago
    assert points(resolve(later, ago, now + hours)) == points(resolve(later, "1 minute ago", now))
    assert [fixed(early, to) for to in ("1.2", "2", "python_deps")] == ["1.2", "2", "python_deps"]
    assert fixed([], "last") == "last"


def test_a_date_before_the_first_installation_is_nothing_to_do(tmp_path: Path) -> None:
    engine = Engine(str(tmp_path))
    for to in ("last", "2 hours ago", "2003-07-31 23:26"):
        result = rollback(engine, RollbackRequest(to), False)
        assert not result["changed"]
        assert "nothing to roll back" in result["msg"]
    for to in ("friday", "tomorrow", "20251115_143000", "python_deps"):
        with pytest.raises(InputError):
            rollback(engine, RollbackRequest(to), False)
    assert not list(tmp_path.iterdir())


def test_what_was_undone_without_being_kept_cannot_be_reached_again() -> None:
    """The second point was made on what the first one led to, and that is nowhere any more."""
    one, two = installation("1", "python_deps"), outside("7")
    undone = {"event": "undone", "points": ["1.1", "7.1"], "phases": [], "outcome": "exact"}
    for change in (one, two):
        change.apply(recorded(undone), "2025-11-15T14:32:00.000+00:00")
    assert points(resolve([one, two], "7.1")) == []
    three = outside("8", time="2025-11-15T14:33:00.000+00:00")
    assert points(resolve([one, two, three], "8.1")) == ["8.1"]
    with pytest.raises(InputError, match="not kept"):
        resolve([one, two, three], "7.1")
