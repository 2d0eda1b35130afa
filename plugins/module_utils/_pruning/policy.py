# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which captured content is kept: decides only, and touches nothing.

The way back to an old state leads through all younger rollback points, so content goes from the oldest end
of the timeline on, whole installations at a time. What nobody can use any more goes at any age.
"""

from __future__ import annotations

import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import InputError

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._pruning.usage import Usage
    from ansible_collections.intellistream.sage.plugins.module_utils._records.events import Point
    from ansible_collections.intellistream.sage.plugins.module_utils._records.installation import Installation

_DAY = 86400


class Limits(t.NamedTuple):
    """What is kept; 0 is no limit.

    :ivar installations: completed installations.
    :ivar days: since an installation ended.
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

        :raises InputError: one is negative.
        """
        for name, value in self._asdict().items():
            if value < 0:
                raise InputError(
                    f"{name} is {value}.", untouched="everything.", advice="Use 0 for no limit, or a number."
                )


class Decision(t.NamedTuple):
    """What has to go and what stays.

    :ivar prune: names of rollback points, oldest first.
    :ivar archive: names of rollback points to compress, oldest first.
    :ivar kept: how many rollback points keep their content.
    :ivar protected: why a limit is exceeded, in words.
    """

    prune: list[str]
    archive: list[str]
    kept: int
    protected: list[str]


def decide(history: t.Sequence[Installation], usage: Usage, limits: Limits, now: float) -> Decision:
    """What of the history's content goes.

    :param history: all installations, oldest first.
    :param usage: what the store holds.
    :param now: seconds since the epoch.
    """
    guarded = _guarded(history)
    free = _free(history, guarded)
    wanted = max(_by_count(history, limits.installations), _by_age(history, limits.days, now))
    cut = min(wanted, free)
    protected = []
    if wanted > free and any(point for one in history[free:wanted] for point in _there(one)):
        protected.append(_why(history, guarded, free))
    prune = _closure(history, cut, usage, limits.redo)
    if limits.bytes:
        # Where no cut is enough, the smallest of those that free most: nothing goes without a gain.
        cuts = range(cut, free + 1)
        sizes = {one: usage.total(_closure(history, one, usage, limits.redo)) for one in cuts}
        enough = [one for one in cuts if sizes[one] <= limits.bytes]
        cut = enough[0] if enough else min(cuts, key=lambda one: (sizes[one], one))
        prune = _closure(history, cut, usage, limits.redo)
        if not enough:
            more = f"the store occupies {sizes[cut]} bytes, more than {limits.bytes}"
            protected.append(f"{more}: {_why(history, guarded, free)}" if guarded else more)
    left = [point for one in history for point in _there(one) if point["point"] not in prune]
    names = [point["point"] for one in history for point in _there(one) if point["point"] in prune]
    return Decision(names, _to_archive(history, prune, usage, limits), len(left), protected)


def pending(history: t.Sequence[Installation]) -> set[str]:
    """Installations that an interrupted rollback still has to work on, or the decision about a fleet run."""
    current = history[-1] if history else None
    prepared: set[str] = set()
    if current is not None and current.fleet is not None and current.rollback_pending:
        prepared.update(current.fleet["points"])
    return {
        one.install_id
        for one in history
        if one.undoing or one.status == "prepared" or any(point["point"] in prepared for point in one.points)
    }


def _there(one: Installation) -> list[Point]:
    return [point for point in one.points if not point.get("pruned")]


def _redone(point: Point) -> list[str]:
    """What a redo point undid."""
    redo = point.get("redo")
    return redo["points"] if redo else []


def _good(history: t.Sequence[Installation]) -> list[Installation]:
    return [one for one in history if one.status == "completed"]


def _guarded(history: t.Sequence[Installation]) -> dict[str, str]:
    """Installations that nothing may be taken from, and why."""
    found: dict[str, str] = {}
    good = _good(history)
    if good:
        found[good[-1].install_id] = "it is the last good one"
    if history and history[-1].unfinished:
        found[history[-1].install_id] = "it is not finished"
    for install_id in pending(history):
        found[install_id] = "a rollback of it was interrupted, or its fleet run is not decided"
    # What is kept to bring back something is of no use without what it takes away again.
    needed = {name for one in history if one.install_id in found for point in _there(one) for name in _redone(point)}
    for one in history:
        if one.install_id not in found and any(point["point"] in needed for point in _there(one)):
            found[one.install_id] = "what was rolled back of it can be brought back into the current one"
    return found


def _free(history: t.Sequence[Installation], guarded: dict[str, str]) -> int:
    """How many installations, counted from the oldest, lie before the first guarded one."""
    for number, one in enumerate(history):
        if one.install_id in guarded:
            return number
    return len(history)


def _why(history: t.Sequence[Installation], guarded: dict[str, str], free: int) -> str:
    one = history[free] if free < len(history) else history[-1]
    return f"installation {one.install_id} and all after it are kept: {guarded.get(one.install_id, 'it is needed')}"


def _by_count(history: t.Sequence[Installation], limit: int) -> int:
    """The cut that keeps C(limit) good installations, each with the way back to the good state before it.

    What failed between two good ones is part of that way, and counts for nothing.
    """
    good = [number for number, one in enumerate(history) if one.status == "completed"]
    return good[-limit - 1] + 1 if limit and len(good) > limit else 0


def _by_age(history: t.Sequence[Installation], days: int, now: float) -> int:
    cut = 0
    for number, one in enumerate(history):
        if not days or _ended(one) >= now - days * _DAY:
            break
        cut = number + 1
    return cut


def _ended(one: Installation) -> float:
    """When something was last done in it; its archiving does not count."""
    import datetime as dt

    times = [one.begun, *(point["time"] for point in one.points), *(point.get("undone") or "" for point in one.points)]
    times += [time or "" for phase in one.phases.values() for time in (phase.started, phase.ended)]
    return max(dt.datetime.fromisoformat(time).timestamp() for time in times if time)


def _closure(history: t.Sequence[Installation], cut: int, usage: Usage, redo: bool) -> set[str]:
    """All points that go when the C(cut) oldest installations do."""
    busy = pending(history)
    current = history[-1].install_id if history and history[-1].unfinished else ""
    gone = {point["point"] for one in history[:cut] for point in _there(one)}
    before = {point["point"] for one in history for point in one.points if point.get("pruned")}
    while True:
        wanted = {
            name for one in history for point in _there(one) if point["point"] not in gone for name in _redone(point)
        }
        more = set()
        for one in history:
            if one.install_id in busy:
                continue
            for point in _there(one):
                name = point["point"]
                if name in gone:
                    continue
                # Nobody can go there again. What the rollback put aside there is somebody's work, though.
                useless = point.get("undone") and name not in wanted and name not in usage.aside
                # A redo point and what it undid cancel each other, and go together.
                broken = _redone(point) and (not redo or any(other in gone | before for other in _redone(point)))
                if broken or (useless and one.install_id != current):
                    more.add(name)
        if not more:
            return gone
        gone |= more


def _to_archive(history: t.Sequence[Installation], prune: set[str], usage: Usage, limits: Limits) -> list[str]:
    if not limits.archive:
        return []
    good, busy = _good(history), pending(history)
    return [
        point["point"]
        for one in good[: max(len(good) - limits.uncompressed, 0)]
        for point in _there(one)
        if point["point"] not in prune
        and not point.get("archive")
        and point["point"] in usage.alone
        and one.install_id not in busy
    ]
