# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The messages that head docs/troubleshooting.md are messages of the collection."""

from __future__ import annotations

import ast
import functools
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "troubleshooting.md"
# Parts of headings that other programs say: ansible-core, Python, the operating system.
OF_OTHERS = {
    "No module named",
    "No space left on device",
}


def headings(page: str) -> list[str]:
    """What the headings quote, each on one line."""
    bold = re.findall(r"(?ms)^\*\*.+?(?=\n\n|\Z)", page)
    quotes = [first or second for text in bold for first, second in re.findall(r"(?s)`` (.+?) ``|`([^`]+)`", text)]
    return [re.sub(r"\s+", " ", quote) for quote in quotes]


def fixed_parts(heading: str) -> list[str]:
    """What has to stand in the code word by word.

    Left out is what a message fills in: C(…), and words with a digit, a dot, a slash, an underscore or a quote within.
    Split at colons, too, since what is before one is often put there by other code than what follows.
    """
    parts = re.split(r"…|:(?: |$)|\S*(?:\d|\w[./_'=]\w|'\w)\S*", heading)
    return [part for part in (part.strip(" .,;:()`\"'|") for part in parts) if len(part) > 3]


@functools.lru_cache(maxsize=1)
def code() -> str:
    """All that the collection and its scripts say, one text with single blanks."""
    texts = []
    for path in sorted((ROOT / "plugins").rglob("*.py")):
        texts += _literals(path.read_text(encoding="utf-8"))
    for folder in ("plugins", "roles", "playbooks", "scripts", "tests/run"):
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in (".yml", ".j2", ".sh"):
                # Lines that go on, and the beginnings of expressions that begin with a text.
                texts.append(re.sub(r"\\\n|\{\{ '", "", path.read_text(encoding="utf-8")))
    return re.sub(r"\s+", " ", "\n".join(texts))


def _literals(source: str) -> list[str]:
    """Strings as they are when the program runs: literals side by side are one."""
    literals = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.JoinedStr):
            literals.append(
                "".join(str(part.value) if isinstance(part, ast.Constant) else "\0" for part in node.values)
            )
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            literals.append(node.value)
    return literals


def in_code(part: str) -> bool:
    """Whether it is said, as one text or as two that are put together, each of two words at least."""
    words = part.split()
    halves = ((" ".join(words[:cut]), " ".join(words[cut:])) for cut in range(2, len(words) - 1))
    return part in code() or any(first in code() and second in code() for first, second in halves)


def test_every_heading_is_a_message() -> None:
    quoted = headings(PAGE.read_text(encoding="utf-8"))
    assert len(quoted) > 80
    missing = {
        heading: parts
        for heading in quoted
        if (parts := [part for part in fixed_parts(heading) if part not in OF_OTHERS and not in_code(part)])
    }
    assert not missing


@pytest.mark.parametrize(
    "heading",
    ['SAGE was not installed: phase … failed in task "…": …', "Nothing was undone (sage_rollback_policy=none)."],
)
def test_a_heading_that_is_no_message_is_noticed(heading: str) -> None:
    assert not all(in_code(part) for part in fixed_parts(heading))


def test_parts_of_a_heading() -> None:
    page = (
        "# Title\n\n**UnsafePath: `… is at 3.9, of\na.txt: mine`** · **`` `… pip` ended ``**\n\nText **`not this`**.\n"
    )
    assert headings(page) == ["… is at 3.9, of a.txt: mine", "`… pip` ended"]
    assert fixed_parts("… is at … by 3.9, of the a.txt: mine.") == ["is at", "of the", "mine"]
