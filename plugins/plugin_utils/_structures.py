# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What plans, captures and results consist of, for type checkers only: module_utils are sent to hosts."""

from __future__ import annotations

import typing as t

from ansible_collections.intellistream.sage.plugins.plugin_utils._events import JoinedRun

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._content.item import Item
    from ansible_collections.intellistream.sage.plugins.module_utils._content.manifest import Section
    from ansible_collections.intellistream.sage.plugins.plugin_utils._events import (
        Environment,
        Evidence,
        FiredRecord,
        FleetRecord,
        Inputs,
        PhaseRecord,
        Point,
        RollbackTerms,
        UndoTime,
        WindowTimes,
    )


class _Source(t.TypedDict, total=False):
    path: str
    editable: bool


class PlannedDistribution(_Source):
    """One distribution of a plan, as modules return it and take it.

    C(version): None if only building would tell. C(group): C(sage) or C(third_party). C(action): C(add), C(replace) or
    C(keep). C(from_version): the one that is installed, None if none. C(hashes): C(sha256:…) of acceptable files, empty
    if unknown. C(path), C(editable): only of one that comes from a source directory.
    """

    name: str
    version: str | None
    group: str
    action: str
    from_version: str | None
    hashes: list[str]


class NamedVersion(t.TypedDict):
    """A distribution in short."""

    name: str
    version: str | None


class TextDiff(t.TypedDict):
    """A result's C(diff) of two texts."""

    before: str
    after: str


class ReplacedDistribution(NamedVersion):
    """A distribution that another version of it was replaced by; C(from_version) is that of before."""

    from_version: str


class PendingResult(t.TypedDict):
    """What an installation adds and replaces; C(kept) is a number of distributions."""

    installed: list[NamedVersion]
    replaced: list[ReplacedDistribution]
    kept: int
    diff: TextDiff


class InstallResult(PendingResult):
    """The same, as the part of M(intellistream.sage.sage_install)'s result that tells what was done."""

    changed: bool
    installer: str
    said: list[str]
    wrong_records: dict[str, str]


class PlanContent(t.TypedDict):
    """A plan; C(known) is false where only an installation would tell it."""

    known: bool
    installer: str
    notes: list[str]
    distributions: list[PlannedDistribution]


class PlanResult(t.TypedDict):
    """What M(intellistream.sage.sage_resolve) tells of its plan; C(changing) is without what is kept."""

    plan: PlanContent
    third_party: list[PlannedDistribution]
    sage: list[PlannedDistribution]
    result: dict[str, list[NamedVersion]]
    changing: dict[str, list[NamedVersion]]
    gone: list[str]


class VenvResult(t.TypedDict):
    """The result of M(intellistream.sage.sage_venv); C(actions) and C(reason) are for people."""

    changed: bool
    actions: list[str]
    created: bool
    replaced: dict[str, str]
    others: list[str]
    python: str
    version: str
    base: str
    installer: str
    uv: str
    reason: str
    diff: TextDiff


class RepositoryState(t.TypedDict):
    """What an undo needs to know of a repository, as a manifest has it.

    C(head), C(staged), C(work): object names of the commit, of the index as a tree, of the files as a tree.
    C(branch): None when HEAD is detached.
    C(added): files announced with C(git add --intent-to-add). C(nested): other repositories in the work tree.
    C(directory): git's, relative to the work tree.
    C(gitdirs), C(sections): names of submodules that have a repository there, and that the configuration names.
    C(modules): the same of each submodule, by its path.
    """

    head: str
    branch: str | None
    staged: str
    work: str
    added: list[str]
    nested: list[str]
    directory: str
    gitdirs: list[str]
    sections: list[str]
    modules: dict[str, RepositoryState]


class ItemWriter(t.Protocol):
    """P(_content.manifest.Writer), which writes the items of one capture."""

    def section(self, name: str = "", version: str = "", info: str = "") -> None:
        """Begin a section."""

    def add(self, path: str, item: Item) -> None:
        """Write one item; an empty path is the section's own."""

    def write(self, lines: t.Iterable[str]) -> None:
        """Write lines of P(_content.manifest.linked_line)."""


class ItemReader(t.Protocol):
    """P(_content.manifest.Items), which reads the items of one capture."""

    sections: list[Section]

    def read(self, section: Section) -> t.Iterator[tuple[str, Item]]:
        """Path and item of each line of a section."""

    def paths(self, section: Section) -> t.Iterator[str]:
        """The path of each line of a section."""

    def lines(self, section: Section) -> t.Iterator[bytes]:
        """The lines of a section."""


class Comparison(t.TypedDict):
    """What something was expected to take and what it took, in seconds; C(took) is None where it has not ended."""

    expected: float
    took: float | None


class Timing(t.TypedDict):
    """What was estimated for an installation, and what it took.

    :ivar phases: phase → the comparison.
    :ivar undo: the same of an undo.
    :ivar seconds_left: of the window, when the last phase began.
    """

    phases: dict[str, Comparison]
    undo: Comparison
    seconds_left: float


class WindowFacts(t.TypedDict):
    """What was estimated when a phase began in a maintenance window; all in seconds.

    :ivar seconds_left: until the window ends.
    :ivar undo: an undo of the whole installation.
    :ivar undo_measured: that is known from this host's record; else it is a default.
    :ivar expected: phase → what it takes.
    :ivar measured: the phases of which that is known from the record or from the user.
    """

    seconds_left: float
    undo: float
    undo_measured: bool
    expected: dict[str, float]
    measured: list[str]


class SwitchStatus(t.TypedDict):
    """What people and the controller want to know of the switch.

    :ivar armed: it is armed, for the current installation.
    :ivar seconds_left: seconds until it fires; None when it is not armed.
    :ivar fired: when it fired for the current installation, after how many seconds of silence, and by which method;
        None when it did not.
    """

    armed: bool
    seconds_left: float | None
    fired: FiredRecord | None


class ArmedDiff(t.TypedDict, total=False):
    """One side of what C(--diff) shows; empty when nothing changed."""

    armed: bool


class SwitchDiff(t.TypedDict):
    """What C(--diff) shows."""

    before: ArmedDiff
    after: ArmedDiff


class SwitchResult(SwitchStatus):
    """The result of M(intellistream.sage.sage_deadman).

    :ivar changed: the switch was armed or disarmed, or would be in check mode.
    :ivar msg: what was done, for people.
    :ivar method: one of C(METHODS); None when it is not armed.
    :ivar fires_at: local ISO time when it fires, by the host's clock; None when it is not armed.
    """

    changed: bool
    msg: str
    method: str | None
    fires_at: str | None
    diff: SwitchDiff


class EngineSettings(t.TypedDict):
    """The parameters of P(_records.session.Engine), with which a program opens the record."""

    root: str
    checkpoint_dir: str | None
    lock_timeout: float
    repackage_dir: str | None


class DecisionDiff(t.TypedDict):
    """What C(--diff) shows; both sides are empty when nothing was decided by this call.

    :ivar before: C(run), and C(decision), which is None.
    :ivar after: C(run), C(decision), C(why), C(hosts).
    """

    before: dict[str, object]
    after: dict[str, object]


class DecisionResult(t.TypedDict):
    """The result of M(intellistream.sage.sage_decision). The fields of the decision are None where there is none.

    :ivar run: the id of the fleet run.
    :ivar decision: V(commit) or V(abort).
    :ivar hosts: the hosts that the decision is about; empty where there is none.
    :ivar time: ISO time of the decision.
    :ivar by: the controller that decided.
    :ivar why: the reason for the decision.
    :ivar decision_log: the identity of the decision log.
    :ivar deadline: ISO time (UTC) by which all hosts have to learn of a commit.
    :ivar where: where the decision log is, for people.
    :ivar in_doubt: the hosts that asked have to stay as they are.
    :ivar msg: all that in a sentence.
    :ivar changed: this call decided, or made the decision log.
    """

    run: str
    decision: str | None
    hosts: list[str]
    time: str | None
    by: str | None
    why: str | None
    decision_log: str | None
    deadline: str | None
    where: str
    in_doubt: bool
    msg: str
    changed: bool
    diff: DecisionDiff


class Difference(t.TypedDict):
    """A result's C(diff): what is shown as before and as after."""

    before: t.Mapping[str, object]
    after: t.Mapping[str, object]


class FleetStanding(JoinedRun):
    """P(_records.standing.Standing) in a result. C(asks): the decision comes first; C(to): what to roll back to."""

    state: str
    install_id: str
    decision: str | None
    rollback: RollbackTerms | None
    asks: bool
    to: str | None


class Certainty(t.TypedDict):
    """Whether a rollback leaves all as it was, and for people what cannot be known of that."""

    inexact: list[str]
    exact: bool


class RollbackResult(Certainty):
    """The result of M(intellistream.sage.sage_rollback); lines for people but for C(undone) and C(redo_point)."""

    changed: bool
    msg: str
    target: str
    plan: dict[str, list[str]]
    conflicts: list[str]
    kept: list[str]
    undone: list[str]
    redo_point: str | None
    diff: Difference


class PreparedRollbackResult(RollbackResult):
    """The same of a rollback that waits for a decision, with how the host stands in its fleet run."""

    fleet: FleetStanding | None


class PointBrief(t.TypedDict):
    """A rollback point in short. C(files) is a number; C(seconds) that its capture took; the lists are for people."""

    id: str
    description: str | None
    phase: str | None
    files: int
    bytes: int
    seconds: float
    packages: list[str]
    inexact: list[str]


class BackupResult(t.TypedDict):
    """The result of M(intellistream.sage.sage_backup)."""

    changed: bool
    rollback_point: PointBrief
    diff: Difference


class TransactionPoint(t.TypedDict):
    """A rollback point in the history of a host; C(undone) and C(pruned) are times."""

    id: str
    time: str
    phase: str | None
    description: str | None
    files: int
    bytes: int
    undone: str | None
    pruned: str | None
    redo: bool
    damaged: bool


class TransactionReport(t.TypedDict):
    """A change in the history of a host; C(changed) is false of an installation that changed nothing."""

    tid: str
    time: str
    origin: str
    status: str
    changed: bool
    packages: list[str]
    rollback_points: list[TransactionPoint]


class PhaseReason(t.TypedDict):
    """Why a phase has to run."""

    phase: str
    reason: str


class DamagedPoint(t.TypedDict):
    """A rollback point whose content is gone or hurt, and what is, for people."""

    point: str
    problems: list[str]


class FindingReport(t.TypedDict):
    """P(_fsck.findings.Finding) in a result."""

    name: str
    severity: str
    text: str
    mendable: bool


class Checked(t.TypedDict):
    """How much a check has looked at; C(lines) is None where the ledger cannot be read."""

    lines: int | None
    points: int
    files: int
    bytes: int
    seconds: float


class CheckResult(t.TypedDict):
    """The result of sage_check."""

    changed: bool
    msg: str
    exists: bool
    intact: bool
    at_work: dict[str, t.Any] | None
    findings: list[FindingReport]
    repaired: list[str]
    checked: Checked


class VerdictResult(t.TypedDict):
    """P(_calls.verdict.Verdict) in a result."""

    state: str
    phase: str | None
    reasons: list[PhaseReason]
    phases_to_run: list[str]
    needed: bool
    damaged: list[DamagedPoint]


class Progress(t.TypedDict, total=False):
    """C(install_progress.json), and the same in results; empty before the first installation."""

    install_id: str
    start_time: str
    current_phase: str
    completed_phases: list[str]
    failed_phases: list[str]
    install_mode: str
    environment_name: str
    python_path: str
    backup_created: bool
    can_rollback: bool
    last_update: str
    last_error: str | None
    additional_data: dict[str, t.Any]


class CapturedTotal(t.TypedDict):
    """What captures took: C(seconds) of all of them, one after the other."""

    files: int
    bytes: int
    seconds: float


class InstallationSummary(t.TypedDict):
    """An installation in short. C(phases) are statuses, C(data) is what callers said; both by phase.

    C(altered): it changed the system, and not all of that was undone. C(unverified): sentences on files that could not
    be verified.
    """

    install_id: str | None
    progress: Progress
    phases: dict[str, str]
    data: dict[str, t.Any]
    rollback_points: list[str]
    captured_total: CapturedTotal
    altered: bool
    unverified: list[str]


class LookResult(InstallationSummary):
    """The result of M(intellistream.sage.sage_resume_info)."""

    changed: bool
    finished: bool
    resume: VerdictResult


class LedgerHead(t.TypedDict):
    """The newest line of a ledger, in the result of every call that concerns a record.

    :ivar seq: its number, from 1.
    :ivar offset: where it begins, in bytes.
    :ivar hash: its SHA-256, in hexadecimal.
    """

    seq: int
    offset: int
    hash: str


class VerifyResult(t.TypedDict):
    """The result of M(intellistream.sage.sage_verify)."""

    changed: bool
    evidence: Evidence
    output: str


class RecordBrief(t.TypedDict, total=False):
    """An installation for C(diff): the statuses of its phases, and the number of its rollback points."""

    install_id: str
    status: str
    phases: dict[str, str]
    rollback_points: int


class RecoverTarget(t.TypedDict):
    """What has to be rolled back to first."""

    to: str


class ChangedDistribution(t.TypedDict):
    """What an installation did to one distribution; versions are empty where it was absent, or only building tells."""

    name: str
    from_version: str
    version: str


class CheckpointDetails(t.TypedDict, total=False):
    """C(timing): only with a maintenance window; C(prunable): only where something was recorded; C(versions) and
    C(moved): only where phases are left; C(captured): only where this call captured something; C(changes): only where
    it ended the last phase; C(others): only where an environment that was moved is made anew.
    """

    timing: Timing | None
    prunable: bool
    versions: dict[str, str]
    moved: list[str]
    captured: list[PointBrief]
    changes: list[ChangedDistribution]
    others: list[str]


class CheckpointResult(InstallationSummary, CheckpointDetails):
    """The result of M(intellistream.sage.sage_checkpoint). C(run): id of the run that it belongs to."""

    changed: bool
    run: str
    recover: RecoverTarget | None
    script: str | None
    resume: VerdictResult | None
    fleet: FleetStanding | None
    window: WindowFacts | None
    deadman: SwitchStatus
    repaired: list[str]
    diff: Difference


class ResetResult(t.TypedDict):
    """The same where the state is removed."""

    changed: bool
    diff: Difference


class RetentionWork(t.TypedDict):
    """What a retention run did, or would do. C(bytes): what the store occupies; C(kept): a number of points."""

    pruned: list[str]
    archived: list[str]
    freed_bytes: int
    bytes: int
    kept: int
    protected: list[str]
    warnings: list[str]


class RetentionResult(RetentionWork):
    """The same as the result of M(intellistream.sage.sage_retention)."""

    changed: bool
    diff: Difference


class _RecordedDetails(t.TypedDict, total=False):
    fleet: FleetRecord
    window: dict[str, WindowTimes]
    undo: UndoTime
    fired: FiredRecord
    all_or_nothing: bool


class RecordedInstallation(_RecordedDetails):
    """An installation as the ledger tells of it; fields of later versions are among these."""

    install_id: str
    status: str
    begun: str
    updated: str
    inputs: Inputs
    environment: Environment
    install_mode: str
    environment_name: str
    python_path: str
    phases: dict[str, PhaseRecord]
    rollback_points: list[Point]


class LedgerReport(t.TypedDict):
    """What a ledger is worth; C(broken_at) is the number of the line that does not fit."""

    path: str
    lines: int | None
    intact: bool
    broken_at: int | None
    message: str


class DriftReport(t.TypedDict):
    """One difference between the record and the host; C(what) is for people, C(theirs) of what others installed."""

    kind: str
    path: str
    what: str
    theirs: bool


class _StateReport(t.TypedDict, total=False):
    drift: list[DriftReport] | None


class InstallationReport(_StateReport):
    """What is told of a host's current installation, of its history and of what is in force."""

    install_id: str | None
    status: str | None
    version: str | None
    at_work: dict[str, t.Any] | None
    script: dict[str, t.Any] | None
    in_force: str | None
    fleet: FleetStanding | None
    deadman: SwitchStatus
    timing: Timing | None
    progress: Progress
    progress_file: str
    phases: dict[str, PhaseRecord]
    resume: VerdictResult | None
    rollback_points: list[Point]
    damaged: list[DamagedPoint]
    installations: list[RecordedInstallation]
    transactions: list[TransactionReport]
    installed_by: dict[str, str]


class Report(InstallationReport):
    """The result of M(intellistream.sage.sage_checkpoint_info)."""

    changed: bool
    exists: bool
    ledger: LedgerReport


class HookSettings(EngineSettings):
    """What a hook is made with; C(strict): an error stops the package manager."""

    strict: bool


class HookResult(t.TypedDict):
    """The result of M(intellistream.sage.sage_hook); C(diff) has one for each file, as Ansible shows it."""

    changed: bool
    files: list[str]
    diff: list[dict[str, str]]


class RemovedPart(t.TypedDict):
    """What is removed with SAGE; C(bytes) that it occupies."""

    path: str
    description: str
    bytes: int


class StayingPart(t.TypedDict):
    """What stays when SAGE is removed, and why."""

    path: str
    description: str
    reason: str


class LostThing(t.TypedDict):
    """What somebody else has put where something is removed, and is lost with it."""

    path: str
    description: str


class RemovalResult(t.TypedDict):
    """The result of M(intellistream.sage.sage_remove)."""

    changed: bool
    removed: list[RemovedPart]
    stays: list[StayingPart]
    others: list[LostThing]
    unknown: list[str]
    alternative: str | None
    warnings: list[str]
    diff: Difference
