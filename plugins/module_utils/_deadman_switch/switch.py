# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A dead-man's switch: the host takes an installation back when it has not heard of the controller for too long."""

from __future__ import annotations

import os
import re
import shlex
import sys
import time
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base import clock, command, processes, zipapp
from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import InputError, SageError, StateError
from ansible_collections.intellistream.sage.plugins.module_utils._deadman_switch import mark as deadman_switch_mark
from ansible_collections.intellistream.sage.plugins.module_utils._deadman_switch import program, stray_processes

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._deadman_switch.mark import Mark
    from ansible_collections.intellistream.sage.plugins.module_utils._records.session import Engine, Session

METHODS = ("systemd", "at", "process")

Result = dict[str, t.Any]

_PYTHON = "/usr/bin/python3"
_OLDEST = (3, 9)
# The service outlives a session of ssh, and leaves nothing behind, also when it fails.
_TIMER = (
    "systemd-run",
    "--quiet",
    "--collect",
    "--timer-property=AccuracySec=1s",
    "--timer-property=RemainAfterElapse=no",
)
_SECONDS = 20.0


def arm(engine: Engine, after: float, method: str, check_mode: bool) -> Result:
    """Arm the switch for the installation that is at work.

    :param after: seconds of silence.
    :param method: one of C(METHODS), or V(auto) for the first that works.
    :raises InputError: nothing is at work, or it can do nothing in time.
    :raises StateError: nothing here can start it.
    """
    if after < 1:
        raise InputError("A dead-man's switch needs at least one second.", untouched="everything.")
    with engine.reading() if check_mode else engine.session() as session:
        before = deadman_switch_mark.status(session)
        one = session.installation
        if one is None or session.where is None or not (one.unfinished or one.status == "prepared"):
            if check_mode:
                # What would begin was not begun.
                return _result(session, before, True, f"It would be armed, to fire after {after:g} s of silence.")
            raise InputError(
                "No installation is at work here, so there is nothing that a dead-man's switch could take back.",
                untouched="everything.",
                advice="Begin one with intellistream.sage.sage_checkpoint first.",
            )
        mark = deadman_switch_mark.read(session.where)
        if mark is not None and mark.install_id == one.install_id and mark.after == after and _lives(mark):
            deadman_switch_mark.renew_or_disarm(session)
            return _result(session, before, False, "It is armed already.")
        if not check_mode:
            if mark is not None:
                _stop(mark)
            _arm(engine, session, deadman_switch_mark.make(one.install_id, os.urandom(8).hex(), after), method)
        return _result(session, before, True, f"It fires after {after:g} s in which nobody was heard of.")


def disarm(engine: Engine, check_mode: bool) -> Result:
    """Disarm the switch, and stop what waits."""
    with engine.reading() as session:
        before = deadman_switch_mark.status(session)
        mark = deadman_switch_mark.read(session.where)
        if mark is None or check_mode:
            return _result(session, before, mark is not None, "It is not armed." if mark is None else "Disarmed.")
    with engine.session() as session:
        mark = deadman_switch_mark.read(session.where)
        deadman_switch_mark.remove(session)
        if mark is not None:
            _stop(mark)
        return _result(session, before, mark is not None, "Disarmed.")


def _result(session: Session, before: Result, changed: bool, text: str) -> Result:
    mark = deadman_switch_mark.read(session.where)
    now = deadman_switch_mark.status(session)
    after = now["armed"] if session.writes else not before["armed"]
    due = time.time() + mark.left() if mark is not None and now["armed"] else None
    return {
        "changed": changed,
        "msg": text,
        **now,
        "method": mark.method if mark is not None else None,
        "fires_at": clock.local(due) if due is not None else None,
        "diff": {"before": {"armed": before["armed"]}, "after": {"armed": after}}
        if changed
        else {"before": {}, "after": {}},
    }


def _arm(engine: Engine, session: Session, mark: Mark, method: str) -> None:
    where = session.where
    if where is None:
        return
    python = _python()
    settings = {
        "root": engine.root,
        "checkpoint_dir": engine.checkpoint_dir,
        "lock_timeout": 3600.0,
        "repackage_dir": engine.repackage_dir,
    }
    where.write(deadman_switch_mark.PROGRAM, zipapp.build(program, settings, python, whole=True))
    argv = [python, "-I", os.path.join(where.path, deadman_switch_mark.PROGRAM), mark.token]
    # Where it was disarmed there is no program any more, and nothing to do.
    later = ["/bin/sh", "-c", 'test ! -e "$2" || exec "$0" "$@"', *argv]
    # Armed first: what is started finds it, and what could not be started leaves nothing.
    mark = mark.renewed()
    deadman_switch_mark.write(where, mark)
    refused = []
    for name in METHODS if method == "auto" else [method]:
        try:
            handle = _START[name](argv if name == "process" else later, mark)
        except SageError as error:
            refused.append(f"{name}: {error.what}")
            continue
        if handle:
            deadman_switch_mark.write(where, mark._replace(method=name, handle=handle))
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
        found = command.run([_PYTHON, "-I", "-S", "-c", "import sys; print(*sys.version_info[:2])"], timeout=_SECONDS)
        if found.rc == 0 and tuple(int(part) for part in found.stdout.split()) >= _OLDEST:
            return _PYTHON
    return sys.executable


def _by_systemd(argv: t.Sequence[str], mark: Mark) -> str:
    """A timer of the system's manager; empty where that does not run, or is not ours."""
    if not os.path.isdir("/run/systemd/system") or os.geteuid() != 0:
        return ""
    unit = f"sage-deadman-{mark.token}"
    about = f"Take back installation {mark.install_id}, unless it ends"
    command.checked(
        [*_TIMER, f"--unit={unit}", f"--description={about}", f"--on-active={mark.after:g}", "--", *argv],
        timeout=_SECONDS,
    )
    return unit


def _by_at(argv: t.Sequence[str], mark: Mark) -> str:
    """A job of atd, which counts in minutes: it comes early rather than late, and waits then."""
    if not any(processes.name(process) == "atd" for process in _running()) or mark.after < 60:
        return ""
    line = " ".join(shlex.quote(part) for part in argv)
    done = command.run(
        ["at", "-M", f"now + {int(mark.after // 60)} minutes"],
        stdin=f"exec {line} >/dev/null 2>&1\n",
        timeout=_SECONDS,
        without=(stray_processes.MARK,),
    )
    found = re.search(r"^job (\d+) ", done.stderr, re.MULTILINE)
    if done.rc != 0 or found is None:
        raise command.failed(done)
    return found[1]


def _by_process(argv: t.Sequence[str], dummy: Mark) -> str:
    """A process of its own session, which nobody waits for, and which carries nobody's mark."""
    environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8"}
    if os.environ.get("HOME"):
        environment["HOME"] = os.environ["HOME"]
    return str(command.detached(argv, environment))


def _running() -> list[int]:
    try:
        return [int(name) for name in os.listdir("/proc") if name.isdigit()]
    except OSError:
        return []


def _is_its(mark: Mark) -> bool:
    """The recorded process is the one that was started then."""
    try:
        with open(f"/proc/{int(mark.handle)}/cmdline", "rb") as stream:
            return stream.read().split(b"\0")[-2:-1] == [mark.token.encode()]
    except (OSError, ValueError):
        return False


def _lives(mark: Mark) -> bool:
    """What has to start it, or waits, is still there."""
    if mark.method == "process":
        return _is_its(mark)
    if mark.boot_id != deadman_switch_mark.boot_id():
        return False
    if mark.method == "systemd":
        units = (f"{mark.handle}.timer", f"{mark.handle}.service")
        return any(command.run(["systemctl", "is-active", unit], timeout=_SECONDS).rc == 0 for unit in units)
    return mark.method == "at" and mark.left() > 60


def _stop(mark: Mark) -> None:
    """End what waits; it would find out by itself, but later."""
    try:
        if mark.method == "systemd":
            command.run(["systemctl", "stop", f"{mark.handle}.timer", f"{mark.handle}.service"], timeout=_SECONDS)
        elif mark.method == "at":
            command.run(["atrm", mark.handle], timeout=_SECONDS)
        elif mark.method == "process" and _is_its(mark):
            os.kill(int(mark.handle), 15)
    except (SageError, OSError):
        return


_START: dict[str, t.Callable[[t.Sequence[str], Mark], str]] = {
    "systemd": _by_systemd,
    "at": _by_at,
    "process": _by_process,
}
