# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a host's record tells about times, and the check whether the next phase and an undo still fit."""

from __future__ import annotations

import datetime as dt
import time
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import WindowOver
from ansible_collections.intellistream.sage.plugins.module_utils._maintenance import estimate
from ansible_collections.intellistream.sage.plugins.module_utils._maintenance.estimate import Estimate, UndoWork, spell

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._records.installation import Installation
    from ansible_collections.intellistream.sage.plugins.module_utils._records.session import Session

Facts = dict[str, t.Any]

# More would cost what the history costs.
_RECENT = 5
_BEGINS_WITHIN = 120.0


class TimeBudget(t.NamedTuple):
    """What the controller says about time.

    :ivar left: seconds until the window ended, when it asked. Clocks of two hosts are never compared.
    :ivar asked: what this host's monotonic clock said then.
    :ivar expected: phase → seconds that the user knows it takes.
    """

    left: float
    asked: float
    expected: t.Mapping[str, float]

    def now(self) -> float:
        """Seconds that are left now."""
        return self.left - (time.monotonic() - self.asked)


def seconds_between(start: str, end: str) -> float:
    """Between two ISO times of one host."""
    return (dt.datetime.fromisoformat(end) - dt.datetime.fromisoformat(start)).total_seconds()


def undo_work(points: t.Iterable[t.Mapping[str, t.Any]]) -> UndoWork:
    """What undoing these points has to do."""
    total = UndoWork()
    for point in points:
        for taken in point.get("resources") or ():
            total += UndoWork(taken.get("files") or 0, taken.get("bytes") or 0, len(taken.get("changes") or ()))
        total += UndoWork(0, 0, sum(len(spec.get("distributions") or ()) for spec in point.get("specs") or ()))
    return total


def phase_durations(history: t.Iterable[Installation]) -> dict[str, list[float]]:
    """Phase → seconds that it took where it was completed; a phase that was taken over counts once."""
    found: dict[str, dict[tuple[str, str], float]] = {}
    for one in history:
        for name, phase in one.phases.items():
            if phase.status == "completed" and phase.started and phase.ended:
                key = (phase.started, phase.ended)
                found.setdefault(name, {})[key] = seconds_between(*key)
    return {name: list(times.values()) for name, times in found.items()}


def past_undos(history: t.Iterable[Installation]) -> list[tuple[UndoWork, float]]:
    """What past undos had to do, and how long they took."""
    return [
        (UndoWork(one.undo["files"], one.undo["bytes"], one.undo["distributions"]), _from_failure(one.undo))
        for one in history
        if one.undo is not None
    ]


def _from_failure(undo: t.Mapping[str, t.Any]) -> float:
    """With what it took to begin: the connection, and the start of the module."""
    seconds = float(undo["seconds"])
    if not undo["failed"]:
        return seconds
    since = seconds_between(undo["failed"], undo["ended"])
    # Later, it was somebody who came back to it.
    return max(seconds, since) if since < seconds + _BEGINS_WITHIN else seconds


def check(session: Session, wish: TimeBudget, begins: t.Sequence[str], left_to_run: t.Sequence[str]) -> Facts:
    """Whether the phases that begin now, and an undo, still fit; what was estimated is recorded with the session.

    :param begins: the phases that begin now.
    :param left_to_run: all phases that the run will go through, when it begins. Those that are known from the record
        have to fit together.
    :raises WindowOver: they do not.
    """
    installation = session.required()
    history = [one for one in session.recent(_RECENT) if one.install_id != installation.install_id]
    known = phase_durations([*history, installation])
    undo = estimate.undo(undo_work(installation.active_points), estimate.rates(past_undos([*history, installation])))
    left = round(wish.now(), 1)
    expected = {
        name: estimate.phase(name, known.get(name) or (), wish.expected.get(name))
        for name in dict.fromkeys([*begins, *left_to_run])
    }
    for name in begins:
        now = expected[name]
        started = installation.phases[name].started
        if started:
            now = estimate.remaining(now, seconds_between(started, installation.updated))
        _refuse(left, {name: now}, undo)
        session.add(
            {"event": "window", "phase": name, "expected": expected[name].seconds, "undo": undo.seconds, "left": left}
        )
    if left_to_run:
        _refuse(left, {name: one for name, one in expected.items() if one.measured}, undo)
    return {
        "left": left,
        "undo": undo.seconds,
        "undo_measured": undo.measured,
        "expected": {name: one.seconds for name, one in expected.items()},
        "measured": [name for name, one in expected.items() if one.measured],
    }


def check_undo(session: Session, wish: TimeBudget, points: t.Iterable[t.Mapping[str, t.Any]]) -> None:
    """Whether a rollback of these points still fits, when nobody has to notice first that it is needed.

    :raises WindowOver: it does not.
    """
    undo = estimate.undo(undo_work(points), estimate.rates(past_undos(session.recent(_RECENT))))
    left, needed = round(wish.now(), 1), undo.seconds - estimate.OVERHEAD
    if estimate.fits(left, needed):
        return
    raise WindowOver(
        f"The window {_ends(left)}, and the rollback takes {spell(needed)}{'' if undo.measured else ' (default)'}.",
        untouched="everything.",
        advice="Give it a longer window.",
        left=left,
        undo=needed,
    )


def _ends(left: float) -> str:
    return f"ends in {spell(left)}" if left >= 0 else f"ended {spell(-left)} ago"


def _refuse(left: float, phases: t.Mapping[str, Estimate], undo: Estimate) -> None:
    needed = sum(one.seconds for one in phases.values())
    if not phases or estimate.fits(left, needed + undo.seconds):
        return
    listed = ", ".join(
        f"{name} {spell(one.seconds)}{'' if one.measured else ' (default)'}" for name, one in phases.items()
    )
    raise WindowOver(
        f"The window {_ends(left)}, and {spell(needed + undo.seconds)} are needed: {listed}; "
        f"undo {spell(undo.seconds)}{'' if undo.measured else ' (default)'}.",
        untouched="what this phase would have changed.",
        advice="Give it a longer window. What this host is known to take comes from its own record; "
        "sage_expected_seconds says better than a default.",
        left=left,
        expected={name: one.seconds for name, one in phases.items()},
        undo=undo.seconds,
    )


def timing(installation: Installation | None) -> Facts | None:
    """What was estimated for an installation, and what it took; None when no window was set for it."""
    if installation is None or not installation.window:
        return None
    phases = {}
    for name, one in installation.window.items():
        phase = installation.phases[name]
        ended = phase.status in ("completed", "failed") and phase.started and phase.ended
        took = (
            round(seconds_between(phase.started, phase.ended), 1) if ended and phase.started and phase.ended else None
        )
        phases[name] = {"expected": one["expected"], "took": took}
    last = list(installation.window.values())[-1]
    undone = installation.undo["seconds"] if installation.undo is not None else None
    return {"phases": phases, "undo": {"expected": last["undo"], "took": undone}, "left": last["left"]}
