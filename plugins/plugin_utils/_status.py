# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How SAGE stands on each host, in one line each.

What hosts say is data of theirs: it may be of any type and say anything, and stays in the row of its host.
"""

from __future__ import annotations

import typing as t

from ansible_collections.intellistream.sage.plugins.plugin_utils import _outcome
from ansible_collections.intellistream.sage.plugins.plugin_utils._cell import cell, mapping, pad, width, words

if t.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# In the order in which they are counted; the first ones ask for somebody.
STATES = (
    "failed",
    "doubt",
    "drift",
    "unknown",
    "interrupted",
    "running",
    "rolled_back",
    "none",
    "completed",
)
_HEADINGS = ("HOST", "SAGE", "STATUS", "WHY", "NEXT")
# Of a reason so many that two long paths in it do not hide what it says.
_MOST = (200, 24, 12, 600, 60)
# Columns of what failed; the whole text is in the record, and in JSON.
_FAILURE = 100
_OF_RECORD = {
    "completed": "completed",
    "failed": "failed",
    # Unless a run is at work.
    "running": "interrupted",
    "prepared": "doubt",
    "rolled_back": "rolled_back",
    "abandoned": "rolled_back",
}

_DETAILS = (
    "exists",
    "install_id",
    "status",
    "version",
    "in_force",
    "at_work",
    "script",
    "progress",
    "progress_file",
    "phases",
    "resume",
    "rollback_points",
    "damaged",
    "ledger",
    "msg",
)
_HISTORY = ("transactions", "installed_by")


class HostStatus(t.NamedTuple):
    """One host.

    :ivar host: its name in the inventory.
    :ivar sage: versions of SAGE that were found in its environment; empty where there is none.
    :ivar status: one of M(STATES).
    :ivar why: why it is not C(completed); empty where there is nothing to explain.
    :ivar next: what has to be done.
    """

    host: str
    sage: str
    status: str
    why: str
    next: str

    @property
    def cells(self) -> list[str]:
        """What the table shows of it."""
        return [cell(text, most) or "-" for text, most in zip(self, _MOST)]


def row(host: str, record: object, answer: object) -> HostStatus:
    """The line of one host.

    :param record: what M(intellistream.sage.sage_checkpoint_info) returned; anything else counts as no answer.
    :param answer: what the decision log says of the fleet run that the host asks about.
    """
    told = mapping(record)
    sage = words(told.get("version"))
    if not isinstance(told.get("exists"), bool):
        return HostStatus(
            host,
            sage,
            status="unknown",
            why=words(told.get("msg")) or "did not answer",
            next="reach the host, ask again",
        )
    if not told["exists"]:
        return HostStatus(host, sage, status="none", why="nothing has been installed", next="install_sage")
    working = words(mapping(told.get("at_work")).get("told"))
    if working:
        return HostStatus(host, sage, status="running", why=working, next="ask again when it has ended")
    broken = words(mapping(told.get("ledger")).get("message"))
    if broken:
        return HostStatus(host, sage, status="failed", why=broken, next="look at the record; docs/troubleshooting.md")
    if told.get("install_id") is None and told.get("status") is None:
        return HostStatus(
            host,
            sage,
            status="none",
            why="nothing has been installed; there are points to go back to",
            next="install_sage",
        )
    script = mapping(told.get("script"))
    if script:
        # Whatever the record says: an installation would bring back what somebody took back.
        status, verb = ("rolled_back", "record") if script.get("ended") is True else ("interrupted", "finish")
        return HostStatus(host, sage, status, why=words(script.get("told")), next=f"rollback_sage, to {verb} that")
    fleet = _fleet(told, words(mapping(answer).get("msg")))
    if fleet is not None:
        return HostStatus(host, sage, *fleet)
    return HostStatus(host, sage, *_damaged(told, *_installation(told)))


def _damaged(told: Mapping[str, object], status: str, why: str, following: str) -> tuple[str, str, str]:
    """The same, where the ways back are as the record says; else that they are not, where nothing else is."""
    points = told.get("damaged")
    if status != "completed" or not isinstance(points, list) or not points:
        return status, why, following
    first = mapping(points[0])
    problems = first.get("problems")
    problem = words(problems[0]) if isinstance(problems, list) and problems else ""
    more = f" and {len(points) - 1} more" if len(points) > 1 else ""
    return "drift", f"rollback point {words(first.get('point'))}{more} cannot be used: {problem}", "check_sage"


def _fleet(told: Mapping[str, object], answer: str) -> tuple[str, str, str] | None:
    """Status, why and next of a host that a fleet run left with something to do."""
    fleet = mapping(told.get("fleet"))
    run, since = words(fleet.get("run")), words(fleet.get("since"))[:19]
    state = words(fleet.get("state"))
    others = "stayed" if fleet.get("rollback") else "committed"
    if state == "in_doubt":
        return "doubt", f"in doubt since {since}. {answer}", "finish_sage"
    if state == "undid_itself":
        return "doubt", f"rolled back by itself. {answer}", "finish_sage"
    if state == "aborting":
        return "doubt", f"has to roll back, since run {run} was aborted", "finish_sage"
    if state == "committing":
        return "doubt", f"has to roll back, since run {run} decided so", "finish_sage"
    if state == "diverged":
        return "failed", f"rolled back by itself, while the others of run {run} {others}", "install again"
    return None


def _installation(told: Mapping[str, object]) -> tuple[str, str, str]:
    """Status, why and next by the record and the verdict on it."""
    status = _OF_RECORD.get(words(told.get("status")), "unknown")
    resume = mapping(told.get("resume"))
    phase = words(resume.get("phase"))
    reasons = resume.get("reasons")
    reason = words(mapping(reasons[0]).get("reason")) if isinstance(reasons, list) and reasons else ""
    in_force = words(told.get("in_force"))
    because = f"{phase}: {reason}" if phase else ""
    continues = f"install_sage, from {phase}" if phase else "nothing to do"
    if status == "failed":
        return status, _failure(told) or because, continues
    if status == "rolled_back":
        failure = _failure(told)
        if not in_force:
            return status, f"everything was rolled back{'; ' + failure if failure else ''}", continues
        because = failure or because
        return status, f"as {in_force}{': ' + because if because else ''}", continues
    if status == "completed" and phase:
        return "drift", because, continues
    return status, because, continues


def _failure(told: Mapping[str, object]) -> str:
    """What the role wrote down about the phase that failed."""
    for name, phase in mapping(told.get("phases")).items():
        facts = mapping(phase)
        # After the undo its status says that alone.
        failed = facts.get("status") == "failed"
        data = facts.get("failure") or (facts.get("data") if failed else None)
        if failed or (data and facts.get("status") == "rolled_back"):
            message = _outcome.reason(data) if isinstance(data, dict) else words(data)
            return cell(f"{words(name)}: {message or 'it failed'}", _FAILURE)
    return ""


def table(rows: Sequence[HostStatus], only: Sequence[str]) -> str:
    """The table, and a line that counts all hosts, also those that are not shown.

    :param only: the statuses that are shown; empty for all.
    """
    shown = [row.cells for row in rows if not only or row.status in only]
    lines = [list(_HEADINGS), *shown] if shown else []
    columns = [max(map(width, column)) for column in zip(*lines)]
    text = ["  ".join(map(pad, line, columns)).rstrip() for line in lines]
    return "\n".join([*text, counts(rows, len(shown))]) + "\n"


def details(row: HostStatus, record: object, answer: object, history: bool) -> dict[str, object]:
    """What programs get of a host: what its record says, the decision it asks for, and what the table shows.

    :param history: with all installations.
    """
    told = mapping(record)
    keys = (*_DETAILS, *_HISTORY) if history else _DETAILS
    data = {key: told[key] for key in keys if key in told} or {"msg": row.why}
    fleet = mapping(told.get("fleet"))
    if fleet:
        decision = mapping(answer).get("msg")
        data["fleet"] = {**fleet, "decision": decision} if fleet.get("asks") and decision else fleet
    return {**data, "summary": {"status": row.status, "why": row.why, "next": row.next, "version": row.sage or None}}


def counts(rows: Sequence[HostStatus], shown: int) -> str:
    """How many hosts are how."""
    numbers = {status: sum(row.status == status for row in rows) for status in STATES}
    told = ", ".join(f"{number} {status.replace('_', ' ')}" for status, number in numbers.items() if number)
    hidden = f"; {shown} shown" if shown < len(rows) else ""
    return f"{len(rows)} host{'' if len(rows) == 1 else 's'}: {told}{hidden}"
