"""Retention carried out: recorded first, then removed, so that a run that is killed is finished by the next one.

Nothing here makes an installation fail: what the disk refuses becomes a warning.
"""

from __future__ import annotations

import time
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import SageError
from ansible_collections.intellistream.sage.plugins.module_utils._pruning import policy
from ansible_collections.intellistream.sage.plugins.module_utils._pruning.release import release
from ansible_collections.intellistream.sage.plugins.module_utils._pruning.usage import Usage, measure, unpacked
from ansible_collections.intellistream.sage.plugins.module_utils._records import install_log, verified_table
from ansible_collections.intellistream.sage.plugins.module_utils._registry import carry_captures
from ansible_collections.intellistream.sage.plugins.module_utils._storage import archive, contents, store
from ansible_collections.intellistream.sage.plugins.module_utils._timeline.points import remove_plain_copies
from ansible_collections.intellistream.sage.plugins.module_utils._timeline.unsettled import tidy

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._records.installation import Change
    from ansible_collections.intellistream.sage.plugins.module_utils._records.session import Engine, Session
    from ansible_collections.intellistream.sage.plugins.plugin_utils._events import Archived, Point
    from ansible_collections.intellistream.sage.plugins.plugin_utils._structures import RetentionResult, RetentionWork

CARRIES = (carry_captures.parts,)


def retain(engine: Engine, limits: policy.Limits, check_mode: bool) -> RetentionResult:
    """Remove and compress what is beyond the limits, or with C(check_mode) tell what would be.

    :returns: what M(Cleaning.finish) does, with C(changed) and C(diff).
    :raises InputError: a limit is negative.
    """
    # Where nothing is recorded there is nothing to remove, and no reason to begin a record.
    with engine.reading() if check_mode or not engine.exists() else engine.session() as session:
        cleaning = Cleaning(session, limits)
        repaired = bool(session.repaired)
        session.commit()
        result = cleaning.finish()
    before = {
        "rollback_points": result["kept"] + len(result["pruned"]),
        "bytes": result["bytes"] + result["freed_bytes"],
    }
    after = {"rollback_points": result["kept"], "bytes": result["bytes"], "archived": result["archived"]}
    return {
        "changed": cleaning.changed or repaired,
        **result,
        "diff": {"before": before, "after": after} if cleaning.changed else {"before": {}, "after": {}},
    }


class Cleaning:
    """One retention run of one session: decided and added to it first, carried out after its commit.

    :ivar changed: there is something to do; after M(finish), something was done.
    """

    def __init__(self, session: Session, limits: policy.Limits) -> None:
        limits.check()
        self.session = session
        self.changed = False
        self.warnings: list[str] = []
        self._points: dict[str, Point] = {}
        self._busy: set[str] = set()
        self._doubled: list[str] = []
        self._strays: list[tuple[str, str]] = []
        self._logs: list[str] = []
        self._tables: list[str] = []
        self._before = 0
        self._usage = Usage()
        self._decision = policy.RetentionDecision([], [], remaining=0, protected=[])
        if session.empty or session.where is None:
            return
        history = _history(session)
        self._points = {point["point"]: point for change in history for point in change.points}
        self._busy = policy.pending(history)
        remaining = sum(not point.get("pruned") for point in self._points.values())
        try:
            self._usage = measure(session.where, history)
        except (OSError, SageError) as error:
            self._warn("The store was not looked at, nothing was removed", error)
            self._decision = policy.RetentionDecision([], [], remaining=remaining, protected=[])
            return
        self._before = self._usage.occupied()
        if session.script_run is not None:
            # What it needs is known to itself alone, until a rollback takes it over.
            told = session.script_run.told
            reason = f"everything is kept: {told}; intellistream.sage.sage_rollback finishes it and records it"
            self._decision = policy.RetentionDecision([], [], remaining=remaining, protected=[reason])
            return
        self._decision = policy.decide(history, self._usage, limits, time.time())
        self._doubled = [name for name in self._usage.doubled if self._spare(name)]
        self._strays = [stray for stray in self._usage.strays if stray[0] not in self._busy]
        self._logs = self._old_logs(history)
        self._tables = self._old_tables(history)
        self.changed = any(
            (
                *(self._decision.prune, self._decision.archive, self._doubled, self._strays),
                *(self._logs, self._tables),
            )
        )
        if self._decision.prune:
            owners = sorted({self._points[name]["install_id"] for name in self._decision.prune})
            session.add({"event": "pruned", "installations": owners, "points": self._decision.prune})

    def _tidy_farm(self) -> None:
        """Remove from the farm what points have by now, and what was of use to those only that went."""
        if not self._points:
            return
        try:
            tidy(self.session, _history(self.session))
        except (OSError, SageError) as error:
            self._warn("What nobody needs of the farm was not removed", error)

    def _old_logs(self, history: t.Sequence[Change]) -> list[str]:
        """Logs of installations from before all that is kept, and before the current one."""
        if self.session.where is None or not history:
            return []
        pruned = set(self._decision.prune)
        kept = [
            point["install_id"]
            for name, point in self._points.items()
            if not point.get("pruned") and name not in pruned
        ]
        try:
            return install_log.before(self.session.where, min([*kept, history[-1].install_id]))
        except (OSError, SageError) as error:
            self._warn("The logs of installations were not looked at", error)
            return []

    def _old_tables(self, history: t.Sequence[Change]) -> list[str]:
        """Tables of what was verified by installations that are not in force, and that nothing goes back to."""
        if self.session.where is None or not history:
            return []
        pruned = set(self._decision.prune)
        needed = {point["install_id"] for name, point in self._points.items() if name not in pruned}
        in_force = self.session.effective()
        # What the oldest of them goes back to.
        before = [change.install_id for change in history if needed and change.install_id < min(needed)][-1:]
        needed |= {history[-1].install_id, *before, *([in_force.install_id] if in_force is not None else [])}
        try:
            return [each for each in verified_table.tabulated(self.session.where) if each not in needed]
        except (OSError, SageError) as error:
            self._warn("The tables of what was verified were not looked at", error)
            return []

    def _spare(self, name: str) -> bool:
        """A directory is not needed beside its archive, unless a rollback works on it or left something in it."""
        return self._points[name]["install_id"] not in self._busy and name not in self._usage.aside

    def _warn(self, failure: str, error: Exception) -> None:
        """Tell what the disk refused; retention goes on."""
        self.warnings.append(f"{failure}: {error.what if isinstance(error, SageError) else error}")

    def finish(self) -> RetentionWork:
        """Remove and compress what was decided; in a session that writes nothing, tell what would be.

        :returns: C(pruned), C(archived), C(freed_bytes), C(bytes), C(kept), C(protected), C(warnings).
        """
        decision, archived = self._decision, self._decision.archive
        if not self.changed:
            self._tidy_farm()
            after = before = self._usage.occupied()
        elif self.session.writes:
            before, archived = self._before, self._carry_out()
            self._tidy_farm()
            after = self._occupied()
        else:
            before = self._before
            after = self._usage.total([*decision.prune, *map(unpacked, self._doubled)])
        return {
            "pruned": decision.prune,
            "archived": archived,
            "freed_bytes": before - after,
            "bytes": after,
            "kept": decision.remaining,
            "protected": decision.protected,
            "warnings": self.warnings,
        }

    def _carry_out(self) -> list[str]:
        """Remove, then compress; returns the points that were archived."""
        if self._decision.prune:
            self._refresh()
        removed = [self._remove(name, prune=True) for name in self._decision.prune]
        removed += [self._sweep(*stray) for stray in self._strays]
        removed += [self._remove(name, prune=False) for name in self._doubled if self._intact(name)]
        archived = []
        for name in self._decision.archive:
            try:
                if not self._compress(name):
                    # The session still has what it could not record, and would record it with the next.
                    break
            except (OSError, SageError) as error:
                self._warn(f"Rollback point {name} stays uncompressed", error)
            else:
                archived.append(name)
        if archived:
            self._refresh()
        self.changed = bool(self._decision.prune or any(removed) or archived or self._logs or self._tables)
        self._remove_logs_and_tables()
        return archived

    def _remove_logs_and_tables(self) -> None:
        """Nobody asks for the log of what cannot be undone any more, nor for what was verified then."""
        for what, remove, install_ids in (
            ("log", install_log.remove, self._logs),
            ("table", verified_table.remove, self._tables),
        ):
            for install_id in install_ids:
                try:
                    if self.session.where is not None:
                        remove(self.session.where, install_id)
                except (OSError, SageError) as error:
                    self._warn(f"The {what} of installation {install_id} was not removed", error)

    def _refresh(self) -> None:
        """The script for emergencies never names what is gone."""
        from ansible_collections.intellistream.sage.plugins.module_utils._rollback_shell.script import refresh

        try:
            refresh(self.session)
        except (OSError, SageError) as error:
            self._warn("rollback.sh was not renewed", error)

    def _intact(self, name: str) -> bool:
        """Whether the archive of a point can be used, so that its directory may go."""
        state = self.session.where
        if state is not None and archive.intact(state, self._points[name]):
            return True
        self.warnings.append(f"The archive of rollback point {name} is damaged; its directory is kept.")
        return False

    def _compress(self, name: str) -> bool:
        """Whether it could be recorded; OSError or SageError when it could not even be made."""
        state, point = self.session.where, self._points[name]
        if state is None:
            return False
        # As much as there is already, at worst.
        store.check_space(state, 1, self._usage.of(name))
        record = archive.pack(state, point)
        try:
            event: Archived = {
                "event": "archived",
                "installations": [point["install_id"]],
                "points": {name: record},
            }
            self.session.add(event)
            self.session.commit()
        except SageError as error:
            self._warn(f"Rollback point {name} stays uncompressed", error)
            archive.drop(state, point, record)
            return False
        self._remove(name, prune=False)
        return True

    def _remove(self, name: str, prune: bool) -> bool:
        """The directory of a point, and where it is pruned its archive and what others hold for it."""
        point = self._points[name]
        names = [name, *([point["archive"]["name"]] if prune and point.get("archive") else [])]
        if prune:
            self._release(point)
            self._remove_copies(point)
        removed = [self._unlink(point["install_id"], stored) for stored in names]
        return any(removed)

    def _remove_copies(self, point: Point) -> None:
        """What a point made by hand has in C(backups/): those of installations are kept, and there are few."""
        if self.session.where is None or not point.get("by"):
            return
        try:
            remove_plain_copies(self.session.where, point["install_id"])
        except (OSError, SageError) as error:
            self._warn(f"Copies of rollback point {point['point']} in backups/ were not removed", error)

    def _sweep(self, install_id: str, name: str) -> bool:
        """What no point has; a killed run may have pruned one and not come to an end."""
        point = self._points.get(name)
        if point is not None and point["install_id"] == install_id:
            self._release(point)
        return self._unlink(install_id, name)

    def _unlink(self, install_id: str, name: str) -> bool:
        """Remove something from the store; whether it was there and is gone."""
        state = self.session.where
        if state is None:
            return False
        try:
            archive.remove_from(state, install_id, name)
        except FileNotFoundError:
            return False
        except (OSError, SageError) as error:
            self._warn(f"{contents.path_of(state)}/{install_id}/{name} was not removed", error)
            return False
        return True

    def _release(self, point: Point) -> None:
        """Let go of what a capture holds outside of the store."""
        if self.session.where is not None:
            self.warnings += release(self.session.where, point)

    def _occupied(self) -> int:
        """Bytes that the store occupies now, measured anew."""
        if self.session.where is None:
            return 0
        try:
            return measure(self.session.where, []).occupied()
        except (OSError, SageError) as error:
            self._warn("The store was not measured", error)
            return self._usage.total(self._decision.prune)


def _history(session: Session) -> list[Change]:
    """All changes, with what this session has not recorded yet."""
    history, current = session.history(), session.installation
    if current is None:
        return history
    known = [change.install_id for change in history]
    if current.install_id in known:
        history[known.index(current.install_id)] = current
    else:
        history.append(current)
    return history
