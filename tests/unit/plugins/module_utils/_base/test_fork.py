# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A second process: what it returns, and that it never outlives the first."""

from __future__ import annotations

import os
import signal
import time
import typing as t

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._base import fork
from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import Busy
from ansible_collections.intellistream.sage.plugins.module_utils._base.fork import ForkedCall, split_over_two_processes
from ansible_collections.intellistream.sage.plugins.module_utils._records.session import Engine
from ansible_collections.intellistream.sage.tests.unit.waiting import FOREVER, has_ended, wait_until

if t.TYPE_CHECKING:
    from pathlib import Path


def _fails() -> None:
    raise OSError


def test_a_result_of_any_size() -> None:
    assert ForkedCall(lambda: ["x" * 100_000] * 3).result() == ["x" * 100_000] * 3


def test_what_failed_or_was_killed_has_none() -> None:
    assert ForkedCall(_fails).result() is None
    assert ForkedCall(lambda: os.kill(os.getpid(), signal.SIGKILL)).result() is None


def test_stopped() -> None:
    child = ForkedCall(lambda: time.sleep(FOREVER))
    child.stop()
    child.stop()
    assert child.result() is None


def test_it_dies_with_its_parent(tmp_path: Path) -> None:
    named = tmp_path / "pid"

    def work() -> None:
        (tmp_path / "new").write_text(str(os.getpid()))
        (tmp_path / "new").rename(named)
        time.sleep(FOREVER)

    child = os.fork()
    if child == 0:
        ForkedCall(work)
        while not named.exists():
            time.sleep(0.01)
        os._exit(0)
    os.waitpid(child, 0)
    wait_until(lambda: has_ended(named.read_text()), "the end of the second process")


def test_nobody_gets_in_while_it_works(tmp_path: Path) -> None:
    """The lock is the first process's, and is let go when both have ended."""
    engine = Engine(str(tmp_path), lock_timeout=30)
    reading, writing = os.pipe()
    end, to_end = os.pipe()
    child = os.fork()
    if child == 0:
        session = engine.session()
        session.__enter__()
        grandchild = os.fork()
        if grandchild == 0:
            os.write(writing, b"x")
            os.read(end, 1)
            os._exit(0)
        os._exit(0)
    os.waitpid(child, 0)
    os.read(reading, 1)
    with pytest.raises(Busy), Engine(str(tmp_path), lock_timeout=0.1).session():
        pass
    os.write(to_end, b"x")
    with engine.session():
        pass


def _who(items: t.Sequence[int]) -> list[str]:
    return [f"{number} {os.getpid()}" for number in items]


def test_many_items_are_shared_by_two(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fork, "has_second_processor", lambda: True)
    monkeypatch.setattr(fork, "_MANY", 5)
    assert {who.split()[1] for who in split_over_two_processes(_who, range(4))} == {str(os.getpid())}
    found = split_over_two_processes(_who, range(5))
    assert [who.split()[0] for who in found] == ["0", "1", "2", "3", "4"]
    assert len({who.split()[1] for who in found}) == 2


def test_what_the_second_could_not_do_is_done_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fork, "has_second_processor", lambda: True)
    monkeypatch.setattr(fork, "_MANY", 2)
    parent = os.getpid()

    def work(items: t.Sequence[int]) -> list[str]:
        if os.getpid() != parent:
            os.kill(os.getpid(), signal.SIGKILL)
        return _who(items)

    assert split_over_two_processes(work, range(4)) == [f"{number} {parent}" for number in range(4)]
    with pytest.raises(ZeroDivisionError):
        split_over_two_processes(lambda items: [str(1 // number) for number in items], [1, 1, 1, 0])
