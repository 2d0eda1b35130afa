# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What hosts and people said: data of any type, and as one cell of a table, which text cannot end, leave or move."""

from __future__ import annotations

import typing as t
import unicodedata

# Columns of a terminal.
MOST = 160
_ENDING = "..."
# Characters of this text that are looked at, for each column that is left for it.
_LOOKED_AT = 8


def cell(text: object, most: int = MOST) -> str:
    """One line without control characters, with single spaces, of bounded width.

    What a terminal would not show as itself is shown as an escape: control characters, what changes the direction of
    text, and marks that are drawn over others. C(None) is empty.

    :param most: columns of a terminal; more is cut, which three dots tell.
    """
    if text is None:
        return ""
    shown = " ".join("".join(map(_shown, word)) for word in str(text)[: most * _LOOKED_AT].split())
    if len(str(text)) <= most * _LOOKED_AT and width(shown) <= most:
        return shown
    cut, columns = "", 0
    for character in shown:
        columns += _columns(character)
        if columns > most - len(_ENDING):
            break
        cut += character
    return cut + _ENDING


def mapping(data: object) -> t.Mapping[str, t.Any]:
    """It, or an empty one where it is none."""
    return data if isinstance(data, dict) else {}


def sequence(data: object) -> list[t.Any]:
    """It, if it is a list, or an empty one."""
    return data if isinstance(data, list) else []


def words(data: object) -> str:
    """It, if it is text, or none."""
    return data if isinstance(data, str) else ""


def width(text: str) -> int:
    """Columns of a terminal that text takes once it has gone through M(cell)."""
    return sum(map(_columns, text))


def pad(text: str, columns: int) -> str:
    """The text with spaces up to that many columns."""
    return text + " " * (columns - width(text))


def _shown(character: str) -> str:
    if character.isprintable() and not unicodedata.category(character).startswith("M"):
        return character
    return (
        character.encode("unicode_escape", "surrogatepass").decode("ascii")
        if character > "\x7f"
        else (f"\\x{ord(character):02x}")
    )


def _columns(character: str) -> int:
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
