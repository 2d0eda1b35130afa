# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A rollback that is ended before each of its calls, and then a rollback to another point.

The second does not compute what the first had computed. What it brings is compared with the model of the property
tests, which knows nothing of the engine.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import traceback
import typing as t

import pytest

from ansible_collections.intellistream.sage.tests.unit.crash.test_undo import EACH
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils.bareshell import no_link
from ansible_collections.intellistream.sage.tests.unit.property.model import World

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.crash


def _killed_installer(world: World) -> None:
    """What it left has no RECORD; the first installation is finished."""
    world.install({"pack": "1.0", "other": "1.0"}, "finished", again=False)
    world.install({"other": "2.0", "fresh": "1.0"}, "killed", again=False)


def _undone_before(world: World) -> None:
    """Both installations were undone, but for the first environment."""
    world.install({"fresh": "3.0"}, "finished", again=False)
    world.install({"pack": "3.0"}, "finished", again=False)
    world.undo(*_target(world, 1), force=True)


def _upgraded_twice(world: World) -> None:
    """Each version has a file that the others do not have; the last one is of somebody else."""
    for version in ("1.0", "2.0"):
        world.install({"pack": version}, "finished", again=False)
    world.others_install("pack", known=False)


# Name → what happened before, the target of the first rollback, and those of the second: numbers of rollback points, as
# they were captured, and words.
SITUATIONS: dict[str, tuple[Callable[[World], None], int, list[int | str]]] = {
    "killed installer": (_killed_installer, 3, [2, 0, 1, "last"]),
    "undone before": (_undone_before, 3, [3, 1, 4, 0]),
    "upgraded twice": (_upgraded_twice, 1, [0, 2, 3, "last"]),
    "back to the older": (_upgraded_twice, 3, [1, 2, 0]),
    "back to the older, copied": (_upgraded_twice, 3, [1, 2, 0]),
}


def _target(world: World, wanted: int | str) -> tuple[str, int]:
    if isinstance(wanted, int):
        name: str | None = [known for known in world.known if "." in known][wanted]
        moment = world.known[str(name)]
    else:
        name, moment = world.target(wanted)
    assert name is not None
    return name, moment


def _redo_points(world: World) -> list[str]:
    return [point["point"] for change in world.changes() for point in change.active_points if point.get("redo")]


def _two_undos(world: World, first: int, second: int | str, nth: int) -> None:
    """Two rollbacks, and one that takes the first one back where that was kept."""
    name, moment = _target(world, first)
    before = _redo_points(world)
    world.killed(name, nth, force=True)
    captured = {*_redo_points(world)} - {*before}
    again, later = _target(world, second)
    world.finish(again, later, moment, force=True)
    for redo in captured & {*_redo_points(world)}:
        world.undo(redo, world.known[redo], force=True)


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.remove()
    shutil.rmtree(f"{made.path}-saved", ignore_errors=True)


@pytest.mark.parametrize("situation", SITUATIONS)
def test_killed_anywhere_then_to_another_point(world: World, situation: str, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare, first, seconds = SITUATIONS[situation]
    if situation.endswith("copied"):
        monkeypatch.setattr(os, "link", no_link)
    prepare(world)
    path, saved = str(world.path), f"{world.path}-saved"
    os.rename(path, saved)
    # More calls than the rollbacks have, so that the last of them are not ended.
    for tried, nth in enumerate(range(1, 140, EACH or 7)):
        shutil.rmtree(path, ignore_errors=True)
        subprocess.run(["cp", "-a", saved, path], check=True)
        second = seconds[tried % len(seconds)]
        child = os.fork()
        if not child:
            try:
                _two_undos(world, first, second, nth)
                os._exit(0)
            finally:
                traceback.print_exc()
                sys.stderr.flush()
                os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0, (nth, second)
