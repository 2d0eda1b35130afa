# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whatever works on the root's farm is killed at, or refused, each of its calls; nothing that is needed is lost."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._footprint import table_parts
from ansible_collections.intellistream.sage.plugins.module_utils._fsck.check import check
from ansible_collections.intellistream.sage.plugins.module_utils._pruning.policy import Limits
from ansible_collections.intellistream.sage.plugins.module_utils._pruning.prune import retain
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils._footprint.bench import CALLS, killed
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils._timeline.treehost import TreeHost, host
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils.tree import snapshot

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["host"]

ACTIONS: dict[str, Callable[[TreeHost], object]] = {
    "settle": lambda host: host.settle(list(host.points())[-1]),
    "capture, which settles the point before": lambda host: host.capture(),
    "retention": lambda host: retain(host.engine, Limits(), False),
    "repair": lambda host: check(host.engine, True, False),
}
ERRORS = {"killed": None, "disk full": OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))}
# How many calls apart, and from which on: some of them in the quick checks, all of them in an exhaustive one.
STEP = 37


@pytest.fixture(autouse=True)
def parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tables of settled points are kept in parts, small as they are here."""
    monkeypatch.setattr(table_parts, "_SMALL", 0)


def _prepared(where: Path) -> tuple[TreeHost, list[str], list[dict[str, tuple[object, ...]]]]:
    """A host with a settled point, one that waits, and half of a copy; its points and their states."""
    where.mkdir()
    made = TreeHost(where)
    states = [snapshot(made.top)]
    points = [made.change("one", "second")]
    states.append(snapshot(made.top))
    points.append(made.capture())
    made.replace("two", "second")
    made.replace("some.conf", "edited again")
    (made.farm / ".copy").write_text("half of")
    return made, points, states


def _assert_intact(host: TreeHost) -> None:
    """Nothing is wrong, but for the script that comes after the record."""
    findings = check(host.engine, False, False)["findings"]
    wrong = [each for each in findings if each["severity"] == "wrong" and each["name"] != "script_differs"]
    assert not wrong


def _tried(where: Path, action: Callable[[TreeHost], object], nth: int, error: OSError | None) -> bool:
    """Whether it came to that call. Afterwards all is as if nothing had happened, at once or once it is run again."""
    host, points, states = _prepared(where)
    # To open a file for reading needs no room.
    calls = CALLS if error is None else [name for name in CALLS if name != "open"]
    came = killed(lambda: action(host), nth, error, calls)
    _assert_intact(host)
    if nth % 2:
        action(host)
        _assert_intact(host)
    for point, state in reversed(list(zip(points, states))):
        host.undo(point)
        assert snapshot(host.top) == state, nth
    return came


@pytest.mark.parametrize("error", list(ERRORS))
@pytest.mark.parametrize("name", list(ACTIONS))
@pytest.mark.usefixtures("host")
def test_nothing_is_lost(tmp_path: Path, name: str, error: str) -> None:
    nth = first = 1 + list(ACTIONS).index(name)
    while _tried(tmp_path / str(nth), ACTIONS[name], nth, ERRORS[error]):
        nth += STEP
    assert nth > first


@pytest.mark.crash
@pytest.mark.parametrize("error", list(ERRORS))
@pytest.mark.parametrize("name", list(ACTIONS))
@pytest.mark.usefixtures("host")
def test_nothing_is_lost_at_any_call(tmp_path: Path, name: str, error: str) -> None:
    nth = 1
    while _tried(tmp_path / str(nth), ACTIONS[name], nth, ERRORS[error]):
        nth += 1
