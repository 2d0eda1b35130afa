# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The arithmetic of a maintenance window: how long a phase and an undo take, and whether both still fit.

Durations only, in seconds; no clock is read here. What is estimated how, docs/fleet-window.md tells.
"""

from __future__ import annotations

import typing as t

# Where this host has no record of a phase: what a slow host takes. pip needs four minutes for isage[full].
PHASE_SECONDS: dict[str, float] = {
    "environment_setup": 60.0,
    "submodule_sync": 120.0,
    "python_deps": 300.0,
    "sage_packages": 60.0,
    "verification": 60.0,
    "cleanup": 30.0,
}
# A phase may take so much longer than it ever has.
PHASE_FACTOR = 1.25

# An undo where there is no record of one: a slow disk, and the start of it.
FILES_PER_SECOND = 5_000.0
BYTES_PER_SECOND = 100e6
BEGINNING = 10.0
# What a change adds is in no capture, and has to be removed: isage[full] is 150 distributions of 65,000 files.
FILES_PER_DISTRIBUTION = 400
UNDO_FACTOR = 1.5
# To notice, to connect, to record the failure and to start, on a host that is busy.
OVERHEAD = 10.0
# An undo that was shorter tells nothing about how it grows, and no next one is sure to begin faster.
_TELLING = 1.0
_SHORTEST = 1.0


class UndoWork(t.NamedTuple):
    """What an undo has to put back and to remove.

    :ivar files: captured files.
    :ivar bytes: their content.
    :ivar distributions: those that the change replaces or adds.
    """

    files: int = 0
    bytes: int = 0
    distributions: int = 0

    @property
    def seconds(self) -> float:
        """How long that takes on a slow host, once it has begun."""
        files = self.files + FILES_PER_DISTRIBUTION * self.distributions
        return files / FILES_PER_SECOND + self.bytes / BYTES_PER_SECOND

    def __add__(self, other: object) -> UndoWork:
        """Both together."""
        if not isinstance(other, UndoWork):
            return NotImplemented
        return UndoWork(self.files + other.files, self.bytes + other.bytes, self.distributions + other.distributions)


class Rates(t.NamedTuple):
    """How fast a host is at undoing.

    :ivar beginning: seconds before it grows with the work.
    :ivar slowness: how many times as long as M(UndoWork.seconds) the work takes.
    :ivar measured: how many undos tell so; 0 for the defaults.
    """

    beginning: float = BEGINNING
    slowness: float = 1.0
    measured: int = 0


class Estimate(t.NamedTuple):
    """How long something is going to take.

    :ivar measured: it is known from this host's record, or somebody said so; else it is a default.
    """

    seconds: float
    measured: bool


def rates(undos: t.Iterable[tuple[UndoWork, float]]) -> Rates:
    """What past undos tell, the slowest of them in both respects.

    :param undos: what each had to do, and the seconds it took.
    """
    known = [(work.seconds, seconds) for work, seconds in undos if seconds > 0]
    if not known:
        return Rates()
    slowness = max((seconds / work for work, seconds in known if work >= _TELLING), default=1.0)
    beginning = max(_SHORTEST, *(seconds - slowness * work for work, seconds in known))
    return Rates(beginning, slowness, len(known))


def undo(work: UndoWork, rate: Rates) -> Estimate:
    """How long an undo takes, from the decision to undo to its end."""
    seconds = OVERHEAD + UNDO_FACTOR * (rate.beginning + rate.slowness * work.seconds)
    return Estimate(round(seconds, 1), bool(rate.measured))


def phase(name: str, durations: t.Sequence[float], said: float | None = None) -> Estimate:
    """How long a phase takes.

    :param durations: what it took before on this host; the longest counts.
    :param said: what the user knows, which counts instead.
    """
    if said is not None:
        return Estimate(said, True)
    sensible = [seconds for seconds in durations if seconds >= 0]
    if sensible:
        return Estimate(round(PHASE_FACTOR * max(sensible), 1), True)
    return Estimate(PHASE_SECONDS.get(name, max(PHASE_SECONDS.values())), False)


def remaining(expected: Estimate, passed: float) -> Estimate:
    """The same for a phase that began some time ago; clocks that were set do not make it longer than it is."""
    return Estimate(min(expected.seconds, max(0.0, round(expected.seconds - passed, 1))), expected.measured)


def fits(left: float, needed: float) -> bool:
    """Whether what is needed ends before the window does."""
    return needed <= left


def cut(left: float, needed: float) -> int:
    """After how many whole seconds a task has to be cut off, so that the undo still fits; at least one."""
    return max(1, int(left - needed))


def spell(seconds: float) -> str:
    """A duration for people: V(2h 05m), V(3m 20s), V(12 s), V(0.4 s)."""
    if seconds < 0:
        return f"-{spell(-seconds)}"
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 100:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 100:
        return f"{minutes}m {rest:02d}s"
    return f"{minutes // 60}h {minutes % 60:02d}m"
