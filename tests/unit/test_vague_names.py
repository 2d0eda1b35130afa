# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Names of variables say what they hold: the rule of scripts/vague_names.py, and how it counts."""

from __future__ import annotations

from ansible_collections.intellistream.sage.scripts import vague_names

EXAMPLE = """
import one as found

LIMIT = 3

class Wheel:
    size: int = 0

    def __init__(self, path: str, *there: str, **options: int) -> None:
        self.path = path
        self.path = self._left = 1
        for one in there:
            one = str(one)

def value(a: int = (b := 1)) -> None:
    with open("x") as file:
        (c, [*d]) = [now for now in file if (e := now)]
    try:
        pass
    except OSError as error:
        pass
    lambda kept, *, wanted=1: kept
    dummy, _ = 1, 2
"""


def test_fewer_than_two_percent_say_nothing() -> None:
    assert vague_names.main([]) == 0


def test_every_name_is_counted_once_in_its_scope() -> None:
    counted = [binding.name for binding in vague_names.bindings(EXAMPLE)]
    module = ["LIMIT", "b"]
    wheel = ["size", "path", "_left", "path", "there", "options", "one"]
    function = ["a", "file", "c", "d", "now", "e", "error", "kept", "wanted"]
    assert sorted(counted) == sorted(module + wheel + function)


def test_vague_are_the_words_of_the_docstring() -> None:
    assert {"one", "why", "both", "item", "tmp"} <= vague_names.vague_words()
    vague = {binding.name for binding in vague_names.bindings(EXAMPLE) if binding.vague}
    assert vague == {"_left", "there", "one", "now", "kept", "wanted"}
