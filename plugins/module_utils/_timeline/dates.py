"""Dates as people write them for a rollback: C(2 hours ago), C(yesterday 14:30), C(2003-07-31 23:26).

What could mean two moments is refused, never guessed:

* A date without a time is the beginning of that day, also C(yesterday), C(today) and C(last friday).
* C(last friday) is the latest one before today; C(friday) alone is refused.
* A time without a date is today's, and refused while it is still to come. C(midnight) alone is the one
  that today began with; of another day it is refused, because each day has two.
* C(ago): years, months, weeks and days go by the calendar and keep the time of day, a day that a month
  does not have becomes its last one; hours, minutes and seconds are elapsed time.
* Without a zone it is the host's local time; one that a change of the clocks skipped or repeated is refused.
* The order of day and month in C(07/08/2003), years of two digits, and zones by letters other than
  UTC and GMT are refused.
"""

from __future__ import annotations

import calendar
import datetime as dt
import re

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import InputError

_EXAMPLES = "'2 hours ago', '2003-07-31 23:26' or '2003-07-31T23:26:00+02:00'"
# Not from the standard library's calendar, which speaks the language of the host.
_MONTHS = ["january", "february", "march", "april", "may", "june", "july"]
_MONTHS += ["august", "september", "october", "november", "december"]
_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_MONTH_OF = {name[:end]: number for number, name in enumerate(_MONTHS, 1) for end in range(3, len(name) + 1)}
_DAY_OF = {name[:end]: number for number, name in enumerate(_DAYS) for end in range(3, len(name) + 1)}
_UNITS = ("seconds", "minutes", "hours", "days", "weeks", "months", "years")
_UNIT_OF = {unit[:end]: unit for unit in _UNITS for end in (len(unit) - 1, len(unit))}
_UNIT_OF.update(sec="seconds", secs="seconds", min="minutes", mins="minutes")
_WORDS = {"ago", "today", "yesterday", "tomorrow", "now", "noon", "midnight", *_DAY_OF}

_EPOCH = re.compile(r"@([0-9]+(?:\.[0-9]{1,6})?)$|([0-9]{10})$")
_T = re.compile(r"^([0-9]{4}-[0-9]{2}-[0-9]{2}|[0-9]{4}/[0-9]{2}/[0-9]{2})t(?=[0-9])")
_ZONE = r"z|utc|gmt|[+-][0-9]{2}(?::?[0-9]{2})?"
_CLOCK = r"([0-9]{1,2}):([0-9]{2})(?::([0-9]{2})(?:[.,]([0-9]{1,9}))?)?"
_TIME = re.compile(rf"(?:^|(?<= ))(?:at )?{_CLOCK}(?: ?({_ZONE}))?(?= |$)")
_ZONE_ALONE = re.compile(rf"(?:^|(?<= ))({_ZONE})(?= |$)")
_AGO = re.compile(r"((?:(?:[0-9]{1,9} ?|(?:an?|one) )[a-z]+(?: and)? )+)ago$")
_STEP = re.compile(r"([0-9]+ ?|(?:an?|one) )([a-z]+)")
_YMD = re.compile(r"([0-9]{4})([-/])([0-9]{1,2})\2([0-9]{1,2})$")
_DMY = re.compile(r"([0-9]{1,2})([ -])([a-z]+)\2([0-9]{4})$")
_MDY = re.compile(r"([a-z]+) ([0-9]{1,2}) ([0-9]{4})$")
_NUMBERS = re.compile(r".*[0-9]:[0-9]|[0-9]{1,4}([-/.])[0-9]{1,2}\1[0-9]{1,4}(?![0-9])|@")
_ORDER = re.compile(r"(?:^| )[0-9]{1,2}([-/.])[0-9]{1,2}\1[0-9]{2,4}(?: |$)")


class _Unclear(Exception):
    """Why a text is refused, and perhaps what to write instead."""


def looks_like_date(text: str) -> bool:
    """Whether a rollback target is meant as a date, though perhaps not one that M(parse) takes.

    Ids of installations and points have an underscore, and so have names of phases or no word of a date.
    """
    low = text.strip().lower()
    words = set(re.findall(r"[a-z]+", low))
    if "_" in low or not low:
        return False
    named = words & {*_MONTH_OF, *_UNIT_OF} and ("last" in words or re.search(r"[0-9]", low))
    return bool(named or words & _WORDS or _EPOCH.match(low) or _NUMBERS.match(low))


def parse(text: str, reference: dt.datetime) -> dt.datetime:
    """The moment C(text) names.

    :param reference: the moment, with a zone, that C(ago) and C(today) are seen from.
    :returns: in the host's time zone.
    :raises InputError: it is unknown, impossible, still to come, or could mean two moments.
    """
    try:
        moment = _parse(" ".join(text.lower().split()), reference)
        if moment > reference:
            raise _Unclear(f"it is still to come ({moment.isoformat(' ', 'seconds')})")
        return moment.astimezone()
    except _Unclear as error:
        reason, instead = error.args[0], "".join(error.args[1:])
    except (ValueError, OverflowError, OSError) as error:
        reason, instead = f"there is no such date or time ({error})", ""
    raise InputError(
        f"The date {text[:80]!r} cannot be used: {reason}.",
        untouched="everything.",
        advice=f"{instead}Write a date such as {_EXAMPLES}.",
    )


def _parse(text: str, reference: dt.datetime) -> dt.datetime:
    epoch = _EPOCH.match(text)
    if epoch:
        return dt.datetime.fromtimestamp(float(epoch.group(1) or epoch.group(2)), dt.timezone.utc)
    if len(text) > 100:
        raise _Unclear("it is too long")
    if _ORDER.search(text):
        raise _Unclear("the order of day, month and year is not clear", "Write the year first, then month and day. ")
    text = re.sub(r",(?= |$)| ?\([a-z ]*\)$", "", _T.sub(r"\1 ", text))
    text, time, zone = _take_time(text)
    now_there = reference.astimezone(zone)
    text = "0 days ago" if text == "now" else text
    ago = _AGO.match(text)
    return _ago(ago.group(1), now_there, time, zone) if ago else _moment(_day(text, now_there.date(), time), time, zone)


def _take_time(text: str) -> tuple[str, dt.time | None, dt.timezone | None]:
    """Take time of day and zone out of a text."""
    times = list(_TIME.finditer(text))
    if len(times) > 1:
        raise _Unclear("it has two times of day")
    time: dt.time | None = None
    zone = ""
    for match in times:
        hour, minute, second, fraction, zone = (group or "" for group in match.groups())
        time = dt.time(int(hour), int(minute), int(second or 0), int(fraction[:6].ljust(6, "0")))
        text = " ".join(f"{text[: match.start()]} {text[match.end() :]}".split())
    alone = None if zone else _ZONE_ALONE.search(text)
    if alone:
        zone, text = alone.group(1), " ".join(f"{text[: alone.start()]}{text[alone.end() :]}".split())
    words = text.split()
    word = next((word for word in words if word in ("noon", "midnight")), "")
    if word:
        if time is not None or (word == "midnight" and len(words) > 1):
            raise _Unclear(f"{word} could mean two moments", "Write the time as 00:00 or 12:00. ")
        time, words = dt.time(12 if word == "noon" else 0), [other for other in words if other not in (word, "at")]
    return " ".join(words), time, _zone(zone) if zone else None


def _zone(text: str) -> dt.timezone:
    digits = re.sub(r"[^0-9]", "", text).ljust(4, "0")
    if int(digits[2:]) > 59 or int(digits) > 1400:
        raise _Unclear(f"there is no time zone {text}")
    minutes = int(digits[:2]) * 60 + int(digits[2:])
    return dt.timezone(dt.timedelta(minutes=-minutes if text.startswith("-") else minutes))


def _day(text: str, today: dt.date, time: dt.time | None) -> dt.date:
    words = text.split()
    if not words and time is None:
        raise _Unclear("it names no date")
    if text in ("", "today", "yesterday", "tomorrow"):
        return today + dt.timedelta(days={"yesterday": -1, "tomorrow": 1}.get(text, 0))
    if words[0] == "last" and len(words) == 2 and words[1] in _DAY_OF:
        return today - dt.timedelta(days=(today.weekday() - _DAY_OF[words[1]] - 1) % 7 + 1)
    if words[-1] in _DAY_OF and len(words) <= 2:
        raise _Unclear("it does not say which week", f"Write 'last {_DAYS[_DAY_OF[words[-1]]]}', or the date. ")
    weekday = _DAY_OF.get(words[0])
    text = " ".join(words if weekday is None else words[1:])
    ymd, dmy, mdy = _YMD.match(text), _DMY.match(text), _MDY.match(text)
    if ymd:
        day = dt.date(int(ymd[1]), int(ymd[3]), int(ymd[4]))
    elif dmy and dmy[3] in _MONTH_OF:
        day = dt.date(int(dmy[4]), _MONTH_OF[dmy[3]], int(dmy[1]))
    elif mdy and mdy[1] in _MONTH_OF:
        day = dt.date(int(mdy[3]), _MONTH_OF[mdy[1]], int(mdy[2]))
    else:
        hint = "A day needs its month and a year of four digits; a span of time ends with 'ago'. "
        raise _Unclear(f"{text[:40]!r} is not understood", hint)
    if weekday is not None and day.weekday() != weekday:
        raise _Unclear(f"{day} is a {_DAYS[day.weekday()].capitalize()}")
    return day


def _moment(day: dt.date, time: dt.time | None, zone: dt.timezone | None) -> dt.datetime:
    """A day and perhaps a time in a zone, or in the host's."""
    naive = dt.datetime.combine(day, time or dt.time())
    if zone is not None:
        return naive.replace(tzinfo=zone)
    # Which fold is which differs between versions of Python where the time was skipped.
    first, second = sorted(naive.replace(fold=fold).astimezone() for fold in (0, 1))
    twice = first.replace(tzinfo=None, fold=0) == naive
    if first != second and time is not None:
        reason = f"{naive} {'comes twice' if twice else 'was skipped'} here, when the clocks were changed"
        raise _Unclear(reason, f"Write '{first}' or '{second}'. ")
    return first if twice else second


def _ago(text: str, now_there: dt.datetime, time: dt.time | None, zone: dt.timezone | None) -> dt.datetime:
    steps: dict[str, int] = {}
    for number, word in _STEP.findall(text):
        unit = _UNIT_OF.get(word)
        if unit is None or unit in steps:
            raise _Unclear(f"{word} is named twice" if unit else f"{word} is no unit of time")
        steps[unit] = int(number) if number.strip().isdigit() else 1
    fine = {unit: steps[unit] for unit in ("hours", "minutes", "seconds") if unit in steps}
    if fine and time is not None:
        raise _Unclear("it has a time of day and hours, minutes or seconds")
    months = now_there.year * 12 + now_there.month - 1 - steps.get("years", 0) * 12 - steps.get("months", 0)
    year, month = months // 12, months % 12 + 1
    day = dt.date(year, month, min(now_there.day, calendar.monthrange(year, month)[1]))
    day -= dt.timedelta(days=steps.get("days", 0) + 7 * steps.get("weeks", 0))
    if day != now_there.date() or time is not None:
        now_there = _moment(day, time or now_there.time(), zone)
    return now_there.astimezone(dt.timezone.utc) - dt.timedelta(**fine)
