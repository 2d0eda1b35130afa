# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Dates for a rollback: what people write, and what is refused because it could mean two moments."""

from __future__ import annotations

import datetime as dt
import time
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import InputError
from ansible_collections.intellistream.sage.plugins.module_utils._records.installation import PHASES
from ansible_collections.intellistream.sage.plugins.module_utils._timeline.dates import looks_like_date, parse

# Zones are spelled out: a container may have no names of zones.
UTC = dt.timezone.utc
# A Friday, summer time in Berlin.
NOW = dt.datetime(2003, 8, 1, 15, 21, 0, 500000, tzinfo=dt.timezone(dt.timedelta(hours=2)))


@pytest.fixture
def zone(monkeypatch: pytest.MonkeyPatch) -> t.Iterator[t.Callable[[str], None]]:
    """Sets the time zone of this process."""

    def choose(name: str) -> None:
        monkeypatch.setenv("TZ", name)
        time.tzset()

    yield choose
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def berlin(zone: t.Callable[[str], None]) -> None:
    zone("CET-1CEST,M3.5.0,M10.5.0/3")


def _iso(text: str, now: dt.datetime = NOW) -> str:
    return parse(text, now).isoformat(" ")


@pytest.mark.usefixtures("berlin")
@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("2 hours ago", "2003-08-01 13:21:00.500000+02:00"),
        ("2 HOURS AGO", "2003-08-01 13:21:00.500000+02:00"),
        ("an hour ago", "2003-08-01 14:21:00.500000+02:00"),
        ("90 minutes ago", "2003-08-01 13:51:00.500000+02:00"),
        ("90min ago", "2003-08-01 13:51:00.500000+02:00"),
        ("30 secs ago", "2003-08-01 15:20:30.500000+02:00"),
        ("1 day 3 hours ago", "2003-07-31 12:21:00.500000+02:00"),
        ("1 day, 3 hours ago", "2003-07-31 12:21:00.500000+02:00"),
        ("1 day and 3 hours ago", "2003-07-31 12:21:00.500000+02:00"),
        ("a week ago", "2003-07-25 15:21:00.500000+02:00"),
        ("2 days ago 14:30", "2003-07-30 14:30:00+02:00"),
        ("2 days ago at 14:30", "2003-07-30 14:30:00+02:00"),
        ("0 days ago", "2003-08-01 15:21:00.500000+02:00"),
        ("2 months ago", "2003-06-01 15:21:00.500000+02:00"),
        ("6 months ago", "2003-02-01 15:21:00.500000+01:00"),
        ("1 year 2 months ago", "2002-06-01 15:21:00.500000+02:00"),
        ("now", "2003-08-01 15:21:00.500000+02:00"),
        ("today", "2003-08-01 00:00:00+02:00"),
        ("today 09:00", "2003-08-01 09:00:00+02:00"),
        ("09:00", "2003-08-01 09:00:00+02:00"),
        ("at 9:00", "2003-08-01 09:00:00+02:00"),
        ("11:00 UTC", "2003-08-01 13:00:00+02:00"),
        ("yesterday", "2003-07-31 00:00:00+02:00"),
        ("yesterday 14:30", "2003-07-31 14:30:00+02:00"),
        ("14:30 yesterday", "2003-07-31 14:30:00+02:00"),
        ("yesterday noon", "2003-07-31 12:00:00+02:00"),
        ("noon", "2003-08-01 12:00:00+02:00"),
        ("midnight", "2003-08-01 00:00:00+02:00"),
        ("last friday", "2003-07-25 00:00:00+02:00"),
        ("last thu", "2003-07-31 00:00:00+02:00"),
        ("last Saturday at 7:05", "2003-07-26 07:05:00+02:00"),
        ("2003-07-31", "2003-07-31 00:00:00+02:00"),
        ("2003/07/31", "2003-07-31 00:00:00+02:00"),
        ("2003-7-1", "2003-07-01 00:00:00+02:00"),
        ("2003-07-31 23:26", "2003-07-31 23:26:00+02:00"),
        ("2003-07-31 23:26:59", "2003-07-31 23:26:59+02:00"),
        ("2003-02-28 23:26:59", "2003-02-28 23:26:59+01:00"),
        ("31 Jul 2003", "2003-07-31 00:00:00+02:00"),
        ("31-Jul-2003", "2003-07-31 00:00:00+02:00"),
        ("31 July 2003 23:26", "2003-07-31 23:26:00+02:00"),
        ("Jul 31 2003", "2003-07-31 00:00:00+02:00"),
        ("July 31, 2003 23:26", "2003-07-31 23:26:00+02:00"),
        ("Thu Jul 31 23:26:00 2003", "2003-07-31 23:26:00+02:00"),
        ("Thu Jul 31 23:26:00 UTC 2003", "2003-08-01 01:26:00+02:00"),
        ("Tue Jul  1 23:26:00 2003", "2003-07-01 23:26:00+02:00"),
        ("Thu, 31 Jul 2003 23:26:00 -0700", "2003-08-01 08:26:00+02:00"),
        ("Thu, 31 Jul 2003 23:26:00 +0200 (CEST)", "2003-07-31 23:26:00+02:00"),
        ("31 Jul 2003 23:26 GMT", "2003-08-01 01:26:00+02:00"),
        ("2003-07-31T23:26:00Z", "2003-08-01 01:26:00+02:00"),
        ("2003-07-31 23:26:00 +0530", "2003-07-31 19:56:00+02:00"),
        ("2003-07-31T23:26:00.25+02:00", "2003-07-31 23:26:00.250000+02:00"),
        ("2003-07-31T23:26:00,123456789-01", "2003-08-01 02:26:00.123456+02:00"),
        ("2003-07-31 UTC", "2003-07-31 02:00:00+02:00"),
        ("@1059693960", "2003-08-01 01:26:00+02:00"),
        ("@1059693960.5", "2003-08-01 01:26:00.500000+02:00"),
        ("1059693960", "2003-08-01 01:26:00+02:00"),
        ("@0", "1970-01-01 01:00:00+01:00"),
    ],
)
def test_forms(text: str, wanted: str) -> None:
    assert _iso(text) == wanted
    assert looks_like_date(text)


@pytest.mark.usefixtures("berlin")
@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("07/08/2003", "order of day, month and year is not clear"),
        ("7.8.2003 12:00", "order of day"),
        ("07-08-03", "order of day"),
        ("31 Jul 03", "'31 jul 03' is not understood"),
        ("Jul 31", "not understood.*a year of four digits"),
        ("Jul 2003", "not understood"),
        ("monday", "does not say which week.*Write 'last monday'"),
        ("next fri", "does not say which week.*'last friday'"),
        ("Mon Jul 31 2003", "2003-07-31 is a Thursday"),
        ("last week", "not understood.*ends with 'ago'"),
        ("2 hours", "not understood"),
        ("in 2 hours", "not understood"),
        ("-2 hours ago", "not understood"),
        ("1.5 hours ago", "not understood"),
        ("2 parsecs ago", "parsecs is no unit"),
        ("1 day 2 days ago", "day.* is named twice"),
        ("2 hours ago 14:30", "a time of day and hours"),
        ("99999 years ago", "no such date"),
        ("999999999 days ago", "no such date"),
        ("yesterday midnight", "midnight could mean two moments"),
        ("noon 13:00", "noon could mean two moments"),
        ("13:00 14:00", "two times of day"),
        ("2003-02-30", "no such date or time"),
        ("2003-13-01", "no such date or time"),
        ("2003-07-31 25:00", "no such date or time"),
        ("2003-07-31 24:00", "no such date or time"),
        ("2003-07-31 23:60", "no such date or time"),
        ("-2003-07-31", "not understood"),
        ("2003-07/31", "not understood"),
        ("0000-01-01", "no such date or time"),
        ("2003-07-31 23:26 CEST", "not understood"),
        ("2003-07-31 23:26 +0299", "no time zone"),
        ("2003-07-31 23:26 +2500", "no time zone"),
        ("@-5", "not understood"),
        ("@99999999999999999999", "no such date"),
        ("", "names no date"),
        ("   ", "names no date"),
        ("UTC", "names no date"),
        ("\u0662\u0660\u0660\u0663-07-31", "not understood"),
        ("last friday\0", "not understood"),
        ("1 day " * 50 + "ago", "too long"),
        # The future.
        ("tomorrow", "still to come"),
        ("15:22", "still to come"),
        ("today 23:26", "still to come"),
        ("2003-08-02", "still to come"),
        ("2003-08-01 13:22 UTC", "still to come"),
        ("@9999999999", "still to come"),
    ],
)
def test_refused(text: str, why: str) -> None:
    with pytest.raises(InputError, match=why) as caught:
        parse(text, NOW)
    assert caught.value.untouched == "everything."
    for example in ("2 hours ago", "2003-07-31 23:26", "2003-07-31T23:26:00+02:00"):
        assert f"'{example}'" in caught.value.advice
        assert parse(example, NOW) < NOW


@pytest.mark.parametrize(
    "text",
    [
        *PHASES,
        "last",
        "20251115_143000",
        "20251115_143000-2",
        "20251115_143000.2",
        "20251115_143000-2.13",
        "20251115",
        "verify",
        "main",
        "",
        " ",
    ],
)
def test_no_dates(text: str) -> None:
    assert not looks_like_date(text)


@pytest.mark.parametrize("text", ["monday", "last week", "2 hours", "07/08/2003", "@x", "Jul 31", "25:00", "tomorrow"])
def test_meant_as_dates_though_refused(text: str) -> None:
    assert looks_like_date(text)


def test_noon_in_the_morning_is_still_to_come(zone: t.Callable[[str], None]) -> None:
    zone("UTC")
    with pytest.raises(InputError, match="still to come"):
        parse("noon", dt.datetime(2003, 8, 1, 9, tzinfo=UTC))


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("UTC", "2003-08-01T00:00:00+00:00"),
        ("NST3:30NDT,M3.2.0,M10.5.0", "2003-08-01T00:00:00-02:30"),
        # There it is already another day.
        ("<+14>-14", "2003-08-02T00:00:00+14:00"),
    ],
)
def test_today_is_the_host_s(zone: t.Callable[[str], None], name: str, wanted: str) -> None:
    zone(name)
    assert parse("today", NOW).isoformat() == wanted
    # What is seen from another zone is that zone's.
    assert parse("today UTC", NOW) == dt.datetime(2003, 8, 1, tzinfo=UTC)


@pytest.mark.usefixtures("berlin")
@pytest.mark.parametrize(
    ("text", "first", "second"),
    [
        ("2003-03-30 02:30", "2003-03-30 01:30:00+01:00", "2003-03-30 03:30:00+02:00"),
        ("2002-10-27 02:30", "2002-10-27 02:30:00+02:00", "2002-10-27 02:30:00+01:00"),
    ],
)
def test_local_times_that_a_change_of_the_clocks_skipped_or_repeated(text: str, first: str, second: str) -> None:
    with pytest.raises(InputError, match=r"was skipped|comes twice") as caught:
        parse(text, NOW)
    for one in (first, second):
        assert f"'{one}'" in caught.value.advice
        # What the advice says can be used as it is.
        assert _iso(one) == one
    assert parse(first, NOW) < parse(second, NOW)


@pytest.mark.usefixtures("berlin")
def test_ago_over_a_change_of_the_clocks() -> None:
    now = dt.datetime(2003, 3, 30, 15, 0, tzinfo=dt.timezone(dt.timedelta(hours=2)))
    # A day keeps the time of day; 24 hours are 24 hours.
    assert _iso("1 day ago", now) == "2003-03-29 15:00:00+01:00"
    assert _iso("24 hours ago", now) == "2003-03-29 14:00:00+01:00"
    early = dt.datetime(2003, 3, 31, 2, 30, tzinfo=dt.timezone(dt.timedelta(hours=2)))
    with pytest.raises(InputError, match="was skipped"):
        parse("1 day ago", early)
    # In the repeated hour nothing that is elapsed is ambiguous.
    late = dt.datetime(2002, 10, 27, 1, 30, tzinfo=UTC)
    assert _iso("60 minutes ago", late) == "2002-10-27 02:30:00+02:00"
    assert parse("0 days ago", late) == late


def test_a_day_begins_where_its_midnight_was_skipped_or_repeated(zone: t.Callable[[str], None]) -> None:
    # Brazil, then Cuba.
    zone("<-03>3<-02>,M10.3.0/0,M2.3.0/0")
    now = dt.datetime(2020, 1, 1, tzinfo=UTC)
    assert parse("2017-10-15", now).isoformat() == "2017-10-15T01:00:00-02:00"
    zone("CST5CDT,M3.2.0/0,M11.1.0/1")
    assert parse("2019-11-03", now).isoformat() == "2019-11-03T00:00:00-04:00"


@pytest.mark.usefixtures("berlin")
def test_a_month_without_that_day_has_its_last() -> None:
    now = dt.datetime(2004, 3, 31, 12, tzinfo=UTC)
    assert _iso("1 month ago", now).startswith("2004-02-29 14:00:00")
    assert _iso("13 months ago", now).startswith("2003-02-28 14:00:00")


_moments = st.datetimes(
    min_value=dt.datetime.fromisoformat("1971-01-01"),
    max_value=dt.datetime.fromisoformat("2037-01-01"),
    timezones=st.integers(-14 * 60, 14 * 60).map(lambda minutes: dt.timezone(dt.timedelta(minutes=minutes))),
)


@given(_moments, st.sampled_from(["T", " "]), st.sampled_from(["microseconds", "seconds"]))
def test_iso_round_trip(moment: dt.datetime, separator: str, precision: str) -> None:
    text = moment.isoformat(separator, precision)
    found = parse(text, dt.datetime(2038, 1, 1, tzinfo=UTC))
    assert found == moment.replace(microsecond=moment.microsecond if precision == "microseconds" else 0)
    assert parse(found.isoformat(), found) == found
    assert looks_like_date(text)


@given(_moments, st.integers(0, 10**6))
def test_elapsed_time(now: dt.datetime, minutes: int) -> None:
    assert parse(f"{minutes} minutes ago", now) == now - dt.timedelta(minutes=minutes)


@pytest.mark.property
@given(st.text(max_size=40) | st.from_regex(r"[0-9a-z:+/. -]{0,30}", fullmatch=True))
def test_any_text_is_a_past_moment_or_refused(text: str) -> None:
    assert looks_like_date(text) in (True, False)
    try:
        found = parse(text, NOW)
    except InputError:
        return
    assert found <= NOW
