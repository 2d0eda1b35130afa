# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Events for tests of the record, which need only say what they are about."""

from __future__ import annotations

import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._records.ledger import MAIN, LedgerLine

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._records.session import Engine
    from ansible_collections.intellistream.sage.plugins.plugin_utils._events import Event


# Of an event's required fields, those that most tests have nothing to say about.
_REST: dict[str, dict[str, t.Any]] = {
    "begun": {
        "inputs": {},
        "environment": {},
        "identity": {"machine": "", "root": "", "checkpoints": ""},
        "run": "",
        "carried": {},
    },
    "phase": {"data": None, "run": ""},
    "described": {"run": ""},
    "captured": {"phase": None, "description": "", "specs": [], "resources": []},
    "settled": {"after": [], "unchanged": False},
    "undoing": {"phases": [], "entire": False, "force": False, "redo": None, "plan": {}},
}


def event(fields: t.Mapping[str, t.Any]) -> Event:
    """An event with these fields and what it must have besides, or one that no version writes."""
    return t.cast("Event", {**_REST.get(fields["event"], {}), **fields})


VERIFIED = event({"event": "verified", "resources": [], "versions": {}, "files": 0, "imports": [], "commands": []})


def verified(engine: Engine) -> None:
    """Record that what was installed was verified, as sage_verify does once it has looked."""
    with engine.session() as session:
        session.add(VERIFIED)
        session.commit()


def line(seq: int, install_id: str, *events: t.Mapping[str, t.Any], time: str = "") -> LedgerLine:
    """A line of a ledger as it is folded: without what finds it in a file."""
    return LedgerLine(seq, time or f"t{seq}", install_id, install_id, MAIN, 0, {}, list(map(event, events)), "", "")
