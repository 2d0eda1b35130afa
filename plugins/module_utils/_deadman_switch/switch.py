"""A dead-man's switch: the host takes an installation back when the controller was silent for too long."""

from __future__ import annotations

import os
import re
import shlex
import sys
import time
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base import clock, command, host, processes, zipapp
from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import InputError, SageError, StateError
from ansible_collections.intellistream.sage.plugins.module_utils._deadman_switch import mark as deadman_switch_mark
from ansible_collections.intellistream.sage.plugins.module_utils._deadman_switch import program
from ansible_collections.intellistream.sage.plugins.module_utils._deadman_switch.stop import (
    TIMEOUT,
    UNIT,
    is_its_process,
    stop,
)
from ansible_collections.intellistream.sage.plugins.module_utils._rollback_shell import sources

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._deadman_switch.mark import Mark
    from ansible_collections.intellistream.sage.plugins.module_utils._records.session import Engine, Session
    from ansible_collections.intellistream.sage.plugins.plugin_utils._structures import (
        EngineSettings,
        SwitchDiff,
        SwitchResult,
        SwitchStatus,
    )

METHODS = ("systemd", "at", "process")

_PYTHON = "/usr/bin/python3"
_OLDEST_PYTHON = (3, 9)
# The service outlives a session of ssh, and leaves nothing behind, also when it fails.
_TIMER = (
    "systemd-run",
    "--quiet",
    "--collect",
    "--timer-property=AccuracySec=1s",
    "--timer-property=RemainAfterElapse=no",
)
# atd counts in minutes.
_MINUTE = 60


def arm(engine: Engine, after: float, method: str, check_mode: bool) -> SwitchResult:
    """Arm the switch for the installation that is at work.

    :param after: after how many seconds of silence it fires.
    :param method: one of C(METHODS), or V(auto) for the first that works.
    :raises InputError: nothing is at work, or it can do nothing in time.
    :raises StateError: nothing here can start it.
    """
    if after < 1:
        raise InputError("A dead-man's switch needs at least one second.", untouched="everything.")
    with engine.opened(check_mode) as session:
        before = deadman_switch_mark.status(session)
        installation = session.installation
        at_work = installation is not None and (installation.unfinished or installation.status == "prepared")
        if installation is None or session.where is None or not at_work:
            if check_mode:
                # In check mode the installation that would begin was not begun.
                return _result(session, before, True, f"It would be armed, to fire after {after:g} s of silence.")
            raise InputError(
                "No installation is at work here, so there is nothing that a dead-man's switch could take back.",
                untouched="everything.",
                advice="Begin one with intellistream.sage.sage_checkpoint first.",
            )
        mark = deadman_switch_mark.read(session.where)
        is_same = mark is not None and (mark.install_id, mark.after) == (installation.install_id, after)
        if mark is not None and is_same and _is_pending(mark):
            deadman_switch_mark.renew_or_disarm(session)
            return _result(session, before, False, "It is armed already.")
        if not check_mode:
            if mark is not None:
                stop(mark)
            mark = deadman_switch_mark.make(installation.install_id, os.urandom(8).hex(), after)
            _arm(engine, session, mark, method)
        return _result(session, before, True, f"It fires after {after:g} s of silence.")


def disarm(engine: Engine, check_mode: bool) -> SwitchResult:
    """Disarm the switch, and stop the timer, job or process that waits to start its program."""
    with engine.reading() as session:
        before = deadman_switch_mark.status(session)
        mark = deadman_switch_mark.read(session.where)
        if mark is None or check_mode:
            return _result(session, before, mark is not None, "It is not armed." if mark is None else "Disarmed.")
    with engine.session() as session:
        mark = deadman_switch_mark.read(session.where)
        deadman_switch_mark.remove(session)
        if mark is not None:
            stop(mark)
        return _result(session, before, mark is not None, "Disarmed.")


def _result(session: Session, before: SwitchStatus, changed: bool, text: str) -> SwitchResult:
    mark = deadman_switch_mark.read(session.where)
    status = deadman_switch_mark.status(session)
    armed_after = status["armed"] if session.writes else not before["armed"]
    due = time.time() + mark.seconds_left() if mark is not None and status["armed"] else None
    diff: SwitchDiff = {"before": {}, "after": {}}
    if changed:
        diff = {"before": {"armed": before["armed"]}, "after": {"armed": armed_after}}
    return {
        **status,
        "changed": changed,
        "msg": text,
        "method": mark.method if mark is not None else None,
        "fires_at": clock.local(due) if due is not None else None,
        "diff": diff,
    }


def _arm(engine: Engine, session: Session, mark: Mark, method: str) -> None:
    """Write the program and the mark, and have the program started by the first method that works."""
    state = session.where
    if state is None:
        return
    python = _python()
    settings: EngineSettings = {
        "root": engine.root,
        "checkpoint_dir": engine.checkpoint_dir,
        "lock_timeout": 3600.0,
        "repackage_dir": engine.repackage_dir,
    }
    content = zipapp.build(program, settings, python, sources.members(), entire=True)
    state.write(deadman_switch_mark.PROGRAM, content)
    argv = [python, "-I", os.path.join(state.path, deadman_switch_mark.PROGRAM), mark.token]
    # Where it was disarmed there is no program any more, and nothing to do.
    if_still_armed = ["/bin/sh", "-c", 'test ! -e "$2" || exec "$0" "$@"', *argv]
    # Armed first: what is started finds it, and what could not be started leaves nothing.
    mark = mark.renewed()
    deadman_switch_mark.write(state, mark)
    refused = []
    for name in METHODS if method == "auto" else [method]:
        try:
            handle = _START[name](argv if name == "process" else if_still_armed, mark)
        except SageError as error:
            refused.append(f"{name}: {error.what}")
            continue
        if handle:
            deadman_switch_mark.write(state, mark._replace(method=name, handle=handle))
            return
        refused.append(f"{name}: not usable here")
    deadman_switch_mark.remove(session)
    raise StateError(
        f"No dead-man's switch can be armed here: {'; '.join(refused)}.",
        untouched="everything.",
        advice="Use another sage_deadman_method, or do without.",
    )


def _python() -> str:
    """The system's Python, which has the package managers' libraries; else the one that runs this."""
    if os.access(_PYTHON, os.X_OK):
        asked = command.run([_PYTHON, "-I", "-S", "-c", "import sys; print(*sys.version_info[:2])"], timeout=TIMEOUT)
        if asked.rc == 0 and tuple(int(part) for part in asked.stdout.split()) >= _OLDEST_PYTHON:
            return _PYTHON
    return sys.executable


def _by_systemd(argv: t.Sequence[str], mark: Mark) -> str:
    """Start a timer of the system's manager.

    :returns: its unit; empty where the manager does not run, or is not ours.
    :raises InstallerError: it was refused.
    """
    if not os.path.isdir("/run/systemd/system") or os.geteuid() != 0:
        return ""
    unit = f"{UNIT}{mark.token}"
    description = f"Take back installation {mark.install_id}, unless it ends"
    command.checked(
        [*_TIMER, f"--unit={unit}", f"--description={description}", f"--on-active={mark.after:g}", "--", *argv],
        timeout=TIMEOUT,
    )
    return unit


def _by_at(argv: t.Sequence[str], mark: Mark) -> str:
    """Make a job of atd, which counts in minutes: it starts early rather than late, and waits then.

    :returns: its number; empty where atd does not run, or the time is too short for it.
    :raises InstallerError: it was refused.
    """
    if not any(processes.name(process) == "atd" for process in processes.running()) or mark.after < _MINUTE:
        return ""
    line = " ".join(shlex.quote(part) for part in argv)
    # at writes its whole environment into the job: it gets none of the run's proxies and tokens.
    variables = [f"{name}={text}" for name, text in _environment().items()]
    outcome = command.run(
        ["env", "-i", *variables, "at", "-M", f"now + {int(mark.after // _MINUTE)} minutes"],
        stdin=f"exec {line} >/dev/null 2>&1\n",
        timeout=TIMEOUT,
    )
    job = re.search(r"^job (\d+) ", outcome.stderr, re.MULTILINE)
    if outcome.rc != 0 or job is None:
        raise command.failed(outcome)
    return job[1]


def _by_process(argv: t.Sequence[str], dummy: Mark) -> str:
    """Start the program in a session of its own; nobody waits for it, and it carries no installation's id.

    :returns: its process id.
    :raises InstallerError: it cannot be started.
    """
    return str(command.detached(argv, _environment()))


def _environment() -> dict[str, str]:
    """What the program gets of the caller's environment: no secret, and no installation's id."""
    environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8"}
    if os.environ.get("HOME"):
        environment["HOME"] = os.environ["HOME"]
    return environment


def _is_pending(mark: Mark) -> bool:
    """Whether the timer, job or process that starts the program is still there."""
    if mark.method == "process":
        return is_its_process(mark)
    if mark.boot_id != host.boot_id():
        return False
    if mark.method == "systemd":
        units = (f"{mark.handle}.timer", f"{mark.handle}.service")
        return any(command.run(["systemctl", "is-active", unit], timeout=TIMEOUT).rc == 0 for unit in units)
    return mark.method == "at" and mark.seconds_left() > _MINUTE


_START: dict[str, t.Callable[[t.Sequence[str], Mark], str]] = {
    "systemd": _by_systemd,
    "at": _by_at,
    "process": _by_process,
}
