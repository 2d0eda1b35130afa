"""One of the six steps of an installation, as the ledger's events tell of it."""

from __future__ import annotations

import typing as t

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.plugin_utils._events import (
        Event,
        Facts,
        Observed,
        PhaseMoved,
        PhaseRecord,
    )

DONE = ("completed", "skipped")


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

    def __init__(self, name: str, record: PhaseRecord | None = None) -> None:
        record = record or {}
        self.name = name
        self.status: str = record.get("status", "pending")
        self.started: str | None = record.get("started")
        self.ended: str | None = record.get("ended")
        self.data: t.Any = record.get("data")
        self.failure: t.Any = record.get("failure")
        self.result: list[Observed] = record.get("result") or []
        self.more: Facts = {name: field for name, field in record.items() if name not in self.__slots__}

    @property
    def done(self) -> bool:
        """Nothing is left to do in it."""
        return self.status in DONE

    def as_dict(self) -> PhaseRecord:
        """The phase as JSON-able data."""
        fields = {name: getattr(self, name) for name in self.__slots__ if name not in ("name", "more")}
        return t.cast("PhaseRecord", {**self.more, **fields})

    def move(self, event: PhaseMoved, time: str) -> None:
        """Take the phase to the status of a C(phase) event."""
        self.status = event["status"]
        self.data = event.get("data")
        self.more = fields_of(event, "phase", "status", "data", "result")
        if self.status == "started":
            self.started, self.ended, self.result, self.failure = time, None, [], None
        else:
            self.ended = time
        if self.status == "failed":
            self.failure = self.data
        if event.get("result") is not None:
            self.result = event["result"]
