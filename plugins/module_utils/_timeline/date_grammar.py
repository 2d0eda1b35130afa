"""What a written date says, item by item, before anybody asks which moment that is.

The grammar. Items stand in any order, each once at most; commas, C(at), C(on) and C(and) may stand between::

    date     = "@" seconds | ten digits | item {item}
    item     = calendar | weekday | clock | zone | span | "now" | "today" | "yesterday" | "tomorrow"
    calendar = year "-" month "-" day | year "/" month "/" day | month "/" day ["/" year]
             | day month [year] | day "-" month "-" year | month day [[","] year] | yyyymmdd
    weekday  = ["last"] name of a day
    clock    = hour ":" minute [":" second ["." fraction]] ["am" | "pm"] | hour ("am" | "pm")
             | "T" hh [mm [ss]] | hhmm | "noon" | "midnight"
    zone     = ("+" | "-") hh [[":"] mm] | letters | Area/City
    span     = [number | "a" | "an" | "one"] unit {number unit} "ago" | {"-" number unit} | "last" unit
"""

from __future__ import annotations

import time
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._timeline import date_words as words
from ansible_collections.intellistream.sage.plugins.module_utils._timeline.date_tokens import Tokens, Unclear


class WrittenDate:
    """What a text says; None is what it does not say.

    :ivar epoch: seconds since 1970.
    :ivar calendar: year, which may be none, month and day.
    :ivar day: days from today, V(-1) being yesterday.
    :ivar weekday: V(0) is Monday.
    :ivar which: what was said of it: V(last), V(this), V(next), or nothing.
    :ivar clock: hour, minute, second, microsecond.
    :ivar midnight: that was said by this word, of some day.
    :ivar zone: minutes east of Greenwich, letters, or an Area/City.
    :ivar span: how much before now: unit → number.
    """

    def __init__(self) -> None:
        self.epoch: float | None = None
        self.calendar: tuple[int | None, int, int] | None = None
        self.day: int | None = None
        self.weekday: int | None = None
        self.which = ""
        self.clock: tuple[int, int, int, int] | None = None
        self.midnight = False
        self.zone: int | str | None = None
        self.span: dict[str, float] | None = None


def read(text: str) -> WrittenDate:
    """Read a date by the grammar above.

    :raises Unclear: it does not follow the grammar, or could mean two moments.
    """
    return _Reader(text).read()


class _Reader(Tokens):
    """A method of an item takes it where it begins at the next token, or takes nothing."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.written = WrittenDate()
        # Counted before it is known whether "ago" follows: as written, unit, and number.
        self.counted: list[tuple[str, str, float]] = []

    def read(self) -> WrittenDate:
        if self._epoch():
            return self.written
        numbers = (self._span, self._clock, self._calendar, self._calendar_of_numbers, self._digits)
        items = (*numbers, self._weekday, self._relative_day, self._zone, self._between)
        while self.peek().kind:
            if not any(item() for item in items):
                raise self._not_understood()
        if self.counted:
            span = " ".join(text for text, *dummy in self.counted)
            raise Unclear(f"{span!r} does not say whether it is past", f"{span} ago", f"{span} from now")
        written = self.written
        if (written.calendar, written.day, written.weekday, written.clock, written.span) == (None,) * 5:
            raise Unclear("it names no date")
        return self.written

    def _not_understood(self) -> Unclear:
        rest = "".join(("" if token.glued else " ") + token.text for token in self.tokens[self.position :]).strip()
        return Unclear(
            f"{rest[:40]!r} is not understood", hint="A day needs its month; a span of time ends with 'ago'."
        )

    def _set(self, name: str, called: str, content: t.Any) -> bool:
        if getattr(self.written, name) is not None:
            raise Unclear(f"it has two {called}")
        setattr(self.written, name, content)
        return True

    def _epoch(self) -> bool:
        if self.follows("@", "0"):
            self.take()
        elif len(self.tokens) != 1 or self.peek().kind != "number" or len(self.peek().text) != 10:
            return False
        number = self.take()[0]
        if self.follows(".", "0"):
            number += "".join(self.take(2))
        if self.peek().kind:
            raise self._not_understood()
        return self._set("epoch", "moments", float(number))

    def _between(self) -> bool:
        token = self.peek()
        abbreviated = token.text == "." and token.glued and not self.peek(1).glued and self.position > 0
        return (abbreviated or token.text in (",", "at", "on", "and")) and bool(self.take())

    def _clock(self) -> bool:
        if self.peek().text == "t" and self.peek().glued and self.follows("t", "0"):
            self.take()
            if not self.follows("0", ":"):
                return self._clock_of_digits(self.take()[0])
        if self.peek().text in ("noon", "midnight"):
            word = self.take()[0]
            # Alone it is the one that today began with.
            self.written.midnight = word == "midnight" and len(self.tokens) > 1
            return self._set("clock", "times of day", (12 if word == "noon" else 0, 0, 0, 0))
        hour, minute, second, fraction = self.peek().text, "00", "0", ""
        if self.follows("0", ":", "0"):
            *dummy, minute = self.take(3)
            if self.follows(":", "0"):
                second = self.take(2)[1]
                if self.follows(".", "0") or self.follows(",", "0"):
                    fraction = self.take(2)[1]
        elif self.peek().kind == "number" and self.peek(1).text in ("am", "pm"):
            self.take()
        else:
            return False
        half = self.take()[0] if self.peek().text in ("am", "pm") else ""
        if len(hour) > 2 or len(minute) != 2 or (half and not 1 <= int(hour) <= 12):
            raise Unclear(f"{hour}:{minute} {half}".rstrip() + " is no time of day")
        hours = int(hour) % 12 + (12 if half == "pm" else 0) if half else int(hour)
        return self._set("clock", "times of day", (hours, int(minute), int(second), int(fraction[:6].ljust(6, "0"))))

    def _clock_of_digits(self, digits: str) -> bool:
        """What follows a T without colons."""
        if len(digits) not in (2, 4, 6):
            raise Unclear(f"{digits} is no time of day")
        hour, minute, second = (int(digits[at : at + 2] or 0) for at in (0, 2, 4))
        return self._set("clock", "times of day", (hour, minute, second, 0))

    def _calendar(self) -> bool:
        """A day with its month by its name."""
        first, second = self.peek(), self.peek(1)
        if self.follows("0", "-", "a", "-", "0") and self.peek(2).text in words.MONTH_OF:
            return self._day(*self.take(5)[::-2])
        if first.kind == "number" and second.text in words.MONTH_OF:
            day, month = self.take(2)
            self._between()
            return self._day(self._year(), month, day)
        if first.text not in words.MONTH_OF:
            return False
        dotted = self.peek(1).text == "."
        if self.peek(2 if dotted else 1).kind != "number" or len(self.peek(2 if dotted else 1).text) > 2:
            return False
        month, *dummy, day = self.take(3 if dotted else 2)
        comma = self.peek().text == "," and self.peek(1).kind == "number" and bool(self.take())
        year = self._year()
        if len(year) == 2 and not comma:
            raise Unclear("it could end with a year or an hour", f"{day} {month} {year}", f"{day} {month} {year}:00")
        return self._day(year, month, day)

    def _calendar_of_numbers(self) -> bool:
        for sign in ("-", "/", "."):
            if self.follows("0", sign, "0", sign, "0"):
                numbers = self.take(5)[::2]
                if len(numbers[0]) == 4 and sign != ".":
                    return self._day(*numbers)
                if sign != "/" or int(numbers[0]) > 12:
                    raise Unclear("the order of day, month and year is not clear", *_orders(*numbers))
                return self._day(numbers[2], *numbers[:2])
        if self.follows("0", "/", "0"):
            return self._day("", *self.take(3)[::2])
        return False

    def _digits(self) -> bool:
        """A day, the year at the end of C(Thu Jul 31 23:26:00 2003), or the time after a day."""
        number, after = self.peek(), self.peek(1)
        if number.kind != "number" or len(number.text) not in (4, 8) or (after.glued and after.kind == "sign"):
            return False
        digits = self.take()[0]
        if len(digits) == 8:
            year, month, day = digits[:4], digits[4:6], digits[6:]
            if len(self.tokens) == 1:
                reading = f"{digits}_ and the rest of the id"
                raise Unclear("it could be a day or the beginning of an id", f"{year}-{month}-{day}", reading)
            return self._day(year, month, day)
        calendar = self.written.calendar
        if calendar is not None and calendar[0] is None:
            self.written.calendar = (int(digits), *calendar[1:])
            return True
        if (calendar, self.written.day, self.written.weekday) == (None, None, None):
            raise Unclear("it could be a time or a year", f"{digits[:2]}:{digits[2:]}", f"{digits}-01-01")
        return self._clock_of_digits(digits)

    def _year(self) -> str:
        """The year, where one follows the day and the month, or nothing."""
        token, after = self.peek(), self.peek(1)
        year = token.kind == "number" and len(token.text) in (2, 4) and after.text not in (":", "am", "pm")
        return self.take()[0] if year else ""

    def _day(self, year: str, month: str, day: str) -> bool:
        if len(year) not in (0, 2, 4) or len(day) > 2:
            raise Unclear(f"{year or day} is no {'year of two or four digits' if year else 'day'}")
        number = int(year) if year else None
        if number is not None and len(year) == 2:
            # As POSIX has it.
            number += 1900 if number >= 69 else 2000
        return self._set("calendar", "days", (number, words.MONTH_OF.get(month) or int(month), int(day)))

    def _weekday(self) -> bool:
        said = self.peek().text in ("last", "this", "next")
        name = self.peek(1 if said else 0).text
        if name not in words.DAY_OF:
            return False
        self.written.which = self.take()[0] if said else ""
        self.take()
        return self._set("weekday", "days of the week", words.DAY_OF[name])

    def _relative_day(self) -> bool:
        days = {"today": 0, "yesterday": -1, "tomorrow": 1}
        if self.peek().text == "now":
            self.take()
            return self._count("second", 0)
        return self.peek().text in days and self._set("day", "days", days[self.take()[0]])

    def _zone(self) -> bool:
        token, after = self.peek(), self.peek(1)
        letters = {*words.ZONES, *words.TWO_ZONES, *(name.lower() for name in time.tzname)}
        if token.kind == "place" or (token.kind == "word" and token.text in letters):
            return self._set("zone", "time zones", self.take()[0])
        if not self.position or token.text not in ("+", "-") or after.kind != "number" or not after.glued:
            return False
        sign, digits = self.take(2)
        digits = digits.zfill(2) if len(digits) < 3 else digits.zfill(4)
        if len(digits) == 2:
            digits += self.take(2)[1] if self.follows(":", "0") else "00"
        if len(digits) != 4 or int(digits[2:]) > 59 or int(digits) > 1400:
            raise Unclear(f"there is no time zone {sign}{digits}")
        minutes = int(digits[:2]) * 60 + int(digits[2:])
        return self._set("zone", "time zones", -minutes if sign == "-" else minutes)

    def _span(self) -> bool:
        token = self.peek()
        if token.text == "ago" and self.counted:
            self.take()
            counted, self.counted = self.counted, []
            return all(self._count(name, number) for dummy, name, number in counted)
        if token.text in ("last", "this", "next") and self.peek(1).text in words.UNIT_OF:
            which, name = self.take(2)
            if which == "this":
                raise Unclear(f"this {name} could mean two moments", "now", "the date it began on")
            return self._count(words.UNIT_OF[name], 1 if which == "last" else -1)
        signed = token.text in ("+", "-") and self._tokens_of_amount(1) > 1
        amount = self._tokens_of_amount(1 if signed else 0)
        if not amount:
            return False
        sign = self.take()[0] if signed else ""
        *digits, name = self.take(amount)
        written = f"{''.join(digits) or 'a'} {name}"
        if name == "m":
            raise Unclear("m could mean minutes or months", f"{written}inutes ago", f"{written}onths ago")
        unit = words.UNIT_OF[name]
        number = float("".join(digits)) if digits and digits[0].isdigit() else 1.0
        if not sign:
            self.counted.append((written, unit, number))
            return True
        if self.peek().text == "ago":
            raise Unclear(f"{sign}{written} ago could mean two moments", f"{written} ago", f"{written} from now")
        return self._count(unit, number if sign == "-" else -number)

    def _tokens_of_amount(self, ahead: int) -> int:
        """How many tokens make up a number with its unit; none where there is none."""
        count = 1 if self.peek(ahead).kind == "number" or self.peek(ahead).text in ("a", "an", "one") else 0
        if self.peek(ahead).kind == "number" and self.peek(ahead + 1).text == "." and self.peek(ahead + 2).glued:
            count = 3
        unit = self.peek(ahead + count)
        if not count:
            # "week ago" is one week; a letter needs a number.
            return int(unit.text in words.UNIT_OF and len(unit.text) > 2 and self.peek(ahead + 1).text == "ago")
        return count + 1 if unit.text in words.UNIT_OF or unit.text == "m" else 0

    def _count(self, unit: str, number: float) -> bool:
        self.written.span = span = self.written.span or {}
        if unit in span:
            raise Unclear(f"{unit} is named twice")
        span[unit] = number
        return True


def _orders(first: str, second: str, third: str) -> list[str]:
    """The days that three numbers could be, year first."""
    orders = [(third, first, second), (third, second, first), (first, second, third)]
    likely = [order for order in orders if int(order[1]) <= 12 and int(order[2]) <= 31 and len(order[0]) in (2, 4)]
    days = [f"{year if len(year) == 4 else f'20{year}'}-{month:>02}-{day:>02}" for year, month, day in likely]
    return list(dict.fromkeys(days))
