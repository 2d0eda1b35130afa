# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What became of SAGE on one host: what a play gets as C(sage_result), and the rows of the closing table are made of.

Results of hosts are data of theirs: of any type, shortened to one line each, and never looked into for names or paths.
"""

from __future__ import annotations

import re
import typing as t

from ansible_collections.intellistream.sage.plugins.plugin_utils._cell import cell, mapping, sequence, words

if t.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

INSTALLED, UNCHANGED, PREDICTED, FAILED, ABORTED = "installed", "unchanged", "predicted", "failed", "aborted"
# Nothing is in force that this run wanted.
BAD = (FAILED, ABORTED)
_VERSION = re.compile(r"version\s*:\s*(\S+)")
# Of the message of a tool that failed.
_SAID = "It said last:"
# What pip and uv put before the line that tells why.
_CAUSE = "cause: "
_SAYS_NOTHING = ("--", "(it printed nothing)")
_TELLS = re.compile(
    r"(?i)error|exception|not found|no such|no matching|denied|refused|cannot|can't|could not|invalid|timed? ?out"
)
_REASON = 220


class HostOutcome(t.NamedTuple):
    """How the run ended on a host, as far as a play wants to know.

    :ivar status: one of V(installed), V(unchanged) (nothing was to do), V(predicted), V(failed), V(aborted) (another
        host of a fleet run failed).
    :ivar changed: this installation changed SAGE, and not all of that was undone.
    :ivar version: of SAGE, where that is known; empty otherwise.
    :ivar install_id: of the installation; empty without a record.
    :ivar phase: that failed; empty when none did.
    :ivar reason: why, in one line.
    :ivar advice: what to do about it, in one line; empty where that is not known.
    :ivar undone: what was undone, in one line; empty when nothing failed.
    :ivar undo_failed: what was to be undone was not.
    :ivar stays: what stays in force although it failed.
    :ivar captured: files, bytes and seconds of all captures.
    :ivar log: path on the host; empty without a record.
    :ivar unverified: what of the installed files could not be verified, a line for each distribution.
    """

    status: str
    changed: bool
    version: str = ""
    install_id: str = ""
    phase: str = ""
    reason: str = ""
    advice: str = ""
    undone: str = ""
    undo_failed: bool = False
    stays: str = ""
    captured: Mapping[str, object] = {}
    log: str = ""
    unverified: Sequence[str] = ()

    @property
    def message(self) -> str:
        """With what a run ends on a host where SAGE was not installed; empty elsewhere."""
        if self.status == ABORTED:
            return (
                "SAGE was not installed on any host: another one failed. What was undone is in the report of this run."
            )
        if self.status != FAILED:
            return ""
        at = f": {self.phase} failed" if self.phase else ""
        return f"SAGE was not installed{at}. Why, what was undone, and what is next are in the report of this run."


def outcome(options: Mapping[str, t.Any], dry: bool) -> HostOutcome:
    """What became of it.

    :param options: of M(intellistream.sage.sage_outcome).
    :param dry: nothing was done.
    """
    record, failure, rollback = (mapping(options[name]) for name in ("record", "failure", "rollback"))
    status = options["status"] or (PREDICTED if dry else INSTALLED if options["phases"] else UNCHANGED)
    install_id = words(record.get("install_id"))
    directory = options["checkpoints"]
    undo_failed = bool(rollback.get("failed"))
    return HostOutcome(
        status,
        changed=_changed(status, options, record, rollback),
        version=_version(options, record),
        install_id=install_id,
        phase=cell(failure.get("phase"), 40),
        reason=reason(failure),
        advice=advice(failure),
        undone=_undone(status, options["not_undone"], rollback, bool(_in_force(record, rollback))),
        undo_failed=undo_failed,
        stays=cell(options["stays"], _REASON),
        captured=mapping(record.get("captured_total")),
        log=f"{directory}/logs/{install_id}.log" if install_id and directory and not dry else "",
        unverified=_unverified(options, record) if status in (INSTALLED, UNCHANGED) else [],
    )


def _unverified(options: Mapping[str, t.Any], record: Mapping[str, object]) -> list[str]:
    sentences = options["unverified"] or sequence(record.get("unverified"))
    return [cell(sentence, _REASON) for sentence in sentences]


def _changed(
    status: str, options: Mapping[str, t.Any], record: Mapping[str, object], rollback: Mapping[str, object]
) -> bool:
    if status == UNCHANGED or (status in BAD and status != FAILED):
        return False
    if status == PREDICTED or "altered" not in record:
        changing = any(
            mapping(each).get("action") != "keep" for each in sequence(mapping(options["plan"]).get("distributions"))
        )
        return changing and status != FAILED
    stands = status == INSTALLED or bool(_in_force(record, rollback)) or bool(rollback.get("failed"))
    return record["altered"] is True and stands


def _in_force(record: Mapping[str, object], rollback: Mapping[str, object]) -> list[object]:
    """Rollback points of the installation that were not undone."""
    return [point for point in sequence(record.get("rollback_points")) if point not in sequence(rollback.get("undone"))]


def _version(options: Mapping[str, t.Any], record: Mapping[str, object]) -> str:
    output = words(options["verified"]) or words(mapping(record.get("data")).get("verification"))
    match = _VERSION.search(output)
    return cell(match[1], 24) if match else ""


def reason(failure: Mapping[str, object]) -> str:
    """Why, in one line: of what a tool printed the line that tells most; what was called is in the log."""
    message = _lines(_parts(failure)[0])
    printed = [line for line in [*message[1:], *_lines(words(failure.get("output")))] if line not in _SAYS_NOTHING]
    headline = message[0] if message else ""
    if failure.get("cut_off"):
        return cell(f"{headline} {failure['cut_off']}", _REASON)
    cause = _cause(printed)
    # A command line has names of temporary files, which differ from host to host.
    if cause and (_SAID in headline or cause == headline):
        return cell(cause, _REASON)
    headline = headline.replace(_SAID, "").strip()
    return cell(f"{cause} ({headline})" if cause and headline else cause or headline, _REASON)


def _cause(printed: list[str]) -> str:
    """What tells most of what a tool printed: the ends of a chain of causes, or else the last line about an error."""
    causes = [line.removeprefix(_CAUSE) for line in printed if line.startswith(_CAUSE)]
    if causes:
        return ": ".join(dict.fromkeys((causes[0], causes[-1])))
    telling = [line for line in printed if _TELLS.search(line)]
    return (telling or printed or [""])[-1]


def advice(failure: Mapping[str, object]) -> str:
    """What to do about it, in one line; empty where that is not known."""
    return cell(_parts(failure)[1].strip(), _REASON)


def _parts(failure: Mapping[str, object]) -> tuple[str, str]:
    """What happened, and what to do, of an error of the collection or of another message."""
    error = mapping(failure.get("error"))
    if words(error.get("what")):
        return words(error.get("what")), words(error.get("advice"))
    message, _separator, to_do = words(failure.get("message")).partition("What to do: ")
    return message.partition("Left as it was: ")[0], to_do


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def _undone(status: str, not_undone: str, rollback: Mapping[str, object], phases_stay: bool) -> str:
    if status not in BAD:
        return ""
    if rollback.get("failed"):
        return cell(f"THE ROLLBACK FAILED: {words(rollback.get('msg')) or 'without a word'}", _REASON)
    plan = rollback.get("plan")
    if not isinstance(plan, dict):
        return cell(not_undone, _REASON)
    counts = {name: len(sequence(plan.get(name))) for name in ("erase", "install", "restore", "remove")}
    parts = [
        f"{number} {noun}{'' if number == 1 else 's'} {verb}"
        for number, noun, verb in (
            (counts["erase"], "package", "erased"),
            (counts["install"], "package", "put back"),
            (counts["restore"], "file", "put back"),
            (counts["remove"], "file", "removed"),
        )
        if number
    ]
    if not parts:
        return (
            "nothing, since this phase had changed nothing"
            if phases_stay
            else "nothing, since nothing had been changed"
        )
    doubts = sequence(rollback.get("inexact"))
    ending = (
        "exactly as before" if rollback.get("exact") is True else f"as captured; not certain: {(doubts or ['-'])[0]}"
    )
    ending += ". The phases before it stay" if phases_stay else ""
    return cell(f"{', '.join(parts)}; {ending}", _REASON)
