# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Waiting for what another process does. No test may say how long that takes: a busy machine takes any time."""

from __future__ import annotations

import time
import typing as t

# Seconds; after them it will not happen any more. Below the time-out of pytest, so that a message tells what did not.
LIMIT = 200
# What a process sleeps that is ended by others: it must not end by itself within that time.
FOREVER = 100_000


def wait_until(condition: t.Callable[[], object], what: str, pause: float = 0.01) -> None:
    """Return as soon as it holds.

    :param what: what is waited for, for the message.
    :param pause: seconds between two looks.
    :raises AssertionError: it still does not hold after LIMIT seconds.
    """
    limit = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < limit, f"{what}: not within {LIMIT} seconds"
        time.sleep(pause)


def has_ended(process: int | str) -> bool:
    """Whether a process is gone, or nothing but its exit status is left."""
    try:
        with open(f"/proc/{process}/stat", encoding="ascii") as stat:
            return stat.read().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True
