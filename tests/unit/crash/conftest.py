# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What all tests of kills have in common."""

from __future__ import annotations

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._footprint import table


@pytest.fixture(autouse=True)
def _held_by_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trials begin with a copy of a host, whose inodes no link holds: content has to be held by copies."""
    for granule in ("GRANULE_NS", "_FINE_GRANULE_NS"):
        monkeypatch.setattr(table, granule, 10**10)
