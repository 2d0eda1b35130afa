# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Random changes to random trees, undone: the whole tree is compared with what it was, by nothing of the engine's."""

from __future__ import annotations

import functools
import os
import random
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._footprint import table
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils._footprint.bench import (
    Bench,
    Changes,
    killed,
    snapshot,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ansible_collections.intellistream.sage.plugins.module_utils._footprint.settle import Footprint
    from ansible_collections.intellistream.sage.plugins.module_utils._footprint.table import Table

pytestmark = pytest.mark.property
ROUNDS = int(os.environ.get("SAGE_FOOTPRINT_ROUNDS", "0")) or (1500 if os.environ.get("SAGE_TEST_ALL") else 3)
each_round = pytest.mark.parametrize(("seed", "links"), [(seed, bool(seed % 2)) for seed in range(2 * ROUNDS)])


class Round:
    """A random tree that is changed at random.

    :param where: an empty directory, or one with a tree.
    :param store: where the farm is, else beside the tree.
    :ivar bench: on which it is captured and undone.
    :ivar states: snapshots before each change.
    :ivar points: tables and footprints of the changes.
    """

    def __init__(self, where: Path, seed: str, links: bool, store: Path | None = None) -> None:
        # The same again for the same seed; no secret.
        self.choice = random.Random(seed)  # noqa: S311
        self._foreign = where / "foreign"
        self._foreign.write_bytes(b"somebody else's, too")
        top = where / "tree"
        top.mkdir(exist_ok=True)
        self._changes = Changes(top, self.choice, self._foreign, in_place=not links)
        self._changes.change(self.choice.randrange(40))
        if self.choice.random() < 0.1:
            shutil.rmtree(top)
        self.bench = Bench(where, links, store)
        self.states: list[dict[str, Any]] = []
        self.points: list[tuple[Table, Footprint]] = []

    def __enter__(self) -> Round:
        return self

    def __exit__(self, *exc: object) -> None:
        self.bench.__exit__()
        assert self._foreign.read_bytes() == b"somebody else's, too"

    def snapshot(self) -> dict[str, Any]:
        return snapshot(self.bench.top)

    def change(self) -> None:
        self._changes.change(self.choice.randrange(20))

    def transact(self, action: Callable[[], object], kill: bool = False) -> None:
        """Carry out an action between a capture and its settling, both perhaps killed once."""
        self.states.append(self.snapshot())
        if kill:
            killed(self.bench.capture, self.choice.randrange(1, 60))
        before = self.bench.capture()
        action()
        if kill:
            killed(functools.partial(self.bench.settle, before), self.choice.randrange(1, 60))
        self.points.append((before, self.bench.settle(before)))

    def undo(self, first: int, last: int) -> None:
        """Undo some points in one go, of which the last is the newest."""
        points = self.points[first : last + 1]
        self.bench.undo_all(points[0][0], [footprint for _table, footprint in points])

    def undo_killed(self, first: int, last: int) -> None:
        """Undo points, with up to three kills on the way."""
        for _kill in range(self.choice.randrange(1, 4)):
            killed(functools.partial(self.undo, first, last), self.choice.randrange(1, 80))
        self.undo(first, last)

    def assert_is_as(self, number: int) -> None:
        """The tree is as before a point, and no temporary name is anywhere."""
        state, expected = self.snapshot(), dict(self.states[number])
        # Equal files that a change made one stay one: nothing that is compared tells that they were two.
        groups = state.pop("names of one file")
        for names in expected.pop("names of one file"):
            assert any({*names} <= {*group} for group in groups)
        assert state == expected
        assert not self.bench.leftovers()


@pytest.fixture(autouse=True)
def _no_granule(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else all would be copied: it was written in the second of the look."""
    monkeypatch.setattr(table, "GRANULE_NS", 0)


@each_round
def test_changes_are_undone_exactly(tmp_path: Path, seed: int, links: bool) -> None:
    with Round(tmp_path, f"{seed}", links) as each:
        for _point in range(each.choice.randrange(1, 4)):
            each.transact(each.change)
        # In one go, or one after the other.
        together = each.choice.randrange(len(each.points) + 1)
        for number in range(len(each.points) - 1, together - 1, -1):
            each.undo(number, number)
            each.assert_is_as(number)
        if together:
            each.undo(0, together - 1)
            each.assert_is_as(0)


@each_round
def test_f11_killed_at_random_and_run_again(tmp_path: Path, seed: int, links: bool) -> None:
    with Round(tmp_path, f"killed {seed}", links) as each:
        for _point in range(each.choice.randrange(1, 3)):
            each.transact(each.change, kill=True)
        each.undo_killed(0, len(each.points) - 1)
        each.assert_is_as(0)


@each_round
def test_f22_undone_and_redone(tmp_path: Path, seed: int, links: bool) -> None:
    """The way back after an undo is the undo's own capture: five deep, and several of them in one go."""
    with Round(tmp_path, f"redo {seed}", links) as each:
        each.transact(each.change)
        for _undo in range(5):
            last = len(each.points) - 1
            first = each.choice.randrange(len(each.points))
            if each.choice.random() < 0.3:
                each.transact(functools.partial(each.undo_killed, first, last), kill=True)
            else:
                each.transact(functools.partial(each.undo, first, last))
            each.assert_is_as(first)
        while each.points:
            first = each.choice.randrange(len(each.points))
            each.undo(first, len(each.points) - 1)
            each.assert_is_as(first)
            del each.points[first:]
