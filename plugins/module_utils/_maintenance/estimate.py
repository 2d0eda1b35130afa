"""The arithmetic of a maintenance window: how long a phase and an undo take, and whether both still fit.

Durations only, in seconds; no clock is read here. docs/fleet-window.md tells how each is estimated.
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
# Seconds. An undo that had less to do tells nothing about how it grows, and none is sure to begin faster.
_TELLING = 1.0
_SHORTEST_BEGINNING = 1.0


class UndoSize(t.NamedTuple):
    """How much an undo has to put back and to remove.

    :ivar files: how many files were captured.
    :ivar bytes: the size of their content.
    :ivar distributions: how many distributions the change replaces or adds.
    """

    files: int = 0
    bytes: int = 0
    distributions: int = 0

    @property
    def seconds(self) -> float:
        """How many seconds that takes on a slow host, once it has begun."""
        files = self.files + FILES_PER_DISTRIBUTION * self.distributions
        return files / FILES_PER_SECOND + self.bytes / BYTES_PER_SECOND

    def __add__(self, other: object) -> UndoSize:
        """Both together."""
        if not isinstance(other, UndoSize):
            return NotImplemented
        return UndoSize(
            self.files + other.files, self.bytes + other.bytes, distributions=self.distributions + other.distributions
        )


class Rates(t.NamedTuple):
    """How fast a host is at undoing.

    :ivar beginning: seconds before it grows with the work.
    :ivar slowness: how many times as long as M(UndoSize.seconds) the work takes.
    :ivar measured: how many undos tell so; 0 for the defaults.
    """

    beginning: float = BEGINNING
    slowness: float = 1.0
    measured: int = 0


class Estimate(t.NamedTuple):
    """How long something is going to take.

    :ivar seconds: that long.
    :ivar measured: it is known from this host's record, or somebody said so; else it is a default.
    """

    seconds: float
    measured: bool


def rates(undos: t.Iterable[tuple[UndoSize, float]]) -> Rates:
    """What past undos tell, the slowest of them in both respects.

    :param undos: how much each had to do, and the seconds it took.
    """
    past = [(size.seconds, seconds) for size, seconds in undos if seconds > 0]
    if not past:
        return Rates()
    slowness = max((seconds / by_default for by_default, seconds in past if by_default >= _TELLING), default=1.0)
    beginning = max(_SHORTEST_BEGINNING, *(seconds - slowness * by_default for by_default, seconds in past))
    return Rates(beginning, slowness, measured=len(past))


def undo(size: UndoSize, rate: Rates) -> Estimate:
    """How long an undo takes, from the decision to undo to its end.

    :param size: how much it has to do.
    :param rate: how fast the host is.
    """
    seconds = OVERHEAD + UNDO_FACTOR * (rate.beginning + rate.slowness * size.seconds)
    return Estimate(round(seconds, 1), bool(rate.measured))


def phase(name: str, durations: t.Sequence[float], from_user: float | None = None) -> Estimate:
    """How long a phase takes.

    :param name: one of the six phases.
    :param durations: the seconds that it took before on this host; the longest counts.
    :param from_user: the seconds that the user says, which count instead.
    """
    if from_user is not None:
        return Estimate(from_user, True)
    sensible = [seconds for seconds in durations if seconds >= 0]
    if sensible:
        return Estimate(round(PHASE_FACTOR * max(sensible), 1), True)
    return Estimate(PHASE_SECONDS.get(name, max(PHASE_SECONDS.values())), False)


def remaining(expected: Estimate, passed: float) -> Estimate:
    """What remains of a phase that began C(passed) seconds ago.

    A clock that was set back meanwhile does not make it longer than it is.
    """
    return Estimate(min(expected.seconds, max(0.0, round(expected.seconds - passed, 1))), expected.measured)


def fits(seconds_left: float, needed: float) -> bool:
    """Whether what takes C(needed) seconds ends before the window, which has C(seconds_left) seconds left."""
    return needed <= seconds_left


def cut(seconds_left: float, needed: float) -> int:
    """After how many whole seconds a task has to be cut off, so that the undo still fits; at least one.

    :param seconds_left: until the window ends.
    :param needed: the seconds that the undo takes.
    """
    return max(1, int(seconds_left - needed))


def spell(seconds: float) -> str:
    """A duration for people: V(2h 05m), V(3m 20s), V(12 s), V(0.4 s)."""
    if seconds < 0:
        return f"-{spell(-seconds)}"
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 100:
        return f"{whole} s"
    minutes, below_minute = divmod(whole, 60)
    if minutes < 100:
        return f"{minutes}m {below_minute:02d}s"
    return f"{minutes // 60}h {minutes % 60:02d}m"
