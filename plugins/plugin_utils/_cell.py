# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Text of others as one cell of a table: it cannot end its line, look like another column, or move the cursor."""

from __future__ import annotations

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
    words = str(text)[: most * _LOOKED_AT].split()
    shown = " ".join("".join(map(_shown, word)) for word in words)
    if len(str(text)) <= most * _LOOKED_AT and width(shown) <= most:
        return shown
    cut, columns = "", 0
    for character in shown:
        columns += _columns(character)
        if columns > most - len(_ENDING):
            break
        cut += character
    return cut + _ENDING


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
