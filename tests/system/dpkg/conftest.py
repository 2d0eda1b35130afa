# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Fixtures of the tests with dpkg."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ansible_collections.intellistream.sage.tests.system.debs import Repository

if TYPE_CHECKING:
    import pathlib


@pytest.fixture
def repository(tmp_path: pathlib.Path) -> Repository:
    """An empty repository, the only one that apt knows."""
    tmp_path.chmod(0o755)
    return Repository(tmp_path / "repository")
