# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Dates for a rollback: what people write, and what is refused because it could mean two moments."""

from __future__ import annotations

import datetime as dt
import shutil
import subprocess
import time
import typing as t
import zoneinfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import InputError
from ansible_collections.intellistream.sage.plugins.module_utils._records.installation import PHASES
from ansible_collections.intellistream.sage.plugins.module_utils._timeline.dates import looks_like_date, parse

# Zones are spelled out: a container may have no names of zones.
UTC = dt.timezone.utc
# A Friday, summer time in Berlin.
NOW = dt.datetime(2003, 8, 1, 15, 21, 0, 500000, tzinfo=dt.timezone(dt.timedelta(hours=2)))


_MOMENTS = st.datetimes(
    min_value=dt.datetime.fromisoformat("1971-01-01"),
    max_value=dt.datetime.fromisoformat("2037-01-01"),
    timezones=st.integers(-14 * 60, 14 * 60).map(lambda minutes: dt.timezone(dt.timedelta(minutes=minutes))),
)


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
        # What cvs -D takes (E19).
        ("a fortnight ago", "2003-07-18 15:21:00.500000+02:00"),
        ("fortnight ago", "2003-07-18 15:21:00.500000+02:00"),
        ("last month", "2003-07-01 15:21:00.500000+02:00"),
        ("last week", "2003-07-25 15:21:00.500000+02:00"),
        ("last year", "2002-08-01 15:21:00.500000+02:00"),
        ("last fortnight 14:30", "2003-07-18 14:30:00+02:00"),
        ("400000 seconds ago", "2003-07-28 00:14:20.500000+02:00"),
        ("1.5 hours ago", "2003-08-01 13:51:00.500000+02:00"),
        ("1.5 days ago", "2003-07-31 03:21:00.500000+02:00"),
        ("2h ago", "2003-08-01 13:21:00.500000+02:00"),
        ("1d 2h ago", "2003-07-31 13:21:00.500000+02:00"),
        ("1 mo ago", "2003-07-01 15:21:00.500000+02:00"),
        ("-2 hours", "2003-08-01 13:21:00.500000+02:00"),
        ("-1 week -2 days", "2003-07-23 15:21:00.500000+02:00"),
        ("10:05am", "2003-08-01 10:05:00+02:00"),
        ("10 am", "2003-08-01 10:00:00+02:00"),
        ("12am", "2003-08-01 00:00:00+02:00"),
        ("12 p.m.", "2003-08-01 12:00:00+02:00"),
        ("10pm yesterday", "2003-07-31 22:00:00+02:00"),
        ("yesterday 2330", "2003-07-31 23:30:00+02:00"),
        ("January 23, 1987 10:05pm", "1987-01-23 22:05:00+01:00"),
        ("8/1/2003", "2003-08-01 00:00:00+02:00"),
        ("07/08/2003", "2003-07-08 00:00:00+02:00"),
        ("9/24/72", "1972-09-24 00:00:00+02:00"),
        ("7/24", "2003-07-24 00:00:00+02:00"),
        ("24 Jul", "2003-07-24 00:00:00+02:00"),
        ("Jul 24", "2003-07-24 00:00:00+02:00"),
        ("Thu, Jul. 31", "2003-07-31 00:00:00+02:00"),
        ("31 Jul 03", "2003-07-31 00:00:00+02:00"),
        ("July 31, 03", "2003-07-31 00:00:00+02:00"),
        ("24-sept-72", "1972-09-24 00:00:00+02:00"),
        ("4:00 AM, Jan. 12, 1990", "1990-01-12 04:00:00+01:00"),
        ("20030731 23:26", "2003-07-31 23:26:00+02:00"),
        ("20030731T2326", "2003-07-31 23:26:00+02:00"),
        ("20030731T232659Z", "2003-08-01 01:26:59+02:00"),
        ("2003-07-31T10+02", "2003-07-31 10:00:00+02:00"),
        ("2003-07-31 23:26 +2", "2003-07-31 23:26:00+02:00"),
        ("2003-07-31 23:26 CEST", "2003-07-31 23:26:00+02:00"),
        ("2003-07-31 23:26 CET", "2003-08-01 00:26:00+02:00"),
        ("2003-07-31 12:00 EST", "2003-07-31 19:00:00+02:00"),
        ("3/31/92 10:00:07 PST", "1992-03-31 20:00:07+02:00"),
        ("12 January 1990, 04:00 WET", "1990-01-12 05:00:00+01:00"),
        ("2003-07-31 12:00 NST", "2003-07-31 17:30:00+02:00"),
    ],
)
def test_e19_forms(text: str, wanted: str) -> None:
    assert _iso(text) == wanted
    assert looks_like_date(text)


@pytest.mark.usefixtures("berlin")
@pytest.mark.parametrize(
    ("text", "why", "readings"),
    [
        ("7.8.2003 12:00", "order of day, month and year is not clear", ["2003-07-08", "2003-08-07"]),
        ("07-08-03", "order of day", ["2003-07-08", "2003-08-07", "2007-08-03"]),
        ("31/7/2003", "order of day", ["2003-07-31"]),
        ("monday", "does not say which week", ["last monday", "2003-08-04"]),
        ("fri 12:00", "does not say which week", ["last friday", "2003-08-01"]),
        ("next fri", "does not say which week", ["last friday", "2003-08-01"]),
        ("2m ago", "m could mean minutes or months", ["2 minutes ago", "2 months ago"]),
        ("2 hours", "does not say whether it is past", ["2 hours ago", "2 hours from now"]),
        ("-2 hours ago", "-2 hours ago could mean two moments", ["2 hours ago", "2 hours from now"]),
        ("this week", "could mean two moments", ["now", "the date it began on"]),
        ("yesterday midnight", "two midnights", ["2003-07-31 00:00:00", "2003-08-01 00:00:00"]),
        ("midnight UTC", "two midnights", ["2003-08-01 00:00:00+00:00", "2003-08-02 00:00:00+00:00"]),
        ("2003", "a time or a year", ["20:03", "2003-01-01"]),
        ("Jul 31 03", "a year or an hour", ["31 jul 03", "31 jul 03:00"]),
        ("20030731", "a day or the beginning of an id", ["2003-07-31", "20030731_ and the rest of the id"]),
        ("12:00 CST", "two time zones", ["-06:00 (as in central North America)", "+08:00 (as in China)"]),
        ("10:05pm", "still to come", ["2003-07-31 22:05:00", "2003-08-01 22:05:00"]),
        ("15:22", "still to come", ["2003-07-31 15:22:00", "2003-08-01 15:22:00"]),
        ("24 Sep", "still to come", ["2002-09-24 00:00:00", "2003-09-24 00:00:00"]),
        ("9/24", "still to come", ["2002-09-24 00:00:00", "2003-09-24 00:00:00"]),
        ("12:00 EST", "still to come", ["2003-07-31 12:00:00-05:00", "2003-08-01 12:00:00-05:00"]),
    ],
)
def test_e19_what_could_mean_two_moments_is_refused_and_both_are_named(
    text: str, why: str, readings: list[str]
) -> None:
    assert looks_like_date(text)
    with pytest.raises(InputError, match=why) as caught:
        parse(text, NOW)
    for reading in readings:
        assert f"'{reading}'" in caught.value.advice
        # What is offered is taken, or still to come, but never unclear again; some of it is a part or plain words.
        if "date" in reading or "rest" in reading or "from now" in reading or reading[0] in "+-":
            continue
        refusals = []
        try:
            parse(reading, NOW)
        except InputError as error:
            refusals.append(error.what)
        assert all("still to come" in refusal for refusal in refusals)


@pytest.mark.usefixtures("berlin")
@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("Jul 2003", "not understood"),
        ("Mon Jul 31 2003", "2003-07-31 is a Thursday"),
        ("Thu Aug 1", "2003-08-01 is a Friday"),
        ("in 2 hours", "not understood"),
        ("1.5 months ago", "no fixed length"),
        ("2 parsecs ago", "'2 parsecs ago' is not understood.*ends with 'ago'"),
        ("1 day 2 days ago", "day is named twice"),
        ("2 hours ago 14:30", "a time of day and hours"),
        ("2003-07-31 2 hours ago", "a day and a span"),
        ("yesterday last friday", "two days"),
        ("99999 years ago", "no such date"),
        ("999999999 days ago", "no such date"),
        ("noon 13:00", "two times of day"),
        ("13:00 14:00", "two times of day"),
        ("13pm", "no time of day"),
        ("2003-02-30", "no such date or time"),
        ("2003-13-01", "no such date or time"),
        ("2003-07-31 25:00", "no such date or time"),
        ("2003-07-31 24:00", "no such date or time"),
        ("2003-07-31 23:60", "no such date or time"),
        ("-2003-07-31", "not understood"),
        ("2003-07/31", "not understood"),
        ("0000-01-01", "no such date or time"),
        ("2003-07-31 23:26 XYZ", "not understood"),
        ("2003-07-31 23:26 Europe/Nowhere", "knows no time zone Europe/Nowhere"),
        ("2003-07-31 23:26 etc/passwd", "knows no time zone etc/passwd"),
        ("2003-07-31 23:26 +0299", "no time zone"),
        ("2003-07-31 23:26 +2500", "no time zone"),
        ("@-5", "not understood"),
        ("@99999999999999999999", "no such date"),
        ("", "names no date"),
        ("   ", "names no date"),
        ("UTC", "names no date"),
        ("Europe/Berlin", "names no date"),
        ("\u0662\u0660\u0660\u0663-07-31", "not understood"),
        ("last friday\0", "not understood"),
        ("1 day " * 50 + "ago", "too long"),
        # The future.
        ("tomorrow", "still to come"),
        ("next month", "still to come"),
        ("+2 hours", "still to come"),
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


def test_e19_the_host_s_own_name_of_its_zone_comes_first(zone: t.Callable[[str], None]) -> None:
    zone("CST-8")
    assert parse("2003-07-31 12:00 CST", NOW).isoformat() == "2003-07-31T12:00:00+08:00"
    zone("UTC")
    with pytest.raises(InputError, match="CST is the name of two time zones"):
        parse("2003-07-31 12:00 CST", NOW)


def test_e19_zones_by_area_and_city(zone: t.Callable[[str], None]) -> None:
    zone("UTC")
    if not zoneinfo.available_timezones():
        pytest.skip("this host has no names of zones")
    assert parse("2003-07-31 23:26 Europe/London", NOW).isoformat() == "2003-07-31T22:26:00+00:00"
    with pytest.raises(InputError, match="comes twice there"):
        parse("2002-10-27 02:30 Europe/Berlin", NOW)


_ABSOLUTE = st.sampled_from(
    ["%Y-%m-%d", "%Y/%m/%d", "%m/%d/%Y", "%m/%d/%y", "%d %b %Y", "%d-%b-%Y", "%B %d, %Y", "%d %B %y", "%a %b %d %Y"]
)
_CLOCKS = st.sampled_from(["", " %H:%M", " %H:%M:%S", " %I:%M%p", " %I:%M:%S %p", " %I%p", " %H:%M UTC", " %H:%M EST"])
_SPANS = st.tuples(
    st.sampled_from(["{} days ago", "{} weeks ago", "{} fortnight ago", "{} hours ago", "-{} minutes", "{} secs ago"]),
    st.integers(1, 50),
).map(lambda drawn: drawn[0].format(drawn[1]))


@settings(max_examples=20)
@given(st.lists(st.tuples(_MOMENTS, _ABSOLUTE, _CLOCKS), min_size=30, max_size=60), st.lists(_SPANS, min_size=10))
def test_e19_gnu_date_reads_the_same(forms: list[tuple[dt.datetime, str, str]], spans: list[str]) -> None:
    """What both take means the same to both. GNU's own order and names of zones are thereby ours."""
    program = shutil.which("date")
    if program is None or b"GNU" not in subprocess.run([program, "--version"], capture_output=True, check=False).stdout:
        pytest.skip("needs GNU date")
    texts = [moment.strftime(day + clock) for moment, day, clock in forms]
    # Spans count from a moment that GNU date is told and we have as the reference.
    asked = [*texts, *(f"2003-08-01 13:21 UTC {span}" for span in spans)]
    read = subprocess.run(
        [program, "-f", "-", "+%s"],
        input="\n".join(asked),
        env={"TZ": "UTC", "LC_ALL": "C"},
        capture_output=True,
        text=True,
        check=True,
    )
    reference = dt.datetime(2003, 8, 1, 13, 21, tzinfo=UTC)
    late = dt.datetime(2070, 1, 1, tzinfo=UTC)
    with_utc = [text if text.endswith(("UTC", "EST")) else f"{text} UTC" for text in texts]
    ours = [parse(text, late) for text in with_utc] + [parse(span, reference) for span in spans]
    assert [round(moment.timestamp()) for moment in ours] == [int(line) for line in read.stdout.split()]


@pytest.mark.parametrize(
    "text",
    [
        *PHASES,
        "last",
        "20251115_143000",
        "20251115_143000-2",
        "20251115_143000.2",
        "20251115_143000-2.13",
        "verify",
        "main",
        "",
        " ",
    ],
)
def test_no_dates(text: str) -> None:
    assert not looks_like_date(text)


@pytest.mark.parametrize(
    "text", ["monday", "this week", "2 hours", "07-08-03", "@x", "Jul 32", "20251115", "25:00", "tomorrow"]
)
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


@given(_MOMENTS, st.sampled_from(["T", " "]), st.sampled_from(["microseconds", "seconds"]))
def test_iso_round_trip(moment: dt.datetime, separator: str, precision: str) -> None:
    text = moment.isoformat(separator, precision)
    found = parse(text, dt.datetime(2038, 1, 1, tzinfo=UTC))
    assert found == moment.replace(microsecond=moment.microsecond if precision == "microseconds" else 0)
    assert parse(found.isoformat(), found) == found
    assert looks_like_date(text)


@given(_MOMENTS, st.integers(0, 10**6))
def test_elapsed_time(now: dt.datetime, minutes: int) -> None:
    assert parse(f"{minutes} minutes ago", now) == now - dt.timedelta(minutes=minutes)


@given(st.text(max_size=40) | st.from_regex(r"[0-9a-z:+/. -]{0,30}", fullmatch=True))
def test_any_text_is_a_past_moment_or_refused(text: str) -> None:
    assert looks_like_date(text) in (True, False)
    try:
        found = parse(text, NOW)
    except InputError:
        return
    assert found <= NOW
