"""What the ledger's events add up to: changes, their rollback points, and of installations the phases.

A pure fold: the same lines give the same state, wherever a run was interrupted.
"""

from __future__ import annotations

import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import UnknownFormat
from ansible_collections.intellistream.sage.plugins.module_utils._records import standing

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._records.ledger import LedgerLine
    from ansible_collections.intellistream.sage.plugins.plugin_utils import _events as events
    from ansible_collections.intellistream.sage.plugins.plugin_utils._events import Event, Facts, Point
    from ansible_collections.intellistream.sage.plugins.plugin_utils._structures import RecordedInstallation

PHASES = ("environment_setup", "submodule_sync", "python_deps", "sage_packages", "verification", "cleanup")
# By what they do.
ENVIRONMENT, DISTRIBUTIONS, VERIFICATION, CLEANUP = "environment_setup", "python_deps", "verification", "cleanup"
STATUSES = ("pending", "started", "completed", "skipped", "failed", "rolled_back")
_DONE = ("completed", "skipped")
_NOT_IN_FORCE = ("rolled_back", "abandoned")
# Who made a point outside of an installation.
ORIGINS = ("hand", "hook")
_SOMETIMES = ("fleet", "window", "undo", "fired", "all_or_nothing", "verified")
_LABELS = ("install_mode", "environment_name", "python_path")
# Fields that an event must have; C(before) is in C(redone).
REQUIRED = {
    "begun": "inputs environment identity run carried",
    "described": "run",
    "rerooted": "identity",
    "phase": "phase status data run",
    "captured": "point phase description specs resources",
    "settled": "point after unchanged",
    "verified": "resources versions files imports commands",
    "undoing": "points phases entire force redo plan",
    "undone": "outcome",
    "redone": "before",
    "before": "status phases undone",
    "pruned": "points",
    "archived": "points",
    "window": "phase expected undo seconds_left",
    "prepared": "run decision_log where",
    "rollback_prepared": "run decision_log where rollback points",
    "committed": "run by_script",
    "aborted": "run by_script",
    "unilateral": "run",
    "fired": "after by",
    "ended": "status",
}
# Fields that say words of a list.
_WORDS: dict[str, dict[str, tuple[str | None, ...]]] = {
    "begun": {"carried": PHASES},
    "phase": {"phase": PHASES, "status": STATUSES},
    "captured": {"phase": (*PHASES, None), "by": ORIGINS},
    "undoing": {"phases": PHASES},
    "undone": {"outcome": ("exact", "differs"), "phases": PHASES, "status": ("rolled_back", None)},
    "before": {
        "phases": PHASES,
        "status": (None, "running", "prepared", "abandoned", "completed", "failed", "rolled_back"),
    },
    "phases": {"status": STATUSES},
    "window": {"phase": PHASES},
    "ended": {"status": ("abandoned", "rolled_back")},
}


def fields_of(event: Event, *without: str) -> dict[str, t.Any]:
    """All fields of an event, those of later versions included, but what every event may have, and C(without)."""
    excluded = ("event", "installations", "ignorable", *without)
    return {name: field for name, field in event.items() if name not in excluded}


class Phase:
    """One of the six steps.

    :ivar status: one of V(pending), V(started), V(completed), V(skipped), V(failed), V(rolled_back).
    :ivar started: ISO time of the latest start, or None.
    :ivar ended: ISO time of the latest end, or None.
    :ivar data: what the caller said about it: free text, a mapping, or None.
    :ivar failure: what the caller said when it last failed, kept after the undo.
    :ivar result: recorded facts of what it has made.
    :ivar more: fields of the latest C(phase) event that this version does not know.
    """

    __slots__ = ("name", "status", "started", "ended", "data", "failure", "result", "more")

    def __init__(self, name: str, record: events.PhaseRecord | None = None) -> None:
        record = record or {}
        self.name = name
        self.status: str = record.get("status", "pending")
        self.started: str | None = record.get("started")
        self.ended: str | None = record.get("ended")
        self.data: t.Any = record.get("data")
        self.failure: t.Any = record.get("failure")
        self.result: list[events.Observed] = record.get("result") or []
        self.more: Facts = {name: field for name, field in record.items() if name not in self.__slots__}

    @property
    def done(self) -> bool:
        """Nothing is left to do in it."""
        return self.status in _DONE

    def as_dict(self) -> events.PhaseRecord:
        """The phase as JSON-able data."""
        fields = {name: getattr(self, name) for name in self.__slots__ if name not in ("name", "more")}
        return t.cast("events.PhaseRecord", {**self.more, **fields})

    def move(self, event: events.PhaseMoved, time: str) -> None:
        """Take the phase to the status of a C(phase) event."""
        self.status = event["status"]
        self.data = event.get("data")
        self.more = fields_of(event, "phase", "status", "data", "run", "result")
        if self.status == "started":
            self.started, self.ended, self.result, self.failure = time, None, [], None
        else:
            self.ended = time
        if self.status == "failed":
            self.failure = self.data
        if event.get("result") is not None:
            self.result = event["result"]


class Change:
    """What altered a system, with the rollback points that were captured before it.

    :ivar install_id: its id, from the same increasing sequence whoever made it: C(YYYYMMDD_HHMMSS).
    :ivar origin: V(installation), V(hand), V(hook) or V(rollback).
    :ivar begun: ISO time when it began.
    :ivar updated: ISO time of what happened to it last.
    :ivar identity: whose record it is in.
    :ivar seq: number of the ledger's line that began it; 0 where it was not read from a ledger.
    :ivar points: rollback points in the order of their capture; C(undone) tells which were used up.
    :ivar undoings: point and time of its undoing → how many points there were on the host's timeline by then. Clocks
        are set back; the order of the ledger is not. Only known where the whole history was folded.
    """

    def __init__(self, install_id: str, time: str, origin: str, seq: int = 0) -> None:
        self.install_id = install_id
        self.origin = origin
        self.begun = time
        self.updated = time
        self.seq = seq
        self.phases: dict[str, Phase] = {}
        self.identity: events.Identity = {"machine": "", "root": "", "checkpoints": ""}
        self.points: list[Point] = []
        self.undoing: events.Undoing | None = None
        self.undoings: dict[tuple[str, str], int] = {}

    @property
    def state(self) -> str:
        """V(rolled_back) when all of it was undone, else V(completed)."""
        return "completed" if self.active_points or not self.points else "rolled_back"

    @property
    def active_points(self) -> list[Point]:
        """Rollback points that can still be undone, oldest first."""
        return [point for point in self.points if not point.get("undone")]

    @property
    def altered(self) -> bool:
        """It altered the system, or may have: not all that it captured was looked at afterwards and had stayed."""
        return any(not point.get("unchanged") for point in self.points)

    @property
    def in_force(self) -> bool:
        """It altered the system, and that was not undone."""
        return any(not point.get("unchanged") for point in self.active_points)

    def apply(self, event: Event, time: str, seq: int = 0) -> None:
        """Fold one event in; what is not about a change of its kind does nothing.

        :param time: ISO time of the event.
        :param seq: the number of its line in the ledger.
        """
        if event["event"] == "captured":
            # What is no installation says itself whose record it is in.
            self.identity = event.get("identity", self.identity)
            fields = fields_of(event, "identity")
            point = {"install_id": self.install_id, "time": time, "seq": seq, "root": self.identity["root"], **fields}
            self.points.append(t.cast("Point", point))
        else:
            handler = getattr(self, f"_on_{event['event']}", None)
            if handler is not None:
                handler(event, time)
        self.updated = time

    def _on_undoing(self, event: events.Undoing, _time: str) -> None:
        self.undoing = event

    def _on_undone(self, event: events.Undone, time: str) -> None:
        self.undoing = None
        for point in self.points:
            if point["point"] in event.get("lost", ()):
                point["lost"] = time
            if event["outcome"] != "exact":
                if point["point"] == event.get("redo"):
                    # What this rollback was to undo still counts, and so does what it captured before.
                    point["incomplete"] = True
            elif point["point"] in (event.get("points") or []):
                point["undone"] = time

    def _on_redone(self, event: events.Redone, _time: str) -> None:
        """A rollback was undone: what it had changed of the record is as before."""
        before = event["before"]
        for point in self.points:
            if point["point"] in before["undone"]:
                point.pop("undone", None)
                undone = before["undone"][point["point"]]
                if undone is not None:
                    point["undone"] = undone

    def _on_settled(self, event: events.PointSettled, _time: str) -> None:
        for point in self.points:
            if point["point"] == event["point"]:
                point["after"] = event["after"]
                point["unchanged"] = event["unchanged"]

    def _on_pruned(self, event: events.Pruned, time: str) -> None:
        for point in self.points:
            if point["point"] in event["points"]:
                point["pruned"] = time

    def _on_archived(self, event: events.Archived, _time: str) -> None:
        for point in self.points:
            if point["point"] in event["points"]:
                point["archive"] = event["points"][point["point"]]


class Installation(Change):
    """One attempt to bring a host to a wanted SAGE.

    :ivar install_id: C(YYYYMMDD_HHMMSS), also the transaction id.
    :ivar status: V(running), V(prepared), V(completed), V(failed), V(rolled_back) or V(abandoned).
    :ivar inputs: what was wanted, by phase.
    :ivar run: the run that began it, or that went on with it last; empty outside of one.
    :ivar environment: facts of the host it began on.
    :ivar began_as: whose record it began in.
    :ivar identity: whose record it is since; another one after the root was moved.
    :ivar fleet: the fleet run it was prepared for, see M(_fleet.participant); None when there was none. With
        C(rollback) it is one that rolls back, and C(points) are those it would undo.
    :ivar window: phase → seconds that were expected and left when it began; empty without a window.
    :ivar undo: what its latest rollback had to do, and C(seconds) that it took; None when there was none.
        C(failed) is when the phase had failed that was the reason, or None.
    :ivar all_or_nothing: it belongs to a run that is all or none: nothing of it is kept when it is not finished.
    :ivar fired: when and why its dead-man's switch fired; None when it did not.
    :ivar verified: what was looked at when it was verified last; None when a phase that this rests on has moved since.
    :ivar more: fields of its C(begun) and C(described) events that this version does not know.
    """

    def __init__(self, install_id: str, time: str, seq: int = 0) -> None:
        super().__init__(install_id, time, "installation", seq)
        self.status = "running"
        self.inputs: events.Inputs = {}
        self.run = ""
        self.environment: events.Environment = {}
        self.began_as = self.identity
        self.labels: dict[str, str] = dict.fromkeys(_LABELS, "")
        self.phases = {name: Phase(name) for name in PHASES}
        self.fleet: events.FleetRecord | None = None
        self.window: dict[str, events.WindowTimes] = {}
        self.undo: events.UndoTime | None = None
        self.fired: events.FiredRecord | None = None
        self.all_or_nothing = False
        self.verified: events.Evidence | None = None
        self.more: Facts = {}

    @property
    def table(self) -> events.VerifiedTable | None:
        """Of the files that were verified; None when there is none."""
        return self.verified.get("table") if self.verified is not None else None

    @property
    def wrong_records(self) -> dict[str, str]:
        """Path → hash of verified files that are right although the RECORD of their distribution says otherwise."""
        return dict(self.verified.get("wrong_records") or {}) if self.verified is not None else {}

    @property
    def unfinished(self) -> bool:
        """It can be continued."""
        return self.status in ("running", "failed")

    @property
    def rollback_pending(self) -> bool:
        """It has to be rolled back if a fleet run decides or has decided so, and is not yet."""
        return standing.rollback_pending(self.fleet)

    @property
    def state(self) -> str:
        """Its status."""
        return self.status

    def as_dict(self) -> RecordedInstallation:
        """The installation as JSON-able data."""
        fields = {
            **self.more,
            "install_id": self.install_id,
            "status": self.status,
            "begun": self.begun,
            "updated": self.updated,
            "rollback_points": self.points,
            "inputs": self.inputs,
            "environment": self.environment,
            "identity": self.identity,
            **self.labels,
            "phases": {name: phase.as_dict() for name, phase in self.phases.items()},
            **{name: getattr(self, name) for name in _SOMETIMES if getattr(self, name)},
        }
        return t.cast("RecordedInstallation", fields)

    def apply(self, event: Event, time: str, seq: int = 0) -> None:
        """Fold one event in.

        :raises UnknownFormat: another version wrote it, and it is not marked as C(ignorable).
        """
        if check_known(event):
            super().apply(event, time, seq)
        self.updated = time

    def _on_begun(self, event: events.Begun, _time: str) -> None:
        self.inputs, self.environment = event["inputs"], event["environment"]
        self.began_as = self.identity = event["identity"]
        for name, record in event["carried"].items():
            self.phases[name] = Phase(name, record)
        self._describe(event)

    def _on_rerooted(self, event: events.Rerooted, _time: str) -> None:
        self.identity = event["identity"]

    def _on_described(self, event: events.Described, _time: str) -> None:
        self._describe(event)

    def _describe(self, event: events.Begun | events.Described) -> None:
        """Take the labels of an event, and what it has that this version does not know."""
        fields = fields_of(event, *REQUIRED["begun"].split())
        self.run = event["run"] or self.run
        self.all_or_nothing = bool(fields.pop("all_or_nothing", self.all_or_nothing))
        for name in _LABELS:
            label = fields.pop(name, None)
            if label is not None:
                self.labels[name] = label
        self.more.update(fields)

    def _on_phase(self, event: events.PhaseMoved, time: str) -> None:
        name, status = event["phase"], event["status"]
        self.run = event["run"] or self.run
        if status == "started":
            # What comes after rests on this phase, so it has to be done again.
            for later in PHASES[PHASES.index(name) + 1 :]:
                self.phases[later] = Phase(later)
        self.phases[name].move(event, time)
        if status not in _DONE and name != CLEANUP:
            self.verified = None
        self.status = "failed" if status == "failed" else "running"
        if all(phase.done for phase in self.phases.values()):
            self.status = "completed"

    def _on_undone(self, event: events.Undone, time: str) -> None:
        super()._on_undone(event, time)
        if event.get("work"):
            failures = [phase.ended for phase in self.phases.values() if phase.status == "failed" and phase.ended]
            self.undo = {**event["work"], "failed": max(failures, default=None), "ended": time}
        if event["outcome"] != "exact":
            return
        if event.get("phases"):
            self.verified = None
        for name in event.get("phases") or []:
            if self.phases[name].status != "pending":
                self.phases[name].status, self.phases[name].ended = "rolled_back", time
        self.status = event.get("status") or ("failed" if event.get("phases") else self.status)

    def _on_redone(self, event: events.Redone, _time: str) -> None:
        super()._on_redone(event, _time)
        before = event["before"]
        self.status = before["status"] or self.status
        for name, status in before["phases"].items():
            self.phases[name].status = status

    def _on_verified(self, event: events.Verified, _time: str) -> None:
        self.verified = t.cast("events.Evidence", fields_of(event))

    def _on_prepared(self, event: events.Prepared, time: str) -> None:
        self.status = "prepared"
        self._join(event, time, standing.ASKING)

    def _on_rollback_prepared(self, event: events.RollbackPrepared, time: str) -> None:
        self._join(event, time, standing.ROLLBACK_ASKING)

    def _join(self, event: events.Prepared | events.RollbackPrepared, time: str, learned: str) -> None:
        """It waits for the decision of a run from here on."""
        self.fleet = t.cast("events.FleetRecord", {**fields_of(event), "since": time, "learned": learned})

    def _on_rollback_done(self, event: events.RollbackDone, _time: str) -> None:
        self._learn(event)

    def _on_committed(self, event: events.Decided, _time: str) -> None:
        if self._learn(event) in (standing.LEARNED_COMMIT, standing.LEARNED_COMMIT_ALONE):
            self.status = "completed"

    def _on_aborted(self, event: events.Decided, _time: str) -> None:
        self._learn(event)

    def _on_unilateral(self, event: events.Unilateral, _time: str) -> None:
        self._learn(event)

    def _learn(self, event: Event) -> str:
        """Fold in an event of the fleet; returns what is known of the decision then."""
        if self.fleet is None:
            return ""
        self.fleet["learned"] = standing.learned(self, event)
        return self.fleet["learned"]

    def _on_window(self, event: events.Window, _time: str) -> None:
        self.window[event["phase"]] = t.cast("events.WindowTimes", fields_of(event, "phase"))

    def _on_fired(self, event: events.SwitchFired, time: str) -> None:
        self.fired = t.cast("events.FiredRecord", {"time": time, **fields_of(event)})

    def _on_ended(self, event: events.Ended, _time: str) -> None:
        self.status = event["status"]


EVENTS = frozenset(name[len("_on_") :] for name in dir(Installation) if name.startswith("_on_")) | {"captured"}


def check_known(event: Event, line: LedgerLine | None = None) -> bool:
    """Refuse an event that this version cannot read, unless whoever wrote it said that it may be ignored.

    :param line: its line in the ledger.
    :returns: False for one that is ignored.
    :raises UnknownFormat: another version wrote it.
    """
    name = event.get("event")
    problem, details = _unreadable(name, event) if name in EVENTS else ("that this version does not know", {})
    if not problem:
        return True
    if event.get("ignorable"):
        return False
    source = f"Line {line.seq} of the ledger" if line is not None else "The record"
    raise UnknownFormat(
        f"{source} has an event {name!r} {problem}",
        writer=line.writer if line is not None else "",
        event=name,
        line=line.seq if line is not None else None,
        **details,
    )


def _unreadable(name: str, event: t.Any) -> tuple[str, dict[str, t.Any]]:
    """What cannot be read of an event: in words, and as C(field) and C(value)."""
    parts = [(name, event)]
    if name == "begun":
        parts.append(("phases", {"status": [phase.get("status") for phase in event.get("carried", {}).values()]}))
    elif name == "redone":
        before = event.get("before", {})
        parts += [("before", before), ("phases", {"status": list(before.get("phases", {}).values())})]
    for part, fields in parts:
        for field in REQUIRED.get(part, "").split():
            if field not in fields:
                return f"without {field!r}", {"field": field}
        for field, words in _WORDS.get(part, {}).items():
            content = fields.get(field, [])
            for word in content if isinstance(content, (list, dict)) else [content]:
                if word not in words:
                    return f"with {field} {word!r}, which this version does not know", {"field": field, "value": word}
    return "", {}


def fold(lines: t.Iterable[LedgerLine], into: list[Change] | None = None) -> list[Change]:
    """All changes that began in these lines, oldest first.

    :param into: changes that the lines go on from; changed and returned.
    :raises UnknownFormat: an event of another version, and not marked as C(ignorable).
    """
    by_id = {change.install_id: change for change in into or []}
    points = sum(len(change.points) for change in by_id.values())
    for line in lines:
        for event in line.events:
            # Also one about changes that are not looked at here.
            known = check_known(event, line)
            about = event.get("installations") or [line.install_id]
            if not known:
                pass
            elif event["event"] == "begun":
                by_id[line.install_id] = Installation(line.install_id, line.time, line.seq)
            elif event["event"] == "captured":
                about = [owner(event)]
                if event["phase"] is None and about[0] not in by_id:
                    by_id[about[0]] = Change(about[0], line.time, origin(event), line.seq)
            # An undo is one call and one line, but may reach back over several changes.
            for install_id in about:
                if install_id not in by_id:
                    continue
                if known:
                    by_id[install_id].apply(event, line.time, line.seq)
                    # Counted along: a sum for each undo would cost the square of the history.
                    points += event["event"] == "captured"
                by_id[install_id].updated = line.time
                if known and event["event"] == "undone":
                    names = [*(event.get("points") or ()), *event.get("lost", ())]
                    undone = {(name, line.time): points for name in names}
                    by_id[install_id].undoings.update(undone)
    return list(by_id.values())


def installations(changes: t.Iterable[Change]) -> list[Installation]:
    """The installations among these changes."""
    return [change for change in changes if isinstance(change, Installation)]


def current(changes: t.Iterable[Change]) -> Installation | None:
    """The last installation that began; None before the first."""
    return next(reversed(installations(changes)), None)


def effective(attempts: t.Sequence[Installation]) -> Installation | None:
    """The installation whose result is on the host: the latest that was not undone; None when there is none.

    :param attempts: oldest first.
    """
    return next((attempt for attempt in reversed(attempts) if attempt.status not in _NOT_IN_FORCE), None)


def owner(event: events.PointCaptured) -> str:
    """The id of the change that a captured point belongs to."""
    return event["point"].rpartition(".")[0]


def origin(event: events.PointCaptured) -> str:
    """Who made a point."""
    if event["phase"] is not None:
        return "installation"
    return "rollback" if event.get("redo") else event.get("by", "hand")
