# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Targets of a rollback: from what the user names to the rollback points to undo.

Whatever is named, the target is the state captured when it began.
"""

from __future__ import annotations

import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._errors import InputError
from ansible_collections.intellistream.sage.plugins.module_utils._state import PHASES, Installation

Point = dict[str, t.Any]


class Part(t.NamedTuple):
    """What of one installation is undone.

    :ivar points: its rollback points, oldest first.
    :ivar phases: its phases that are rolled back.
    :ivar whole: all of it is undone.
    """

    installation: Installation
    points: list[Point]
    phases: list[str]
    whole: bool


class Chosen(t.NamedTuple):
    """A resolved target.

    :ivar parts: oldest installation first; empty when nothing is to be undone.
    :ivar time: ISO time the target began.
    :ivar tid: id of the installation it belongs to.
    """

    parts: list[Part]
    time: str
    tid: str

    @property
    def points(self) -> list[Point]:
        """All points to undo, oldest first."""
        return [point for part in self.parts for point in part.points]


def resolve(history: t.Sequence[Installation], to: str) -> Chosen:
    """Find what has to be undone to get to C(to).

    :param history: all installations, oldest first.
    :param to: V(last), an install id, a rollback point, or a phase of the current installation.
    :raises InputError: nothing of that name was recorded.
    """
    if not history:
        raise InputError(
            "Nothing was installed here yet, so there is nothing to roll back to.", untouched="everything."
        )
    current = history[-1]
    if to == "last":
        newest = next((one.points[-1] for one in reversed(history) if one.points), None)
        if newest is None:
            return Chosen([], current.begun, current.install_id)
        # What was captured by hand is a change of its own; what a phase captured is part of its installation.
        to = newest["install_id"] if newest.get("phase") else newest["point"]
    if to in PHASES:
        return _phase(current, to)
    for number, one in enumerate(history):
        if one.install_id == to:
            return _since(history, number, 0, one.begun, whole=True)
        for position, point in enumerate(one.points):
            if point["point"] == to:
                return _since(history, number, position, point["time"], whole=False)
    known = [point["point"] for one in history[-3:] for point in one.active_points]
    raise InputError(
        f"There is no installation, rollback point or phase {to!r}.",
        untouched="everything.",
        advice=f"Use last, one of {', '.join(PHASES)}, "
        f"an installation ({', '.join(one.install_id for one in history[-5:])}) "
        f"or a rollback point ({', '.join(known) or 'there is none'}).",
    )


def _phase(current: Installation, phase: str) -> Chosen:
    wanted = PHASES[PHASES.index(phase) :]
    for position, point in enumerate(current.points):
        if point.get("phase") in wanted and not point.get("undone"):
            return _since([current], 0, position, point["time"], whole=False, phases=wanted)
    return Chosen([], current.phases[phase].started or current.begun, current.install_id)


def _since(
    history: t.Sequence[Installation],
    number: int,
    position: int,
    time: str,
    whole: bool,
    phases: t.Sequence[str] | None = None,
) -> Chosen:
    parts = []
    for index, one in enumerate(history[number:]):
        first = position if index == 0 else 0
        points = [point for point in one.points[first:] if not point.get("undone")]
        entire = whole or index > 0
        if points:
            parts.append(Part(one, points, list(PHASES if entire else phases or _from(points)), entire))
    return Chosen(parts, time, history[number].install_id)


def _from(points: t.Sequence[Point]) -> t.Sequence[str]:
    """The earliest phase that captured one of these, and all that rest on it."""
    named = [PHASES.index(point["phase"]) for point in points if point.get("phase") in PHASES]
    return PHASES[min(named) :] if named else ()


def widen(history: t.Sequence[Installation], chosen: Chosen) -> Chosen:
    """Take in what an interrupted rollback had begun to undo: it must be finished."""
    for number, one in enumerate(history):
        begun = (one.undoing or {}).get("points") or []
        for position, point in enumerate(one.points):
            if point["point"] in begun and not point.get("undone"):
                wider = _since(history, number, position, point["time"], whole=False)
                if len(wider.points) > len(chosen.points):
                    return wider
    return chosen
