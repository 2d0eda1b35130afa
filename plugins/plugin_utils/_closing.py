# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a run over many hosts ends with: who failed, where, why, what was undone, what is next; the others as counts.

Hosts that failed alike are one entry. What asks for somebody comes last, where the screen ends, and then the count.
"""

from __future__ import annotations

import typing as t

from ansible_collections.intellistream.sage.plugins.plugin_utils import _refusal
from ansible_collections.intellistream.sage.plugins.plugin_utils._cell import cell
from ansible_collections.intellistream.sage.plugins.plugin_utils._outcome import (
    ABORTED,
    BAD,
    FAILED,
    INSTALLED,
    PREDICTED,
    UNCHANGED,
)

if t.TYPE_CHECKING:
    from collections.abc import Callable, Sequence

LOST, NOT_BEGUN, REFUSED = "lost", "not begun", "refused"
# In this order they are counted.
_COUNTED = {
    FAILED: "failed",
    REFUSED: "refused",
    LOST: "lost",
    ABORTED: "went back since others failed",
    NOT_BEGUN: "not begun so far",
    INSTALLED: "installed",
    UNCHANGED: "installed already",
    PREDICTED: "would be installed",
}
_TITLES = {NOT_BEGUN: "NOT BEGUN SO FAR", ABORTED: "WENT BACK", LOST: "LOST", REFUSED: "REFUSED", FAILED: "FAILED"}
_NAMED = 12  # hosts
_NAMES = 100  # columns
_UNITS = ("B", "KiB", "MiB", "GiB")
_STEP = 1024
# Of one host; the task that failed tells all.
_PROBLEMS = 3

Result = t.Mapping[str, t.Any]


class Commands(t.NamedTuple):
    """Command lines for some hosts, as people paste them.

    :ivar rerun: the run itself; of no hosts, on all that it was for.
    :ivar take_back: undoes the last installation; a line for all hosts that keep their record in one place.
    :ivar hidden: names of variables that the lines leave out.
    """

    rerun: Callable[[Sequence[str]], str]
    take_back: Callable[[Sequence[str]], Sequence[str]]
    hidden: Sequence[str] = ()


class HostResult(t.NamedTuple):
    """One host at the end of a run.

    :ivar host: its name in the inventory.
    :ivar status: that of its outcome, V(lost), V(refused) or V(not begun).
    :ivar outcome: what became of SAGE there, C(sage_result).
    :ivar phase: the phase that it was lost in; empty where that is not known.
    :ivar begun: something may have been changed there.
    :ivar root: where SAGE is there; hosts that differ in nothing else failed alike.
    """

    host: str
    status: str
    outcome: Result
    phase: str = ""
    begun: bool = True
    root: str = ""


def status_of(result: object, began: object, in_play: bool) -> str:
    """How a host ended.

    :param result: its C(sage_result), of this run or an earlier one.
    :param began: when the run began there; None where it has not.
    :param in_play: Ansible has not taken the host out of the play.
    """
    outcome = result if isinstance(result, dict) else {}
    if began is not None and outcome.get("began") == began and str(outcome.get("status")) in _COUNTED:
        return str(outcome["status"])
    return NOT_BEGUN if began is None and in_play else LOST


def refusal(host: str, requests: Result) -> Result | None:
    """What is wrong with the variables of a host.

    :param requests: what M(intellistream.sage.sage_request) returned, by host.
    :returns: as C(sage_result) has it; None where nothing is wrong with them.
    """
    reason = " ".join(_refusal.problems(host, requests)[:_PROBLEMS])
    return {"reason": reason, "undone": "nothing was begun"} if reason else None


def reached(record: object) -> str:
    """The phase that a host had come to, by what M(intellistream.sage.sage_checkpoint) returned last."""
    progress = record.get("progress") if isinstance(record, dict) else None
    phase = progress.get("current_phase") if isinstance(progress, dict) else None
    return cell(phase, 40)


def table(hosts: Sequence[HostResult], commands: Commands) -> str:
    """The closing table."""
    lines: list[str] = []
    whole = any(host.status == ABORTED for host in hosts)
    for status, title in (
        (INSTALLED, "INSTALLED"),
        (UNCHANGED, "INSTALLED ALREADY"),
        (PREDICTED, "WOULD BE INSTALLED"),
    ):
        succeeded = [host for host in hosts if host.status == status]
        if succeeded:
            lines.append(f"{title}: {_successes(succeeded)}")
    for alike in _alike_unverified(hosts):
        sentences = alike[0].outcome["unverified"]
        lines.append(f"NOT ALL VERIFIED: {_names([host.host for host in alike])}")
        lines += [f"  {cell(sentence, 240)}" for sentence in sentences]
    for status in (NOT_BEGUN, ABORTED, LOST, REFUSED, FAILED):
        for alike in _alike([host for host in hosts if host.status == status]):
            lines += ["", *_entry(status, alike, commands, whole or len(alike) == len(hosts))]
    bad = [host for host in hosts if host.status in (*BAD, LOST, NOT_BEGUN, REFUSED)]
    if commands.hidden and bad:
        hidden = ", ".join(commands.hidden)
        lines += ["", f"The commands leave out what may be secret. Add it with -e, as this run had it: {hidden}"]
    return "\n".join([*lines, *([""] if lines else []), counts(hosts)]).lstrip("\n") + "\n"


def counts(hosts: Sequence[HostResult]) -> str:
    """How many hosts ended how."""
    numbers = {status: sum(host.status == status for host in hosts) for status in _COUNTED}
    listed = ", ".join(f"{number} {_COUNTED[status]}" for status, number in numbers.items() if number)
    return f"SAGE on {len(hosts)} host{'' if len(hosts) == 1 else 's'}: {listed}"


def _successes(hosts: Sequence[HostResult]) -> str:
    """One line for all that went well."""
    versions: dict[str, int] = {}
    for host in hosts:
        version = cell(host.outcome.get("version") or "", 24)
        versions[version] = versions.get(version, 0) + 1
    unknown = versions.pop("", 0)
    parts = [f"{number} with {version}" for version, number in sorted(versions.items())]
    if unknown:
        noun = f"host{'' if unknown == 1 else 's'}"
        parts.append(f"{unknown} with a version that was not told" if parts else f"{unknown} {noun}")
    captured = [host.outcome["captured"] for host in hosts if isinstance(host.outcome.get("captured"), dict)]
    sizes = [total["bytes"] for total in captured if isinstance(total.get("bytes"), int) and total["bytes"]]
    if sizes:
        parts.append(f"{_size(sum(sizes))} captured on {len(sizes)}, so that it can be undone")
    return "; ".join(parts)


def _alike(hosts: Sequence[HostResult]) -> list[list[HostResult]]:
    """Hosts of one status, those together that say the same."""
    groups: dict[tuple[object, ...], list[HostResult]] = {}
    for host in hosts:
        lost = (host.phase, host.begun) if host.status == LOST else ()
        words = [str(host.outcome.get(name)) for name in ("phase", "reason", "advice", "undone", "stays")]
        if host.root:
            words = [word.replace(host.root, "") for word in words]
        groups.setdefault((*lost, *words), []).append(host)
    return list(groups.values())


def _alike_unverified(hosts: Sequence[HostResult]) -> list[list[HostResult]]:
    """Hosts where not all could be verified, those together that say the same."""
    groups: dict[str, list[HostResult]] = {}
    for host in hosts:
        sentences = host.outcome.get("unverified")
        if host.status in (INSTALLED, UNCHANGED) and isinstance(sentences, list) and sentences:
            groups.setdefault(str(sentences), []).append(host)
    return list(groups.values())


def _entry(status: str, hosts: Sequence[HostResult], commands: Commands, whole: bool) -> list[str]:
    """What one kind of failure says, once.

    :param whole: the next command is for all hosts of the run.
    """
    host, names = hosts[0], [each.host for each in hosts]
    outcome = host.outcome
    phase = host.phase if status == LOST else cell(outcome.get("phase"), 40)
    reason, undone, mend = _words(status, host)
    rows: list[tuple[str, object]] = [("why", reason)]
    if undone:
        rows.append(("undone", undone))
    if status == FAILED and outcome.get("stays"):
        rows.append(("stays", f"{cell(outcome['stays'])}; take it back with:"))
        rows += [("", line) for line in commands.take_back(names)]
    elif status == FAILED and outcome.get("undo_failed"):
        rows.append(("stays", "all that was captured; repeat the rollback with:"))
        rows += [("", line) for line in commands.take_back(names)]
    rows += [("next", mend), ("", commands.rerun([] if whole else names))]
    if status == FAILED and outcome.get("log"):
        of = f" (on {cell(names[0], 40)})" if len(names) > 1 else ""
        rows.append(("log", f"{cell(outcome['log'])}{of}"))
    title = _TITLES[status] + (f" in {phase}" if phase else "")
    return [f"{title}: {_names(names)}", *(f"  {label:<7} {_told(label, text)}" for label, text in rows)]


def _words(status: str, host: HostResult) -> tuple[object, object, str]:
    """Why, what was undone, and what comes before the next command."""
    outcome = host.outcome
    if status == NOT_BEGUN:
        return "the run has not come to their batch", "", "if it has ended by now:"
    if status == LOST:
        undone = (
            "nothing yet; the next run takes back or continues what was begun" if host.begun else "nothing was begun"
        )
        return "it gave no more answers; Ansible's lines above say why", undone, "once it answers again:"
    if status == ABORTED:
        return outcome.get("reason"), outcome.get("undone"), "once the others are mended, on all hosts:"
    advice = cell(outcome.get("advice"))
    return outcome.get("reason"), outcome.get("undone"), f"{advice} Then:" if advice else "mend that, then:"


def _told(label: str, text: object) -> str:
    # A command is one line however long, and was made here.
    return str(text) if not label else cell(text or "-", 240)


def _names(names: Sequence[str]) -> str:
    shown = ", ".join(cell(name, 40) for name in names[:_NAMED])
    hidden = len(names) - _NAMED
    return cell(shown, _NAMES) + (f" and {hidden} more" if hidden > 0 else "")


def _size(size: float) -> str:
    for unit in _UNITS[:-1]:
        if size < _STEP:
            return f"{size:.0f} {unit}"
        size /= _STEP
    return f"{size:.1f} {_UNITS[-1]}"
