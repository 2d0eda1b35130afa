"""The program of a dead-man's switch: it waits until the controller was silent for too long, then takes all back.

It runs on the host alone, without Ansible: M(_base.zipapp) makes one file of it. What starts it, and when, does not
matter: only the file by which it is armed does (M(_deadman_switch.mark)), which is looked at under the engine's lock.
"""

from __future__ import annotations

import time
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base import clock
from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import Busy, ConflictError, SageError
from ansible_collections.intellistream.sage.plugins.module_utils._deadman_switch import mark as deadman_switch_mark
from ansible_collections.intellistream.sage.plugins.module_utils._fleet import participant
from ansible_collections.intellistream.sage.plugins.module_utils._records import lease, stray_processes
from ansible_collections.intellistream.sage.plugins.module_utils._records.session import Engine
from ansible_collections.intellistream.sage.plugins.module_utils._registry import carry_packages, carry_undos
from ansible_collections.intellistream.sage.plugins.module_utils._undo import rollback

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.plugin_utils._structures import EngineSettings

CARRIES = (carry_packages.parts, carry_undos.parts)
# Seconds: how soon it finds out that it was disarmed, and how long it waits after an error.
_POLL = 2.0
_PAUSE = 30.0
_TRIES = 20
_LOG_BYTES = 20_000


def main(settings: EngineSettings, arguments: list[str]) -> int:
    """Wait, and fire when it is time.

    :param settings: how the record is opened.
    :param arguments: the token of the switch; one that was armed later is another's.
    :returns: the exit status; 0 unless everything was to be taken back and could not be.
    """
    engine, token = Engine(**settings), arguments[0]
    # It belongs to the run that armed it, which has gone silent.
    engine.joins = True
    for dummy in range(_TRIES):
        try:
            _wait(engine, token)
            while not fire(engine, token):
                _wait(engine, token)
            return 0
        except Busy:
            # Somebody is at work here: there is no silence.
            time.sleep(_POLL)
        except ConflictError as error:
            _log(engine, str(error))
            return 1
        except (SageError, OSError) as error:
            _log(engine, str(error))
            time.sleep(_PAUSE)
    return 1


def _wait(engine: Engine, token: str) -> None:
    """Return when it is due, or was disarmed."""
    while True:
        with engine.reading() as session:
            mark = deadman_switch_mark.read(session.where)
        seconds = mark.seconds_left() if mark is not None and mark.token == token else 0.0
        if seconds <= 0:
            return
        time.sleep(min(seconds, _POLL))


def fire(engine: Engine, token: str) -> bool:
    """Take everything back, unless it was disarmed or renewed.

    The lock is held from the last look to the end, so no controller's call comes in between.

    :param token: of the switch that this program belongs to.
    :returns: False when it was renewed, so that there is more to wait.
    :raises SageError: it could not be taken back.
    """
    with engine.reading() as session:
        if session.where is None:
            return True
    with engine.session() as session:
        mark = deadman_switch_mark.read(session.where)
        if mark is None or mark.token != token:
            return True
        installation = session.installation
        if installation is None or not deadman_switch_mark.at_work(installation, mark):
            deadman_switch_mark.remove(session)
            return True
        if mark.seconds_left() > 0:
            return False
        if installation.fired is None:
            # Before anything is touched: who comes next has to learn of it.
            participant.record_unilateral_undo(session)
            session.add({"event": "fired", "after": mark.after, "by": mark.method})
            if not installation.active_points:
                # Nothing was captured since nothing was changed.
                session.add({"event": "ended", "status": "rolled_back"})
            session.commit()
        stray_processes.kill(engine.root, installation.install_id)
        rollback.go_back(session, rollback.RollbackRequest(to=installation.install_id), False)
        deadman_switch_mark.remove(session)
        if session.where is not None:
            lease.end(session.where)
        return True


def _log(engine: Engine, text: str) -> None:
    """Tell people, in C(deadman.log); a disk that is full is no reason to give up."""
    try:
        with engine.reading() as session:
            if session.where is not None:
                before = session.where.read(deadman_switch_mark.LOG) or b""
                line = f"{clock.now()} {text}\n".encode()
                session.where.write(deadman_switch_mark.LOG, before[-_LOG_BYTES:] + line)
    except (SageError, OSError):
        return
