"""Dates as people write them for a rollback: the forms that C(cvs -D) takes; docs/dates.md lists them.

What could mean two moments is refused, never guessed, and both are named:

* A date without a time is the beginning of that day, also C(yesterday), C(today) and C(last friday).
* C(last friday) is the latest one before today; C(friday) alone is refused.
* A time without a date is today's, a day without a year this year's; both are refused while they are still to come.
* C(8/1/2003) is the first of August: with slashes the order is month, day, year, unless the year is first.
* C(ago): years, months, weeks and days go by the calendar and keep the time of day, a day that a month
  does not have becomes its last one; hours, minutes and seconds are elapsed time, and so is what is left of
  C(1.5 days).
* Without a zone it is the host's local time; one that a change of the clocks skipped or repeated is refused.
"""

from __future__ import annotations

import calendar
import datetime as dt
import re
import time

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import InputError
from ansible_collections.intellistream.sage.plugins.module_utils._timeline import date_words as words
from ansible_collections.intellistream.sage.plugins.module_utils._timeline.date_grammar import WrittenDate, read
from ansible_collections.intellistream.sage.plugins.module_utils._timeline.date_tokens import Unclear

_EXAMPLES = "'2 hours ago', '2003-07-31 23:26' or '2003-07-31T23:26:00+02:00'"
# What no id and no name of a phase has.
_TELLING = {"ago", "today", "yesterday", "tomorrow", "now", "noon", "midnight", *words.DAY_OF}
_WITH_NUMBER = {"am", "pm", "m", *words.MONTH_OF, *words.UNIT_OF}
_NUMBERS = re.compile(r"@|.*[0-9]:[0-9]|[0-9]+[-/.][0-9]+[-/.][0-9]|[0-9]+/[0-9]|[0-9]{4,10}(?:t[0-9]+z?)?(?: |$)")


def looks_like_date(text: str) -> bool:
    """Whether a rollback target is meant as a date, though perhaps not one that M(parse) takes.

    Ids of installations and points have an underscore, and so have names of phases or no word of a date.
    """
    low = text.strip().lower()
    if not low or "_" in low.split()[0]:
        return False
    named = set(re.findall(r"[a-z]+", re.sub(r"([ap])\.m\b", r"\1m", low)))
    counted = re.search(r"[0-9]", low) or named & {"last", "this", "next"}
    return bool(named & _TELLING or (counted and named & _WITH_NUMBER) or _NUMBERS.match(low))


def parse(text: str, reference: dt.datetime) -> dt.datetime:
    """The moment C(text) names.

    :param reference: the moment, with a zone, that C(ago) and C(today) are seen from.
    :returns: in the host's time zone.
    :raises InputError: it is unknown, impossible, still to come, or could mean two moments.
    """
    try:
        if len(text) > 100:
            raise Unclear("it is too long")
        return _past(read(text), reference).astimezone()
    except Unclear as error:
        unclear = error
    except (ValueError, OverflowError, OSError) as error:
        unclear = Unclear(f"there is no such date or time ({error})")
    readings = " or ".join(repr(reading) for reading in unclear.readings)
    if len(unclear.readings) > 1:
        readings += ", whichever is meant"
    advice = f"Write {readings}." if readings else f"Write a date such as {_EXAMPLES}."
    raise InputError(
        f"The date {text[:80]!r} cannot be used: {unclear.reason}.",
        untouched="everything.",
        advice=f"{unclear.hint} {advice}".strip(),
    )


def _past(written: WrittenDate, reference: dt.datetime) -> dt.datetime:
    """The moment, if it is past.

    :raises Unclear: it is still to come; what it could mean of last year or yesterday is named.
    """
    if written.epoch is not None:
        moment = dt.datetime.fromtimestamp(written.epoch, dt.timezone.utc)
    else:
        zone = _zone(written.zone)
        now_there = reference.astimezone(zone)
        if written.span is not None:
            moment = _before(written, now_there, zone)
        else:
            clock = None if written.clock is None else dt.time(*written.clock)
            moment = _moment(_day(written, now_there.date()), clock, zone)
    if written.midnight:
        raise Unclear("a day has two midnights", *(_iso(moment + dt.timedelta(days=days), written) for days in (0, 1)))
    if moment <= reference:
        return moment
    earlier = None
    if written.calendar is not None and written.calendar[0] is None and written.calendar[1:] != (2, 29):
        earlier = moment.replace(year=moment.year - 1)
    elif written.clock and (written.calendar, written.day, written.weekday) == (None, None, None):
        earlier = moment - dt.timedelta(days=1)
    readings = [_iso(earlier, written), _iso(moment, written)] if earlier is not None else []
    raise Unclear(f"it is still to come ({moment.isoformat(' ', 'seconds')})", *readings)


def _iso(moment: dt.datetime, written: WrittenDate) -> str:
    """As a date can be written; without a zone where none was."""
    return moment.replace(tzinfo=None if written.zone is None else moment.tzinfo).isoformat(" ")


def _zone(zone: int | str | None) -> dt.tzinfo | None:
    """A zone as written; none is the host's."""
    if zone is None:
        return None
    if isinstance(zone, int):
        return dt.timezone(dt.timedelta(minutes=zone))
    if "/" in zone:
        import zoneinfo

        try:
            return zoneinfo.ZoneInfo(zone)
        except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
            raise Unclear(f"this host knows no time zone {zone}", hint="Write it in hours, as +02:00.") from None
    # What the host itself is called comes first: in China, CST is not America's.
    for name, west in zip(time.tzname, (time.timezone, time.altzone)):
        if name.lower() == zone:
            return dt.timezone(dt.timedelta(seconds=-west))
    if zone in words.TWO_ZONES:
        readings = [f"{_offset(minutes)} (as in {place})" for minutes, place in words.TWO_ZONES[zone]]
        raise Unclear(f"{zone.upper()} is the name of two time zones", *readings)
    return dt.timezone(dt.timedelta(minutes=words.ZONES[zone]))


def _offset(minutes: int) -> str:
    return f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"


def _day(written: WrittenDate, today: dt.date) -> dt.date:
    weekday = written.weekday
    if written.day is not None:
        if weekday is not None or written.calendar is not None:
            raise Unclear("it has two days")
        return today + dt.timedelta(days=written.day)
    if written.calendar is None:
        if weekday is None:
            return today
        past = today - dt.timedelta(days=(today.weekday() - weekday - 1) % 7 + 1)
        if written.which != "last":
            following = past + dt.timedelta(days=7)
            raise Unclear("it does not say which week", f"last {words.DAYS[weekday]}", str(following))
        return past
    year, month, day = written.calendar
    date = dt.date(today.year if year is None else year, month, day)
    if written.which:
        raise Unclear("it has two days")
    if weekday is not None and date.weekday() != weekday:
        raise Unclear(f"{date} is a {words.DAYS[date.weekday()].capitalize()}")
    return date


def _moment(day: dt.date, clock: dt.time | None, zone: dt.tzinfo | None) -> dt.datetime:
    """A day, and perhaps a time, in a zone or in the host's."""
    naive = dt.datetime.combine(day, clock or dt.time())
    # Which fold is which differs between versions of Python where the time was skipped.
    utc = sorted(naive.replace(fold=fold, tzinfo=zone).astimezone(dt.timezone.utc) for fold in (0, 1))
    first, second = (moment.astimezone(zone) for moment in utc)
    twice = first.replace(tzinfo=None, fold=0) == naive
    if utc[0] != utc[1] and clock is not None:
        reason = f"{naive} {'comes twice' if twice else 'was skipped'} there, when the clocks were changed"
        raise Unclear(reason, str(first), str(second))
    return first if twice else second


def _before(written: WrittenDate, now_there: dt.datetime, zone: dt.tzinfo | None) -> dt.datetime:
    """A span of time before now, perhaps at another time of that day."""
    span = written.span or {}
    if (written.calendar, written.day, written.weekday) != (None, None, None):
        raise Unclear("it has a day and a span of time")
    elapsed = {f"{unit}s": span[unit] for unit in words.CLOCK_UNITS if unit in span}
    if elapsed and written.clock is not None:
        raise Unclear("it has a time of day and hours, minutes or seconds")
    back = sum(span.get(unit, 0) * count for unit, count in words.MONTHS_IN.items())
    if back % 1:
        raise Unclear("a part of a month or year has no fixed length")
    days, rest = divmod(sum(span.get(unit, 0) * count for unit, count in words.CALENDAR_UNITS.items()), 1)
    months = now_there.year * 12 + now_there.month - 1 - int(back)
    year, month = months // 12, months % 12 + 1
    day = dt.date(year, month, min(now_there.day, calendar.monthrange(year, month)[1])) - dt.timedelta(days=days)
    moment = now_there
    if day != now_there.date() or written.clock is not None:
        moment = _moment(day, dt.time(*written.clock) if written.clock else now_there.time(), zone)
    return moment.astimezone(dt.timezone.utc) - dt.timedelta(days=rest, **elapsed)
