# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What holds for all unit tests."""

from __future__ import annotations

import os
import pathlib
import signal
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, is_hypothesis_test, settings

from ansible_collections.intellistream.sage.plugins.module_utils._base import processes

if TYPE_CHECKING:
    from collections.abc import Iterator

# Other checks run beside these on few cores: a pause of a second says nothing about a test.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")

# Every call killed, every state visited: what they find hardly depends on the Python.
SHARED = ("crash", "protocol")


@pytest.fixture(autouse=True)
def _end_keepers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What watches the trees of a test lives on for hours, since captures that nobody settles do."""
    yield
    top = str(tmp_path_factory.getbasetemp())
    for process in processes.running():
        if processes.name(process) == processes.KEEPER and _has_open(process, top):
            os.kill(process, signal.SIGTERM)


def _has_open(process: int, top: str) -> bool:
    try:
        return any(os.readlink(link).startswith(top) for link in pathlib.Path(f"/proc/{process}/fd").iterdir())
    except OSError:
        # It has ended, or is somebody else's.
        return False


def pytest_itemcollected(item: pytest.Item) -> None:
    """What Hypothesis draws inputs for carries the mark C(property): a hundred calls for one test."""
    if is_hypothesis_test(getattr(item, "function", None)):
        item.add_marker(pytest.mark.property)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With SAGE_TEST_SHARE=1/6 play one of six shares of the tests with these marks, with SAGE_TEST_ALL=1 all.

    Where shares are even and odd ones, one Python plays every second one of the slow tests, and the other the others.
    """
    share = os.environ.get("SAGE_TEST_SHARE", "")
    if not share or os.environ.get("SAGE_TEST_ALL"):
        return
    number, shares = map(int, share.split("/"))
    shared = [item for item in items if any(item.get_closest_marker(mark) for mark in SHARED)]
    others = set(shared) - set(shared[number - 1 :: shares])
    if shares % 2 == 0:
        slow = [item for item in items if item.get_closest_marker("slow") and item not in shared]
        others |= set(slow[number % 2 :: 2])
    config.hook.pytest_deselected(items=list(others))
    items[:] = [item for item in items if item not in others]
