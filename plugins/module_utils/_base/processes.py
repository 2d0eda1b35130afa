# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Other processes of this host, as the kernel tells of them."""

from __future__ import annotations

import os


def name(process: int) -> str:
    """The name of a process."""
    return (_stat(process) or ["gone"])[0]


def ancestors() -> set[int]:
    """This process, and those that started it."""
    found: set[int] = set()
    process = os.getpid()
    while process > 0 and process not in found:
        found.add(process)
        known = _stat(process)
        process = int(known[2]) if known else 0
    return found


def _stat(process: int) -> list[str]:
    """Name, state, parent of a process; empty when it is gone."""
    try:
        with open(f"/proc/{process}/stat", encoding="utf-8", errors="replace") as stream:
            # The name may have spaces and parentheses.
            before, dummy, after = stream.read().rpartition(")")
    except OSError:
        return []
    return [before.partition("(")[2], *after.split()[:2]]
