"""Targets of a rollback: from what the user names to the rollback points to undo.

A host has one timeline of rollback points, and a target is a cut in it: the state captured when what
is named began. A rollback is itself a change on the timeline, whose point holds what it took back.

Whoever names an installation, a phase or a point made by hand means what the collection was asked to do. What hooks
captured meanwhile, such as upgrades of the system, is undone only where a date or the point of a hook is named.
"""

from __future__ import annotations

import datetime as dt
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.by_name import ByName
from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import InputError
from ansible_collections.intellistream.sage.plugins.module_utils._records.installation import (
    PHASES,
    Installation,
    current,
    installations,
)

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._records.installation import Change
    from ansible_collections.intellistream.sage.plugins.plugin_utils._events import Point

# What an interrupted rollback has begun, or rollback.sh has done and could not record, and nothing else.
UNFINISHED = "unfinished"
_LOOKS_LIKE_DATE: ByName[t.Callable[[str], bool]] = ByName("_timeline.dates:looks_like_date")
_PARSE: ByName[t.Callable[[str, dt.datetime], dt.datetime]] = ByName("_timeline.dates:parse")


class TargetPart(t.NamedTuple):
    """What of one change is undone.

    :ivar points: those of its rollback points that are undone, oldest first; none of an installation that rests on
        others that are undone.
    :ivar phases: its phases that are rolled back, of an installation.
    :ivar entire: all of it is undone.
    """

    change: Change
    points: list[Point]
    phases: list[str]
    entire: bool


class ResolvedTarget(t.NamedTuple):
    """A resolved target.

    :ivar parts: oldest change first; empty when nothing is to be undone.
    :ivar time: ISO time the target began.
    :ivar tid: id of the change it belongs to.
    :ivar uncovered: what changed since and cannot be undone with it, for people.
    """

    parts: list[TargetPart]
    time: str
    tid: str
    uncovered: list[str] = []

    @property
    def points(self) -> list[Point]:
        """All points to undo, in the order of their capture."""
        return _ordered(point for part in self.parts for point in part.points)

    @property
    def changes(self) -> list[tuple[TargetPart, Point]]:
        """The same, each with the part that it belongs to."""
        pairs = [(part, point) for part in self.parts for point in part.points]
        return sorted(pairs, key=lambda pair: pair[1]["seq"])


def resolve(
    history: t.Sequence[Change], to: str, reference: dt.datetime | None = None, elsewhere: t.Container[str] = ()
) -> ResolvedTarget:
    """Find what has to be undone to get to C(to).

    :param history: all changes, oldest first.
    :param to: V(last), V(unfinished), the id of a change, a rollback point, a phase of the current installation, or a
        date.
    :param reference: what relative dates count from.
    :param elsewhere: rollback points that cannot be put back, since their root was another place.
    :raises InputError: nothing of that name was recorded, the date is ambiguous, or what has to be undone was pruned or
        cannot be put back.
    """
    if not history:
        raise InputError(
            "Nothing was installed here yet, so there is nothing to roll back to.", untouched="everything."
        )
    to = fixed(history, to, reference)
    if to in ("last", UNFINISHED):
        change = last(history) or history[-1]
        return ResolvedTarget([], change.begun, tid=change.install_id)
    if to in PHASES:
        return _phase(history, to, elsewhere)
    timeline = _timeline(history)
    for change in history:
        if change.install_id == to and isinstance(change, Installation):
            cut = sum(1 for point in timeline if point["seq"] < change.seq)
            return _kept(history, cut, _since(history, cut, change.begun, to, elsewhere, whole=change))
        for point in change.points:
            if to == point["point"] or to == change.install_id:
                cut = timeline.index(point)
                return _kept(history, cut, _since(history, cut, point["time"], change.install_id, elsewhere))
    if is_date(to):
        return _date(history, _PARSE.load()(to, reference or dt.datetime.now(dt.timezone.utc)), elsewhere)
    names = [point["point"] for point in timeline if not point.get("undone")]
    begun = [installation.install_id for installation in installations(history)]
    raise InputError(
        f"There is no installation, rollback point or phase {to!r}, and it is no date.",
        untouched="everything.",
        advice=f"Use last, one of {', '.join(PHASES)}, "
        f"an installation ({', '.join(begun[-5:]) or 'there is none'}), "
        f"a rollback point ({', '.join(names[-10:]) or 'there is none'}) or a date such as '2 hours ago'.",
    )


def fixed(history: t.Sequence[Change], to: str, reference: dt.datetime | None = None) -> str:
    """A target as text that means the same when it is used later: what V(last) is now, when V(2 hours ago) was.

    V(last) stays itself where there is nothing that it could undo.

    :raises InputError: the date is ambiguous or in the future.
    """
    if to == "last":
        change = last(history)
        return _name(change) if change is not None and change.in_force else to
    # What has a name is no date, whatever it looks like; and who names a change need not carry the grammar of dates.
    named = any(to in (change.install_id, *(point["point"] for point in change.points)) for change in history)
    if not named and is_date(to):
        return _PARSE.load()(to, reference or dt.datetime.now(dt.timezone.utc)).isoformat()
    return to


def last(history: t.Sequence[Change]) -> Change | None:
    """The last installation that began, or a point made by hand if that is newer; None when there is neither.

    Also one that changed nothing, or was undone already: nobody means an earlier one, whose undo would take away what
    works. An installation is as new as the newest that it has captured.
    """
    candidates = [change for change in history if change.origin in ("installation", "hand")]
    return max(candidates, key=_newest, default=None)


def latest(history: t.Sequence[Change]) -> str:
    """The latest change of the system, for rollback.sh: as V(last), but attempts that changed nothing are no changes.

    :returns: a target; V(last) where that change was undone already, or there is none.
    """
    altering = [change for change in history if change.origin in ("installation", "hand") and change.altered]
    newest = max(altering, key=_newest, default=None)
    return _name(newest) if newest is not None and newest.in_force else "last"


def nothing_to_undo(history: t.Sequence[Change]) -> str:
    """Why V(last) undoes nothing, for people."""
    change = last(history)
    if change is None:
        return "no installation was begun here, and no rollback point made by hand."
    name = "installation" if isinstance(change, Installation) else "rollback point"
    older = [other for other in history if other.in_force and other.origin in ("installation", "hand")]
    further = f" To go back further, name a target, such as {_name(older[-1])}." if older else ""
    if change.altered:
        return f"{name} {_name(change)}, the last one, was rolled back already.{further}"
    return f"{name} {_name(change)}, the last one, changed nothing.{further}"


def _name(change: Change) -> str:
    """The target that a change is."""
    return change.install_id if isinstance(change, Installation) else change.points[0]["point"]


def _newest(change: Change) -> int:
    """The number of the line of the ledger that began it, or recorded the newest of its points."""
    return max([change.seq, *(point["seq"] for point in change.points)])


def is_date(to: str) -> bool:
    """Whether a target is meant as a date."""
    return to != UNFINISHED and _LOOKS_LIKE_DATE.load()(to)


def _ordered(points: t.Iterable[Point]) -> list[Point]:
    """Points in the order of their capture."""
    return sorted(points, key=lambda point: point["seq"])


def _timeline(history: t.Sequence[Change]) -> list[Point]:
    """All rollback points of a host, oldest first."""
    return _ordered(point for change in history for point in change.points)


def _kept(history: t.Sequence[Change], cut: int, chosen: ResolvedTarget) -> ResolvedTarget:
    """The same; where nothing is left to undo, there is nothing to be wrong about either."""
    if chosen.points:
        _refuse_unkept(history, cut, chosen.time, _undone_later(history, cut, _time(chosen.time)))
    return chosen


def _undone_later(history: t.Sequence[Change], cut: int, since: dt.datetime) -> t.Callable[[Point, str], bool]:
    """Whether what a field of a point is the time of came after a cut.

    :param history: tells the order, whatever clocks said; empty where only the time counts.
    :param since: when the cut was.
    """
    undone_by = {point: by for change in history for point, by in change.undoings.items()}

    def later(point: Point, field: str) -> bool:
        time = t.cast("str", point.get(field))
        by = undone_by.get((point["point"], time))
        return by > cut if by is not None else _time(time) >= since

    return later


def _phase(history: t.Sequence[Change], phase: str, elsewhere: t.Container[str]) -> ResolvedTarget:
    newest = current(history)
    if newest is None:
        return ResolvedTarget([], history[-1].begun, tid=history[-1].install_id)
    phases = PHASES[PHASES.index(phase) :]
    timeline = _timeline(history)
    for point in newest.active_points:
        if point.get("phase") in phases:
            cut = timeline.index(point)
            return _since(history, cut, point["time"], newest.install_id, elsewhere, phases=phases)
    return ResolvedTarget([], newest.phases[phase].started or newest.begun, tid=newest.install_id)


def _date(history: t.Sequence[Change], date: dt.datetime, elsewhere: t.Container[str]) -> ResolvedTarget:
    """The state at a date: what began then or later is undone, as RPM compares transaction ids with its goal."""
    timeline = _timeline(history)
    cut = sum(1 for point in timeline if _time(point["time"]) < date)
    _refuse_unkept(history, cut, date.isoformat(" ", "seconds"), _undone_later([], cut, date))
    since = [change for change in history if _time(change.begun) >= date]
    tid = (since or history[-1:])[0].install_id
    return _since(history, cut, date.isoformat(), tid, elsewhere, date=date)


def _refuse_unkept(history: t.Sequence[Change], cut: int, date: str, later: t.Callable[[Point, str], bool]) -> None:
    """Refuse a cut before which something counted that was undone later, without being kept.

    :param date: when that was, for people.
    :param later: M(_undone_later) of the cut.
    """
    timeline = _timeline(history)
    kept_points = _listed(timeline)
    for point in timeline[:cut]:
        if point.get("undone") and point["point"] not in kept_points and later(point, "undone"):
            raise InputError(
                f"What installation {point['install_id']} had changed by {date} was rolled back at {point['undone']} "
                "and not kept, so that state cannot be brought back.",
                untouched="everything.",
                advice=f"Name a time before {point['time']} or after {point['undone']}.",
            )


def _time(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text)


def _listed(timeline: t.Sequence[Point]) -> set[str]:
    """Points whose undoing was recorded so that it can itself be undone, and still stands."""
    rollbacks = [point for point in timeline if not point.get("undone")]
    return {name for point in rollbacks if point.get("redo") for name in point["redo"]["points"]}


def _counting(timeline: t.Sequence[Point], cut: int) -> set[str]:
    """The points after a cut of the timeline that have to be undone to get there.

    A rollback and what it undid cancel each other, when both lie after the cut. Where it also undid
    something from before, both count: going back through it brings that back first.
    """
    listed = _listed(timeline)
    names = {point["point"] for point in timeline[cut:]}
    for point in reversed(timeline[cut:]):
        name = point["point"]
        if name not in names:
            continue
        undid = set((point.get("redo") or {}).get("points") or ())
        if point.get("undone") and name not in listed:
            names.discard(name)
        elif undid and undid <= names and not point.get("incomplete") and not point.get("lost"):
            names -= {name, *undid}
    return names


def _since(
    history: t.Sequence[Change],
    cut: int,
    time: str,
    tid: str,
    elsewhere: t.Container[str],
    whole: Installation | None = None,
    phases: t.Sequence[str] | None = None,
    date: dt.datetime | None = None,
) -> ResolvedTarget:
    """What has to be undone to get to a cut of the timeline.

    :param elsewhere: rollback points that cannot be put back, since their root was another place.
    :param whole: the installation at the cut is undone as a whole.
    :param phases: its phases that are rolled back, when they are known.
    :param date: installations begun then or later are undone as a whole.
    """
    timeline = _timeline(history)
    names = _counting(timeline, cut)
    target = timeline[cut] if cut < len(timeline) and whole is None else None
    if date is None and (target is None or target.get("by") != "hook"):
        names -= {point["point"] for point in timeline[cut:] if point.get("by") == "hook" and not point.get("undone")}
    # What was followed by no change brings nothing back, so that it may be gone.
    names -= {point["point"] for point in timeline[cut:] if point.get("pruned") and point.get("unchanged")}
    # A date means all of the system, so that nothing that a hook captured is passed over.
    passed_by = ("hand", "hook") if date is None else ("hand",)
    passed = [
        point
        for point in timeline[cut:]
        if point["point"] in names
        and point.get("by") in passed_by
        and point is not target
        and (point.get("pruned") or point["point"] in elsewhere)
    ]
    names -= {point["point"] for point in passed}
    uncovered = [f"{_held(point)}: what was changed after it stays as it is" for point in passed]
    later = _undone_later(history if date is None else [], cut, date or _time(time))
    lost = {point["lost"]: None for point in timeline[:cut] if point.get("lost") and later(point, "lost")}
    uncovered += [f"what was rolled back in part at {at} was not kept: it stays as it is" for at in lost]
    began = whole.seq if whole is not None else timeline[cut]["seq"] if target is not None else 0
    parts: list[TargetPart] = []
    for change in history:
        points = [point for point in change.points if point["point"] in names]
        begun = change is whole or change.seq > began if date is None else _time(change.begun) >= date
        # What changed nothing rests on what is undone all the same, and is not in force any more.
        if not points and not (names and begun and change.state not in ("rolled_back", "abandoned")):
            continue
        if not isinstance(change, Installation):
            parts += [TargetPart(change, points, phases=[], entire=True)] if points else []
            continue
        back = list(PHASES if begun else phases or _from(points))
        parts.append(TargetPart(change, points, phases=back, entire=begun))
    chosen = ResolvedTarget(parts, time, tid=tid, uncovered=uncovered)
    _refuse_unusable(history, chosen, elsewhere)
    return chosen


def _held(point: Point) -> str:
    """What became of what a point held, for people."""
    held = f"what rollback point {point['point']} ({point['description']}) held"
    if point.get("pruned"):
        return f"{held} was removed by retention at {point['pruned']}"
    return f"{held} is of {point['root']}, where the root was then"


def _refuse_unusable(history: t.Sequence[Change], chosen: ResolvedTarget, elsewhere: t.Container[str]) -> None:
    """Refuse a target for which something is needed that is gone, or cannot be put back where the root is now."""
    unusable = [point for point in chosen.points if point.get("pruned") or point["point"] in elsewhere]
    if not unusable:
        return
    newest = unusable[-1]
    reachable = "The oldest that can be reached is how it is now."
    for point in chosen.points[chosen.points.index(newest) + 1 :]:
        # By way of this point nothing else may be needed that is gone either.
        cut = _timeline(history).index(point)
        counting = _counting(_timeline(history), cut)
        needed = [other for other in _timeline(history)[cut:] if other["point"] in counting]
        if not any(other.get("pruned") or other["point"] in elsewhere for other in needed if not other.get("by")):
            reachable = f"The oldest that can be reached is {point['point']} of {point['time']}."
            break
    if newest.get("pruned"):
        raise InputError(
            f"Going back to {chosen.time} needs rollback point {newest['point']}, which retention removed "
            f"at {newest['pruned']}.",
            untouched="everything.",
            advice=f"{reachable} How much is kept is decided by "
            "sage_keep_installations, sage_keep_days and sage_keep_bytes.",
        )
    raise InputError(
        f"Rollback point {newest['point']} was captured when the root was {newest['root']}; it cannot be put "
        "back where the root is now.",
        untouched="everything.",
        advice=f"{reachable} To get an earlier version of SAGE, install it: give sage_version.",
    )


def _from(points: t.Sequence[Point]) -> t.Sequence[str]:
    """The earliest phase that captured one of these, and all that rest on it."""
    named = [PHASES.index(point["phase"]) for point in points if point.get("phase") in PHASES]
    return PHASES[min(named) :] if named else ()


def taken_back(change: Change, going: t.AbstractSet[str]) -> bool:
    """Whether going back through these points takes back the rollback that was interrupted in a change."""
    undoing = change.undoing
    return undoing is not None and undoing.get("redo") in going and not going >= set(undoing["points"])


def widen(history: t.Sequence[Change], chosen: ResolvedTarget) -> ResolvedTarget:
    """Take in what an interrupted rollback had begun to undo: it must be finished."""
    parts = {part.change.install_id: part for part in chosen.parts}
    going = {point["point"] for point in chosen.points}
    for change in history:
        if change.undoing is None or taken_back(change, going):
            continue
        part = parts.get(change.install_id) or TargetPart(change, [], phases=[], entire=False)
        begun = set(change.undoing.get("points") or ())
        # Also one that was undone before: what had undone it is taken back first, and it counts again.
        points = [point for point in change.points if point["point"] in going | begun]
        phases = {*part.phases, *(change.undoing.get("phases") or ())}
        entire = part.entire or bool(change.undoing.get("entire"))
        ordered_phases = [name for name in PHASES if name in phases]
        parts[change.install_id] = TargetPart(change, points, phases=ordered_phases, entire=entire)
    ordered = [parts[change.install_id] for change in history if change.install_id in parts]
    return chosen._replace(parts=[part for part in ordered if part.points or part.entire])
