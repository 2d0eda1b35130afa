"""What sage_checkpoint_info tells: progress, history, verdict. Reads only."""

from __future__ import annotations

import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base import host
from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import (
    LedgerBroken,
    SageError,
    UnknownFormat,
)
from ansible_collections.intellistream.sage.plugins.module_utils._calls.verdict import judge, on_host
from ansible_collections.intellistream.sage.plugins.module_utils._deadman_switch import mark
from ansible_collections.intellistream.sage.plugins.module_utils._maintenance import check
from ansible_collections.intellistream.sage.plugins.module_utils._records import lease, progress
from ansible_collections.intellistream.sage.plugins.module_utils._records.installation import fold, installations
from ansible_collections.intellistream.sage.plugins.module_utils._records.standing import standing
from ansible_collections.intellistream.sage.plugins.module_utils._registry import registry
from ansible_collections.intellistream.sage.plugins.module_utils._reports import history as reports_history
from ansible_collections.intellistream.sage.plugins.module_utils._timeline import integrity

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._records.installation import Change, Installation
    from ansible_collections.intellistream.sage.plugins.module_utils._records.session import Engine, Session
    from ansible_collections.intellistream.sage.plugins.plugin_utils._events import Inputs
    from ansible_collections.intellistream.sage.plugins.plugin_utils._structures import (
        InstallationReport,
        LedgerReport,
        Report,
    )

# Its distribution on the index.
_SAGE = "isage"
# So many attempts are looked through for where it is.
_ATTEMPTS = 5


def report(engine: Engine, inputs: Inputs | None, history: bool, drift: bool = False) -> Report:
    """Everything about the state of a host.

    :param inputs: what is wanted, to judge against; None to judge the record alone.
    :param history: read and check the whole ledger.
    :param drift: compare every recorded file with what is on disk.
    :raises StateError: the state cannot be read at all. A broken chain is reported, not raised.
    """
    try:
        with engine.reading() as session:
            result = _report(session, inputs, history)
            result["at_work"] = _at_work(engine, session)
            if drift:
                from ansible_collections.intellistream.sage.plugins.module_utils._reports import drift as reports_drift

                result["drift"] = reports_drift.drift(session)
            return result
    except LedgerBroken as error:
        # Without a record there is nothing to compare with.
        broken: Report = {
            "changed": False,
            "exists": True,
            **_nothing(),
            "ledger": _ledger(engine.path, None, error),
        }
        if drift:
            broken["drift"] = None
        return broken


def _at_work(engine: Engine, session: Session) -> dict[str, t.Any] | None:
    """The run that is at work, for programs and for people."""
    try:
        working = lease.at_work(session.where, engine.root, engine.run)
    except UnknownFormat:
        # A check tells of it.
        return None
    return {**working.as_dict(), "told": lease.told(working, engine.root, engine.run)} if working is not None else None


def _report(session: Session, inputs: Inputs | None, history: bool) -> Report:
    installation = session.installation
    in_force = session.effective()
    wanted = on_host(inputs) if inputs is not None else None
    verdict = judge(in_force, wanted, host.facts(), session.identity, session.where, installation)
    changes: list[Change] = [installation] if installation is not None else []
    count, broken = None, None
    if history:
        try:
            lines = session.lines()
            changes, count = fold(lines), len(lines)
        except LedgerBroken as error:
            broken = error
    verdict = verdict.with_damage(session.where, [installation, in_force])
    known = {point["point"] for point in verdict.damaged}
    others = [point for point in integrity.promised(changes) if point["point"] not in known]
    damaged = [*verdict.damaged, *integrity.damaged(session.where, others)]
    unusable = {point["point"] for point in damaged}
    active = [point for change in changes for point in change.active_points]
    points = sorted((point for point in active if point["point"] not in unusable), key=lambda point: point["seq"])
    result: Report = {
        "changed": False,
        "exists": not session.empty,
        **_nothing(),
        "in_force": in_force.install_id if in_force is not None else None,
        "resume": verdict.as_dict(),
        "rollback_points": points,
        "damaged": sorted(damaged, key=lambda point: point["point"]),
        "ledger": _ledger(session.path, count, broken),
    }
    script = session.script_run
    if script is not None:
        result["script"] = {**script._asdict(), "told": script.told}
    if history:
        result["installations"] = [installed.as_dict() for installed in installations(changes)]
        result["transactions"] = reports_history.transactions(session.where, changes, unusable)
        result["installed_by"] = reports_history.installed_by(changes)
    if installation is not None:
        fleet = standing(installation)
        result["fleet"] = fleet.as_dict() if fleet is not None else None
        result["deadman"] = mark.status(session)
        result["timing"] = check.timing(installation)
        result["install_id"] = installation.install_id
        result["status"] = installation.status
        result["version"] = _version(_attempts(session, in_force or installation))
        result["progress"] = progress.view(installation, in_force)
        integrity.retract(result["progress"], damaged)
        result["progress_file"] = session.progress_condition()
        result["phases"] = {name: phase.as_dict() for name, phase in installation.phases.items()}
    return result


def _attempts(session: Session, first: Installation) -> t.Iterator[Installation]:
    """This one, and only then those before it."""
    yield first
    try:
        yield from reversed(session.recent(_ATTEMPTS))
    except LedgerBroken:
        # What is further back tells nothing then.
        return


def _version(attempts: t.Iterable[Installation]) -> str | None:
    """What is in the environment now, whatever the record says.

    :param attempts: one of them says where that is; one that failed before it came to SAGE does not.
    """
    results = (result for attempt in attempts for phase in reversed(attempt.phases.values()) for result in phase.result)
    for spec in (result["spec"] for result in results):
        kind = registry.find(str(spec.get("kind")))
        # Others are not looked at: that costs, and cannot tell.
        if kind is None or _SAGE not in dict(kind.brought(spec)):
            continue
        try:
            return kind.versions(registry.make(spec).observe()).get(_SAGE)
        except (SageError, OSError):
            # What cannot be read the verdict tells.
            return None
    return None


def _nothing() -> InstallationReport:
    return {
        "install_id": None,
        "status": None,
        "version": None,
        "at_work": None,
        "script": None,
        "in_force": None,
        "fleet": None,
        "deadman": {"armed": False, "seconds_left": None, "fired": None},
        "timing": None,
        "progress": {},
        "progress_file": "missing",
        "phases": {},
        "resume": None,
        "rollback_points": [],
        "damaged": [],
        "installations": [],
        "transactions": [],
        "installed_by": {},
    }


def _ledger(path: str, count: int | None, broken: LedgerBroken | None) -> LedgerReport:
    return {
        "path": path,
        "lines": count,
        "intact": broken is None,
        "broken_at": broken.number if broken else None,
        "message": str(broken) if broken else "",
    }
