# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The vocabulary of the record as types. docs/formats.md says what each field means.

For type checkers only: nothing imports this file when a module runs. It lies here since Ansible sends to hosts all that
a module's helpers import from C(module_utils), also where only type checkers look.
"""

from __future__ import annotations

import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._kind import interface

# What a kind of resource keeps for itself: JSON that nobody else looks into.
Facts = interface.Facts
# Options of a resource, as the ledger keeps them: C(kind), and what that kind needs.
Spec = interface.Spec
# What is wanted, by the phase whose result it decides.
Inputs = t.Mapping[str, t.Mapping[str, t.Any]]
# What installations of a host brought: kind → path → name → versions.
Brought = dict[str, dict[str, dict[str, list[str]]]]


class Observed(t.TypedDict):
    """Facts of a resource, once a phase or a change had ended."""

    spec: Spec
    facts: Facts


class Identity(t.TypedDict):
    """Whose record it is.

    :ivar machine: a hash of the machine id; empty where the machine has none.
    :ivar root: absolute path of the root.
    :ivar checkpoints: absolute path of the checkpoint directory.
    """

    machine: str
    root: str
    checkpoints: str


class Environment(t.TypedDict, total=False):
    """Facts of a host; none where an installation begins by itself."""

    os: str
    os_version: str
    architecture: str


class PhaseRecord(t.TypedDict, total=False):
    """A phase as it is carried from one installation to the next."""

    status: str
    started: str | None
    ended: str | None
    data: t.Any
    failure: t.Any
    result: list[Observed]


class RecordBefore(t.TypedDict):
    """A change's record before a rollback; C(undone) is point → time, C(status) None of what is no installation."""

    status: str | None
    phases: dict[str, str]
    undone: dict[str, str | None]


class RedoRecord(t.TypedDict):
    """What makes a point a redo point: the points that its rollback undid, and the record before by install id."""

    points: list[str]
    before: dict[str, RecordBefore]


class _ChangeDetails(t.TypedDict, total=False):
    optional: bool
    key: str
    file: str | None


class PackageChange(_ChangeDetails):
    """What a package manager is going to do to a package; docs/formats.md says what each field means."""

    name: str
    arch: str
    before: str | None
    after: str | None


class CapturedResource(t.TypedDict):
    """What is captured of a resource, or would be."""

    kind: str
    path: str
    files: int
    bytes: int


class TakenResource(CapturedResource, total=False):
    """The same with where it lies; C(farm) until it is settled. C(plan) is of check mode, and never recorded."""

    manifest: str
    sha256: str
    items: str
    seconds: float
    farm: bool
    changes: list[PackageChange]
    inexact: list[str]
    plan: t.Any


class ArchiveRecord(t.TypedDict):
    """The archive of a point; C(content) is bytes before compression."""

    name: str
    sha256: str
    bytes: int
    files: int
    content: int


class UndoWork(t.TypedDict):
    """What a rollback had to do, and took."""

    files: int
    bytes: int
    distributions: int
    seconds: float


class UndoTime(UndoWork):
    """The same of an installation's latest rollback, with the failure that led to it."""

    failed: str | None
    ended: str


class RollbackTerms(t.TypedDict):
    """The rollback that a host has prepared: fields of M(_undo.rollback)'s request."""

    to: str
    force: bool
    kinds: list[str]
    erase_installed_after: str
    keep_broken: bool


class WindowTimes(t.TypedDict):
    """Seconds that were expected when a phase began, and that were left."""

    expected: float
    undo: float
    seconds_left: float


class FiredRecord(t.TypedDict):
    """A dead-man's switch that fired, after so many seconds of silence."""

    time: str
    after: float
    by: str


class FleetRun(t.TypedDict):
    """A fleet run: its id, the identity of the decision log that knows the decision, and where that is, for people."""

    run: str
    decision_log: str
    where: str


class FleetTerms(FleetRun, total=False):
    """The same for a host that is to be prepared: with the installation that is meant."""

    install_id: str | None


class JoinedRun(FleetRun):
    """The run that an installation is prepared for; C(learned) is a state of M(_records.standing)."""

    since: str
    learned: str


class FleetRecord(JoinedRun, total=False):
    """The same, with what is to be rolled back if the run is a rollback."""

    rollback: RollbackTerms
    points: list[str]


class _Any(t.TypedDict, total=False):
    installations: list[str]
    ignorable: bool


class _Labels(_Any, total=False):
    install_mode: str
    environment_name: str
    python_path: str
    all_or_nothing: bool


class Begun(_Labels):
    event: t.Literal["begun"]
    inputs: Inputs
    environment: Environment
    identity: Identity
    run: str
    carried: dict[str, PhaseRecord]


class Rerooted(_Any):
    event: t.Literal["rerooted"]
    identity: Identity


class Described(_Labels):
    event: t.Literal["described"]
    run: str


class _PhaseResult(_Any, total=False):
    result: list[Observed]


class PhaseMoved(_PhaseResult):
    event: t.Literal["phase"]
    phase: str
    status: str
    data: t.Any
    run: str


class _CapturedOutside(_Any, total=False):
    by: str
    identity: Identity
    redo: RedoRecord


class PointCaptured(_CapturedOutside):
    event: t.Literal["captured"]
    point: str
    phase: str | None
    description: str
    specs: list[Spec]
    resources: list[TakenResource]


class PointSettled(_Any):
    event: t.Literal["settled"]
    point: str
    after: list[Observed]
    unchanged: bool


class VerifiedCommand(t.TypedDict):
    """A command that was run to verify; C(output) is the hash of what it printed."""

    argv: list[str]
    output: str


class VerifiedTable(t.TypedDict):
    """The path that the rows of a table are below, and the SHA-256 of its file in hex."""

    path: str
    sha256: str


class _EvidenceMore(t.TypedDict, total=False):
    """What not every evidence has.

    :ivar unverified: sentences on files that could not be verified, without full stops.
    :ivar cut: path of each RECORD that lists less than was verified before → its SHA-256.
    """

    table: VerifiedTable
    wrong_records: dict[str, str]
    unverified: list[str]
    cut: dict[str, str]


class Evidence(_EvidenceMore):
    """What was looked at, and found to be as it has to be."""

    resources: list[str]
    versions: dict[str, str]
    files: int
    imports: list[str]
    commands: list[VerifiedCommand]


class Verified(Evidence, _Any):
    event: t.Literal["verified"]


class Undoing(_Any):
    event: t.Literal["undoing"]
    points: list[str]
    phases: list[str]
    entire: bool
    force: bool
    redo: str | None
    plan: dict[str, list[str]]


class _UndoneMore(_Any, total=False):
    points: list[str]
    phases: list[str]
    status: str | None
    differences: list[str]
    work: UndoWork
    redo: str
    lost: list[str]


class Undone(_UndoneMore):
    event: t.Literal["undone"]
    outcome: str


class Redone(_Any):
    event: t.Literal["redone"]
    before: RecordBefore


class Pruned(_Any):
    event: t.Literal["pruned"]
    points: list[str]


class Archived(_Any):
    event: t.Literal["archived"]
    points: dict[str, ArchiveRecord]


class Prepared(FleetRun, _Any):
    event: t.Literal["prepared"]


class RollbackPrepared(FleetRun, _Any):
    event: t.Literal["rollback_prepared"]
    rollback: RollbackTerms
    points: list[str]


class RollbackDone(_Any):
    event: t.Literal["rollback_done"]


class Decided(_Any):
    event: t.Literal["committed", "aborted"]
    run: str
    by_script: bool


class Unilateral(_Any):
    event: t.Literal["unilateral"]
    run: str


class Window(_Any):
    event: t.Literal["window"]
    phase: str
    expected: float
    undo: float
    seconds_left: float


class SwitchFired(_Any):
    event: t.Literal["fired"]
    after: float
    by: str


class Ended(_Any):
    event: t.Literal["ended"]
    status: str


Event = t.Union[
    Begun,
    Rerooted,
    Described,
    PhaseMoved,
    PointCaptured,
    PointSettled,
    Verified,
    Undoing,
    Undone,
    Redone,
    Pruned,
    Archived,
    Prepared,
    RollbackPrepared,
    RollbackDone,
    Decided,
    Unilateral,
    Window,
    SwitchFired,
    Ended,
]


class _PointLater(t.TypedDict, total=False):
    by: str
    redo: RedoRecord
    after: list[Observed]
    unchanged: bool
    undone: str
    lost: str
    pruned: str
    archive: ArchiveRecord
    incomplete: bool


class Point(_PointLater):
    """A rollback point: its C(captured) event, C(root) of the record then, and what later events made of it."""

    install_id: str
    root: str
    time: str
    seq: int
    point: str
    phase: str | None
    description: str
    specs: list[Spec]
    resources: list[TakenResource]


class FleetMember(t.Protocol):
    """Of an installation, what tells how it stands in its fleet run."""

    install_id: str
    status: str
    undoing: Undoing | None
    fleet: FleetRecord | None


class _TransitionOptions(t.TypedDict, total=False):
    data: t.Any
    result: t.Sequence[Spec] | None
    capture: t.Sequence[Spec] | None
    description: str | None


class Transition(_TransitionOptions):
    """A phase that is asked to go to a status.

    C(data) is what the caller says about it, C(result) are the resources that are its result, C(capture) those that are
    captured before it, and C(description) is that of their rollback point.
    """

    phase: str
    status: str
