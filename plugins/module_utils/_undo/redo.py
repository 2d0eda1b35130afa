# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A rollback is a change like any other: what it takes back is captured first, and can be brought back.

What an unfinished or failed installation left is not: nobody wants it back.
"""

from __future__ import annotations

import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base import fork
from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import SageError
from ansible_collections.intellistream.sage.plugins.module_utils._registry import registry
from ansible_collections.intellistream.sage.plugins.module_utils._storage import store
from ansible_collections.intellistream.sage.plugins.module_utils._timeline import targets
from ansible_collections.intellistream.sage.plugins.module_utils._timeline.points import (
    capture,
    next_name,
    settle,
)

if t.TYPE_CHECKING:
    import contextlib

    from ansible_collections.intellistream.sage.plugins.module_utils._kind.interface import How, Undo
    from ansible_collections.intellistream.sage.plugins.module_utils._records.session import Session
    from ansible_collections.intellistream.sage.plugins.module_utils._timeline.targets import Chosen
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

    def __init__(self, session: Session, chosen: Chosen, undos: t.Sequence[Undo], partial: bool, how: How) -> None:
        self._session, self._chosen, self._partial, self._how = session, chosen, partial, how
        self._wanted = [(undo, spec) for undo in undos for spec in [undo.redo()] if spec is not None]
        self._needed = bool(self._wanted) and not how.resumed and not how.keep_broken and _finished(chosen)
        self._fork: fork.ForkedCall[PointCaptured] | None = None
        if (
            self._needed
            and session.writes
            and _long(spec for dummy, spec in self._wanted)
            and fork.has_second_processor()
        ):
            self._fork = fork.ForkedCall(self._capture)

    def __enter__(self) -> Redo:
        return self

    def __exit__(self, *exc: object) -> None:
        if self._fork is not None:
            self._fork.stop()
            self._fork = None
            self._discard()

    def _discard(self) -> None:
        where, installation = self._session.where, self._session.required()
        try:
            if where is not None:
                store.discard(where, installation.install_id, next_name(installation))
        except (OSError, SageError):
            # There is an error already, and retention removes what no record names.
            return

    def _capture(self) -> PointCaptured:
        specs = [spec for dummy, spec in self._wanted]
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
        name = _pending(chosen, self._partial) if self._how.resumed else None
        if self._needed:
            event = self._captured()
            if event is None:
                return None
            event["redo"] = {
                "points": [] if self._partial else [point["point"] for point in chosen.points],
                "before": {} if self._partial else _before(session, chosen),
            }
            session.add(event)
            name = str(event["point"])
        if name is not None and session.where is not None and session.writes:
            where = stack.enter_context(store.point_dir(session.where, name.rpartition(".")[0], name))
            for number, (undo, dummy) in enumerate(self._wanted):
                undo.keep(stack.enter_context(store.content_dir(where, number, create=True)))
        return name


def _long(specs: t.Iterable[Spec]) -> bool:
    """To capture these takes long enough for a process of its own, and they can be captured there."""
    kinds = [(registry.kind_of(spec), spec) for spec in specs]
    # Some kinds have libraries and programs that do not like to be in two processes.
    return all(kind.forks for kind, dummy in kinds) and any(kind.slow(spec) for kind, spec in kinds)


def _finished(chosen: Chosen) -> bool:
    """All that is undone is the work of finished installations, or of points made by hand."""
    return all(
        part.installation.status in ("completed", "rolled_back") or not any(point.get("phase") for point in part.points)
        for part in chosen.parts
    )


def _pending(chosen: Chosen, partial: bool) -> str | None:
    """The point that an interrupted rollback had captured before it began; None when that is taken back now."""
    going = {point["point"] for point in chosen.points}
    begun = [part.installation for part in chosen.parts if not targets.taken_back(part.installation, going)]
    names = [one.undoing.get("redo") for one in begun if one.undoing]
    return next((str(name) for name in names if name and (partial or name not in going)), None)


def _before(session: Session, chosen: Chosen) -> dict[str, RecordBefore]:
    """The record of the installations that a rollback changes, as it is before."""
    names = {part.installation.install_id for part in chosen.parts}
    for point in chosen.points:
        names.update(point["redo"]["before"] if point.get("redo") else ())
    return {
        one.install_id: {
            "status": one.status,
            "phases": {phase.name: phase.status for phase in one.phases.values()},
            "undone": {point["point"]: point.get("undone") for point in one.points},
        }
        for one in session.history()
        if one.install_id in names
    }


def ended(session: Session, chosen: Chosen, redo: str | None, differs: bool) -> t.Iterator[Event]:
    """Events about rollbacks at the end of this one: its own, and one that was interrupted."""
    about = {part.installation.install_id for part in chosen.parts}
    outcome = "differs" if differs else "exact"
    history = session.history()
    for one in history:
        if one.undoing is not None and one.install_id not in about:
            yield {"event": "undone", "installations": [one.install_id], "outcome": outcome}
    for one in history:
        for point in one.points:
            if point["point"] != redo:
                continue
            if differs:
                yield {"event": "undone", "installations": [one.install_id], "outcome": outcome, "redo": redo}
                continue
            event = settle(session.where, point)
            if event is not None:
                yield event


def restored(chosen: Chosen) -> t.Iterator[Event]:
    """Events that give the record back what rollbacks had changed of it, which are undone now; oldest last."""
    for point in reversed(chosen.points):
        if point.get("incomplete"):
            continue
        for install_id, before in (point["redo"]["before"] if point.get("redo") else {}).items():
            yield {"event": "redone", "installations": [install_id], "before": before}
