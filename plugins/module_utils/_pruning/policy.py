"""Which captured content is kept: decides only, and touches nothing.

What is counted are changes, not attempts: an installation that changed nothing pushes nothing out, and its captures,
which hold what is there anyway, go at once. The way back to an old state leads through all younger installations, so
content goes from the oldest end of the timeline on, whole installations at a time. What was captured by hand or by
hooks goes one by one, the oldest first, by the same limits. What nobody can use any more goes at any age.
"""

from __future__ import annotations

import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import InputError
from ansible_collections.intellistream.sage.plugins.module_utils._records.installation import (
    ORIGINS,
    current,
    installations,
)
from ansible_collections.intellistream.sage.plugins.module_utils._timeline import targets

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._pruning.usage import Usage
    from ansible_collections.intellistream.sage.plugins.module_utils._records.installation import Change, Installation
    from ansible_collections.intellistream.sage.plugins.plugin_utils._events import Point

_DAY = 86400


class Limits(t.NamedTuple):
    """What is kept; 0 is no limit.

    :ivar installations: completed installations that changed something; and as many points made by hand, and by hooks.
    :ivar days: since an installation ended, or a point was made by hand or by a hook.
    :ivar bytes: that the store really occupies.
    :ivar uncompressed: newest completed installations that are never compressed.
    :ivar archive: compress the others.
    :ivar redo: keep what brings back what was rolled back.
    """

    installations: int = 0
    days: int = 0
    bytes: int = 0
    uncompressed: int = 1
    archive: bool = True
    redo: bool = True

    def check(self) -> None:
        """Refuse what is no limit.

        :raises InputError: a limit is negative.
        """
        for name, limit in self._asdict().items():
            if limit < 0:
                raise InputError(
                    f"{name} must not be negative, and is {limit}.",
                    untouched="everything.",
                    advice="Use 0 for no limit, or a number.",
                )


class RetentionDecision(t.NamedTuple):
    """What has to go and what stays.

    :ivar prune: names of rollback points, oldest first.
    :ivar archive: names of rollback points to compress, oldest first.
    :ivar remaining: how many rollback points keep their content.
    :ivar protected: why a limit is exceeded, in words.
    """

    prune: list[str]
    archive: list[str]
    remaining: int
    protected: list[str]


def decide(history: t.Sequence[Change], usage: Usage, limits: Limits, time: float) -> RetentionDecision:
    """What of the history's content goes.

    :param history: all changes, oldest first.
    :param usage: what the store holds.
    :param time: seconds since the epoch.
    """
    guarded = _guarded(history)
    free = _free(history, guarded)
    cut = max(_by_count(history, limits.installations), _by_age(history, limits.days, time))
    protected = []
    if cut > free and any(_stored(change) for change in history[free:cut]):
        protected.append(_protection(history, guarded, free))
    cut = min(cut, free)
    outside = _outside(history)
    spare = _beyond(history, outside, limits, time)
    prune = _closure(history, cut, spare, usage, limits.redo)
    if limits.bytes:
        # Where no cut is enough, the smallest of those that free most: nothing goes without a gain.
        steps = [(number, spare) for number in range(cut, free + 1)]
        steps += [(free, spare | set(outside[:number])) for number in range(1, len(outside) + 1)]

        def size(step: int) -> int:
            return usage.total(_closure(history, *steps[step], usage, limits.redo))

        goal = max(limits.bytes, size(len(steps) - 1))
        step = _first(len(steps), lambda step: size(step) <= goal)
        prune = _closure(history, *steps[step], usage, limits.redo)
        if goal > limits.bytes:
            more = f"the store occupies {goal} bytes, more than {limits.bytes}"
            protected.append(f"{more}: {_protection(history, guarded, free)}" if guarded else more)
    stored = [point for change in history for point in _stored(change)]
    return RetentionDecision(
        [point["point"] for point in stored if point["point"] in prune],
        _to_archive(history, prune, usage, limits),
        remaining=sum(point["point"] not in prune for point in stored),
        protected=protected,
    )


def _first(count: int, enough: t.Callable[[int], bool]) -> int:
    """The first of so many steps that is enough; each frees at least what those before it do, and the last one is."""
    low, high = 0, count - 1
    while low < high:
        middle = (low + high) // 2
        if enough(middle):
            high = middle
        else:
            low = middle + 1
    return low


def pending(history: t.Sequence[Change]) -> set[str]:
    """Changes that an interrupted rollback still has to work on, or the decision about a fleet run."""
    newest = current(history)
    prepared: set[str] = set()
    if newest is not None and newest.fleet is not None and newest.rollback_pending:
        prepared.update(newest.fleet["points"])
    return {
        change.install_id
        for change in history
        if change.undoing or change.state == "prepared" or any(point["point"] in prepared for point in change.points)
    }


def _stored(change: Change) -> list[Point]:
    """Points whose content is in the store."""
    return [point for point in change.points if not point.get("pruned")]


def _undid(point: Point) -> list[str]:
    """What a redo point undid."""
    redo = point.get("redo")
    return redo["points"] if redo else []


def _good(history: t.Sequence[Change]) -> list[Installation]:
    """Those that are completed and changed something."""
    return [installation for installation in installations(history) if _is_good(installation)]


def _is_good(change: Change) -> bool:
    return change.origin == "installation" and change.state == "completed" and change.altered


def _guarded(history: t.Sequence[Change]) -> dict[str, str]:
    """Installations that nothing may be taken from, and why."""
    reasons: dict[str, str] = {}
    good, newest = _good(history), current(history)
    if good:
        reasons[good[-1].install_id] = "it is the last good one"
    if newest is not None and newest.unfinished:
        reasons[newest.install_id] = "it is not finished"
    for install_id in pending(history):
        reasons[install_id] = "a rollback of it was interrupted, or its fleet run is not decided"
    if not reasons:
        return reasons
    # What is kept to bring back something is of no use without what it takes away again.
    free = _free(history, reasons)
    needed = {name for change in history[free:] for point in _stored(change) for name in _undid(point)}
    for change in history[:free]:
        if any(point["point"] in needed for point in _stored(change)):
            reasons[change.install_id] = "what was rolled back of it can be brought back into the current one"
    return reasons


def _free(history: t.Sequence[Change], guarded: dict[str, str]) -> int:
    """How many changes, counted from the oldest, lie before the first guarded one."""
    for number, change in enumerate(history):
        if change.install_id in guarded:
            return number
    return len(history)


def _protection(history: t.Sequence[Change], guarded: dict[str, str], free: int) -> str:
    """Why nothing goes from the first guarded installation on, for people."""
    change = history[free] if free < len(history) else history[-1]
    reason = guarded.get(change.install_id, "it is needed")
    return f"installation {change.install_id} and all after it are kept: {reason}"


def _by_count(history: t.Sequence[Change], limit: int) -> int:
    """The cut that keeps C(limit) good installations, each with the way back to the good state before it.

    What failed between two good ones is part of that way, and counts for nothing.
    """
    good = [number for number, change in enumerate(history) if _is_good(change)]
    return good[-limit - 1] + 1 if limit and len(good) > limit else 0


def _by_age(history: t.Sequence[Change], days: int, time: float) -> int:
    """The cut before the first installation that ended in the last C(days)."""
    cut = 0
    for number, change in enumerate(history if days else ()):
        if change.origin != "installation":
            continue
        if _ended(change) >= time - days * _DAY:
            break
        cut = number + 1
    return cut


def _outside(history: t.Sequence[Change]) -> list[str]:
    """Ids of what was captured by hand and by hooks, oldest first, that may go one by one.

    What an unfinished installation rests on may not, nor what is to be undone, nor the last change of all.
    """
    newest, busy = current(history), pending(history)
    at_work = newest.seq if newest is not None and newest.unfinished else None
    last = targets.last(history)
    return [
        change.install_id
        for change in history
        if change.origin in ORIGINS
        and change.active_points
        and _stored(change)
        and change.install_id not in busy
        and change is not last
        and (at_work is None or change.seq < at_work)
    ]


def _beyond(history: t.Sequence[Change], outside: t.Sequence[str], limits: Limits, time: float) -> set[str]:
    """Those of them that are beyond the limits of number and age."""
    beyond: set[str] = set()
    for origin in ORIGINS:
        changes = [change for change in history if change.origin == origin and change.active_points]
        if limits.installations:
            beyond.update(change.install_id for change in changes[: -limits.installations])
        if limits.days:
            beyond.update(change.install_id for change in changes if _ended(change) < time - limits.days * _DAY)
    return beyond & set(outside)


def _ended(change: Change) -> float:
    """When something was last done in it; its archiving does not count."""
    import datetime as dt

    times: list[str | None] = [change.begun]
    times += [time for point in change.points for time in (point["time"], point.get("undone"))]
    times += [time for phase in change.phases.values() for time in (phase.started, phase.ended)]
    return max(dt.datetime.fromisoformat(time).timestamp() for time in times if time)


def _closure(history: t.Sequence[Change], cut: int, spare: set[str], usage: Usage, redo: bool) -> set[str]:
    """All points that go when the C(cut) oldest changes do, and C(spare)."""
    busy, newest = pending(history), current(history)
    at_work = newest.install_id if newest is not None and newest.unfinished else ""
    pruned = {point["point"] for change in history for point in change.points if point.get("pruned")}
    leaving = [*history[:cut], *(change for change in history[cut:] if change.install_id in spare)]
    closure = {point["point"] for change in leaving for point in _stored(change)}
    while True:
        remaining = [
            (change, point) for change in history for point in _stored(change) if point["point"] not in closure
        ]
        needed = {name for dummy, point in remaining for name in _undid(point)}
        more = set()
        for change, point in remaining:
            if change.install_id in busy:
                continue
            name = point["point"]
            # Nobody can go there again. What the rollback put aside there is somebody's work, though.
            useless = point.get("undone") and name not in needed and name not in usage.aside
            # Nothing was changed after it, so there is nothing that it could bring back.
            idle = change.state == "completed" and not change.altered and change.origin == "installation"
            # A redo point and what it undid cancel each other, and go together.
            broken = _undid(point) and (not redo or any(other in closure | pruned for other in _undid(point)))
            if broken or ((useless or idle) and change.install_id != at_work):
                more.add(name)
        if not more:
            return closure
        closure |= more


def _to_archive(history: t.Sequence[Change], prune: set[str], usage: Usage, limits: Limits) -> list[str]:
    """Points of older completed installations that an archive can hold."""
    if not limits.archive:
        return []
    good, busy = _good(history), pending(history)
    return [
        point["point"]
        for installation in good[: max(len(good) - limits.uncompressed, 0)]
        for point in _stored(installation)
        if point["point"] not in prune
        and not point.get("archive")
        and point["point"] in usage.alone
        and installation.install_id not in busy
    ]
