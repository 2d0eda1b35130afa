# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Durations and moments as people write them."""

from __future__ import annotations

import datetime as dt

import pytest

from ansible_collections.intellistream.sage.plugins.plugin_utils._moments import seconds, seconds_until

NOW = dt.datetime(2025, 11, 15, 23, 30, tzinfo=dt.timezone(dt.timedelta(hours=8)))


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("45m", 2_700),
        ("1h 30m", 5_400),
        ("1h30m", 5_400),
        ("1H", 3_600),
        ("90s", 90),
        ("0.5h", 1_800),
        ("2d", 172_800),
        ("90", 90),
        (90, 90),
        (1.5, 1.5),
    ],
)
def test_durations(text: object, wanted: float) -> None:
    assert seconds(text) == wanted


@pytest.mark.parametrize("text", ["", "m", "45 minutes", "-5", "1h 30", "10x", "nan", "1e9"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration; write 45m"):
        seconds(text)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("23:31", 60),
        ("23:30", 86_400),
        ("00:30", 3_600),
        ("0:30", 3_600),
        ("2025-11-15T23:31:00+08:00", 60),
        ("2025-11-15T15:31:00Z", 60),
        ("2025-11-15 15:31:00+00:00", 60),
        ("2025-11-15T15:29:00z", -60),
        (int(NOW.timestamp()) + 90, 90),
        (str(NOW.timestamp() + 0.5), 0.5),
    ],
)
def test_moments(text: object, wanted: float) -> None:
    assert seconds_until(text, NOW) == pytest.approx(wanted)


@pytest.mark.parametrize("text", ["", "2025-11-15T23:31:00", "24:00", "12:60", "tomorrow", "45m"])
def test_what_is_no_moment(text: str) -> None:
    with pytest.raises(ValueError, match="is not a deadline; write"):
        seconds_until(text, NOW)
