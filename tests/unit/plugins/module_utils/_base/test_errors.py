# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every error tells what happened, what was left, what to do."""

from __future__ import annotations

import json

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._base import errors
from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import LedgerBroken, SageError, StateError


def test_str_has_all_three_parts() -> None:
    error = SageError("It broke.", untouched="everything.", advice="Mend it.")
    assert str(error) == "It broke. Left as it was: everything. What to do: Mend it."


def test_str_leaves_out_what_is_not_said() -> None:
    assert str(SageError("It broke.")) == "It broke."


def test_as_dict_is_json_and_names_the_kind() -> None:
    error = LedgerBroken("Line 3 was altered.", number=3, advice="Restore it.")
    assert error.number == 3
    assert json.loads(json.dumps(error.as_dict())) == {
        "kind": "LedgerBroken",
        "what": "Line 3 was altered.",
        "untouched": "",
        "advice": "Restore it.",
        "number": 3,
    }


@pytest.mark.parametrize("name", ["LedgerBroken", "UnsafePath", "Busy", "StorageError"])
def test_errors_of_the_state_are_caught_together(name: str) -> None:
    assert issubclass(getattr(errors, name), StateError)
    assert issubclass(StateError, SageError)
