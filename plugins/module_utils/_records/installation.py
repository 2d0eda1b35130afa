# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the ledger's events add up to: installations, their phases, their rollback points.

A pure fold: the same entries give the same state, wherever a run was interrupted.
"""

from __future__ import annotations

import typing as t

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._records.ledger import Entry, Event

PHASES = ("environment_setup", "submodule_sync", "python_deps", "sage_packages", "verification", "cleanup")
STATUSES = ("pending", "started", "completed", "skipped", "failed", "rolled_back")
DONE = ("completed", "skipped")
_SOMETIMES = ("fleet", "window", "undo", "fired", "whole")


class Phase:
    """One of the six steps.

    :ivar status: one of V(pending), V(started), V(completed), V(skipped), V(failed), V(rolled_back).
    :ivar started: ISO time of the latest start, or None.
    :ivar ended: ISO time of the latest end, or None.
    :ivar data: what the caller said about it: free text, a mapping, or None.
    :ivar failure: what the caller said when it last failed, kept after the undo.
    :ivar result: recorded facts: a list of mappings C(spec), C(facts).
    """

    __slots__ = ("name", "status", "started", "ended", "data", "failure", "result")

    def __init__(self, name: str, **values: t.Any) -> None:
        self.name = name
        self.status: str = values.get("status", "pending")
        self.started: str | None = values.get("started")
        self.ended: str | None = values.get("ended")
        self.data: t.Any = values.get("data")
        self.failure: t.Any = values.get("failure")
        self.result: list[dict[str, t.Any]] = values.get("result") or []

    @property
    def done(self) -> bool:
        """Nothing is left to do in it."""
        return self.status in DONE

    def as_dict(self) -> dict[str, t.Any]:
        """The phase as JSON-able data."""
        return {name: getattr(self, name) for name in self.__slots__ if name != "name"}

    def move(self, status: str, time: str, data: t.Any, result: list[dict[str, t.Any]] | None) -> None:
        """Take the phase to C(status)."""
        self.status = status
        self.data = data
        if status == "started":
            self.started, self.ended, self.result, self.failure = time, None, [], None
        else:
            self.ended = time
        if status == "failed":
            self.failure = data
        if result is not None:
            self.result = result


class Installation:
    """One attempt to bring a host to a wanted SAGE.

    :ivar install_id: C(YYYYMMDD_HHMMSS), also the transaction id.
    :ivar status: V(running), V(prepared), V(completed), V(failed), V(rolled_back) or V(abandoned).
    :ivar inputs: what was wanted, by phase.
    :ivar environment: facts of the host it began on.
    :ivar points: rollback points in the order of their capture; C(undone) tells which were used up.
    :ivar fleet: the fleet run it was prepared for, see M(_fleet.participant); None when there was none. With C(back)
        it is one that rolls back, and C(points) are those it would undo.
    :ivar window: phase → C(expected), C(undo), C(left), in seconds, when it began; empty without a window.
    :ivar undo: what its latest rollback had to do, and C(seconds) that it took; None when there was none.
        C(failed) is when the phase had failed that was the reason, or None.
    :ivar whole: it belongs to a run that is all or none: nothing of it is kept when it is not finished.
    :ivar undoings: point and time of its undoing → how many points there were on the host's timeline by then. Clocks
        are set back; the order of the ledger is not. Only known where the whole history was folded.
    :ivar fired: C(time), C(after), C(by) when its dead-man's switch fired; None when it did not.
    """

    def __init__(self, install_id: str, begin: int, time: str) -> None:
        self.install_id = install_id
        self.begin = begin
        self.begun = time
        self.updated = time
        self.status = "running"
        self.inputs: dict[str, t.Any] = {}
        self.environment: dict[str, t.Any] = {}
        self.labels: dict[str, str] = {"install_mode": "", "environment_name": "", "python_path": ""}
        self.previous: int | None = None
        self.phases: dict[str, Phase] = {name: Phase(name) for name in PHASES}
        self.points: list[dict[str, t.Any]] = []
        self.undoing: dict[str, t.Any] | None = None
        self.fleet: dict[str, t.Any] | None = None
        self.window: dict[str, dict[str, float]] = {}
        self.undo: dict[str, t.Any] | None = None
        self.undoings: dict[tuple[str, str], int] = {}
        self.fired: dict[str, t.Any] | None = None
        self.whole = False

    @property
    def unfinished(self) -> bool:
        """It can be continued."""
        return self.status in ("running", "failed")

    @property
    def promised(self) -> bool:
        """It has to be rolled back if a fleet run decides or has decided so, and is not yet."""
        fleet = self.fleet or {}
        return bool(fleet.get("back")) and fleet.get("decision") != "abort" and not fleet.get("delivered")

    @property
    def active_points(self) -> list[dict[str, t.Any]]:
        """Rollback points that can still be undone, oldest first."""
        return [point for point in self.points if not point.get("undone")]

    def as_dict(self) -> dict[str, t.Any]:
        """The installation as JSON-able data."""
        return {
            "install_id": self.install_id,
            "status": self.status,
            "begun": self.begun,
            "updated": self.updated,
            "inputs": self.inputs,
            "environment": self.environment,
            **self.labels,
            "phases": {name: phase.as_dict() for name, phase in self.phases.items()},
            "rollback_points": self.points,
            **{name: value for name in _SOMETIMES for value in [getattr(self, name)] if value},
        }

    def apply(self, event: Event, time: str) -> None:
        """Fold one event in; an event of a kind from a later version is passed over."""
        handler = getattr(self, f"_on_{event.get('event')}", None)
        if handler is not None:
            handler(event, time)
        self.updated = time

    def _on_begun(self, event: Event, _time: str) -> None:
        self.inputs = event.get("inputs") or {}
        self.environment = event.get("environment") or {}
        self.previous = event.get("previous")
        for name, values in (event.get("carried") or {}).items():
            self.phases[name] = Phase(name, **values)
        self._on_described(event, _time)

    def _on_described(self, event: Event, _time: str) -> None:
        self.labels.update({name: event[name] for name in self.labels if event.get(name) is not None})
        self.whole = bool(event.get("whole", self.whole))

    def _on_phase(self, event: Event, time: str) -> None:
        name, status = event["phase"], event["status"]
        if status == "started":
            # What comes after rests on this phase, so it has to be done again.
            for later in PHASES[PHASES.index(name) + 1 :]:
                self.phases[later] = Phase(later)
        self.phases[name].move(status, time, event.get("data"), event.get("result"))
        self.status = "failed" if status == "failed" else "running"
        if all(phase.done for phase in self.phases.values()):
            self.status = "completed"

    def _on_captured(self, event: Event, time: str) -> None:
        point = {name: value for name, value in event.items() if name != "event"}
        self.points.append({"install_id": self.install_id, "time": time, **point})

    def _on_undoing(self, event: Event, _time: str) -> None:
        self.undoing = event

    def _on_undone(self, event: Event, time: str) -> None:
        self.undoing = None
        if event.get("took"):
            failed = [phase.ended for phase in self.phases.values() if phase.status == "failed" and phase.ended]
            self.undo = {**event["took"], "failed": max(failed, default=None), "ended": time}
        if event.get("outcome") != "exact":
            for point in self.points:
                if point["point"] == event.get("redo"):
                    # What this rollback was to undo still counts, and so does what it captured before.
                    point["incomplete"] = True
            return
        for point in self.points:
            if point["point"] in (event.get("points") or []):
                point["undone"] = time
        for name in event.get("phases") or []:
            if self.phases[name].status != "pending":
                self.phases[name].status, self.phases[name].ended = "rolled_back", time
        if event.get("installation"):
            self.status = "rolled_back"
        elif event.get("phases"):
            # A point that was captured by hand belongs to no phase; undoing it finishes or breaks none.
            self.status = "failed"

    def _on_redone(self, event: Event, _time: str) -> None:
        """A rollback was undone: what it had changed of the record is as before."""
        was = event.get("was") or {}
        self.status = was.get("status", self.status)
        for name, status in (was.get("phases") or {}).items():
            self.phases[name].status = status
        for point in self.points:
            if point["point"] in (was.get("undone") or {}):
                point.pop("undone", None)
                if was["undone"][point["point"]]:
                    point["undone"] = was["undone"][point["point"]]

    def _on_settled(self, event: Event, _time: str) -> None:
        for point in self.points:
            if point["point"] == event.get("point"):
                point["after"] = event.get("after") or []

    def _on_pruned(self, event: Event, time: str) -> None:
        for point in self.points:
            if point["point"] in (event.get("points") or []):
                point["pruned"] = time

    def _on_archived(self, event: Event, _time: str) -> None:
        for point in self.points:
            if point["point"] in (event.get("points") or {}):
                point["archive"] = event["points"][point["point"]]

    def _on_prepared(self, event: Event, time: str) -> None:
        self.status = "prepared"
        self.fleet = {name: event.get(name) for name in ("run", "place", "where")}
        self.fleet["since"] = time

    def _on_promised(self, event: Event, time: str) -> None:
        self.fleet = {name: event.get(name) for name in ("run", "place", "where", "back", "points")}
        self.fleet["since"] = time

    def _on_delivered(self, _event: Event, _time: str) -> None:
        self.fleet = {**(self.fleet or {}), "delivered": True}

    def _on_committed(self, event: Event, _time: str) -> None:
        fleet = self.fleet or {}
        if fleet.get("back"):
            self.fleet = {**fleet, "decision": "commit"}
            return
        in_doubt = self.status == "prepared" and not self.undoing and not event.get("undone")
        self.fleet = {**fleet, "decision": "commit", "diverged": not in_doubt}
        if in_doubt:
            self.status = "completed"

    def _on_aborted(self, event: Event, _time: str) -> None:
        fleet = self.fleet or {}
        # What it had promised it did without being told, by its script.
        diverged = {"diverged": True} if fleet.get("back") and event.get("undone") else {}
        self.fleet = {**fleet, "decision": "abort", **diverged}

    def _on_alone(self, event: Event, _time: str) -> None:
        self.fleet = {**(self.fleet or {}), "alone": True}

    def _on_window(self, event: Event, _time: str) -> None:
        self.window[event["phase"]] = {name: event[name] for name in ("expected", "undo", "left")}

    def _on_fired(self, event: Event, time: str) -> None:
        self.fired = {"time": time, "after": event.get("after"), "by": event.get("by")}

    def _on_ended(self, event: Event, _time: str) -> None:
        self.status = event["status"]


def fold(entries: t.Iterable[Entry], into: list[Installation] | None = None) -> list[Installation]:
    """All installations of these entries, oldest first.

    :param into: installations that the entries go on from; changed and returned.
    """
    known = {one.install_id: one for one in into or []}
    for entry in entries:
        one = known.get(entry.install_id)
        if one is None:
            one = known[entry.install_id] = Installation(entry.install_id, entry.begin, entry.time)
        for event in entry.events:
            # An undo is one call and one entry, but may reach back over several installations.
            for target in event.get("installations") or [entry.install_id]:
                if target in known:
                    known[target].apply(event, entry.time)
                    if event.get("event") == "undone":
                        points = sum(len(each.points) for each in known.values())
                        undone = {(point, entry.time): points for point in event.get("points") or []}
                        known[target].undoings.update(undone)
    return list(known.values())
