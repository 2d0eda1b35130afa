# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a host stands in its fleet run: the tables against rules that say the same one fact at a time."""

from __future__ import annotations

import copy
import typing as t

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._records import standing as tables
from ansible_collections.intellistream.sage.plugins.module_utils._records.installation import PHASES, Installation
from ansible_collections.intellistream.sage.plugins.module_utils._records.standing import standing
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils.recorded import event as recorded

RUN = {"run": "r", "decision_log": "l", "where": "w"}
TERMS = {"to": "a.1", "force": False, "kinds": [], "erase_installed_after": "", "keep_broken": False}
DECISIONS: dict[str, dict[str, t.Any]] = {
    f"{name}{' by the script' if by_script else ''}": {"event": name, "run": "r", "by_script": by_script}
    for name in ("committed", "aborted")
    for by_script in (False, True)
}
OTHERS: dict[str, dict[str, t.Any]] = {
    "unilateral": {"event": "unilateral", "run": "r"},
    "rollback_done": {"event": "rollback_done"},
    "rollback begun": {"event": "undoing", "points": []},
    "rolled back": {"event": "undone", "outcome": "exact", "phases": list(PHASES), "status": "rolled_back"},
    "rolled back to a phase": {"event": "undone", "outcome": "exact", "phases": ["cleanup"], "status": None},
    "rolled back with differences": {"event": "undone", "outcome": "differs"},
    "nothing was changed": {"event": "ended", "status": "rolled_back"},
    "rollback undone": {"event": "redone", "before": {"status": "prepared", "phases": {}, "undone": {}}},
}


class Facts:
    """What is known of a host, each fact for itself."""

    def __init__(self, rollback: bool) -> None:
        self.rollback = rollback
        self.decision: str | None = None
        self.diverged = self.alone = self.done = self.undoing = False
        self.status = "completed" if rollback else "prepared"

    def take(self, event: dict[str, t.Any]) -> None:
        """What an event tells."""
        name = event["event"]
        if name == "committed":
            self.decision = "commit"
            if not self.rollback:
                in_doubt = self.status == "prepared" and not self.undoing and not event["by_script"]
                self.diverged = not in_doubt
                self.status = "completed" if in_doubt else self.status
        elif name == "aborted":
            self.decision = "abort"
            self.diverged = self.rollback and event["by_script"]
        elif name == "unilateral":
            self.alone = True
        elif name == "rollback_done":
            self.done = True
        elif name == "undoing":
            self.undoing = True
        elif name == "undone":
            self.undoing = False
            if event["outcome"] == "exact":
                self.status = event["status"] or "failed"
        elif name == "ended":
            self.status = "rolled_back"
        else:
            self.status = "prepared"

    @property
    def stands(self) -> str:
        """What follows from them."""
        if self.rollback:
            if self.decision is None:
                return "in_doubt"
            if self.decision == "commit":
                return "committed" if self.done else "committing"
            return "diverged" if self.diverged or (self.alone and self.status == "rolled_back") else "aborted"
        if self.status == "prepared":
            return "aborting" if self.decision or self.undoing else "in_doubt"
        if self.decision is None:
            return "undid_itself"
        if self.decision == "abort":
            return "aborted" if self.status == "rolled_back" else "aborting"
        return "diverged" if self.diverged or (self.alone and self.status != "completed") else "committed"


def _may(facts: Facts, event: dict[str, t.Any]) -> bool:
    """Whether a host records it then."""
    name, stands = event["event"], facts.stands
    if name in ("committed", "aborted"):
        return facts.decision is None
    if name == "unilateral":
        return stands == "in_doubt" or (stands == "committed" and not facts.rollback)
    return name != "rollback_done" or stands == "committing"


@pytest.mark.slow
@pytest.mark.parametrize("rollback", [False, True])
def test_the_tables_say_what_the_facts_say(rollback: bool) -> None:
    """After each way in which up to four events may follow one another."""
    installation = Installation("a", "t0")
    installation.status = "completed"
    begins = {"event": "rollback_prepared", **RUN, "rollback": TERMS, "points": []} if rollback else None
    installation.apply(recorded(begins or {"event": "prepared", **RUN}), "t1")
    seen: set[str] = set()
    learned: set[str] = set()

    def visit(installation: Installation, facts: Facts, way: tuple[str, ...]) -> None:
        stands = standing(installation)
        assert stands is not None
        assert (stands.state, stands.decision) == (facts.stands, facts.decision), way
        assert installation.rollback_pending == (rollback and facts.decision != "abort" and not facts.done), way
        assert installation.fleet is not None
        seen.add(stands.state)
        learned.add(installation.fleet["learned"])
        if len(way) == 4:
            return
        for name, event in {**DECISIONS, **OTHERS}.items():
            if _may(facts, event):
                after, known = copy.deepcopy(installation), copy.copy(facts)
                after.apply(recorded(event), "t2")
                known.take(event)
                visit(after, known, (*way, name))

    visit(installation, Facts(rollback), ())
    everything = {state for by_status in tables.STANDS.values() for state in by_status.values()}
    assert seen == everything - ({"aborting", "undid_itself"} if rollback else {"committing"})
    assert learned == {name for name in tables.STANDS if name.startswith("rollback_") == rollback}


def test_the_tables_name_each_other() -> None:
    assert set(tables.LEARNS) <= set(tables.STANDS)
    assert {after for by_event in tables.LEARNS.values() for after in by_event.values()} <= set(tables.STANDS)
    assert all("*" in by_status for by_status in tables.STANDS.values())
