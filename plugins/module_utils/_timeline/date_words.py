"""The words of dates, in English whatever the host's language: months, days, units of time, zones.

Names are those of GNU's C(parse_datetime), which C(cvs -D) and C(date -d) read. A letter or name that stands for
two things has both.
"""

from __future__ import annotations

# Not from the standard library's calendar, which speaks the language of the host.
_MONTHS = ["january", "february", "march", "april", "may", "june", "july"]
_MONTHS += ["august", "september", "october", "november", "december"]
DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
MONTH_OF = {name[:end]: number for number, name in enumerate(_MONTHS, 1) for end in range(3, len(name) + 1)}
DAY_OF = {name[:end]: number for number, name in enumerate(DAYS) for end in range(3, len(name) + 1)}

# A unit, its short forms, and what the calendar or the clock counts it in.
_SHORT = {"second": "s sec", "minute": "min", "hour": "h hr", "day": "d", "week": "w wk", "month": "mo", "year": "y yr"}
CALENDAR_UNITS = {"day": 1, "week": 7, "fortnight": 14}
MONTHS_IN = {"month": 1, "year": 12}
CLOCK_UNITS = ("hour", "minute", "second")
UNIT_OF = {
    word: unit
    for unit in (*CLOCK_UNITS, *CALENDAR_UNITS, *MONTHS_IN)
    for shorter in (unit, *_SHORT.get(unit, "").split())
    for word in ((shorter, f"{shorter}s") if len(shorter) > 1 else (shorter,))
}

_HOURS_EAST = {
    "ut utc gmt z wet": 0,
    "cet met mez west wat": 1,
    "cest mest mesz eet cat sast": 2,
    "eest msk eat": 3,
    "sgt hkt awst": 8,
    "jst kst": 9,
    "acst": 9.5,
    "aest": 10,
    "acdt": 10.5,
    "aedt": 11,
    "nzst": 12,
    "nzdt": 13,
    "ndt": -2.5,
    "adt": -3,
    "nst": -3.5,
    "edt": -4,
    "est cdt": -5,
    "mdt": -6,
    "mst pdt": -7,
    "pst akdt": -8,
    "akst": -9,
    "hst": -10,
}
# Minutes.
ZONES = {name: round(hours * 60) for names, hours in _HOURS_EAST.items() for name in names.split()}
# Names that two countries use: minutes east, and whose time it is.
TWO_ZONES = {
    "ast": ((-240, "Atlantic"), (180, "Arabia")),
    "bst": ((60, "Britain"), (360, "Bangladesh")),
    "cst": ((-360, "central North America"), (480, "China")),
    "gst": ((240, "the Gulf"), (600, "Guam")),
    "ist": ((330, "India"), (120, "Israel")),
    "sst": ((-660, "Samoa"), (480, "Singapore")),
}
