# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Names use the words of the glossary in docs/architecture.md."""

from __future__ import annotations

import pytest

from ansible_collections.intellistream.sage.scripts import vague_names, words
from ansible_collections.intellistream.sage.scripts.words import Name, Term

GLOSSARY = """
## Words

| term | means | instead of |
|---|---|---|
| drift | a difference | |
| fork, child | at the same time | `beside`, `in two` |
| write-once | written once | `once` |

## Next
| a | b | c |
"""
TERMS = [Term(("drift",), ()), Term(("fork", "child"), ("beside", "in two")), Term(("write-once",), ("once",))]


def test_this_checkout() -> None:
    assert words.check() == []


def test_the_same_folders_are_exempt_as_from_the_rule_for_variables() -> None:
    assert words.EXEMPT == vague_names.EXEMPT


def test_every_kind_of_name_is_looked_at() -> None:
    for names in (words.files(), words.classes(), words.options(), words.tasks()):
        assert len(names) > 20


def test_options_that_modules_share_are_looked_at() -> None:
    shared = {name.name for name in words.options() if "doc_fragments" in name.place}
    assert {"lock_timeout", "index_url", "requirements"} <= shared


def test_the_table_of_the_documentation_is_read() -> None:
    assert words.glossary(GLOSSARY) == TERMS
    for text in ("# Other\n", GLOSSARY.replace("| drift | a difference | |", "| drift | a difference |")):
        with pytest.raises(ValueError, match=r"table|columns"):
            words.glossary(text)


@pytest.mark.parametrize(
    ("kind", "name"),
    [("file", "_base/beside"), ("class", "BesideCall"), ("option", "run_beside"), ("task", "Split it in two")],
)
def test_a_word_that_is_not_to_be_used(kind: str, name: str) -> None:
    assert [line for line in words.problems(TERMS, [Name(kind, name, "there")]) if "'fork'" in line]


@pytest.mark.parametrize("name", ["_filesystem/write_once", "WriteOnceDir", "besides"])
def test_what_looks_like_one(name: str) -> None:
    assert words.problems(TERMS, [Name("file", name, "there")]) == []


def test_two_classes_of_one_name() -> None:
    names = [Name("class", "Wheel", "a.py:1"), Name("class", "Wheel", "b.py:1"), Name("class", "Other", "b.py:9")]
    assert words.shared_names(names) == ["b.py:1: there is another class Wheel at a.py:1"]
    assert words.shared_names(names[-1:], [Name("class", "Other", "c.py:2")]) == [
        "b.py:9: there is another class Other at c.py:2"
    ]
