"""One call of sage_checkpoint: judge, begin, move phases, capture, record. All of it or nothing."""

from __future__ import annotations

import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base import host as base_host
from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import OutOfOrder, SageError, WindowOver
from ansible_collections.intellistream.sage.plugins.module_utils._base.names import canonical
from ansible_collections.intellistream.sage.plugins.module_utils._base.redact import redact
from ansible_collections.intellistream.sage.plugins.module_utils._calls.results import drift
from ansible_collections.intellistream.sage.plugins.module_utils._calls.verdict import Verdict, judge, on_host
from ansible_collections.intellistream.sage.plugins.module_utils._deadman_switch import mark
from ansible_collections.intellistream.sage.plugins.module_utils._fleet.participant import learn_decision, prepare
from ansible_collections.intellistream.sage.plugins.module_utils._records import identity, lease, progress
from ansible_collections.intellistream.sage.plugins.module_utils._records.installation import (
    CLEANUP,
    ENVIRONMENT,
    PHASES,
    VERIFICATION,
)
from ansible_collections.intellistream.sage.plugins.module_utils._records.standing import standing
from ansible_collections.intellistream.sage.plugins.module_utils._registry import registry
from ansible_collections.intellistream.sage.plugins.module_utils._registry.registry import make
from ansible_collections.intellistream.sage.plugins.module_utils._timeline.targets import UNFINISHED

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._kind.interface import Resource
    from ansible_collections.intellistream.sage.plugins.module_utils._maintenance.check import TimeBudget
    from ansible_collections.intellistream.sage.plugins.module_utils._records.installation import Installation
    from ansible_collections.intellistream.sage.plugins.module_utils._records.session import Engine, Session
    from ansible_collections.intellistream.sage.plugins.plugin_utils._events import (
        Described,
        FiredRecord,
        FleetTerms,
        Inputs,
        Observed,
        PointCaptured,
        Transition,
    )
    from ansible_collections.intellistream.sage.plugins.plugin_utils._structures import (
        ChangedDistribution,
        CheckpointDetails,
        CheckpointResult,
        FleetStanding,
        RecordBrief,
        ResetResult,
        WindowFacts,
    )


# Phases whose result is what was installed, and how many installations are looked at for it.
_INSTALLING = ("python_deps", "sage_packages")
_ATTEMPTS = 8


class CheckpointRequest(t.NamedTuple):
    """What the caller wants of one call: parts of one line of the ledger, in any combination.

    :ivar inputs: what is wanted, by phase; None leaves the current installation as it is.
    :ivar resume: continue an unfinished installation; else begin a new one from the first phase.
    :ivar labels: C(install_mode), C(environment_name), C(python_path) for the progress file.
    :ivar transitions: the phases that move, in this order.
    :ivar recover: do nothing when an interrupted phase or undo left something half done; tell what has to be undone.
    :ivar prepare: the installation that ends waits for the decision about that run.
    :ivar window: what is left of a maintenance window; None without one.
    :ivar said: lines that an installer said, for the log of the installation.
    :ivar all_or_nothing: nothing of the installation that begins or continues is kept when it is not finished.
    """

    inputs: Inputs | None
    resume: bool
    labels: t.Mapping[str, str | None]
    transitions: t.Sequence[Transition]
    recover: bool = False
    prepare: FleetTerms | None = None
    window: TimeBudget | None = None
    all_or_nothing: bool = False
    said: t.Sequence[str] = ()


class _Start(t.NamedTuple):
    """How the record was when the call began: in brief, and how the switch of the installation had fired."""

    summary: RecordBrief
    fired: FiredRecord | None


class _MovedResource(t.NamedTuple):
    """A resource that was moved, works nowhere else, and is captured as a whole.

    :ivar point: the rollback point that has it.
    :ivar number: of the resource in that point.
    """

    point: str
    number: int
    resource: Resource


def checkpoint(engine: Engine, request: CheckpointRequest, check_mode: bool) -> CheckpointResult:
    """Carry the request out, or with C(check_mode) tell what it would do.

    What has to be undone, or learned of a fleet run, comes first: then the call does nothing else, and returns that.

    :raises SageError: nothing was recorded.
    """
    if not check_mode and any(transition["status"] == "failed" for transition in request.transitions):
        from ansible_collections.intellistream.sage.plugins.module_utils._records import stray_processes

        # A task that was cut off goes on here, and may hold the lock.
        stray_processes.end(engine)
    records = request.inputs is not None or request.transitions or request.prepare is not None or engine.holds
    # Where there is no record and nothing to put into one, none is made.
    only_looks = check_mode or not (records or engine.exists())
    with engine.opened(only_looks) as session:
        # A mark of another version is refused before anything is recorded.
        mark.read(session.where)
        start = _start(session)
        fleet = standing(session.installation)
        undo_to = fleet.to if fleet is not None and (request.inputs is not None or request.recover) else None
        if undo_to is None and request.recover:
            undo_to = _half_done(session)
        if undo_to is not None or _waits(session, request):
            return _record(session, None, start, undo_to)
        return _proceed(session, request, start)


def deliver_decision(engine: Engine, run: str, decision: str, check_mode: bool) -> CheckpointResult:
    """Have a host learn what was decided about the fleet run that it was prepared for, or tell what that would do.

    :param decision: V(commit) or V(abort).
    :returns: C(recover) is what has to be rolled back then.
    :raises SageError: nothing was recorded.
    """
    # Whoever knows the decision may deliver it, whichever run is at work.
    engine.joins = True
    with engine.opened(check_mode) as session:
        mark.read(session.where)
        start = _start(session)
        fleet = learn_decision(session, run, decision)
        # A host that had prepared a rollback, and need not do it, may have to be recovered as before.
        spared = fleet.to is None and fleet.rollback is not None
        return _record(session, None, start, _half_done(session) if spared else fleet.to)


def _start(session: Session) -> _Start:
    """How the record is now."""
    return _Start(_summary(session), session.installation.fired if session.installation is not None else None)


def _waits(session: Session, request: CheckpointRequest) -> bool:
    """Whether the decision of a fleet run comes first, or is what the request waits for already."""
    fleet = standing(session.installation)
    if fleet is None or not fleet.asks:
        return False
    return request.inputs is not None or (request.prepare is not None and fleet.run == request.prepare["run"])


def _proceed(session: Session, request: CheckpointRequest, start: _Start) -> CheckpointResult:
    """Begin or go on with an installation, move its phases, and prepare it for a fleet run."""
    if session.follows_run and request.inputs is None and request.transitions and session.installation is not None:
        lease.refuse_foreign(session.installation, session.run)
    session.said = request.said
    verdict = _begin(session, request)
    transitions = request.transitions if verdict is None or verdict.phase is not None else []
    moved: list[_MovedResource] = []
    for transition in transitions:
        if verdict is None or transition["phase"] in verdict.phases_to_run:
            moved += _move(session, transition)
    _describe(session, request)
    if request.prepare is not None:
        prepare(session, **request.prepare, was=start.summary.get("status"))
    window = _check_window(session, request.window, verdict, transitions)
    result: CheckpointResult = {**_record(session, verdict, start), "window": window}
    if verdict is not None and verdict.phase is not None:
        result["versions"] = _versions(session)
        result["moved"] = [each.resource.path for each in moved]
        result["others"] = [other for each in moved for other in each.resource.others()]
    if session.writes and any(each["phase"] == PHASES[-1] and each["status"] == "completed" for each in transitions):
        result["changes"] = _changes(session)
    _set_aside(session, moved)
    if any(transition.get("capture") or transition["status"] == "completed" for transition in transitions):
        from ansible_collections.intellistream.sage.plugins.module_utils._rollback_shell.script import refresh

        refresh(session)
    return result


def _record(session: Session, verdict: Verdict | None, start: _Start, undo_to: str | None = None) -> CheckpointResult:
    """Record what the session took, keep the dead-man's switch waiting, and tell."""
    changed, captured = session.changed, session.captured
    session.commit()
    mark.renew_or_disarm(session)
    return {
        "changed": changed,
        "run": session.run,
        "recover": {"to": undo_to} if undo_to is not None else None,
        "script": session.script_run.told if session.script_run is not None else None,
        "resume": verdict.as_dict() if verdict is not None else None,
        "fleet": _fleet(session),
        "window": None,
        "deadman": mark.status(session, start.fired),
        **_details(session, changed, captured),
        "repaired": session.repaired,
        "diff": {"before": start.summary, "after": _summary(session)} if changed else {"before": {}, "after": {}},
        **progress.summary(session.installation, session.effective()),
    }


def _check_window(
    session: Session, window: TimeBudget | None, verdict: Verdict | None, transitions: t.Sequence[Transition]
) -> WindowFacts | None:
    """Refuse to begin a phase that, with an undo, would not end inside the window; what was captured for it goes.

    :raises WindowOver: it would not.
    """
    last = {transition["phase"]: transition["status"] for transition in transitions}
    begins = [
        phase
        for phase, status in last.items()
        if status == "started" and session.required().phases[phase].status == status
    ]
    to_run = verdict.phases_to_run if verdict is not None else []
    if window is None or not (begins or to_run):
        return None
    from ansible_collections.intellistream.sage.plugins.module_utils._maintenance import check

    try:
        # Where finished phases are taken over, none begins in this call.
        return check.check(session, window, begins or to_run[:1], to_run, registry.find)
    except WindowOver:
        if session.where is not None and session.writes:
            from ansible_collections.intellistream.sage.plugins.module_utils._storage import store as storage_store

            installation = session.required()
            for point in session.unrecorded_points():
                storage_store.discard(session.where, installation.install_id, point)
        raise


def _details(session: Session, changed: bool, captured: t.Sequence[PointCaptured]) -> CheckpointDetails:
    """What is told only where it means something, since what it imports would cost every call."""
    details: CheckpointDetails = {}
    if changed:
        details["prunable"] = session.prunable = prunable(session)
    if captured:
        from ansible_collections.intellistream.sage.plugins.module_utils._timeline.points import brief

        details["captured"] = [brief(point) for point in captured]
    if session.installation is not None and session.installation.window:
        from ansible_collections.intellistream.sage.plugins.module_utils._maintenance import check

        details["timing"] = check.timing(session.installation)
    return details


def prunable(session: Session) -> bool:
    """Whether the store holds anything but what the current installation can be undone with."""
    if session.where is None or session.empty:
        return False
    installation = session.installation
    points = installation.points if installation is not None else []
    needed = {point["point"] for point in points if not point.get("undone")}
    if {point["point"] for point in points if not point.get("pruned")} - needed:
        return True
    from ansible_collections.intellistream.sage.plugins.module_utils._storage import contents

    current = installation.install_id if installation is not None else ""
    try:
        with contents.opened(session.where) as store:
            if set(contents.install_ids(store)) - {current}:
                return True
            with store.child(current) as stored:
                return bool(set(stored.names()) - needed)
    except FileNotFoundError:
        return False
    except (OSError, SageError):
        # For the one that removes to tell.
        return True


def _half_done(session: Session) -> str | None:
    """What a rollback has to go to so that nothing is half done; None when nothing is.

    Half done is what a phase changed that was killed, a rollback that was, what the script undid and could not record,
    and all of an installation that was to be all or nothing and was not finished.
    """
    installation = session.installation
    if installation is not None:
        if installation.fired is not None and (installation.unfinished or installation.status == "prepared"):
            # Its dead-man's switch was to take all of it back, and could not.
            return installation.install_id
        if installation.all_or_nothing and installation.unfinished and installation.active_points:
            return installation.install_id
        captured = {point.get("phase") for point in installation.active_points}
        killed = [name for name in PHASES if installation.phases[name].status == "started" and name in captured]
        if killed:
            return killed[0]
    return UNFINISHED if session.interrupted or session.script_was_run else None


def _begin(session: Session, request: CheckpointRequest) -> Verdict | None:
    """The verdict on what is wanted, and begin the installation that it asks for; None when nothing was said."""
    if request.inputs is None:
        return None
    inputs = on_host(request.inputs)
    host = base_host.facts()
    in_force = session.effective() if request.resume else None
    verdict = judge(in_force, inputs, host, session.identity, session.where, session.installation)
    verdict = verdict.with_damage(session.where, [session.installation, in_force])
    if verdict.phase is None:
        return verdict
    continues = (
        in_force is not None
        and in_force is session.installation
        and in_force.unfinished
        and (in_force.inputs, in_force.environment) == (inputs, host)
        and not identity.new_root(in_force.began_as, session.identity)
    )
    if continues and session.run and session.required().run != session.run:
        session.add({"event": "described", "run": session.run})
    if not continues:
        session.begin(inputs, host, carry_from=in_force, carry=PHASES[: PHASES.index(verdict.phase)])
    return verdict


def _move(session: Session, transition: Transition) -> list[_MovedResource]:
    """Capture for a phase, take it to its status, and look at what it left when it is completed.

    :returns: what has to be taken out of the way once this is recorded.
    """
    from ansible_collections.intellistream.sage.plugins.module_utils._timeline.points import capture, settle
    from ansible_collections.intellistream.sage.plugins.module_utils._timeline.unsettled import settle_earlier

    phase, status = transition["phase"], transition["status"]
    result: list[Observed] | None = None
    results = transition.get("result")
    if results:
        specs = [registry.recorded(spec) for spec in results]
        result = [{"spec": spec, "facts": make(spec).observe()} for spec in specs]
    if session.writes and status in ("completed", "skipped"):
        session.refuse_to_go_on()
        _refuse_out_of_order(session.required(), phase, status, result or [])
    captures = transition.get("capture")
    moved: list[_MovedResource] = []
    if captures:
        if phase == ENVIRONMENT:
            captures, moved = _whole_where_moved(captures)
        settle_earlier(session, captures)
        # Captured and checked before the phase counts as started: nothing is changed before that.
        captured = capture(session, captures, phase, transition.get("description") or f"before {phase}")
        moved = [each._replace(point=captured["point"]) for each in moved]
        session.add(captured)
    if session.move(phase, status, redact(transition.get("data")), result) and status == "completed":
        for point in session.required().active_points:
            # What was archived ended long ago.
            event = settle(session.where, point) if point.get("phase") == phase and not point.get("archive") else None
            if event is not None:
                session.add(event)
    return moved


def _refuse_out_of_order(installation: Installation, phase: str, status: str, result: t.Sequence[Observed]) -> None:
    """Refuse to record as done what rests on a phase that is not done, has not its result, or was not verified.

    A caller may ignore that a task failed, or leave it out. In check mode nothing was done, and nothing is recorded.

    :raises OutOfOrder: that is so.
    """
    name = installation.install_id
    for earlier in PHASES[: PHASES.index(phase)]:
        if not installation.phases[earlier].done:
            raise OutOfOrder(
                f"Phase {phase} of installation {name} cannot be {status}: {earlier} comes first, and is "
                f"{installation.phases[earlier].status}.",
                untouched="the record.",
                advice=f"Begin and end {earlier} first. If that was tried, a task of it failed and was ignored.",
                phase=phase,
                missing=earlier,
            )
    if phase in (VERIFICATION, CLEANUP) and (
        installation.verified is None or (status == "skipped" and phase == VERIFICATION)
    ):
        raise OutOfOrder(
            f"Phase {phase} of installation {name} cannot be {status}: what was installed has not been verified.",
            untouched="the record.",
            advice="Begin the phase verification and call intellistream.sage.sage_verify. If that was done, it failed "
            "and was ignored, or an earlier phase has begun since.",
            phase=phase,
            missing=VERIFICATION,
        )
    reasons = drift(result)
    if reasons:
        raise OutOfOrder(
            f"Phase {phase} of installation {name} cannot be {status}: {'; '.join(reasons)}.",
            untouched="the record.",
            advice=f"Find out why a task of {phase} has not done its work; if it failed, that was ignored.",
            phase=phase,
            missing=phase,
        )


def _whole_where_moved(
    specs: t.Sequence[t.Mapping[str, t.Any]],
) -> tuple[list[t.Mapping[str, t.Any]], list[_MovedResource]]:
    """The same captures, where what was moved and works nowhere else is captured as a whole: it is made anew."""
    wholes, moved = list(specs), []
    for number, spec in enumerate(specs):
        if make(spec).moved_from():
            wholes[number] = {"kind": spec["kind"], "path": spec["path"], "whole": True}
            moved.append(_MovedResource("", number, resource=make(wholes[number])))
    return wholes, moved


def _set_aside(session: Session, moved: t.Sequence[_MovedResource]) -> None:
    """Take what was captured as a whole out of the way, into the store."""
    if not moved or session.where is None or not session.writes:
        return
    from ansible_collections.intellistream.sage.plugins.module_utils._storage import contents

    for point, number, resource in moved:
        directory = contents.point_dir(session.where, session.required().install_id, point)
        with directory, contents.content_dir(directory, number) as content:
            resource.set_aside(content)


def _changes(session: Session) -> list[ChangedDistribution]:
    """What the installation did to distributions, in all its runs, as its rollback points tell."""
    before: dict[str, str] = {}
    after: dict[str, str] = {}
    for point in session.required().active_points if session.where is not None else ():
        for spec, resource in zip(point["specs"], point["resources"]):
            if not spec.get("distributions") or session.where is None:
                continue
            from ansible_collections.intellistream.sage.plugins.module_utils._storage import contents

            with contents.point_dir(session.where, point["install_id"], point["point"]) as directory:
                captured = contents.read_manifest(directory, resource).get("distributions") or {}
            for each in spec["distributions"]:
                name = canonical(str(each["name"]))
                before.setdefault(name, str(captured.get(name) or ""))
                after[name] = str(each.get("version") or "")
    return [{"name": name, "from_version": before[name], "version": version} for name, version in sorted(after.items())]


def _versions(session: Session) -> dict[str, str]:
    """Name → version of what was in force before, as recorded, or as found in what was moved out of the way."""
    versions: dict[str, dict[str, str]] = {}
    for installation in reversed(session.recent(_ATTEMPTS)):
        # One that has installed nothing, such as the one that begins now: what counts is what it begins on.
        _add_versions(versions, installation)
    in_force = {name: version for phase in versions.values() for name, version in phase.items()}
    if session.where is None:
        return in_force
    for point in session.required().active_points:
        for spec, resource in zip(point["specs"], point["resources"]):
            if spec.get("whole") and resource.get("manifest"):
                from ansible_collections.intellistream.sage.plugins.module_utils._storage import contents

                with contents.point_dir(session.where, point["install_id"], point["point"]) as directory:
                    in_force.update(contents.read_manifest(directory, resource).get("distributions") or {})
    return in_force


def _add_versions(versions: dict[str, dict[str, str]], installation: Installation) -> None:
    """Add what an installation has installed in phases that are not there yet; C(versions): phase → name → version."""
    for name in _INSTALLING:
        phase = installation.phases[name]
        if name in versions or not phase.done or installation.status == "rolled_back":
            continue
        kinds = [(registry.find(str(result["spec"].get("kind"))), result["facts"]) for result in phase.result]
        found = {pair for kind, facts in kinds if kind is not None for pair in kind.versions(facts).items()}
        if found:
            versions[name] = dict(found)


def _fleet(session: Session) -> FleetStanding | None:
    """How the installation stands in its fleet run, for the caller."""
    fleet = standing(session.installation)
    return fleet.as_dict() if fleet is not None else None


def _describe(session: Session, request: CheckpointRequest) -> None:
    """Record labels that are new, and that the installation is all or nothing."""
    installation = session.installation
    if installation is None:
        return
    labels = {name: label for name, label in redact(request.labels).items() if label is not None}
    becomes = request.all_or_nothing and installation.unfinished and not installation.all_or_nothing
    if becomes or any(installation.labels.get(name) != label for name, label in labels.items()):
        event = t.cast("Described", {"event": "described", "run": session.run, **labels})
        if becomes:
            event["all_or_nothing"] = True
        session.add(event)


def _summary(session: Session) -> RecordBrief:
    """The record in brief, for the diff."""
    installation = session.installation
    if installation is None:
        return {}
    return {
        "install_id": installation.install_id,
        "status": installation.status,
        "phases": {name: phase.status for name, phase in installation.phases.items()},
        "rollback_points": len(installation.points),
    }


def reset(engine: Engine, check_mode: bool) -> ResetResult:
    """Remove the whole state; nothing to do when there is none."""
    exists = engine.exists()
    if exists and not check_mode:
        engine.reset()
    before = {"state": "present" if exists else "absent"}
    return {"changed": exists, "diff": {"before": before, "after": {"state": "absent"}}}
