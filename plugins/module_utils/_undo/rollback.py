"""Undo: one computed way back, shown in check mode, executed, verified, recorded."""

from __future__ import annotations

import contextlib
import datetime as dt
import time
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import (
    RollbackError,
    SageError,
)
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem import durable
from ansible_collections.intellistream.sage.plugins.module_utils._kind.undo import Undo, UndoOptions
from ansible_collections.intellistream.sage.plugins.module_utils._maintenance import check
from ansible_collections.intellistream.sage.plugins.module_utils._records import identity
from ansible_collections.intellistream.sage.plugins.module_utils._records.session import touched
from ansible_collections.intellistream.sage.plugins.module_utils._registry import registry
from ansible_collections.intellistream.sage.plugins.module_utils._registry.registry import KINDS, make
from ansible_collections.intellistream.sage.plugins.module_utils._rollback_shell.script import refresh
from ansible_collections.intellistream.sage.plugins.module_utils._storage import store
from ansible_collections.intellistream.sage.plugins.module_utils._timeline import targets
from ansible_collections.intellistream.sage.plugins.module_utils._timeline.points import layers
from ansible_collections.intellistream.sage.plugins.module_utils._undo import redo as undo_redo
from ansible_collections.intellistream.sage.plugins.module_utils._undo.result import (
    certain,
    nothing,
    planned,
    refused,
)

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._kind.interface import Layer
    from ansible_collections.intellistream.sage.plugins.module_utils._records.installation import Change
    from ansible_collections.intellistream.sage.plugins.module_utils._records.session import Session
    from ansible_collections.intellistream.sage.plugins.plugin_utils._events import Brought, Undone, UndoWork
    from ansible_collections.intellistream.sage.plugins.plugin_utils._structures import RollbackResult


class RollbackRequest(t.NamedTuple):
    """What to undo, and how.

    :ivar to: a target, see M(_timeline.targets.resolve).
    :ivar force: take the captured side of conflicts.
    :ivar kinds: undo only resources of these kinds; empty means all.
    :ivar erase_installed_after: a date; what was added then or before stays.
    :ivar keep_broken: keep what is there now beside the result, for diagnosis.
    :ivar window: what is left of a maintenance window, if it has to end inside.
    """

    to: str = "last"
    force: bool = False
    kinds: t.Sequence[str] = ()
    erase_installed_after: str = ""
    keep_broken: bool = False
    window: check.TimeBudget | None = None

    @property
    def partial(self) -> bool:
        """Some resources are left out."""
        return bool(self.kinds) and set(self.kinds) != set(KINDS)


def go_back(session: Session, request: RollbackRequest, check_mode: bool) -> RollbackResult:
    """Undo what was changed since the target began; see M(_calls.rollback.rollback), which calls it."""
    begun = time.monotonic()
    history = session.history()
    # What rollback.sh took back is put on record, whatever an attempt since did not change.
    takes_over = session.script_was_run and request.to in ("last", targets.UNFINISHED)
    target = targets.latest(history) if takes_over else targets.fixed(history, request.to)
    chosen = targets.resolve(history, target, elsewhere=identity.elsewhere(history, session.identity))
    interrupted = [change for change in history if change.undoing]
    chosen = targets.widen(history, chosen)
    if not chosen.points:
        # Also what a full disk kept the last rollback from writing.
        refresh(session, history)
        if request.to == targets.UNFINISHED:
            return nothing("Nothing to roll back: no rollback was interrupted.", target)
        if request.to == "last":
            return nothing(f"Nothing to roll back: {targets.nothing_to_undo(history)}", target)
        since = request.to if targets.is_date(request.to) else f"{request.to} began"
        text = f"nothing was captured since {since}, or all of it was undone."
        return nothing(f"Nothing to roll back: {text}", target, chosen.uncovered)
    with contextlib.ExitStack() as stack:
        options = _how(session, request, history, chosen)
        undos = _compute(session, chosen, request.kinds, options, stack, interrupted)
        result = planned(chosen, undos, target)
        if request.partial and not result["conflicts"] and not any(undo.touches() for undo in undos):
            # Not that they are as captured: somebody may have edited them later.
            text = "nothing is left of what was done to the selected resources since; what others changed stays."
            return nothing(f"Nothing to roll back: {text}", target, result["inexact"])
        if result["conflicts"] and not options.force:
            raise refused(result)
        if request.window is not None:
            check.check_undo(session, request.window, chosen.points, registry.find)
        if session.where is not None and not check_mode:
            store.release(session.where)
        with undo_redo.Redo(session, chosen, undos, request.partial, options) as redo:
            for undo in undos:
                undo.check()
            result["redo_point"] = redo.finish(stack)
        if session.where is not None and not check_mode:
            # That capture has reserved it again.
            store.release(session.where)
        if check_mode:
            # It gets its name when it is made.
            return {**result, "redo_point": None}
        return _execute(session, chosen, undos, result, request, options, begun)


def _how(
    session: Session, request: RollbackRequest, history: t.Sequence[Change], chosen: targets.ResolvedTarget
) -> UndoOptions:
    interrupted = [change for change in history if change.undoing]
    after = None
    if request.erase_installed_after:
        from ansible_collections.intellistream.sage.plugins.module_utils._timeline import dates

        after = dates.parse(request.erase_installed_after, dt.datetime.now(dt.timezone.utc)).timestamp()
    return UndoOptions(
        # What was begun by force is finished by force.
        force=request.force
        or any(change.undoing is not None and bool(change.undoing.get("force")) for change in interrupted),
        resumed=bool(interrupted) or session.script_was_run,
        ours=_ours(history),
        erase_after=after,
        keep_broken=chosen.tid if request.keep_broken else "",
    )


def _ours(history: t.Sequence[Change]) -> Brought:
    """What installations of this host brought: kind → path → distribution → versions."""
    brought: Brought = {}
    specs = [spec for change in history for point in change.points for spec in point.get("specs") or []]
    for spec in specs:
        kind = registry.find(spec["kind"])
        names = brought.setdefault(spec["kind"], {}).setdefault(spec.get("path") or "", {})
        for name, version in kind.brought(spec) if kind is not None else ():
            names.setdefault(name, []).append(version)
    return brought


def _compute(
    session: Session,
    chosen: targets.ResolvedTarget,
    kinds: t.Sequence[str],
    options: UndoOptions,
    stack: contextlib.ExitStack,
    interrupted: t.Sequence[Change],
) -> list[Undo]:
    """One undo per resource, newest first; each sees all its captures, oldest first."""
    if session.where is None:
        return []
    captures: dict[tuple[str, str], list[Layer]] = {}
    # Points of rollbacks that were interrupted: they left what neither side has.
    begun = {change.undoing.get("redo") for change in interrupted if change.undoing is not None}
    for part, point in chosen.changes:
        phase = part.change.phases.get(point.get("phase") or "")
        # What a point made by hand was for is not known; nothing is put aside on suspicion.
        # A rollback that ended with differences left neither side either.
        # What is rolled back and can be brought back had ended, or nothing of it would have been kept; unless a
        # rollback that was killed had begun to bring it back.
        ended = phase is None or phase.done or (phase.status == "rolled_back" and not interrupted)
        completed = ended and point["point"] not in begun and not point.get("incomplete")
        after = point.get("after") or (phase.result if phase is not None and phase.done else [])
        for resource, layer in zip(point["resources"], layers(session.where, point, stack, completed, after)):
            if kinds and resource["kind"] not in kinds:
                continue
            kind = registry.find(resource["kind"])
            # By path, not by M(registry.key): two layers of one path are one undo, whatever else their specs say,
            # or the second to run would meet what the first had put back.
            key = (resource["kind"], "" if kind is not None and kind.joined else resource["path"])
            # The newest place decides the order of the work.
            captures[key] = [*captures.pop(key, []), layer]
    newest_first = list(reversed(captures.items()))
    newest_first.sort(key=lambda pair: not _contains(pair[0][0]))
    undos: list[Undo] = []
    for dummy, resource_layers in newest_first:
        undos.append(make(resource_layers[-1].spec).undo(resource_layers, options))
        undos[-1].newest = resource_layers[-1].where
    return undos


def _contains(name: str) -> bool:
    """Resources of other kinds may lie in one of this kind."""
    kind = registry.find(name)
    return kind is not None and kind.contains


def _mark_unchanged(session: Session, chosen: targets.ResolvedTarget, result: RollbackResult, in_part: bool) -> None:
    """Where there was nothing to undo, record that nothing had been changed: it was an attempt, and no change.

    :param in_part: this rollback is not all that undoes it, so that nothing is known.
    """
    if in_part or any(result["plan"].values()) or result["inexact"]:
        return
    for point in chosen.points:
        session.add(
            {
                "event": "settled",
                "installations": [point["install_id"]],
                "point": point["point"],
                "after": point.get("after") or [],
                "unchanged": True,
            }
        )


def _unkept(
    chosen: targets.ResolvedTarget, undos: t.Sequence[Undo], request: RollbackRequest, redo: str | None
) -> set[str]:
    """Points of which something is undone that nothing has captured, so that it cannot be brought back."""
    # A rollback that was interrupted had captured what it was to undo, and no more.
    begun = [part.change.undoing for part in chosen.parts if part.change.undoing is not None]
    if not begun and not any(undo.touches() for undo in undos):
        return set()
    captured = {name for undoing in begun for name in undoing["points"]}
    return {
        point["point"]
        for point in chosen.points
        if (redo is None or (begun and point["point"] not in captured))
        and any(not request.kinds or resource["kind"] in request.kinds for resource in point["resources"])
    }


def _undone(part: targets.TargetPart, partial: bool, differences: list[str], unkept: t.Container[str]) -> Undone:
    """The event about a change of which all or something was undone."""
    entire = part.entire and not partial
    event: Undone = {
        "event": "undone",
        "installations": [part.change.install_id],
        "points": [] if partial else [point["point"] for point in part.points],
        "phases": [] if partial else part.phases,
        "status": "rolled_back" if entire and part.change.origin == "installation" else None,
        "outcome": "differs" if differences else "exact",
        "differences": differences,
    }
    lost = [point["point"] for point in part.points if point["point"] in unkept]
    if lost and (partial or differences):
        event["lost"] = lost
    return event


def _execute(
    session: Session,
    chosen: targets.ResolvedTarget,
    undos: t.Sequence[Undo],
    result: RollbackResult,
    request: RollbackRequest,
    options: UndoOptions,
    begun: float,
) -> RollbackResult:
    plan = result["plan"]
    unkept = _unkept(chosen, undos, request, result["redo_point"])
    for part in reversed(chosen.parts):
        session.add(
            {
                "event": "undoing",
                "installations": [part.change.install_id],
                "points": [point["point"] for point in part.points],
                "phases": part.phases,
                "entire": part.entire,
                "force": options.force,
                "redo": result["redo_point"],
                "plan": plan,
            }
        )
    session.commit()
    try:
        for undo in undos:
            undo.execute()
        # A script that fails now is one more that may have done anything.
        certainty = certain(undos, chosen)
        result["inexact"], result["exact"] = certainty["inexact"], certainty["exact"]
        differences = [line for undo in undos for line in undo.verify()]
    except RollbackError:
        raise
    except (OSError, SageError) as error:
        raise RollbackError(
            f"The rollback was interrupted: {error.what if isinstance(error, SageError) else error}",
            untouched="what was captured; it can still be used.",
            advice="Mend that, then run the same rollback again: it continues.",
            plan=plan,
        ) from error
    durable.sync(path for part in chosen.parts for point in part.points for path in touched(point.get("specs") or ()))
    # The third look is also the one that settles the redo point.
    seen = {path: table for undo in undos for path, table in undo.seen.items()}
    if not differences and not request.partial:
        # Before what is undone now is marked: it may lie in the middle of what a rollback had undone.
        for redone in undo_redo.restored(chosen):
            session.add(redone)
    needed = check.undo_size(chosen.points, registry.find)
    work: UndoWork = {
        "files": needed.files,
        "bytes": needed.bytes,
        "distributions": needed.distributions,
        "seconds": round(time.monotonic() - begun, 3),
    }
    _mark_unchanged(session, chosen, result, options.resumed or request.partial)
    for part in reversed(chosen.parts):
        event = _undone(part, request.partial, differences, unkept)
        if part is [each for each in chosen.parts if each.points][-1]:
            # Of all of it, so with one installation only.
            event["work"] = work
        session.add(event)
    for ended in undo_redo.ended(session, chosen, result["redo_point"], bool(differences), seen):
        session.add(ended)
    session.commit()
    if not differences:
        session.forget_script()
    refresh(session, session.history())
    if differences:
        raise RollbackError(
            f"After the rollback {len(differences)} things differ from what was captured: {'; '.join(differences)}.",
            untouched="what was captured; it can still be used.",
            advice="Mend what is named, then run the same rollback again.",
            differences=differences,
            plan=plan,
        )
    return result
