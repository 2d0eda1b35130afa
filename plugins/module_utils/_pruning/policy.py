"""Which captured content is kept: decides only, and touches nothing.

The way back to an old state leads through all younger rollback points, so content goes from the oldest end
of the timeline on, whole installations at a time. What nobody can use any more goes at any age.
"""

from __future__ import annotations

import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import InputError

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._pruning.usage import Usage
    from ansible_collections.intellistream.sage.plugins.module_utils._records.installation import Installation
    from ansible_collections.intellistream.sage.plugins.plugin_utils._events import Point

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


def decide(history: t.Sequence[Installation], usage: Usage, limits: Limits, time: float) -> RetentionDecision:
    """What of the history's content goes.

    :param history: all installations, oldest first.
    :param usage: what the store holds.
    :param time: seconds since the epoch.
    """
    guarded = _guarded(history)
    free = _free(history, guarded)
    cut = max(_by_count(history, limits.installations), _by_age(history, limits.days, time))
    protected = []
    if cut > free and any(_stored(installation) for installation in history[free:cut]):
        protected.append(_protection(history, guarded, free))
    cut = min(cut, free)
    prune = _closure(history, cut, usage, limits.redo)
    if limits.bytes:
        # Where no cut is enough, the smallest of those that free most: nothing goes without a gain.
        cuts = range(cut, free + 1)
        sizes = {number: usage.total(_closure(history, number, usage, limits.redo)) for number in cuts}
        enough = [number for number in cuts if sizes[number] <= limits.bytes]
        cut = enough[0] if enough else min(cuts, key=lambda number: (sizes[number], number))
        prune = _closure(history, cut, usage, limits.redo)
        if not enough:
            more = f"the store occupies {sizes[cut]} bytes, more than {limits.bytes}"
            protected.append(f"{more}: {_protection(history, guarded, free)}" if guarded else more)
    stored = [point for installation in history for point in _stored(installation)]
    return RetentionDecision(
        [point["point"] for point in stored if point["point"] in prune],
        _to_archive(history, prune, usage, limits),
        remaining=sum(point["point"] not in prune for point in stored),
        protected=protected,
    )


def pending(history: t.Sequence[Installation]) -> set[str]:
    """Installations that an interrupted rollback still has to work on, or the decision about a fleet run."""
    current = history[-1] if history else None
    prepared: set[str] = set()
    if current is not None and current.fleet is not None and current.rollback_pending:
        prepared.update(current.fleet["points"])
    return {
        installation.install_id
        for installation in history
        if installation.undoing
        or installation.status == "prepared"
        or any(point["point"] in prepared for point in installation.points)
    }


def _stored(installation: Installation) -> list[Point]:
    """Points whose content is in the store."""
    return [point for point in installation.points if not point.get("pruned")]


def _undid(point: Point) -> list[str]:
    """What a redo point undid."""
    redo = point.get("redo")
    return redo["points"] if redo else []


def _good(history: t.Sequence[Installation]) -> list[Installation]:
    """Those that are completed."""
    return [installation for installation in history if installation.status == "completed"]


def _guarded(history: t.Sequence[Installation]) -> dict[str, str]:
    """Installations that nothing may be taken from, and why."""
    reasons: dict[str, str] = {}
    good = _good(history)
    if good:
        reasons[good[-1].install_id] = "it is the last good one"
    if history and history[-1].unfinished:
        reasons[history[-1].install_id] = "it is not finished"
    for install_id in pending(history):
        reasons[install_id] = "a rollback of it was interrupted, or its fleet run is not decided"
    # What is kept to bring back something is of no use without what it takes away again.
    needed = {
        name
        for installation in history
        if installation.install_id in reasons
        for point in _stored(installation)
        for name in _undid(point)
    }
    for installation in history:
        if installation.install_id not in reasons and any(point["point"] in needed for point in _stored(installation)):
            reasons[installation.install_id] = "what was rolled back of it can be brought back into the current one"
    return reasons


def _free(history: t.Sequence[Installation], guarded: dict[str, str]) -> int:
    """How many installations, counted from the oldest, lie before the first guarded one."""
    for number, installation in enumerate(history):
        if installation.install_id in guarded:
            return number
    return len(history)


def _protection(history: t.Sequence[Installation], guarded: dict[str, str], free: int) -> str:
    """Why nothing goes from the first guarded installation on, for people."""
    installation = history[free] if free < len(history) else history[-1]
    reason = guarded.get(installation.install_id, "it is needed")
    return f"installation {installation.install_id} and all after it are kept: {reason}"


def _by_count(history: t.Sequence[Installation], limit: int) -> int:
    """The cut that keeps C(limit) good installations, each with the way back to the good state before it.

    What failed between two good ones is part of that way, and counts for nothing.
    """
    good = [number for number, installation in enumerate(history) if installation.status == "completed"]
    return good[-limit - 1] + 1 if limit and len(good) > limit else 0


def _by_age(history: t.Sequence[Installation], days: int, time: float) -> int:
    """The cut before the first installation that ended in the last C(days)."""
    cut = 0
    for number, installation in enumerate(history):
        if not days or _ended(installation) >= time - days * _DAY:
            break
        cut = number + 1
    return cut


def _ended(installation: Installation) -> float:
    """When something was last done in it; its archiving does not count."""
    import datetime as dt

    times: list[str | None] = [installation.begun]
    times += [time for point in installation.points for time in (point["time"], point.get("undone"))]
    times += [time for phase in installation.phases.values() for time in (phase.started, phase.ended)]
    return max(dt.datetime.fromisoformat(time).timestamp() for time in times if time)


def _closure(history: t.Sequence[Installation], cut: int, usage: Usage, redo: bool) -> set[str]:
    """All points that go when the C(cut) oldest installations do."""
    busy = pending(history)
    current = history[-1].install_id if history and history[-1].unfinished else ""
    pruned = {point["point"] for installation in history for point in installation.points if point.get("pruned")}
    closure = {point["point"] for installation in history[:cut] for point in _stored(installation)}
    while True:
        remaining = [
            (installation, point)
            for installation in history
            for point in _stored(installation)
            if point["point"] not in closure
        ]
        needed = {name for dummy, point in remaining for name in _undid(point)}
        more = set()
        for installation, point in remaining:
            if installation.install_id in busy:
                continue
            name = point["point"]
            # Nobody can go there again. What the rollback put aside there is somebody's work, though.
            useless = point.get("undone") and name not in needed and name not in usage.aside
            # A redo point and what it undid cancel each other, and go together.
            broken = _undid(point) and (not redo or any(other in closure | pruned for other in _undid(point)))
            if broken or (useless and installation.install_id != current):
                more.add(name)
        if not more:
            return closure
        closure |= more


def _to_archive(history: t.Sequence[Installation], prune: set[str], usage: Usage, limits: Limits) -> list[str]:
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
