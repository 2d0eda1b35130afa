# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One call of sage_checkpoint: judge, begin, move phases, capture, record. All of it or nothing."""

from __future__ import annotations

import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base import host as base_host
from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import SageError, WindowOver
from ansible_collections.intellistream.sage.plugins.module_utils._base.redact import redact
from ansible_collections.intellistream.sage.plugins.module_utils._calls.verdict import Verdict, judge
from ansible_collections.intellistream.sage.plugins.module_utils._deadman_switch import mark
from ansible_collections.intellistream.sage.plugins.module_utils._fleet.participant import learn_decision, prepare
from ansible_collections.intellistream.sage.plugins.module_utils._records import progress
from ansible_collections.intellistream.sage.plugins.module_utils._records.installation import PHASES
from ansible_collections.intellistream.sage.plugins.module_utils._records.script_marks import was_run
from ansible_collections.intellistream.sage.plugins.module_utils._records.standing import standing
from ansible_collections.intellistream.sage.plugins.module_utils._registry.registry import make

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._maintenance.check import TimeBudget, WindowFacts
    from ansible_collections.intellistream.sage.plugins.module_utils._records.events import Described, Fired, Observed
    from ansible_collections.intellistream.sage.plugins.module_utils._records.session import Engine, Session

Result = dict[str, t.Any]


class CheckpointRequest(t.NamedTuple):
    """What the caller wants of one call.

    :ivar inputs: what is wanted, by phase; None leaves the current installation as it is.
    :ivar resume: continue an unfinished installation; else begin a new one from the first phase.
    :ivar labels: C(install_mode), C(environment_name), C(python_path) for the progress file.
    :ivar transitions: mappings C(phase), C(status), C(data), C(result), C(capture), C(description).
    :ivar recover: do nothing when an interrupted phase or undo left something half done; tell what has to be undone.
    :ivar prepare: C(run), C(decision_log), C(where), C(install_id): the installation that ends waits for the decision
        about that run.
    :ivar decided: mapping C(run), C(decision): what was decided.
    :ivar window: what is left of a maintenance window; None without one.
    :ivar all_or_nothing: nothing of the installation that begins or continues is kept when it is not finished.
    """

    inputs: dict[str, dict[str, t.Any]] | None
    resume: bool
    labels: dict[str, str]
    transitions: list[dict[str, t.Any]]
    recover: bool = False
    prepare: dict[str, str] | None = None
    decided: dict[str, str] | None = None
    window: TimeBudget | None = None
    all_or_nothing: bool = False


def checkpoint(engine: Engine, request: CheckpointRequest, check_mode: bool) -> Result:
    """Carry the request out, or with C(check_mode) tell what it would do.

    :raises SageError: nothing was recorded.
    """
    if not check_mode and any(one["status"] == "failed" for one in request.transitions):
        from ansible_collections.intellistream.sage.plugins.module_utils._deadman_switch import stray_processes

        # A task that was cut off goes on here, and may hold the lock.
        stray_processes.end(engine)
    with engine.reading() if check_mode else engine.session() as session:
        before = _summary(session)
        fired = session.installation.fired if session.installation is not None else None
        if request.decided is not None:
            learn_decision(session, **request.decided)
        fleet = standing(session.installation)
        # Who promised a rollback and need not do it may have to be recovered as before.
        heard = request.decided is not None and fleet is not None and fleet.rollback is not None
        recover = _to_recover(session) if request.recover or heard else None
        if fleet is not None and (request.inputs is not None or request.decided is not None or request.recover):
            recover = fleet.to or recover
        again = fleet is not None and fleet.asks and fleet.run == (request.prepare or {}).get("run")
        asks = fleet is not None and fleet.asks and request.inputs is not None
        if request.decided is not None or recover is not None or asks or again:
            # What has to be taken back, or heard, comes before anything else.
            changed = session.changed
            session.commit()
            mark.renew_or_disarm(session)
            return {**_result(session, None, before, changed, fired), "recover": {"to": recover} if recover else None}
        verdict = _judge(session, request)
        transitions = request.transitions if verdict is None or verdict.phase is not None else []
        for transition in transitions:
            _move(session, transition, verdict)
        _describe(session, request)
        if request.prepare is not None:
            prepare(session, **request.prepare, was=before.get("status"))
        window = _check_window(session, request, verdict, transitions)
        changed = session.changed
        session.commit()
        mark.renew_or_disarm(session)
        if any(one.get("capture") or one["status"] == "completed" for one in transitions):
            from ansible_collections.intellistream.sage.plugins.module_utils._rollback_shell.refresh import refresh

            refresh(session)
        return {**_result(session, verdict, before, changed, fired), "window": window}


def _check_window(
    session: Session, request: CheckpointRequest, verdict: Verdict | None, transitions: t.Sequence[Result]
) -> WindowFacts | None:
    """Refuse to begin a phase that, with an undo, would not end inside the window; what was captured for it goes."""
    last = {one["phase"]: one["status"] for one in transitions}
    begins = [
        name
        for name, status in last.items()
        if status == "started" and session.required().phases[name].status == status
    ]
    to_run = verdict.phases_to_run if verdict is not None else []
    if request.window is None or not (begins or to_run):
        return None
    from ansible_collections.intellistream.sage.plugins.module_utils._maintenance import check

    try:
        # Where finished phases are taken over, none begins in this call.
        return check.check(session, request.window, begins or to_run[:1], to_run)
    except WindowOver:
        if session.where is not None and session.writes:
            from ansible_collections.intellistream.sage.plugins.module_utils._storage import store as storage_store

            installation = session.required()
            for point in session.unrecorded_points():
                storage_store.discard(session.where, installation.install_id, point)
        raise


def _result(
    session: Session, verdict: Verdict | None, before: Result, changed: bool, fired: Fired | None = None
) -> Result:
    return {
        "changed": changed,
        "recover": None,
        "resume": verdict.as_dict() if verdict else None,
        "fleet": _fleet(session),
        "window": None,
        "deadman": mark.status(session, fired),
        **_timing(session),
        "repaired": session.repaired,
        "diff": {"before": before, "after": _summary(session)} if changed else {"before": {}, "after": {}},
        # Only where something was recorded: what this imports would cost every call.
        **({"prunable": prunable(session)} if changed else {}),
        **progress.told(session.installation),
    }


def _timing(session: Session) -> Result:
    """What was estimated and what it took, where a window was set."""
    if session.installation is None or not session.installation.window:
        return {}
    from ansible_collections.intellistream.sage.plugins.module_utils._maintenance import check

    return {"timing": check.timing(session.installation)}


def prunable(session: Session) -> bool:
    """Whether the store holds anything but what the current installation can be undone with."""
    installation = session.installation
    if installation is None or session.where is None:
        return False
    needed = {point["point"] for point in installation.active_points}
    if {point["point"] for point in installation.points if not point.get("pruned")} - needed:
        return True
    from ansible_collections.intellistream.sage.plugins.module_utils._storage import store as storage_store

    try:
        with storage_store.opened(session.where) as store:
            if set(store.names()) - {installation.install_id}:
                return True
            with store.child(installation.install_id) as points:
                return bool(set(points.names()) - needed)
    except FileNotFoundError:
        return False
    except (OSError, SageError):
        # For the one that removes to tell.
        return True


def _to_recover(session: Session) -> str | None:
    """What a rollback has to go to before anything else begins; None when nothing was left half done.

    That is what a phase changed that was killed, a rollback that was, what the script undid and could not record, and
    all of an installation that was to be all or none and was not finished.
    """
    installation = session.installation
    if installation is None:
        return None
    if installation.fired is not None and (installation.unfinished or installation.status == "prepared"):
        # Its dead-man's switch was to take all of it back, and could not.
        return installation.install_id
    if installation.all_or_nothing and installation.unfinished and installation.active_points:
        return installation.install_id
    captured = {point.get("phase") for point in installation.active_points}
    killed = [name for name in PHASES if installation.phases[name].status == "started" and name in captured]
    if killed:
        return killed[0]
    # A rollback that was begun is finished whatever is named; what the script undid is recorded.
    pending = installation.undoing or (session.where is not None and was_run(session.where))
    return "last" if pending else None


def _judge(session: Session, request: CheckpointRequest) -> Verdict | None:
    """The verdict on what is wanted; begins the installation that it asks for."""
    if request.inputs is None:
        return None
    inputs = redact(request.inputs)
    host = base_host.facts()
    base = session.effective() if request.resume else None
    verdict = judge(base, inputs, host)
    if verdict.phase is None:
        return verdict
    continues = (
        base is not None
        and base is session.installation
        and base.unfinished
        and (base.inputs, base.environment) == (inputs, host)
    )
    if not continues:
        session.begin(inputs, host, base, PHASES[: PHASES.index(verdict.phase)])
    return verdict


def _move(session: Session, transition: dict[str, t.Any], verdict: Verdict | None) -> None:
    phase, status = transition["phase"], transition["status"]
    if verdict is not None and phase not in verdict.phases_to_run:
        return
    from ansible_collections.intellistream.sage.plugins.module_utils._timeline.points import capture, clean, settle

    result: list[Observed] | None = None
    if transition.get("result"):
        specs = [clean(spec) for spec in transition["result"]]
        result = [{"spec": spec, "facts": make(spec["kind"], spec).observe()} for spec in specs]
    if transition.get("capture"):
        # Captured and checked before the phase counts as started: nothing is changed before that.
        session.add(capture(session, transition["capture"], phase, transition.get("description") or f"before {phase}"))
    if session.move(phase, status, redact(transition.get("data")), result) and status == "completed":
        for point in session.required().active_points:
            # What was archived ended long ago.
            event = settle(session.where, point) if point.get("phase") == phase and not point.get("archive") else None
            if event is not None:
                session.add(event)


def _fleet(session: Session) -> Result | None:
    found = standing(session.installation)
    return found.as_dict() if found is not None else None


def _describe(session: Session, request: CheckpointRequest) -> None:
    installation = session.installation
    if installation is None:
        return
    new = {name: value for name, value in redact(request.labels).items() if value is not None}
    becomes = request.all_or_nothing and installation.unfinished and not installation.all_or_nothing
    if becomes or any(installation.labels.get(name) != value for name, value in new.items()):
        event = t.cast("Described", {"event": "described", **new})
        if becomes:
            event["all_or_nothing"] = True
        session.add(event)


def _summary(session: Session) -> Result:
    installation = session.installation
    if installation is None:
        return {}
    return {
        "install_id": installation.install_id,
        "status": installation.status,
        "phases": {name: phase.status for name, phase in installation.phases.items()},
        "rollback_points": len(installation.points),
    }


def reset(engine: Engine, check_mode: bool) -> Result:
    """Remove the whole state; nothing to do when there is none."""
    exists = engine.exists()
    if exists and not check_mode:
        engine.reset()
    word = {"state": "present"} if exists else {"state": "absent"}
    return {"changed": exists, "diff": {"before": word, "after": {"state": "absent"}}}
