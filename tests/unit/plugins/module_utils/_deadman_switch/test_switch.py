# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A dead-man's switch fires when it has to, then only, and once; nothing goes on from there."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
import typing as t

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._base import processes
from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import (
    Busy,
    ConflictError,
    Fired,
    InDoubt,
    InputError,
    StateError,
)
from ansible_collections.intellistream.sage.plugins.module_utils._calls.checkpoint import (
    CheckpointRequest,
    checkpoint,
    deliver_decision,
)
from ansible_collections.intellistream.sage.plugins.module_utils._calls.rollback import rollback
from ansible_collections.intellistream.sage.plugins.module_utils._deadman_switch import mark as deadman_switch_mark
from ansible_collections.intellistream.sage.plugins.module_utils._deadman_switch import program, switch
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.lock import Lock
from ansible_collections.intellistream.sage.plugins.module_utils._records import standing, stray_processes
from ansible_collections.intellistream.sage.plugins.module_utils._records.installation import PHASES
from ansible_collections.intellistream.sage.plugins.module_utils._records.session import Engine
from ansible_collections.intellistream.sage.plugins.module_utils._reports import report
from ansible_collections.intellistream.sage.plugins.module_utils._undo.rollback import RollbackRequest as Back
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils.recorded import verified
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils.sagehost import SageHost
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils.tree import snapshot
from ansible_collections.intellistream.sage.tests.unit.waiting import FOREVER, wait_until

if t.TYPE_CHECKING:
    from pathlib import Path

    from ansible_collections.intellistream.sage.plugins.plugin_utils._events import Transition

LINUX = pytest.mark.skipif(not os.path.exists("/proc/self/environ"), reason="no /proc")


@pytest.fixture
def host(tmp_path: Path) -> SageHost:
    made = SageHost(tmp_path).make()
    made.install("1")
    return made


def _due(host: SageHost, after: float = 100.0) -> str:
    """A switch for what is at work, due already; what waits is the test."""
    with host.engine.session() as session:
        mark = deadman_switch_mark.make(session.required().install_id, "token", after)
        assert session.where is not None
        deadman_switch_mark.write(session.where, mark._replace(due=mark.due - after - 1, method="process", handle="0"))
    return "token"


def _fire(host: SageHost) -> bool:
    return program.fire(host.engine, "token")


def _all_done(host: SageHost, **values: t.Any) -> dict[str, t.Any]:
    verified(host.engine)
    ended: list[Transition] = [{"phase": name, "status": "completed"} for name in PHASES]
    return {**checkpoint(host.engine, CheckpointRequest(None, True, {}, ended, **values), False)}


def test_it_takes_everything_back_and_tells(host: SageHost) -> None:
    before = snapshot(host.data)
    name = host.begin("2")
    _due(host)
    assert _fire(host)
    assert snapshot(host.data) == before
    found = report.report(host.engine, None, False)
    assert (found["status"], found["install_id"]) == ("rolled_back", name)
    assert found["deadman"]["fired"] is not None
    assert found["deadman"]["fired"]["after"] == 100.0
    assert not found["deadman"]["armed"]
    assert not list(host.store.parent.glob("deadman*"))
    # It is the same once more, and for whoever comes late.
    assert _fire(host)
    with pytest.raises(Fired, match="everything was taken back"):
        host.call(transitions=[{"phase": "verification", "status": "completed"}])
    # The next run hears of it, once.
    again = host.call(inputs={"python_deps": {"version": "3"}})
    assert again["deadman"]["fired"]["by"] == "process"
    assert host.call(inputs={"python_deps": {"version": "3"}})["deadman"]["fired"] is None


def test_it_does_not_fire_when_somebody_was_heard_of(host: SageHost) -> None:
    host.begin("2")
    before = snapshot(host.data)
    _due(host, 1e6)
    host.call(transitions=[{"phase": "sage_packages", "status": "started"}])
    assert not _fire(host)
    assert snapshot(host.data) == before
    with host.engine.reading() as session:
        assert 1e6 - 1000 < (deadman_switch_mark.status(session)["seconds_left"] or 0) <= 1e6


@pytest.mark.parametrize("how", ["ended", "rolled back", "nothing to roll back", "disarmed", "reset", "another begun"])
def test_it_does_not_fire_when_it_is_over(host: SageHost, how: str) -> None:
    host.begin("2")
    _due(host)
    if how == "ended":
        _all_done(host)
    elif how == "rolled back":
        rollback(host.engine, Back(), False)
    elif how == "nothing to roll back":
        rollback(host.engine, Back(to="verification"), True)
        assert (host.store.parent / "deadman.json").exists()
        assert not rollback(host.engine, Back(to="verification"), False)["changed"]
    elif how == "disarmed":
        assert switch.disarm(host.engine, True)["changed"]
        assert switch.disarm(host.engine, False)["changed"]
        assert not switch.disarm(host.engine, False)["changed"]
    elif how == "reset":
        host.engine.reset()
    else:
        host.begin("3")
    before = snapshot(host.data)
    assert _fire(host)
    assert snapshot(host.data) == before
    assert how == "reset" or not list(host.store.parent.glob("deadman*"))


def test_the_record_counts_when_disarming_was_interrupted(host: SageHost, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed between the line of the ledger and the removal of the file."""
    host.begin("2")
    before = snapshot(host.data)
    _due(host)
    monkeypatch.setattr(deadman_switch_mark, "renew_or_disarm", lambda session: None)
    _all_done(host)
    assert (host.store.parent / "deadman.json").exists()
    assert _fire(host)
    assert snapshot(host.data) == before


def test_never_while_somebody_has_the_lock(host: SageHost) -> None:
    host.begin("2")
    before = snapshot(host.data)
    _due(host)
    impatient = Engine(host.engine.root, lock_timeout=0.3)
    with host.engine.session() as session:
        assert session.where is not None
        with pytest.raises(Busy):
            program.fire(impatient, "token")
    assert snapshot(host.data) == before
    assert Lock is not None


def test_one_armed_later_is_another(host: SageHost) -> None:
    host.begin("2")
    _due(host)
    before = snapshot(host.data)
    assert program.fire(host.engine, "older")
    assert snapshot(host.data) == before
    assert (host.store.parent / "deadman.json").exists()


def test_a_prepared_host_tells_that_it_went_alone(host: SageHost) -> None:
    before = snapshot(host.data)
    host.begin("2")
    _all_done(host, prepare={"run": "r1", "decision_log": "p", "where": "w"})
    _due(host)
    assert _fire(host)
    assert snapshot(host.data) == before
    with host.engine.reading() as session:
        found = standing.standing(session.installation)
    assert found is not None
    assert found.state == standing.UNDID_ITSELF
    with pytest.raises(InDoubt):
        host.call(transitions=[{"phase": "verification", "status": "completed"}])
    heard = deliver_decision(host.engine, "r1", "commit", False)
    assert heard["fleet"] is not None
    assert heard["fleet"]["state"] == standing.DIVERGED
    # Then a run may begin.
    host.begin("3")


def test_a_conflict_is_left_to_people(host: SageHost) -> None:
    name = host.begin("2")
    _due(host)
    site = next(host.venv.path.rglob("pack-2.dist-info"))
    site.rename(site.parent / "pack-7.dist-info")
    with pytest.raises(ConflictError):
        _fire(host)
    # The run that comes next finishes it, and nothing else.
    with pytest.raises(Fired, match="has not run yet"):
        host.call(transitions=[{"phase": "verification", "status": "completed"}])
    found = checkpoint(host.engine, CheckpointRequest({}, True, {}, [], recover=True), False)
    assert found["recover"] == {"to": name}
    (site.parent / "pack-7.dist-info").rename(site)
    rollback(host.engine, Back(to=name), False)
    host.begin("3")


def test_nothing_was_captured(tmp_path: Path) -> None:
    engine = Engine(str(tmp_path))
    checkpoint(engine, CheckpointRequest({}, True, {}, [{"phase": "environment_setup", "status": "started"}]), False)
    with engine.session() as session:
        assert session.where is not None
        mark = deadman_switch_mark.make(session.required().install_id, "token", 1.0)
        deadman_switch_mark.write(session.where, mark._replace(due=0.0))
    assert program.fire(engine, "token")
    assert report.report(engine, None, False)["status"] == "rolled_back"


def test_another_boot(host: SageHost) -> None:
    """A job that outlives a reboot goes by the clock, but never waits longer than it was to."""
    mark = deadman_switch_mark.make("x", "token", 1e6)._replace(boot_id="another", due=1e12)
    assert 1e6 - 1000 < mark.seconds_left() <= 1e6
    assert mark._replace(wall=time.time() - 5).seconds_left() < 0
    assert mark._replace(wall=time.time() + 1e9).seconds_left() == 1e6


def test_what_cannot_be_armed(host: SageHost, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="No installation is at work"):
        switch.arm(host.engine, 10.0, "auto", False)
    host.begin("2")
    with pytest.raises(InputError, match="at least one second"):
        switch.arm(host.engine, 0.0, "auto", False)
    before = snapshot(host.store.parent)
    assert switch.arm(host.engine, 10.0, "auto", True)["changed"]
    assert snapshot(host.store.parent) == before
    monkeypatch.setattr(switch, "_START", dict.fromkeys(switch.METHODS, lambda argv, mark: ""))
    with pytest.raises(StateError, match="systemd: not usable here; at: not usable here"):
        switch.arm(host.engine, 10.0, "auto", False)
    assert not list(host.store.parent.glob("deadman*"))


@pytest.fixture
def atd() -> t.Iterator[None]:
    """The real daemon: the system's, or one for this test."""
    missing = [name for name in ("at", "atd") if shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin") is None]
    if missing or os.geteuid() != 0:
        pytest.skip("needs root and the package at")
    if any(processes.name(process) == "atd" for process in processes.running()):
        yield
        return
    with subprocess.Popen(["/usr/sbin/atd", "-f"]) as daemon:
        yield
        daemon.terminate()


@pytest.mark.usefixtures("atd")
def test_x8_a_job_of_at_holds_no_secret(host: SageHost, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://user:Sw0rdf1sh@proxy:3128")
    monkeypatch.setenv(stray_processes.MARK, "whatever@/")
    host.begin("2")
    switch.arm(host.engine, FOREVER, "at", False)
    with host.engine.session() as session:
        assert session.where is not None
        armed = deadman_switch_mark.read(session.where)
    assert armed is not None
    job = subprocess.run(["at", "-c", armed.handle], stdout=subprocess.PIPE, text=True, check=True).stdout
    assert deadman_switch_mark.PROGRAM in job
    assert "Sw0rdf1sh" not in job
    assert stray_processes.MARK not in job
    assert switch.disarm(host.engine, False)["changed"]
    queue = subprocess.run(["atq"], stdout=subprocess.PIPE, text=True, check=True).stdout
    assert armed.handle not in queue.split()


@LINUX
@pytest.mark.slow
def test_a_process_of_its_own(host: SageHost, monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole of it: armed, renewed, fired by a program that has neither Ansible nor this collection."""
    monkeypatch.setenv(stray_processes.MARK, "whatever@/")
    before = snapshot(host.data)
    name = host.begin("2")
    made = switch.arm(host.engine, FOREVER, "process", False)
    assert (made["armed"], made["method"], made["changed"]) == (True, "process", True)
    same = switch.arm(host.engine, FOREVER, "process", False)
    assert (same["armed"], same["changed"]) == (True, False)
    with host.engine.session() as session:
        assert session.where is not None
        armed = deadman_switch_mark.read(session.where)
        assert armed is not None
        # It sees that it is due while a call is at work, waits for that call to end, and is renewed by it.
        deadman_switch_mark.write(session.where, armed._replace(due=0.0))
        time.sleep(2 * program._POLL)
        deadman_switch_mark.write(session.where, armed.renewed())
    time.sleep(2 * program._POLL)
    assert snapshot(host.data) != before
    with host.engine.session() as session:
        assert session.where is not None
        deadman_switch_mark.write(session.where, armed._replace(after=1.0).renewed())
    mark = f"{stray_processes.MARK}={name}@{host.engine.root}"
    stray = subprocess.Popen(["sleep", "infinity"], env={"PATH": os.environ["PATH"], **dict([mark.split("=", 1)])})
    wait_until(lambda: not list(host.store.parent.glob("deadman*")), "the end of the switch", 0.2)
    assert snapshot(host.data) == before
    assert stray.wait() == -signal.SIGKILL


def _with_environment(variable: bytes) -> list[int]:
    """The processes that have this variable."""
    processes = []
    for directory in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError), open(f"/proc/{directory}/environ", "rb") as environment:
            if variable in environment.read().split(b"\0"):
                processes.append(int(directory))
    return processes


@LINUX
def test_leftovers_are_ended_however_far_down(tmp_path: Path) -> None:
    root = str(tmp_path / "root")
    mark = {"PATH": os.environ["PATH"], stray_processes.MARK: f"20260101_000000@{root}/"}
    fork = "import os, time\nfor n in range(3):\n    if os.fork() == 0: os.setsid()\ntime.sleep(600)"
    mine = subprocess.Popen([sys.executable, "-c", fork], env=mark)
    others = [
        subprocess.Popen(["sleep", "600"], env={**mark, stray_processes.MARK: f"20260101_000000@{root}2"}),
        subprocess.Popen(["sleep", "600"], env={**mark, stray_processes.MARK: f"20260101_000001@{root}"}),
    ]
    started = f"{stray_processes.MARK}=20260101_000000@{root}/".encode()
    wait_until(lambda: len(_with_environment(started)) == 8, "eight processes")
    ended = stray_processes.kill(root, "20260101_000000")
    assert len(ended) == 8
    assert mine.wait() == -signal.SIGKILL
    assert [one.poll() for one in others] == [None, None]
    for one in others:
        one.kill()
        one.wait()
    assert stray_processes.kill(root, "20260101_000000") == []
