"""A rollback is a change like any other: what it takes back is captured first, and can be brought back.

What an unfinished or failed installation left is not: nobody wants it back.
"""

from __future__ import annotations

import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base import fork
from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import SageError
from ansible_collections.intellistream.sage.plugins.module_utils._content.aside import aside_for_whole
from ansible_collections.intellistream.sage.plugins.module_utils._registry import registry
from ansible_collections.intellistream.sage.plugins.module_utils._storage import contents, store
from ansible_collections.intellistream.sage.plugins.module_utils._timeline import targets
from ansible_collections.intellistream.sage.plugins.module_utils._timeline.points import (
    capture,
    next_name,
    settle,
)

if t.TYPE_CHECKING:
    import contextlib

    from ansible_collections.intellistream.sage.plugins.module_utils._footprint.table import Table
    from ansible_collections.intellistream.sage.plugins.module_utils._kind.undo import Undo, UndoOptions
    from ansible_collections.intellistream.sage.plugins.module_utils._records.installation import Change
    from ansible_collections.intellistream.sage.plugins.module_utils._records.session import Session
    from ansible_collections.intellistream.sage.plugins.module_utils._timeline.targets import ResolvedTarget
    from ansible_collections.intellistream.sage.plugins.plugin_utils._events import (
        Event,
        PointCaptured,
        RecordBefore,
        Spec,
    )


class Redo:
    """The capture of what the undos are going to change, as a rollback point of its own.

    Where there are two processors it is made while the caller goes on, until M(finish); as a context manager it
    leaves nothing behind when the caller gives up before.

    :param partial: the points that are undone stay usable for other resources.
    """

    def __init__(
        self, session: Session, chosen: ResolvedTarget, undos: t.Sequence[Undo], partial: bool, options: UndoOptions
    ) -> None:
        self._session, self._chosen, self._partial, self._options = session, chosen, partial, options
        self._captures = [(undo, spec) for undo in undos for spec in [undo.redo()] if spec is not None]
        # It would be named as the way back of what it does not hold.
        lacking = {undo for undo in undos if undo.touches()} - {undo for undo, dummy in self._captures}
        refused = lacking or options.resumed or options.keep_broken or not _finished(chosen)
        self._needed = bool(self._captures) and not refused
        self._fork: fork.ForkedCall[PointCaptured] | None = None
        if (
            self._needed
            and session.writes
            and _long(spec for dummy, spec in self._captures)
            and fork.has_second_processor()
        ):
            # What is captured there has to have the name that it gets here.
            next_name(session)
            self._fork = fork.ForkedCall(self._capture)

    def __enter__(self) -> Redo:
        return self

    def __exit__(self, *exc: object) -> None:
        if self._fork is not None:
            self._fork.stop()
            self._fork = None
            self._discard()

    def _discard(self) -> None:
        state = self._session.where
        try:
            if state is not None:
                store.discard(state, *next_name(self._session))
        except (OSError, SageError):
            # There is an error already, and retention removes what no record names.
            return

    def _capture(self) -> PointCaptured:
        specs = [spec for dummy, spec in self._captures]
        return capture(self._session, specs, None, f"before the rollback to {self._chosen.time}")

    def _captured(self) -> PointCaptured | None:
        """The event of the capture; None when it was refused."""
        event: PointCaptured | None = None
        if self._fork is not None:
            event, self._fork = self._fork.result(), None
        try:
            # Whatever stopped the other process is found out here; the capture discards what that has left.
            return event or self._capture()
        except SageError:
            # A rollback is more than the chance to undo it: a full disk or a broken distribution does not stop it.
            return None

    def finish(self, stack: contextlib.ExitStack) -> str | None:
        """The rollback point, recorded with the session's next commit; None when there is nothing worth keeping.

        :param stack: closes the directories that whole trees are moved to.
        """
        session, chosen = self._session, self._chosen
        name = _pending(chosen, self._partial) if self._options.resumed else None
        event = self._captured() if self._needed else None
        if event is not None:
            event["redo"] = {
                "points": [] if self._partial else [point["point"] for point in chosen.points],
                "before": {} if self._partial else _before(session, chosen),
            }
            session.add(event)
            name = str(event["point"])
        if session.where is None or not session.writes:
            return name
        if name is not None:
            directory = stack.enter_context(contents.point_dir(session.where, name.rpartition(".")[0], name))
            for number, (undo, dummy) in enumerate(self._captures):
                undo.keep(stack.enter_context(contents.content_dir(directory, number, create=True)))
            return name
        for undo, dummy in self._captures:
            # Others' work is in it, and nothing else keeps that.
            if undo.whole and undo.conflicts and undo.newest is not None:
                undo.keep(aside_for_whole(undo.newest, stack))
        return None


def _long(specs: t.Iterable[Spec]) -> bool:
    """To capture these takes long enough for a process of its own, and they can be captured there."""
    kinds = [(registry.kind_of(spec), spec) for spec in specs]
    # Some kinds have libraries and programs that do not like to be in two processes.
    return all(kind.forks for kind, dummy in kinds) and any(kind.slow(spec) for kind, spec in kinds)


def _finished(chosen: ResolvedTarget) -> bool:
    """All that is undone is the work of finished installations, or of points made by hand."""
    return all(
        part.change.state in ("completed", "rolled_back")
        or part.change.origin != "installation"
        or _finished_before(part.change)
        for part in chosen.parts
        if part.points
    )


def _finished_before(change: Change) -> bool:
    """Its last phases were rolled back, and that is why it counts as failed: all had ended, none by a failure."""
    return change.state == "failed" and all(
        phase.done or (phase.status == "rolled_back" and not phase.failure) for phase in change.phases.values()
    )


def _pending(chosen: ResolvedTarget, partial: bool) -> str | None:
    """The point that an interrupted rollback had captured before it began; None when that is taken back now."""
    going = {point["point"] for point in chosen.points}
    begun = [part.change for part in chosen.parts if not targets.taken_back(part.change, going)]
    names = [change.undoing.get("redo") for change in begun if change.undoing]
    return next((str(name) for name in names if name and (partial or name not in going)), None)


def _before(session: Session, chosen: ResolvedTarget) -> dict[str, RecordBefore]:
    """The record of the changes that a rollback undoes, as it is before."""
    names = {part.change.install_id for part in chosen.parts}
    for point in chosen.points:
        names.update(point["redo"]["before"] if point.get("redo") else ())
    return {
        change.install_id: {
            "status": change.state if change.origin == "installation" else None,
            "phases": {phase.name: phase.status for phase in change.phases.values()},
            "undone": {point["point"]: point.get("undone") for point in change.points},
        }
        for change in session.history()
        if change.install_id in names
    }


def ended(
    session: Session, chosen: ResolvedTarget, redo: str | None, differs: bool, seen: t.Mapping[str, Table]
) -> t.Iterator[Event]:
    """Events about rollbacks at the end of this one: its own, and one that was interrupted.

    :param seen: path → what was found there and below once this one had ended.
    """
    about = {part.change.install_id for part in chosen.parts}
    outcome = "differs" if differs else "exact"
    history = session.history()
    for change in history:
        if change.undoing is not None and change.install_id not in about:
            yield {"event": "undone", "installations": [change.install_id], "outcome": outcome}
    for change in history:
        for point in change.points:
            if point["point"] != redo:
                continue
            if differs:
                yield {"event": "undone", "installations": [change.install_id], "outcome": outcome, "redo": redo}
                continue
            event = settle(session.where, point, seen=seen)
            if event is not None:
                yield event


def restored(chosen: ResolvedTarget) -> t.Iterator[Event]:
    """Events that give the record back what rollbacks had changed of it, which are undone now; oldest last."""
    for point in reversed(chosen.points):
        if point.get("incomplete"):
            continue
        for install_id, before in (point["redo"]["before"] if point.get("redo") else {}).items():
            yield {"event": "redone", "installations": [install_id], "before": before}
