# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What every play pays for that uses one filter of the collection."""

from __future__ import annotations

import ast
import pathlib

import pytest

FILTERS = sorted((pathlib.Path(__file__).resolve().parents[3] / "plugins" / "filter").glob("*.py"))


@pytest.mark.parametrize("path", FILTERS, ids=lambda path: path.stem)
def test_a_filter_imports_when_it_is_called(path: pathlib.Path) -> None:
    """For one filter Ansible loads the files of all, and compiles again in every run what they import."""
    at_once = [
        node.module for node in ast.parse(path.read_text(encoding="utf-8")).body if isinstance(node, ast.ImportFrom)
    ]
    assert [name for name in at_once if str(name).startswith("ansible_collections.")] == []


def test_there_are_filters() -> None:
    assert FILTERS
