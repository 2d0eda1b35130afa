# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What holds for all unit tests."""

from __future__ import annotations

import os
import typing as t

from hypothesis import HealthCheck, settings

if t.TYPE_CHECKING:
    import pytest

# Other checks run beside these on few cores: a pause of a second says nothing about a test.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")

# Every call killed, every state visited: what they find hardly depends on the Python.
EXHAUSTIVE = ("/unit/crash/", "/unit/protocol/", "/_rollback_shell/test_kills.py", "::test_interrupted_anywhere")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With SAGE_TEST_SHARE=1/2 play one of two shares of the exhaustive tests; with SAGE_TEST_ALL=1 all."""
    share = os.environ.get("SAGE_TEST_SHARE", "")
    if not share or os.environ.get("SAGE_TEST_ALL"):
        return
    number, shares = map(int, share.split("/"))
    exhaustive = [item for item in items if any(part in f"/{item.nodeid}" for part in EXHAUSTIVE)]
    others = set(exhaustive) - set(exhaustive[number - 1 :: shares])
    config.hook.pytest_deselected(items=list(others))
    items[:] = [item for item in items if item not in others]
