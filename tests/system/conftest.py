# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Fixtures of all tests of package managers. They change the system they run on: only in a container, by run.sh."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from ansible_collections.intellistream.sage.tests.system.base import Base

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Iterator


def pytest_configure(config: pytest.Config) -> None:
    """Nothing of this may ever happen on somebody's machine."""
    if os.environ.get("SAGE_SYSTEM_TEST") != "1" or not os.path.exists("/run/.containerenv"):
        pytest.exit("these tests change the system: run them in a container by tests/system/run.sh", 2)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """SAGE_TEST_SHARE=1/2 plays the first of two shares, each second test; together they are all."""
    share = os.environ.get("SAGE_TEST_SHARE", "")
    if not share or os.environ.get("SAGE_TEST_ALL"):
        return
    number, shares = map(int, share.split("/"))
    mine = items[number - 1 :: shares]
    config.hook.pytest_deselected(items=[item for item in items if item not in mine])
    items[:] = mine


@pytest.fixture(scope="session")
def base() -> Base:
    """The system as the first test found it."""
    return Base()


@pytest.fixture(autouse=True)
def clean_system(base: Base) -> Iterator[None]:
    """Every test begins with the same system: its files, databases and marks."""
    yield
    base.restore()


@pytest.fixture
def sage_root(tmp_path: pathlib.Path) -> pathlib.Path:
    """A directory for `.sage`, outside of what the oracle compares."""
    root = tmp_path / "sage"
    root.mkdir()
    return root
