"""What a host's record tells about times, and the check whether the next phase and an undo still fit."""

from __future__ import annotations

import datetime as dt
import time
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import WindowOver
from ansible_collections.intellistream.sage.plugins.module_utils._maintenance import estimate
from ansible_collections.intellistream.sage.plugins.module_utils._maintenance.estimate import Estimate, UndoSize, spell

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._kind.interface import Kind
    from ansible_collections.intellistream.sage.plugins.module_utils._records.installation import Installation
    from ansible_collections.intellistream.sage.plugins.module_utils._records.session import Session
    from ansible_collections.intellistream.sage.plugins.plugin_utils._events import Point, UndoTime
    from ansible_collections.intellistream.sage.plugins.plugin_utils._structures import Comparison, Timing, WindowFacts

# The kind of a name; None where it is unknown. The table of kinds stands on a higher floor.
FindKind = t.Callable[[str], "Kind | None"]

# Installations. More would cost what the history costs.
_RECENT = 5
# Seconds from a failure to the undo that belongs to it.
_BEGINS_WITHIN = 120.0


class TimeBudget(t.NamedTuple):
    """What a maintenance window leaves, as the controller says. Clocks of two hosts are never compared.

    :ivar seconds: seconds until the window ends, when the controller asked.
    :ivar asked_at: what this host's monotonic clock said then.
    :ivar expected: phase → seconds that the user says it takes.
    """

    seconds: float
    asked_at: float
    expected: t.Mapping[str, float]

    def seconds_left(self) -> float:
        """Seconds that are left now; negative when the window is over."""
        return self.seconds - (time.monotonic() - self.asked_at)


def seconds_between(start: str, end: str) -> float:
    """Seconds between two ISO times of one host."""
    return (dt.datetime.fromisoformat(end) - dt.datetime.fromisoformat(start)).total_seconds()


def undo_size(points: t.Iterable[Point], find_kind: FindKind) -> UndoSize:
    """How much undoing these points has to do.

    :param find_kind: of the resources, which know what a change brings that an undo has to remove.
    """
    total = UndoSize()
    for point in points:
        for resource in point.get("resources") or ():
            changes = resource.get("changes") or ()
            total += UndoSize(resource.get("files") or 0, resource.get("bytes") or 0, distributions=len(changes))
        for spec in point.get("specs") or ():
            kind = find_kind(str(spec["kind"]))
            total += UndoSize(distributions=len(kind.brought(spec)) if kind is not None else 0)
    return total


def phase_durations(history: t.Iterable[Installation]) -> dict[str, list[float]]:
    """Phase → seconds that it took in each installation that completed it; a phase that was taken over counts once."""
    by_phase: dict[str, dict[tuple[str, str], float]] = {}
    for installation in history:
        for name, phase in installation.phases.items():
            if phase.status == "completed" and phase.started and phase.ended:
                key = (phase.started, phase.ended)
                by_phase.setdefault(name, {})[key] = seconds_between(*key)
    return {name: list(times.values()) for name, times in by_phase.items()}


def past_undos(history: t.Iterable[Installation]) -> list[tuple[UndoSize, float]]:
    """How much past undos had to do, and how many seconds they took."""
    undos = [installation.undo for installation in history]
    return [
        (UndoSize(undo["files"], undo["bytes"], distributions=undo["distributions"]), _from_failure(undo))
        for undo in undos
        if undo is not None
    ]


def _from_failure(undo: UndoTime) -> float:
    """The seconds of an undo with what it took to begin: the connection, and the start of the module."""
    seconds = float(undo["seconds"])
    if not undo["failed"]:
        return seconds
    since = seconds_between(undo["failed"], undo["ended"])
    # Later, it was somebody who came back to it.
    return max(seconds, since) if since < seconds + _BEGINS_WITHIN else seconds


def check(
    session: Session, budget: TimeBudget, begins: t.Sequence[str], to_run: t.Sequence[str], find_kind: FindKind
) -> WindowFacts:
    """Whether the phases that begin now, and an undo, still fit; what was estimated is recorded with the session.

    :param budget: what is left of the window.
    :param begins: the phases that begin now.
    :param to_run: all phases that the run will go through, when it begins. Those that are known from the record have to
        fit together.
    :param find_kind: see M(undo_size).
    :raises WindowOver: they do not.
    """
    installation = session.required()
    recent = session.recent(_RECENT)
    history = [*(past for past in recent if past.install_id != installation.install_id), installation]
    past_durations = phase_durations(history)
    undo = estimate.undo(undo_size(installation.active_points, find_kind), estimate.rates(past_undos(history)))
    seconds_left = round(budget.seconds_left(), 1)
    expected = {
        name: estimate.phase(name, past_durations.get(name) or (), budget.expected.get(name))
        for name in dict.fromkeys([*begins, *to_run])
    }
    for name in begins:
        remaining = expected[name]
        started = installation.phases[name].started
        if started:
            remaining = estimate.remaining(remaining, seconds_between(started, installation.updated))
        _refuse(seconds_left, {name: remaining}, undo)
        session.add(
            {
                "event": "window",
                "phase": name,
                "expected": expected[name].seconds,
                "undo": undo.seconds,
                "seconds_left": seconds_left,
            }
        )
    if to_run:
        _refuse(seconds_left, {name: phase for name, phase in expected.items() if phase.measured}, undo)
    return {
        "seconds_left": seconds_left,
        "undo": undo.seconds,
        "undo_measured": undo.measured,
        "expected": {name: phase.seconds for name, phase in expected.items()},
        "measured": [name for name, phase in expected.items() if phase.measured],
    }


def check_undo(session: Session, budget: TimeBudget, points: t.Iterable[Point], find_kind: FindKind) -> None:
    """Whether a rollback of these points still fits, when nobody has to notice first that it is needed.

    :param budget: what is left of the window.
    :param points: those that it undoes.
    :param find_kind: see M(undo_size).
    :raises WindowOver: it does not.
    """
    undo = estimate.undo(undo_size(points, find_kind), estimate.rates(past_undos(session.recent(_RECENT))))
    seconds_left, needed = round(budget.seconds_left(), 1), undo.seconds - estimate.OVERHEAD
    if estimate.fits(seconds_left, needed):
        return
    raise WindowOver(
        f"The window {_ends(seconds_left)}, and the rollback takes {spell(needed)}{_by_default(undo)}.",
        untouched="everything.",
        advice="Give it a longer window.",
        seconds_left=seconds_left,
        undo=needed,
    )


def _ends(seconds_left: float) -> str:
    return f"ends in {spell(seconds_left)}" if seconds_left >= 0 else f"ended {spell(-seconds_left)} ago"


def _by_default(expected: Estimate) -> str:
    return "" if expected.measured else " (default)"


def _refuse(seconds_left: float, phases: t.Mapping[str, Estimate], undo: Estimate) -> None:
    """Refuse phases that, with an undo, would not end in the C(seconds_left) seconds of the window."""
    needed = sum(phase.seconds for phase in phases.values())
    if not phases or estimate.fits(seconds_left, needed + undo.seconds):
        return
    listed = ", ".join(f"{name} {spell(phase.seconds)}{_by_default(phase)}" for name, phase in phases.items())
    raise WindowOver(
        f"The window {_ends(seconds_left)}, and {spell(needed + undo.seconds)} are needed: {listed}; "
        f"undo {spell(undo.seconds)}{_by_default(undo)}.",
        untouched="what this phase would have changed.",
        advice="Give it a longer window. Estimates come from this host's own record; where that has none, "
        "sage_expected_seconds is better than the default.",
        seconds_left=seconds_left,
        expected={name: phase.seconds for name, phase in phases.items()},
        undo=undo.seconds,
    )


def timing(installation: Installation | None) -> Timing | None:
    """What was estimated for an installation, and what it took; None when no window was set for it."""
    if installation is None or not installation.window:
        return None
    phases: dict[str, Comparison] = {}
    for name, estimated in installation.window.items():
        phase = installation.phases[name]
        took = None
        if phase.status in ("completed", "failed") and phase.started and phase.ended:
            took = round(seconds_between(phase.started, phase.ended), 1)
        phases[name] = {"expected": estimated["expected"], "took": took}
    last = list(installation.window.values())[-1]
    undo_took = installation.undo["seconds"] if installation.undo is not None else None
    return {
        "phases": phases,
        "undo": {"expected": last["undo"], "took": undo_took},
        "seconds_left": last["seconds_left"],
    }
