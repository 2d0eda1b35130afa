"""Targets of a rollback: from what the user names to the rollback points to undo.

A host has one timeline of rollback points, and a target is a cut in it: the state captured when what
is named began. A rollback is itself a point on the timeline, which holds what it took back.
"""

from __future__ import annotations

import datetime as dt
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.by_name import ByName
from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import InputError
from ansible_collections.intellistream.sage.plugins.module_utils._records.installation import PHASES, Installation

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.plugin_utils._events import Point

_LOOKS_LIKE_DATE: ByName[t.Callable[[str], bool]] = ByName("_timeline.dates:looks_like_date")
_PARSE: ByName[t.Callable[[str, dt.datetime], dt.datetime]] = ByName("_timeline.dates:parse")


class TargetPart(t.NamedTuple):
    """What of one installation is undone.

    :ivar points: those of its rollback points that are undone, oldest first.
    :ivar phases: its phases that are rolled back.
    :ivar entire: all of it is undone.
    """

    installation: Installation
    points: list[Point]
    phases: list[str]
    entire: bool


class ResolvedTarget(t.NamedTuple):
    """A resolved target.

    :ivar parts: oldest installation first; empty when nothing is to be undone.
    :ivar time: ISO time the target began.
    :ivar tid: id of the installation it belongs to.
    """

    parts: list[TargetPart]
    time: str
    tid: str

    @property
    def points(self) -> list[Point]:
        """All points to undo, oldest first."""
        return [point for part in self.parts for point in part.points]


def resolve(history: t.Sequence[Installation], to: str, reference: dt.datetime | None = None) -> ResolvedTarget:
    """Find what has to be undone to get to C(to).

    :param history: all installations, oldest first.
    :param to: V(last), an install id, a rollback point, a phase of the current installation, or a date.
    :param reference: what relative dates count from.
    :raises InputError: nothing of that name was recorded, the date is ambiguous, or what has to be undone was pruned.
    """
    if not history:
        raise InputError(
            "Nothing was installed here yet, so there is nothing to roll back to.", untouched="everything."
        )
    to = fixed(history, to, reference)
    if to == "last":
        return ResolvedTarget([], history[-1].begun, tid=history[-1].install_id)
    if to in PHASES:
        return _phase(history, to)
    before = 0
    for installation in history:
        if installation.install_id == to:
            return _kept(history, before, _since(history, before, installation.begun, to, whole=to))
        for position, point in enumerate(installation.points):
            if point["point"] == to:
                cut = before + position
                return _kept(history, cut, _since(history, cut, point["time"], installation.install_id))
        before += len(installation.points)
    if is_date(to):
        return _date(history, _PARSE.load()(to, reference or dt.datetime.now(dt.timezone.utc)))
    names = [point["point"] for installation in history[-3:] for point in installation.active_points]
    raise InputError(
        f"There is no installation, rollback point or phase {to!r}, and it is no date.",
        untouched="everything.",
        advice=f"Use last, one of {', '.join(PHASES)}, "
        f"an installation ({', '.join(installation.install_id for installation in history[-5:])}), "
        f"a rollback point ({', '.join(names) or 'there is none'}) or a date such as '2 hours ago'.",
    )


def fixed(history: t.Sequence[Installation], to: str, reference: dt.datetime | None = None) -> str:
    """A target as text that means the same when it is used later: what V(last) is now, when V(2 hours ago) was.

    :raises InputError: the date is ambiguous or in the future.
    """
    if to == "last":
        newest = next((point for point in reversed(_timeline(history)) if not point.get("redo")), None)
        if newest is None:
            return to
        # What was captured by hand is a change of its own; what a phase captured is part of its installation.
        owner = newest["install_id"] if newest.get("phase") else ""
        together = [point for point in _timeline(history) if point["install_id"] == owner]
        changes = [point for point in together if not point.get("redo")] or [newest]
        if all(point.get("undone") for point in changes):
            # A rollback that reached further back undid it too; going to where it began would bring the rest back.
            return to
        return str(newest["install_id"] if newest.get("phase") else newest["point"])
    if is_date(to):
        return _PARSE.load()(to, reference or dt.datetime.now(dt.timezone.utc)).isoformat()
    return to


def is_date(to: str) -> bool:
    """Whether a target is meant as a date."""
    return _LOOKS_LIKE_DATE.load()(to)


def _timeline(history: t.Sequence[Installation]) -> list[Point]:
    """All rollback points of a host, oldest first."""
    return [point for installation in history for point in installation.points]


def _kept(history: t.Sequence[Installation], cut: int, chosen: ResolvedTarget) -> ResolvedTarget:
    """The same; where nothing is left to undo, there is nothing to be wrong about either."""
    undone_by = {point: by for installation in history for point, by in installation.undoings.items()}

    def later(point: Point) -> bool:
        by = undone_by.get((point["point"], point["undone"]))
        return by > cut if by is not None else _time(point["undone"]) >= _time(chosen.time)

    if chosen.points:
        _refuse_unkept(history, cut, chosen.time, later)
    return chosen


def _phase(history: t.Sequence[Installation], phase: str) -> ResolvedTarget:
    current = history[-1]
    phases = PHASES[PHASES.index(phase) :]
    before = len(_timeline(history)) - len(current.points)
    for position, point in enumerate(current.points):
        if point.get("phase") in phases and not point.get("undone"):
            return _since(history, before + position, point["time"], current.install_id, phases=phases)
    return ResolvedTarget([], current.phases[phase].started or current.begun, tid=current.install_id)


def _date(history: t.Sequence[Installation], date: dt.datetime) -> ResolvedTarget:
    """The state at a date: what began then or later is undone, as RPM compares transaction ids with its goal."""
    timeline = _timeline(history)
    cut = sum(1 for point in timeline if _time(point["time"]) < date)
    _refuse_unkept(history, cut, date.isoformat(" ", "seconds"), lambda point: _time(point["undone"]) >= date)
    since = [installation for installation in history if _time(installation.begun) >= date]
    tid = (since or history[-1:])[0].install_id
    return _since(history, cut, date.isoformat(), tid, date=date)


def _refuse_unkept(history: t.Sequence[Installation], cut: int, date: str, later: t.Callable[[Point], bool]) -> None:
    """Refuse a cut before which something counted that was undone later, without being kept.

    :param date: when that was, for people.
    :param later: an undone point was undone after the cut.
    """
    timeline = _timeline(history)
    kept_points = _listed(timeline)
    for point in timeline[:cut]:
        if point.get("undone") and point["point"] not in kept_points and later(point):
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
        elif undid and undid <= names and not point.get("incomplete"):
            names -= {name, *undid}
    return names


def _since(
    history: t.Sequence[Installation],
    cut: int,
    time: str,
    tid: str,
    whole: str | None = None,
    phases: t.Sequence[str] | None = None,
    date: dt.datetime | None = None,
) -> ResolvedTarget:
    """What has to be undone to get to a cut of the timeline.

    :param whole: the installation at the cut is undone as a whole.
    :param phases: its phases that are rolled back, when they are known.
    :param date: installations begun then or later are undone as a whole.
    """
    timeline = _timeline(history)
    names = _counting(timeline, cut)
    parts: list[TargetPart] = []
    later = False
    for installation in history:
        points = [point for point in installation.points if point["point"] in names]
        ordinary = [point for point in points if not point.get("redo")]
        begun = later or installation.install_id == whole if date is None else _time(installation.begun) >= date
        entire = bool(ordinary) and begun
        later = later or installation.install_id == tid
        if points:
            back = list(PHASES if entire else phases or _from(ordinary))
            parts.append(TargetPart(installation, points, phases=back, entire=entire))
    chosen = ResolvedTarget(parts, time, tid=tid)
    _refuse_pruned(chosen)
    return chosen


def _refuse_pruned(chosen: ResolvedTarget) -> None:
    pruned = [point for point in chosen.points if point.get("pruned")]
    if pruned:
        raise InputError(
            f"Going back to {chosen.time} needs rollback point {pruned[-1]['point']}, which retention removed "
            f"at {pruned[-1]['pruned']}.",
            untouched="everything.",
            advice="Name a later target. How much is kept is decided by sage_keep_installations, sage_keep_days and "
            "sage_keep_bytes.",
        )


def _from(points: t.Sequence[Point]) -> t.Sequence[str]:
    """The earliest phase that captured one of these, and all that rest on it."""
    named = [PHASES.index(point["phase"]) for point in points if point.get("phase") in PHASES]
    return PHASES[min(named) :] if named else ()


def taken_back(installation: Installation, going: t.AbstractSet[str]) -> bool:
    """Whether going back through these points takes back the rollback that was interrupted in an installation."""
    undoing = installation.undoing
    return undoing is not None and undoing.get("redo") in going and not going >= set(undoing["points"])


def widen(history: t.Sequence[Installation], chosen: ResolvedTarget) -> ResolvedTarget:
    """Take in what an interrupted rollback had begun to undo: it must be finished."""
    parts = {part.installation.install_id: part for part in chosen.parts}
    going = {point["point"] for point in chosen.points}
    for installation in history:
        if installation.undoing is None or taken_back(installation, going):
            continue
        part = parts.get(installation.install_id) or TargetPart(installation, [], phases=[], entire=False)
        begun = set(installation.undoing.get("points") or ())
        points = [
            point
            for point in installation.points
            if point["point"] in going or (point["point"] in begun and not point.get("undone"))
        ]
        phases = {*part.phases, *(installation.undoing.get("phases") or ())}
        entire = part.entire or bool(installation.undoing.get("entire"))
        ordered_phases = [name for name in PHASES if name in phases]
        parts[installation.install_id] = TargetPart(installation, points, phases=ordered_phases, entire=entire)
    ordered = [parts[installation.install_id] for installation in history if installation.install_id in parts]
    return ResolvedTarget([part for part in ordered if part.points], chosen.time, tid=chosen.tid)
