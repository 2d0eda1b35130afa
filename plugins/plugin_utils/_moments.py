# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Durations and moments as people write them, on the controller's clock."""

from __future__ import annotations

import datetime as dt
import os
import re
import time
import typing as t

_UNITS = {"d": 86_400.0, "h": 3_600.0, "m": 60.0, "s": 1.0}
_PART = r"(\d+(?:\.\d+)?)\s*([dhms])"
_DURATION = re.compile(rf"\s*(?:{_PART}\s*)+", re.IGNORECASE)
_CLOCK = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)")


def seconds(duration: t.Any) -> float:
    """The seconds of V(45m), V(1h 30m), V(90s), V(0.5h), or of a number.

    :raises ValueError: it is none of these.
    """
    text = str(duration).strip()
    if _DURATION.fullmatch(text):
        return sum(float(number) * _UNITS[unit.lower()] for number, unit in re.findall(_PART, text, re.IGNORECASE))
    number = _number(text)
    if number is None or number < 0:
        raise ValueError(f"{text!r} is not a duration; write 45m, 1h 30m, 90s, or a number of seconds")
    return number


def seconds_until(moment: t.Any, current: dt.datetime) -> float:
    """The seconds from C(current) to a moment; negative when it is past.

    :param moment: an ISO time with its zone, seconds since the epoch, or V(HH:MM), which is the next time that the
        clock shows it.
    :param current: with its zone; V(HH:MM) is of that zone.
    :raises ValueError: it is none of these.
    """
    text = str(moment).strip()
    clock = _CLOCK.fullmatch(text)
    if clock is not None:
        today = current.replace(hour=int(clock[1]), minute=int(clock[2]), second=0, microsecond=0)
        return ((today if today > current else today + dt.timedelta(days=1)) - current).total_seconds()
    number = _number(text)
    if number is not None:
        return number - current.timestamp()
    try:
        parsed = dt.datetime.fromisoformat(re.sub(r"[zZ]$", "+00:00", text))
    except ValueError:
        parsed = None
    if parsed is None or parsed.tzinfo is None:
        raise ValueError(
            f"{text!r} is not a deadline; write 2025-11-15T03:30:00+08:00 (with a zone), 03:30, or seconds since 1970"
        )
    return (parsed - current).total_seconds()


def window_end(path: str, length: float) -> float:
    """When the window ends that the first caller begins for all.

    :param path: of a file on the controller that says so; made where it is not there.
    :param length: of the window, in seconds.
    :returns: seconds since the epoch.
    """
    return float(first_to_say(path, repr(time.time() + length)))


def first_to_say(path: str, text: str) -> str:
    """What the first caller said, for all.

    :param path: of a file on the controller that has it; made where it is not there.
    :param text: what this caller says.
    """
    staged = f"{path}.{os.getpid()}"
    with open(staged, "w", encoding="utf-8") as stream:
        stream.write(text)
    try:
        # Never seen half written, and never replaced.
        os.link(staged, path)
    except FileExistsError:
        pass
    finally:
        os.unlink(staged)
    with open(path, encoding="utf-8") as stream:
        return stream.read()


def _number(text: str) -> float | None:
    return float(text) if re.fullmatch(r"-?\d+(\.\d+)?", text) else None
