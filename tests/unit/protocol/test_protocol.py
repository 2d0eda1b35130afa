# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The fleet's protocol, all its states; and that the checker finds what is wrong with protocols that are wrong."""

from __future__ import annotations

import functools
import typing as t

import pytest

from ansible_collections.intellistream.sage.tests.unit.protocol.checker import Explored, Property, Step
from ansible_collections.intellistream.sage.tests.unit.protocol.model import (
    ABORT,
    ABORTED,
    AGREEMENT,
    ALL,
    COMMIT,
    COMMITTED,
    DIVERGED,
    DURABILITY,
    GONE,
    OLD,
    PREPARED,
    PROMPTNESS,
    STABILITY,
    UNDONE,
    VALIDITY,
    Fleet,
    Rules,
    State,
    World,
    resolved,
)

pytestmark = pytest.mark.protocol

WORLDS = {
    "one host, which is policy transaction": World((1,)),
    "two hosts": World((2,)),
    "three hosts": World((3,)),
    "two other controllers": World((2,), resolvers=2),
    "three hosts with switches": World((3,), switch=True),
    "two slices": World((1, 1)),
    "two slices, one of two hosts, no cuts": World((2, 1), cuts=False),
    "two slices with switches, no cuts": World((1, 1), switch=True, cuts=False),
}


@functools.cache
def _right(world: World) -> Explored[State]:
    return Explored(Fleet(world), ALL)


def _records(state: State) -> set[str]:
    return {host.record for host in state.hosts}


@pytest.mark.parametrize("world", WORLDS.values(), ids=WORLDS)
def test_never_wrong_and_never_in_doubt_for_ever(world: World) -> None:
    explored = _right(world)
    print(f"{explored.states} states, {explored.steps} steps")
    assert explored.found is None, explored.found
    stuck = explored.stuck(resolved)
    assert stuck is None, stuck
    # The model is not right for want of anything happening.
    assert explored.any(lambda state: _records(state) == {COMMITTED})
    assert explored.any(lambda state: _records(state) == {ABORTED})
    assert explored.any(lambda state: _records(state) == {OLD} and state.decision == ABORT)
    assert explored.any(
        lambda state: _records(state) == {PREPARED} and {one.does for one in state.controllers} == {GONE}
    )
    assert bool(explored.any(lambda state: DIVERGED in _records(state))) == world.switch
    if sum(world.slices) > 1:
        assert explored.any(lambda state: _records(state) == {PREPARED, COMMITTED})
        assert explored.any(lambda state: _records(state) == {UNDONE, ABORTED})


def test_a_controller_that_is_killed_at_each_step_leaves_each_decision_possible() -> None:
    explored = _right(World((2,)))
    for found, durable in (("", False), (COMMIT, False), (COMMIT, True), (ABORT, False), (ABORT, True)):

        def killed(state: State, found: str = found, durable: bool = durable) -> bool:
            gone = {one.does for one in state.controllers} == {GONE}
            return gone and (state.decision, state.durable) == (found, durable) and PREPARED in _records(state)

        assert explored.any(killed), (found, durable)


def test_where_nothing_fails_no_switch_fires_after_the_decision() -> None:
    world = World((3,), switch=True, prompt=True, cuts=False, crashes=False)
    explored = Explored(Fleet(world), (*ALL, PROMPTNESS))
    assert explored.found is None, explored.found
    assert explored.any(lambda state: _records(state) == {COMMITTED})
    # Without the look at the clock there are such cases.
    found = Explored(Fleet(world, Rules(checks_time=False)), (*ALL, PROMPTNESS)).found
    assert found is not None
    assert found.name == "promptness"


def test_who_cannot_reach_the_place_leaves_hosts_in_doubt_and_nothing_worse() -> None:
    explored = _right(World(access=False))
    assert explored.found is None, explored.found
    stuck = explored.stuck(resolved)
    print(stuck)
    assert stuck is not None


MISTAKES: dict[str, tuple[World, Rules, Property[State]]] = {
    "a decision is told before it is durable": (World((2,)), Rules(durable_first=False), AGREEMENT),
    "a decision is told before it is durable, seen earlier": (World((2,)), Rules(durable_first=False), DURABILITY),
    "a decision that is found is taken for durable": (World((2,)), Rules(reader_syncs=False), DURABILITY),
    "presumed abort is not written down": (World((2,)), Rules(writes_abort=False), AGREEMENT),
    "who comes later writes over the decision": (World((2,)), Rules(exclusive=False), STABILITY),
    "who comes later writes over it, seen later": (World((2,)), Rules(exclusive=False), AGREEMENT),
    "commit with one host that was not reached": (World((3,)), Rules(needs_all=False), VALIDITY),
    "commit with one host that was not reached, seen later": (World((3,)), Rules(needs_all=False), AGREEMENT),
    "a host says prepared before it has recorded it": (World((2,)), Rules(votes_late=False), VALIDITY),
    "a prepared host goes back alone": (World((2,)), Rules(keeps_word=False), AGREEMENT),
    "a slice commits when its own hosts are prepared": (World((1, 1)), Rules(counts_slices=False), VALIDITY),
    # No mistake of the protocol: what the admin says without the decision at hand is a promise that there is no other.
    "the admin says abort where the decision is commit": (World((2,), access=False, word=ABORT), Rules(), AGREEMENT),
}


@pytest.mark.parametrize(("world", "rules", "broken"), MISTAKES.values(), ids=MISTAKES)
def test_mistakes_are_found(world: World, rules: Rules, broken: Property[State]) -> None:
    found = Explored(Fleet(world, rules), [broken]).found
    print(found)
    assert found is not None
    assert found.name == broken.name
    assert len(found.trace) > 4
    assert _right(world._replace(word="")).found is None


def test_who_does_not_look_never_finds_a_host_that_undid_itself() -> None:
    stuck = Explored(Fleet(World((2,), switch=True), Rules(detects=False)), ALL).stuck(resolved)
    print(stuck)
    assert stuck is not None


class _Counter:
    """A model of which all is known."""

    def initial(self) -> int:
        return 0

    def steps(self, state: int) -> t.Iterator[Step[int]]:
        if state < 5:
            yield Step("one more", state + 1)
            yield Step("two more", state + 2, True)
        if state == 6:
            yield Step("back", 5)


def test_the_checker_itself() -> None:
    explored: Explored[int] = Explored(_Counter(), [])
    assert (explored.states, explored.steps) == (7, 11)
    assert [label for label, dummy in explored.trace(6)] == ["it begins", "two more", "two more", "two more"]
    assert explored.stuck(lambda state: state == 5) is None
    # Six is reached by a fault only, and left again.
    assert explored.stuck(lambda state: state == 6) is not None
    assert explored.stuck(lambda state: state == 4) is not None
    found = Explored(_Counter(), [Property("small", "Under four.", lambda state: "large" if state > 3 else "")]).found
    assert found is not None
    assert str(found).splitlines()[0] == "small is broken: large"
    assert [state for dummy, state in found.trace] == ["0", "2", "4"]
    steady = Property[int]("steady", "By one.", broken_by=lambda old, new: "a leap" if new - old > 1 else "")
    found = Explored(_Counter(), [steady]).found
    assert found is not None
    assert [label for label, dummy in found.trace] == ["it begins", "two more"]
