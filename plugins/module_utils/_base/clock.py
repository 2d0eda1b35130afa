"""One clock and one id for records, logs and reports."""

from __future__ import annotations

import time

_ID = "%Y%m%d_%H%M%S"


def now() -> str:
    """The local time, ISO 8601 with milliseconds and zone: C(2025-11-15T14:30:00.000+08:00)."""
    return local(time.time())


def local(seconds: float) -> str:
    """Seconds since the epoch in the same form."""
    moment = time.localtime(seconds)
    hours, minutes = divmod(abs(moment.tm_gmtoff) // 60, 60)
    sign = "-" if moment.tm_gmtoff < 0 else "+"
    date = time.strftime("%Y-%m-%dT%H:%M:%S", moment)
    return f"{date}.{int(seconds % 1 * 1000):03d}{sign}{hours:02d}:{minutes:02d}"


def utc(seconds: float) -> str:
    """Seconds since the epoch as ISO time in UTC, without fractions: C(2025-11-15T06:30:00+00:00)."""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + "+00:00"


def since_boot() -> float:
    """Seconds since the boot, of a clock that nobody sets, and that goes on while the host sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


def new_install_id(last: str | None) -> str:
    """An install id, C(YYYYMMDD_HHMMSS) in local time.

    It is later than C(last): also within one second, and after the clock was set back.

    :param last: the latest install id there is, or None.
    """
    current = time.strftime(_ID)
    if last is None or current > last:
        return current
    # Taken apart by hand: strptime would import half a dozen modules.
    date, clock = int(last[:8]), int(last[9:])
    moment = (date // 10000, date // 100 % 100, date % 100, clock // 10000, clock // 100 % 100, clock % 100, 0, 0, -1)
    following = time.mktime(moment) + 1
    # Where summer time ends, an hour's names come twice: go on until the name is a later one.
    while time.strftime(_ID, time.localtime(following)) <= last:
        following += 60
    return time.strftime(_ID, time.localtime(following))
