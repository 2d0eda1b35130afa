# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ids strictly increase, whatever the clock does."""

from __future__ import annotations

import datetime as dt
import time
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.intellistream.sage.plugins.module_utils._base import clock

ZONES = ("UTC", "Asia/Shanghai", "Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe")


@pytest.fixture(autouse=True)
def _zone() -> t.Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "UTC")
        yield
    time.tzset()


def _at(seconds: float, zone: str, last: str | None) -> str:
    """The id made at that moment in that zone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", zone)
        time.tzset()
        real = time.strftime
        patch.setattr(
            time, "strftime", lambda form, when=None: real(form, time.localtime(seconds) if when is None else when)
        )
        return clock.new_install_id(last)


def _milliseconds() -> int:
    return time.time_ns() // 1_000_000


def test_now_is_iso_with_zone_and_milliseconds() -> None:
    before = _milliseconds()
    text = clock.now()
    parsed = dt.datetime.fromisoformat(text)
    assert parsed.tzinfo is not None
    assert before <= round(parsed.timestamp() * 1000) <= _milliseconds()
    assert len(text) == len("2025-11-15T14:30:00.000+08:00")


@pytest.mark.parametrize("zone", ZONES)
def test_now_is_right_in_every_zone(zone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    before = _milliseconds()
    assert before <= round(dt.datetime.fromisoformat(clock.now()).timestamp() * 1000) <= _milliseconds()


def test_within_one_second_ids_increase() -> None:
    ids: list[str] = []
    for _number in range(50):
        ids.append(clock.new_install_id(ids[-1] if ids else None))
    assert ids == sorted(set(ids))


@given(
    moments=st.lists(st.tuples(st.integers(0, 4_000_000_000), st.sampled_from(ZONES)), min_size=2, max_size=6),
)
def test_ids_increase_when_the_clock_or_the_zone_goes_back(moments: list[tuple[int, str]]) -> None:
    last = None
    for seconds, zone in moments:
        following = _at(seconds, zone, last)
        assert time.strptime(following, "%Y%m%d_%H%M%S")
        assert last is None or following > last
        last = following


@pytest.mark.parametrize("last", ["20251026_025959", "20250330_015959", "20251231_235959", "20240228_235959"])
def test_where_summer_time_changes(last: str) -> None:
    assert _at(0, "Europe/Berlin", last) > last
