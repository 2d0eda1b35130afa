# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import InputError
from ansible_collections.intellistream.sage.plugins.module_utils._installers import inventory
from ansible_collections.intellistream.sage.plugins.module_utils._installers import plan as installers_plan
from ansible_collections.intellistream.sage.plugins.module_utils._installers.inventory import Installed
from ansible_collections.intellistream.sage.plugins.module_utils._installers.requirement import Pin

FIRST = ["isage", "ISage_*"]
INVENTORY = {"a": Installed("a", "1.0", ""), "isage": Installed("isage", "1.0", "")}
PINS = [Pin("isage-x", "1.0"), Pin("a", "1.0", ("sha256:0",)), Pin("isage", "2.0"), Pin("isagelike", None, path="/x")]


def test_build(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inventory, "is_whole", lambda have: True)
    plan = installers_plan.build(PINS, INVENTORY, FIRST)
    assert [(one["name"], one["group"], one["action"], one["from_version"]) for one in plan] == [
        ("a", "third_party", "keep", "1.0"),
        ("isage", "sage", "replace", "1.0"),
        ("isage-x", "sage", "add", None),
        ("isagelike", "third_party", "add", None),
    ]
    assert plan[3]["path"] == "/x"
    assert "path" not in plan[0]
    assert plan == installers_plan.build(reversed(PINS), INVENTORY, FIRST)
    assert {installers_plan.pin_of(one) for one in plan} == set(PINS)
    assert installers_plan.diff(plan) == {
        "before": "isage==1.0\n",
        "after": "isage==2.0\nisage-x==1.0\nisagelike==(built from source)\n",
    }


@pytest.mark.parametrize(
    "distribution", [{}, {"name": "a"}, {"name": "", "version": "1"}, {"name": "a", "version": ""}]
)
def test_incomplete(distribution: dict[str, t.Any]) -> None:
    with pytest.raises(InputError, match="needs a name and a version"):
        installers_plan.pin_of(distribution)
