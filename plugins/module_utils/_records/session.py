"""The engine: sessions on a host's state.

A session reads the current installation, takes events, and records them all at once: one call,
one line in the ledger, one new progress file. In check mode the same session takes the same
events and writes nothing. The engine knows nothing of pip, git, dpkg or rpm.

Nothing begins or goes on here before the decision of a fleet run was learned, nor where a dead-man's switch has fired.
"""

from __future__ import annotations

import contextlib
import os
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base import clock
from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import (
    Fired,
    ForeignRecord,
    InDoubt,
    InputError,
    Leased,
    SageError,
    StateError,
)
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem import durable
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.lock import Lock
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.ownership import (
    check_owned,
    storage_error,
)
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.private import (
    CHECKPOINTS,
    MARK,
    STATE_DIR,
    PrivateDir,
    is_empty,
    open_private,
    open_state,
    remove_private,
)
from ansible_collections.intellistream.sage.plugins.module_utils._records import install_log, lease, progress
from ansible_collections.intellistream.sage.plugins.module_utils._records.installation import (
    PHASES,
    STATUSES,
    VERIFICATION,
    Change,
    Installation,
    installations,
    origin,
    owner,
)
from ansible_collections.intellistream.sage.plugins.module_utils._records.ledger import MAIN
from ansible_collections.intellistream.sage.plugins.module_utils._records.ledger import NAME as LEDGER
from ansible_collections.intellistream.sage.plugins.module_utils._records.record import BEGUN, DONE, STAGE, Record
from ansible_collections.intellistream.sage.plugins.module_utils._records.standing import (
    ABORTING,
    COMMITTING,
    IN_DOUBT,
    UNDID_ITSELF,
    standing,
)

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._records.lease import Run
    from ansible_collections.intellistream.sage.plugins.module_utils._records.ledger import Ledger, LedgerLine
    from ansible_collections.intellistream.sage.plugins.plugin_utils._events import (
        Begun,
        Environment,
        Event,
        Inputs,
        Observed,
        PhaseMoved,
        PointCaptured,
        Spec,
    )


class Session(Record):
    """The state of one host during one call, with the events that this call takes.

    :param root: where SAGE is installed; its file system is synced before a phase is recorded as completed.
    :param run: the id of the run that it belongs to; empty outside of one.
    :ivar installation: the current installation, these events included.
    :ivar made: what these events have made outside of installations.
    :ivar said: lines that installers said since the last call, for the log of the installation.
    :ivar follows_run: only the run that began an installation, or that went on with it last, may move its phases.
    :ivar ends_run: the run is not at work any more once the session ends, although an installation may be unfinished.
    :ivar prunable: somebody looked, and captures can be pruned.
    """

    def __init__(self, where: PrivateDir | None, path: str, root: str, writes: bool, run: str = "") -> None:
        self.root = root
        self._events: list[Event] = []
        self._begins = False
        self.run = run
        self.ends_run = False
        self.prunable = False
        self.follows_run = True
        self._time = ""
        self._next_id = ""
        self.made: dict[str, Change] = {}
        self.said: t.Sequence[str] = ()
        super().__init__(where, path, root, writes)
        if self.moved:
            self.add({"event": "rerooted", "identity": self.identity})

    def begin(
        self,
        inputs: Inputs,
        environment: Environment,
        carry_from: Installation | None = None,
        carry: t.Sequence[str] = (),
    ) -> Installation:
        """Begin an installation.

        :param inputs: what is wanted, by phase.
        :param environment: facts of the host.
        :param carry_from: the installation whose finished phases are taken over.
        :param carry: the names of those phases.
        :raises InDoubt: the decision of a fleet run comes first.
        :raises Fired: a dead-man's switch is to take everything back, and has not yet.
        """
        _refuse(self.installation, goes_on=False)
        before, in_force = self.installation, self.effective()
        labels = {name: label for name, label in in_force.labels.items() if label} if in_force is not None else {}
        install_id = self.next_id()
        if before is not None:
            for event in self._events:
                # The line will belong to the next installation.
                event.setdefault("installations", [before.install_id])
        if before is not None and before.unfinished:
            # Recorded in the line that begins the next one: one call, one line.
            self._events.append({"event": "ended", "status": "abandoned", "installations": [before.install_id]})
        self._begins = True
        self.installation = Installation(install_id, self._now(), self._seq())
        begun: Begun = {
            "event": "begun",
            "inputs": inputs,
            "environment": environment,
            "identity": self.identity,
            "run": self.run,
            "carried": {name: carry_from.phases[name].as_dict() for name in carry} if carry_from else {},
        }
        # Who says nothing else means the same.
        self.add(t.cast("Begun", {**begun, **labels}))
        return self.installation

    def required(self) -> Installation:
        """The current installation, begun without inputs when there is none yet."""
        return self.installation or self.begin({}, {})

    def next_id(self) -> str:
        """The id of the next change; the same until one has begun."""
        current = self.installation.install_id if self.installation is not None else ""
        newest = max([self.newest_id, current, *self.made])
        if self._next_id <= newest:
            self._next_id = clock.new_install_id(newest or None)
        return self._next_id

    @property
    def newest_id(self) -> str:
        """The newest id of a change on disk; empty before the first."""
        return self._last.newest if self._last is not None else ""

    def _before(self, current: Installation, changes: list[Change]) -> Installation | None:
        for attempt in installations(changes):
            for event in self._events:
                # What is not recorded yet may be about earlier ones, too.
                if attempt.install_id in event.get("installations", ()):
                    attempt.apply(event, self._now(), self._seq())
        return super()._before(current, changes)

    def _seq(self) -> int:
        """The number of the line that this session is going to write."""
        return self._last.seq + 1 if self._last is not None else 1

    def add(self, event: Event) -> None:
        """Take an event: visible in C(installation) at once, on disk after M(commit).

        :param event: one of the ledger's, see docs/formats.md; without C(installations) it is about the current
            installation, and a captured point about the change that its name begins with.
        """
        if event["event"] == "captured" and event["phase"] is None:
            name = owner(event)
            self.made[name] = Change(name, self._now(), origin(event), self._seq())
            self.made[name].apply(event, self._now(), self._seq())
        else:
            about = event.get("installations")
            installation = self.installation if about else self.required()
            # An undo may reach back over several changes; each event names those it is about.
            if installation is not None and installation.install_id in (about or [installation.install_id]):
                installation.apply(event, self._now(), self._seq())
        self._note(event)
        self._events.append(event)

    def _now(self) -> str:
        """One line has one time: what is in memory is what the ledger replays to."""
        self._time = self._time or clock.now()
        return self._time

    def move(self, phase: str, status: str, data: t.Any = None, result: list[Observed] | None = None) -> bool:
        """Take a phase to a status.

        :param data: what the caller says about it: JSON, shown to people and not looked into.
        :param result: facts of the resources that are its result, to be compared before it is skipped.
        :returns: False when it is there already, with the same data.
        :raises InputError: no such phase or status.
        :raises InDoubt: the decision of a fleet run comes first.
        :raises Fired: a dead-man's switch has taken everything back, or is to.
        """
        if phase not in PHASES:
            raise InputError(f"There is no phase {phase!r}.", advice=f"Use one of {', '.join(PHASES)}.")
        if status not in STATUSES:
            raise InputError(f"There is no status {status!r}.", advice=f"Use one of {', '.join(STATUSES)}.")
        self.refuse_to_go_on()
        before = self.required().phases[phase]
        # A run that begins to verify does not go by what a killed one had found.
        anew = status == "started" and phase == VERIFICATION and self.required().verified is not None
        if before.status == status and before.data == data and not anew:
            return False
        event: PhaseMoved = {"event": "phase", "phase": phase, "status": status, "data": data, "run": self.run}
        if result is not None:
            event["result"] = result
        self.add(event)
        return True

    def refuse_to_go_on(self) -> None:
        """Refuse to go on with the current installation where something else comes first.

        :raises InDoubt: the decision of a fleet run.
        :raises Fired: a dead-man's switch has taken everything back, or is to.
        """
        _refuse(self.installation, goes_on=True)

    def unrecorded_points(self) -> list[str]:
        """Rollback points that this session has taken and not recorded yet."""
        return [event["point"] for event in self.captured]

    @property
    def captured(self) -> list[PointCaptured]:
        """The rollback points of C(unrecorded_points)."""
        return [event for event in self._events if event["event"] == "captured"]

    def forget_script(self) -> None:
        """What C(rollback.sh) did is on record now."""
        if self.where is None:
            return
        import shutil

        for name in (BEGUN, DONE):
            self.where.remove(name)
        shutil.rmtree(f"/proc/self/fd/{self.where.fd}/{STAGE}", ignore_errors=True)

    @property
    def rollback_awaited(self) -> bool:
        """A rollback was not finished, or a fleet run decides about one."""
        installation = self.installation
        return installation is not None and bool(installation.undoing or installation.rollback_pending)

    @property
    def at_work(self) -> bool:
        """An installation is not finished, or a rollback is not."""
        installation = self.installation
        # One that is prepared awaits a decision, which any controller may deliver; nothing else gets past that.
        return installation is not None and (installation.unfinished or bool(installation.undoing))

    def keeps(self, run: Run) -> bool:
        """Whether a run keeps the lease after this session."""
        stands = standing(self.installation)
        awaits = stands is not None and stands.asks
        ended = run.release or self.ends_run
        return not (awaits or ended) and (run.hold or (run.prunes and self.prunable) or self.at_work)

    @property
    def changed(self) -> bool:
        """This session has something to record, or mended something."""
        return bool(self._events or self.repaired)

    def _touched(self, installation: Installation) -> list[str]:
        """Paths on all file systems that the installation has changed, as far as it told."""
        paths = [self.root, self.path]
        for point in installation.points:
            paths += touched(point.get("specs") or ())
        for phase in installation.phases.values():
            paths += touched(result["spec"] for result in phase.result)
        return paths

    def commit(self, outside: Change | None = None) -> None:
        """Record what was added, durably, as one line of the ledger; the progress file follows.

        :param outside: the change, by hand or by a hook, that all of it is about. The current installation, and what it
            costs to read it, stay as they are.
        :raises StorageError: the disk refused; the state is as it was before the session.
        """
        if not self._events or not self.writes or self.where is None or self._ledger is None:
            return
        completes = any(event["event"] == "phase" and event["status"] == "completed" for event in self._events)
        if completes and self.installation is not None:
            durable.sync(self._touched(self.installation))
        # What needs space comes first, so that a full disk leaves the old state in both files.
        view = b""
        if self.installation is not None and outside is None:
            view = progress.render(self.installation, self.effective())
        if view:
            self.where.stage(progress.NAME, view)
        try:
            self._last = self._append(self._ledger, outside)
        except StateError:
            if view:
                self.where.unstage(progress.NAME)
            raise
        if outside is None:
            self._lines = [*([] if self._begins else self._lines), self._last]
            self._log(self.where)
        self._events, self._begins, self._time = [], False, ""
        if not view:
            return
        self._view = view
        try:
            self.where.publish(progress.NAME)
        except StateError as error:
            # The ledger has it, and the ledger is the truth: this call succeeded.
            self.repaired.append(f"the progress file is behind the ledger until the next call: {error.what}")

    def _log(self, state: PrivateDir) -> None:
        """Tell people, each installation in its log. The ledger has it: what fails here fails nothing."""
        current = self.installation.install_id if self.installation is not None else ""
        texts: dict[str, list[str]] = {current: [install_log.said(self.said)]} if current else {}
        for event in self._events:
            # What is outside of installations has no log.
            outside = event["event"] == "captured" and event["phase"] is None
            for install_id in [] if outside else event.get("installations") or [current]:
                texts.setdefault(install_id, []).append(install_log.told(event))
        try:
            for install_id, lines in texts.items():
                install_log.append(state, install_id, self._now(), lines, create=install_id == current)
        except (OSError, SageError) as error:
            reason = error.what if isinstance(error, SageError) else error
            self.repaired.append(f"the log of the installation lacks what this call did: {reason}")

    def _append(self, ledger: Ledger, outside: Change | None) -> LedgerLine:
        """Write the line."""
        newest = max([self.newest_id, *self.made])
        if outside is not None:
            install_id, thread = outside.install_id, outside.origin
        else:
            about = [name for event in self._events for name in event.get("installations") or ()]
            install_id = self.installation.install_id if self.installation is not None else [*self.made, *about][0]
            thread = MAIN
        # Not the installation's own time: events may be about others alone.
        return ledger.append(self._last, install_id, self._events, self._now(), thread, newest=max(newest, install_id))


def _refuse(installation: Installation | None, goes_on: bool) -> None:
    """Refuse to begin, or to go on, where something else comes first.

    :param goes_on: the same installation is to go on.
    :raises InDoubt: a decision has to be learned, or carried out, first.
    :raises Fired: a dead-man's switch has taken everything back, or is to.
    """
    refuse_undecided(installation)
    if installation is not None:
        _refuse_fired(installation, goes_on)


def refuse_undecided(installation: Installation | None) -> None:
    """Refuse to begin anything on a host that has to learn a decision first, or has to roll back first.

    :raises InDoubt: it has.
    """
    stands = standing(installation)
    if stands is None or not (stands.asks or stands.to):
        return
    problem = {
        IN_DOUBT: f"is prepared for fleet run {stands.run} and does not know the decision",
        UNDID_ITSELF: f"went back without knowing the decision about fleet run {stands.run}",
        ABORTING: f"of fleet run {stands.run} is being rolled back, and that has not finished",
        COMMITTING: f"is being rolled back in fleet run {stands.run}, and that has not finished",
    }[stands.state]
    if stands.rollback and stands.asks:
        problem = f"is to be rolled back in fleet run {stands.run}, and does not know the decision"
    raise InDoubt(
        f"Installation {stands.install_id} {problem}.",
        untouched="everything.",
        advice=f"Roll back to {stands.to}."
        if stands.to
        else f"The decision is at {stands.where or stands.decision_log}: run the playbook there. Or give "
        "sage_fleet_finish=commit or sage_fleet_finish=abort if you know what the other hosts of that run did.",
        fleet=stands.as_dict(),
    )


def _refuse_fired(installation: Installation, goes_on: bool) -> None:
    """Nothing goes on where the switch has taken everything back, nor begins before it has.

    :param goes_on: the same installation is to go on, whose controller gave no sign in time.
    :raises Fired: that is so here.
    """
    if installation.fired is None or not (goes_on or installation.unfinished or installation.status == "prepared"):
        return
    rolled_back = installation.status == "rolled_back"
    raise Fired(
        f"The dead-man's switch of installation {installation.install_id} fired at {installation.fired['time']}, after "
        f"{installation.fired['after']:g} s without a sign of the controller: everything "
        f"{'was taken back' if rolled_back else 'has to be taken back, and the rollback has not run yet'}.",
        untouched="everything.",
        advice="Run again. Give sage_deadman more than the longest phase takes."
        if rolled_back
        else f"Roll back to {installation.install_id}, which tells what is in the way.",
        fired=installation.fired,
    )


def touched(specs: t.Iterable[Spec]) -> list[str]:
    """Paths on the file systems that changes of some resources write to."""
    paths: list[str] = []
    for spec in specs:
        # What names no path is packages of the system.
        paths += [spec["path"]] if spec.get("path") else spec.get("paths") or durable.SYSTEM
    return paths


class Engine:
    """The way to the state of one root.

    :param root: where SAGE is installed; the state lies in C(<root>/.sage/checkpoints).
    :param checkpoint_dir: another place for the state.
    :param lock_timeout: seconds to wait for another process.
    :param repackage_dir: another place for captured content.
    :param run: the run that it works for; None outside of one.
    :ivar joins: it belongs to whichever run is at work, as a dead-man's switch does.
    """

    def __init__(
        self,
        root: str,
        checkpoint_dir: str | None = None,
        lock_timeout: float = 60.0,
        repackage_dir: str | None = None,
        run: Run | None = None,
    ) -> None:
        self.root = root
        self.checkpoint_dir = checkpoint_dir
        self.lock_timeout = lock_timeout
        self.repackage_dir = repackage_dir
        self.run = run
        self.joins = False

    @classmethod
    def from_options(cls, options: t.Mapping[str, t.Any]) -> Engine:
        """The same by the options of a module, C(STATE_OPTIONS)."""
        asked = options["lease"]
        run = lease.Run(**{name: asked[name] for name in lease.Run._fields}) if asked and asked["run"] else None
        return cls(options["root"], options["checkpoint_dir"], options["lock_timeout"], options["repackage_dir"], run)

    @property
    def path(self) -> str:
        """Where the state lies or would lie."""
        return os.path.normpath(self.checkpoint_dir or os.path.join(self.root, STATE_DIR, CHECKPOINTS))

    @property
    def holds(self) -> bool:
        """The run keeps the lease after this call, whatever is at work."""
        return self.run is not None and self.run.hold

    @contextlib.contextmanager
    def session(self) -> t.Iterator[Session]:
        """A session that may write: the directory exists, the lock is held, and no other run is at work.

        :raises Leased: one is.
        """
        # Whoever holds the lock for long is named, and what a dead run left may hold it.
        self.refuse_others()
        with self._open() as state, Lock(state, self.lock_timeout):
            self._refuse_others(state)
            if self.repackage_dir:
                # Rarely needed, and what it imports costs every call.
                from ansible_collections.intellistream.sage.plugins.module_utils._storage import store

                store.place(state, self.repackage_dir)
            run = self.run
            session = Session(state, self.path, self.root, writes=True, run=run.run if run is not None else "")
            if run is None or self.joins:
                yield session
                return
            before, content = lease.read(state), state.read(lease.NAME)
            stays = not run.brief or (before is not None and before.held and before.run == run.run)
            session.follows_run = not run.brief
            lease.take(state, run, held=True)
            try:
                yield session
            except Leased:
                # The installation is another run's: this one has come too late.
                stays = False
                raise
            finally:
                if stays:
                    lease.take(state, run, held=session.keeps(run))
                else:
                    lease.put_back(state, content)

    @contextlib.contextmanager
    def opened(self, check_mode: bool) -> t.Iterator[Session]:
        """M(session), or in check mode M(reading), refused in the same words.

        :raises Leased: another run is at work.
        """
        if check_mode:
            self.refuse_others(ends=False)
        with self.reading() if check_mode else self.session() as session:
            yield session

    def refuse_others(self, ends: bool = True) -> list[str]:
        """Refuse where another run is at work; what a dead one left at work is ended.

        :param ends: false in check mode, which ends nothing.
        :returns: ids of the runs whose processes may be ended: this one, and the one that was here last.
        :raises Leased: another run is at work.
        """
        state = open_state(self.root, self.checkpoint_dir)
        if state is None:
            return [self.run.run] if self.run is not None else []
        with state:
            self._refuse_others(state, ends)
            last = lease.read(state)
        return [run.run for run in (self.run, last) if run is not None]

    def _refuse_others(self, state: PrivateDir, ends: bool = True) -> None:
        if not self.joins:
            lease.refuse(state, os.path.normpath(self.root), self.run, ends)

    @contextlib.contextmanager
    def reading(self) -> t.Iterator[Session]:
        """A session that writes nothing and waits for nobody; there may be no state at all."""
        state = open_state(self.root, self.checkpoint_dir)
        try:
            yield Session(state, self.path, self.root, writes=False)
        finally:
            if state is not None:
                state.close()

    def _open(self) -> PrivateDir:
        """The state directory, made where there is none."""
        state = open_state(self.root, self.checkpoint_dir, create=True)
        if state is None:
            raise StateError(
                f"{self.path} went away while it was opened.", untouched="everything.", advice="Run again."
            )
        return state

    def exists(self) -> bool:
        """There is a state directory, whatever is in it, or what an interrupted M(reset) left."""
        return (os.path.lexists(self.path) and not is_empty(self.path)) or bool(self.removed())

    def removed(self) -> list[str]:
        """What interrupted removals have left beside it."""
        above, name = os.path.split(self.path)
        try:
            names = os.listdir(above)
        except OSError:
            return []
        paths = [os.path.join(above, other) for other in names if other.startswith(f"{name}.removed.")]
        return [path for path in paths if _was_private(path)]

    def _is_own(self, state: PrivateDir) -> bool:
        """Whether this root's record lies here, and not a copy of another's.

        :raises ForeignRecord: another root's record itself does.
        """
        try:
            Session(state, self.path, self.root, writes=False)
        except ForeignRecord as error:
            if error.details["shared"]:
                raise
            return False
        except StateError:
            # What cannot be read is removed as well: that is what this is for.
            return True
        return True

    def reset(self) -> None:
        """Remove the whole state, history and captured content included.

        It is renamed first, so that an interrupted removal never leaves half a state. A directory that was there before
        the state stays, empty. What a copy shares with the original, captured content that lies elsewhere, stays.

        :raises ForeignRecord: it is the record of another root, in a directory that both name.
        :raises UnsafePath: the directory was not made by this collection, and is not empty.
        """
        with self.locked() as state:
            if state is not None:
                self.forget(state)
        self.sweep()

    @contextlib.contextmanager
    def locked(self) -> t.Iterator[PrivateDir | None]:
        """The state, whatever its record says, as for writing, so that nobody else's directory is removed.

        :returns: None where there is none: nothing is locked then.
        :raises Leased: another run is at work.
        :raises UnsafePath: the directory was not made by this collection, and is not empty.
        """
        check_owned(os.path.dirname(self.path))
        self.refuse_others()
        if not os.path.lexists(self.path):
            yield None
            return
        with open_private(self.path, create=True) as state, Lock(state, self.lock_timeout):
            yield state

    def forget(self, state: PrivateDir) -> None:
        """Remove the history, and begin to remove what is stored; M(sweep) removes the rest. Under the lock.

        :raises ForeignRecord: it is the record of another root, in a directory that both name.
        """
        try:
            if self._is_own(state):
                from ansible_collections.intellistream.sage.plugins.module_utils._storage import store

                store.remove(state)
            if state.was_made():
                os.rename(self.path, f"{self.path}.removed.{os.getpid()}")
            else:
                # Without these two there is no history, whatever else is still there.
                for name in (progress.NAME, LEDGER):
                    state.remove(name)
                state.clear()
        except OSError as error:
            raise storage_error(self.path, error) from error

    def sweep(self) -> None:
        """Remove what M(forget) has put beside, also where that was interrupted."""
        try:
            for path in self.removed():
                remove_private(path)
                # One whose removal was interrupted at its very end has no mark any more.
                with contextlib.suppress(FileNotFoundError):
                    os.rmdir(path)
        except OSError as error:
            raise storage_error(self.path, error) from error


def _was_private(path: str) -> bool:
    """Whether it is what is left of a state, or a link, which is refused where it is followed."""
    return os.path.islink(path) or os.path.lexists(os.path.join(path, MARK)) or is_empty(path)
