"""Look at a record, at what it has captured, and at the host, and name everything that is not as it has to be.

Nothing is written, no lock is taken, no program of what was installed is run, and nothing is fetched.
"""

from __future__ import annotations

import os
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.by_name import ByName
from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import (
    ForeignRecord,
    LedgerBroken,
    NeedsLibrary,
    SageError,
    StateError,
    UnknownFormat,
)
from ansible_collections.intellistream.sage.plugins.module_utils._deadman_switch import mark
from ansible_collections.intellistream.sage.plugins.module_utils._footprint import farm_check
from ansible_collections.intellistream.sage.plugins.module_utils._footprint import mend as footprint_mend
from ansible_collections.intellistream.sage.plugins.module_utils._fsck import mend
from ansible_collections.intellistream.sage.plugins.module_utils._fsck.findings import (
    Finding,
    left_behind,
    noted,
    wrong,
)
from ansible_collections.intellistream.sage.plugins.module_utils._pruning.usage import measure
from ansible_collections.intellistream.sage.plugins.module_utils._records import (
    install_log,
    lease,
    verified_table,
)
from ansible_collections.intellistream.sage.plugins.module_utils._records.installation import fold
from ansible_collections.intellistream.sage.plugins.module_utils._records.ledger import NAME as LEDGER
from ansible_collections.intellistream.sage.plugins.module_utils._records.ledger import VERSION, Ledger
from ansible_collections.intellistream.sage.plugins.module_utils._records.progress import NAME as PROGRESS
from ansible_collections.intellistream.sage.plugins.module_utils._records.progress import unverified
from ansible_collections.intellistream.sage.plugins.module_utils._records.standing import standing
from ansible_collections.intellistream.sage.plugins.module_utils._registry import carry_modes
from ansible_collections.intellistream.sage.plugins.module_utils._reports.drift import drift
from ansible_collections.intellistream.sage.plugins.module_utils._rollback_shell import script
from ansible_collections.intellistream.sage.plugins.module_utils._storage import archive, contents
from ansible_collections.intellistream.sage.plugins.module_utils._timeline import integrity

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.private import PrivateDir
    from ansible_collections.intellistream.sage.plugins.module_utils._records.installation import Change
    from ansible_collections.intellistream.sage.plugins.module_utils._records.lease import Lease
    from ansible_collections.intellistream.sage.plugins.module_utils._records.session import Engine, Session
    from ansible_collections.intellistream.sage.plugins.plugin_utils._events import Point

    # Of all files that are not as they were verified, and of those whose modes alone are not, path and what is
    # different; and whether some of the latter can be written by more users.
    Different = tuple[list[tuple[str, str]], list[tuple[str, str]], bool]

# With M(_timeline.integrity), which reads archives by name, and kinds, which mend what they hold.
CARRIES = (archive, footprint_mend, carry_modes.parts)
_DIFFERENT: ByName[t.Callable[[str, bytes, str], Different]] = ByName("_venv.modes:different")
# Seconds after which a switch that is due should have fired.
_LATE = 120.0
# What is said of a progress file that is not what the ledger says.
_PROGRESS = {
    "missing": ("progress_missing", "is gone"),
    "corrupt": ("progress_altered", "is damaged"),
    "edited": ("progress_altered", "was edited"),
}
# The words of what came without a hash in its RECORD.
_UNHASHED = "no hash in RECORD"
# What is not looked at while a run is at work: it is changing that right now.
_NOT_LOOKED_AT = (
    "what is installed, rollback.sh, the farm, the dead-man's switch and what killed runs left were not looked at"
)
# Files that a finding about many names.
_MANY = 3
_AHEAD = "the ledger has lost its last lines, or an older copy of it was put back"


class Looked(t.NamedTuple):
    """What was found, and how much was looked at.

    :ivar exists: there is a record.
    :ivar findings: wrong ones first.
    :ivar lines: of the ledger; None where it cannot be read.
    :ivar points: that can be undone.
    :ivar files: captured ones, that were read.
    :ivar bytes: in them.
    :ivar at_work: the lease of the run that is at work, so that not all was looked at.
    """

    exists: bool
    findings: list[Finding]
    lines: int | None = None
    points: int = 0
    files: int = 0
    bytes: int = 0
    at_work: Lease | None = None


def look(engine: Engine) -> Looked:
    """Everything that is wrong, or was left behind.

    :raises NeedsLibrary: this Python has not what a kind needs.
    """
    findings = [
        left_behind("stray_file", f"{path} is what an interrupted removal of a record left", mendable=True)
        for path in engine.removed()
    ]
    try:
        with engine.reading() as session:
            looked = _look(engine, session)
    except LedgerBroken as error:
        looked = Looked(True, [wrong("ledger_altered", f"{engine.path}/{LEDGER}: {error.what}")])
    except ForeignRecord as error:
        looked = Looked(True, [wrong("foreign_record", f"{error.what} {error.advice}")])
    except UnknownFormat as error:
        looked = Looked(True, [wrong("unknown_format", f"{error.what} {error.advice}")])
    except StateError as error:
        looked = Looked(True, [wrong("record_unreadable", error.what)])
    findings += looked.findings
    return looked._replace(findings=sorted(findings, key=lambda finding: finding.severity, reverse=True))


def _look(engine: Engine, session: Session) -> Looked:
    state = session.where
    if state is None:
        return Looked(False, [])
    findings: list[Finding] = []
    if Ledger(state).repair(apply=False):
        text = f"{state.path}/{LEDGER} ends with a line that was never finished; nobody was told that it was written"
        findings.append(left_behind("unfinished_line", text, mendable=True))
    working = _at_work(engine, state, findings)
    history, lines = _history(session, findings)
    if not session.empty:
        findings += _progress(session, working is not None)
        findings += _unfinished(session, history) if working is None else []
    points = integrity.promised(history)
    named, every = {point["point"]: point for point in points}, [point for each in history for point in each.points]
    for point in integrity.damaged(state, points, thorough=True):
        is_mendable = working is None and mend.mend(state, named[point["point"]], every, apply=False)
        findings += [
            wrong("point_damaged", f"rollback point {point['point']} cannot be used: {problem}", is_mendable)
            for problem in point["problems"]
        ]
    if working is None:
        findings += _lost_tail(state, session, history)
        findings += _files(state)
        findings += _store(state, history)
        findings += _farm(state, every)
        findings += _switch(state, session)
        findings += _script(state, session, history, lines)
        drifted = _drift(session)
        findings += drifted
        findings += _verified(state, session, [finding.text for finding in drifted])
    resources = [resource for point in points for resource in point["resources"]]
    return Looked(
        not session.empty,
        findings,
        lines=lines,
        points=len(points),
        files=sum(resource["files"] for resource in resources),
        bytes=sum(resource["bytes"] for resource in resources),
        at_work=working,
    )


def _history(session: Session, findings: list[Finding]) -> tuple[list[Change], int | None]:
    """All changes, or as many as can be read, and the number of lines."""
    try:
        lines = session.lines()
        return fold(lines), len(lines)
    except LedgerBroken as error:
        findings.append(wrong("ledger_altered", f"{session.path}/{LEDGER}: {error.what}"))
        return [session.installation] if session.installation is not None else [], None


def _progress(session: Session, at_work: bool) -> list[Finding]:
    if session.installation is None:
        return []
    condition, path = session.progress_condition(), os.path.join(session.path, PROGRESS)
    if condition == "stale":
        text = f"{path} is behind the ledger: a run was killed between its two writes"
        return [] if at_work else [left_behind("progress_stale", text, mendable=True)]
    if condition == "ahead":
        return [wrong("lost_tail", f"{path} tells of more than the ledger: {_AHEAD}")]
    if condition in _PROGRESS:
        name, text = _PROGRESS[condition]
        return [wrong(name, f"{path} {text}", mendable=True)]
    return []


def _lost_tail(state: PrivateDir, session: Session, history: t.Sequence[Change]) -> list[Finding]:
    """What tells that the ledger once had more, besides the progress file."""
    findings = []
    recorded = {change.install_id for change in history}
    for install_id in sorted(set(install_log.logged(state)) - recorded):
        path = f"{state.path}/{install_log.LOGS}/{install_id}.log"
        if install_id > session.newest_id:
            # A log is written once the ledger has it.
            findings.append(wrong("lost_tail", f"{path} tells of a change that the ledger does not know: {_AHEAD}"))
    return findings


def _unfinished(session: Session, history: t.Sequence[Change]) -> list[Finding]:
    """What a run has begun and not ended."""
    findings = []
    undoing = [change.install_id for change in history if change.undoing is not None]
    if undoing or session.interrupted:
        text = f"a rollback of {' and '.join(undoing) or 'a change'} was begun and not finished"
        findings.append(wrong("unfinished_rollback", text))
    elif session.script_run is not None:
        told = session.script_run.told
        is_over = session.script_run.ended
        findings.append(left_behind("unrecorded_script", told) if is_over else wrong("unfinished_script", told))
    installation = session.installation
    stands = standing(installation)
    if installation is None:
        return findings
    if stands is not None and (stands.asks or stands.to):
        text = f"installation {installation.install_id} waits for fleet run {stands.run} ({stands.state})"
        findings.append(left_behind("in_doubt", text))
    elif installation.unfinished and not undoing:
        current = next((name for name, phase in installation.phases.items() if not phase.done), "")
        status = installation.phases[current].status if current else installation.status
        text = f"installation {installation.install_id} is not finished: {current} is {status}"
        findings.append(left_behind("unfinished_installation", text))
    return findings


def _at_work(engine: Engine, state: PrivateDir, findings: list[Finding]) -> Lease | None:
    """The run that is at work: what it is doing right now is no damage, so not all can be looked at."""
    path = os.path.join(state.path, lease.NAME)
    try:
        known = lease.read(state)
        working = lease.at_work(state, engine.root, engine.run)
    except UnknownFormat as error:
        findings.append(wrong("unknown_format", error.what))
        return None
    if known is None and state.read(lease.NAME) is not None:
        findings.append(left_behind("stray_file", f"{path} cannot be understood, and counts for nothing", True))
    if working is not None:
        findings.append(left_behind("at_work", f"{lease.told(working, engine.root, engine.run)}, so {_NOT_LOOKED_AT}"))
    return working


def _files(state: PrivateDir) -> list[Finding]:
    """Files in the checkpoint directory that nobody needs, or that somebody has to look at."""
    findings = []
    for name in state.names():
        path = os.path.join(state.path, name)
        if name.startswith(".") and name.endswith(".tmp"):
            findings.append(left_behind("stray_file", f"{path} is half of a file that a killed run was writing", True))
        elif name == f"{PROGRESS}.ahead":
            text = f"{path} was kept when the progress file told of more than the ledger: {_AHEAD}"
            findings.append(wrong("lost_tail", text))
        elif name in (f"{PROGRESS}.edited", f"{PROGRESS}.corrupt"):
            findings.append(
                left_behind("kept_aside", f"{path} is a progress file that was not ours, kept for you to look at")
            )
    return findings


def _store(state: PrivateDir, history: t.Sequence[Change]) -> list[Finding]:
    """What is in the store and belongs to nothing."""
    try:
        usage = measure(state, history)
    except (OSError, SageError) as error:
        return [wrong("store_unreadable", f"{contents.path_of(state)} cannot be read: {error}")]
    return [
        left_behind("stray_content", f"{contents.path_of(state)}/{install_id}/{name} belongs to no rollback point")
        for install_id, name in usage.strays
    ]


def _farm(state: PrivateDir, points: t.Sequence[Point]) -> list[Finding]:
    """What is in the root's farm and is not what it has to be."""
    try:
        farm = contents.farm_dir(state)
    except FileNotFoundError:
        return []
    with farm:
        problems = farm_check.look(farm)
        findings = [
            wrong("farm_damaged", f"{farm.path}/{name} is not what its name says", mendable=True)
            for name in problems.damaged
        ]
        text = "is half of what a killed capture was writing"
        findings += [left_behind("stray_file", f"{farm.path}/{name} {text}", True) for name in problems.temporary]
        text = "is nothing that this collection keeps there"
        findings += [left_behind("farm_damaged", f"{farm.path}/{name} {text}") for name in problems.foreign]
        kept = (point for point in points if not point.get("pruned"))
        if not any(resource.get("farm") for point in kept for resource in point["resources"]):
            text = f"{farm.path} holds content for the next capture, and there is no rollback point that was held there"
            findings.append(left_behind("stray_content", text, mendable=True))
        return findings


def _switch(state: PrivateDir, session: Session) -> list[Finding]:
    path = os.path.join(state.path, mark.NAME)
    try:
        armed = mark.read(state)
    except UnknownFormat as error:
        return [wrong("unknown_format", error.what)]
    if armed is None:
        stray = [name for name in (mark.NAME, mark.PROGRAM) if state.read(name) is not None]
        text = "belongs to no dead-man's switch that could fire"
        return [left_behind("stray_file", f"{state.path}/{name} {text}", mendable=True) for name in stray]
    if not mark.at_work(session.installation, armed):
        text = f"{path} arms a dead-man's switch for {armed.install_id}, which has ended"
        return [left_behind("stale_switch", text, mendable=True)]
    if armed.seconds_left() < -_LATE:
        text = (
            f"the dead-man's switch of {armed.install_id} was due {-armed.seconds_left():.0f} s ago, and has not fired"
        )
        return [wrong("overdue_switch", text)]
    return []


def _script(state: PrivateDir, session: Session, history: t.Sequence[Change], lines: int | None) -> list[Finding]:
    """Whether rollback.sh is the one that this version writes for this record."""
    last = session.lines()[-1:] if lines else []
    if not last or last[0].writer != VERSION:
        # Of a broken ledger nobody knows, and another version writes another one.
        return []
    path, present = os.path.join(state.path, script.NAME), state.read(script.NAME)
    if present == script.current(session, state, history):
        return []
    if present is None:
        captured = any(change.points for change in history)
        return [wrong("script_differs", f"{path} is gone", mendable=True)] if captured else []
    # A run that was killed before it came to that has left the one before.
    phases = session.installation.phases.values() if session.installation is not None else ()
    killed = session.rollback_awaited or any(phase.status == "started" for phase in phases)
    severe = left_behind if killed else wrong
    return [severe("script_differs", f"{path} is not what the record says: it was edited, or is older", mendable=True)]


def _verified(state: PrivateDir, session: Session, said: t.Sequence[str]) -> list[Finding]:
    """Whether what was verified is still so, by its table: a rerun looks at nothing else. And what could not be.

    :param said: what is told of files already, with their paths.
    """
    in_force = session.effective()
    if in_force is None:
        return []
    findings = []
    for sentence in unverified(in_force):
        # What cannot be compared since a distribution came so is no damage.
        text = f"not verified: {sentence}"
        findings.append(noted("unverified", text) if _UNHASHED in sentence else wrong("unverified", text))
    known = in_force.table
    if not known or session.interrupted or session.script_was_run:
        return findings
    try:
        data = verified_table.read(state, in_force.install_id, known["sha256"])
        path = verified_table.path_of(state, in_force.install_id)
        files, modes, is_unsafe = _DIFFERENT.load()(known["path"], data, path)
    except SageError as error:
        return [*findings, wrong("table_unusable", f"{error.what} {error.advice}")]
    for path, text in files:
        if not any(line.startswith(f"{path}: ") for line in said):
            findings.append(wrong("drift", f"{path}: {text}, since it was verified"))
    if modes:
        listed = "; ".join(f"{path}: {text}" for path, text in modes[:_MANY])
        more = f"; and {len(modes) - _MANY} more" if len(modes) > _MANY else ""
        text = f"modes or owners changed since they were verified: {listed}{more}"
        findings.append(wrong("mode_changed", text) if is_unsafe else noted("mode_changed", text))
    return findings


def _drift(session: Session) -> list[Finding]:
    if session.interrupted or session.script_was_run:
        # In the middle of a rollback nothing is as any record has it.
        return []
    try:
        lines = [(f"{line['path']}: " * bool(line["path"]) + line["what"], line["theirs"]) for line in drift(session)]
        return [noted("foreign", text) if theirs else wrong("drift", text) for text, theirs in lines]
    except NeedsLibrary:
        raise
    except SageError as error:
        return [wrong("drift", f"what is installed cannot be compared with the record: {error.what}")]
