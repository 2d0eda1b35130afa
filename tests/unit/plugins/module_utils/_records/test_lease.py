# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Case E3: a run has the root to itself; another one waits or is refused by name, and ends nothing that is alive."""

from __future__ import annotations

import concurrent.futures
import json
import multiprocessing
import os
import pathlib
import random
import subprocess
import time
import typing as t

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._base import heartbeat
from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import Leased, SageError, UnknownFormat
from ansible_collections.intellistream.sage.plugins.module_utils._calls.backup import backup
from ansible_collections.intellistream.sage.plugins.module_utils._calls.checkpoint import reset
from ansible_collections.intellistream.sage.plugins.module_utils._calls.rollback import rollback
from ansible_collections.intellistream.sage.plugins.module_utils._deadman_switch import mark, program
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.private import open_private
from ansible_collections.intellistream.sage.plugins.module_utils._pruning.policy import Limits
from ansible_collections.intellistream.sage.plugins.module_utils._pruning.prune import retain
from ansible_collections.intellistream.sage.plugins.module_utils._records import lease, stray_processes
from ansible_collections.intellistream.sage.plugins.module_utils._records.installation import PHASES
from ansible_collections.intellistream.sage.plugins.module_utils._records.lease import Run
from ansible_collections.intellistream.sage.plugins.module_utils._records.session import Engine
from ansible_collections.intellistream.sage.plugins.module_utils._undo.rollback import RollbackRequest
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils.recorded import verified
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils.sagehost import SageHost
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils.tree import changes, snapshot
from ansible_collections.intellistream.sage.tests.unit.plugins.modules.running import run_module

FIRST = Run("first", "deploy", user="alice", host="web1")
SECOND = Run("second", "laptop", user="bob", host="web1")
ROUNDS = int(os.environ.get("SAGE_SOAK_ROUNDS", "2"))


@pytest.fixture
def host(tmp_path: pathlib.Path) -> SageHost:
    return SageHost(tmp_path).make()


def _as(host: SageHost, run: Run | None) -> SageHost:
    """The same host, on which the next calls are those of a run."""
    host.engine.run = run
    return host


def _lease(host: SageHost) -> lease.Lease | None:
    with host.engine.reading() as session:
        return lease.read(session.where)


def _without_lease(host: SageHost) -> t.Any:
    return {name: facts for name, facts in snapshot(host.path).items() if not str(name).endswith((lease.NAME, "/lock"))}


def _rewrite(host: SageHost, **changed: t.Any) -> None:
    """Another lease, that nobody has touched for a day."""
    file = pathlib.Path(host.engine.path, lease.NAME)
    file.write_text(json.dumps({**json.loads(file.read_bytes()), **changed}))
    os.utime(file, (0, time.time() - 86400))


def _silence(host: SageHost, seconds: float) -> None:
    """Let the last call have been so long ago."""
    fields = json.loads(pathlib.Path(host.engine.path, lease.NAME).read_bytes())
    _rewrite(host, renewed=fields["renewed"] - seconds)


def _calls(host: SageHost) -> dict[str, t.Callable[[], object]]:
    files = [{"kind": "files", "paths": [str(host.file)]}]
    return {
        "begin": lambda: host.call(inputs={"python_deps": {"version": "9"}}),
        "dry": lambda: host.call(inputs={"python_deps": {"version": "9"}}, check_mode=True),
        "fail": lambda: host.call(transitions=[{"phase": "python_deps", "status": "failed"}]),
        "end": lambda: host.call(transitions=[{"phase": "python_deps", "status": "completed"}]),
        "rollback": lambda: rollback(host.engine, RollbackRequest(), False),
        "predicted rollback": lambda: rollback(host.engine, RollbackRequest(), True),
        "backup": lambda: backup(host.engine, files, None, "by hand", False),
        "retention": lambda: retain(host.engine, Limits(installations=1), False),
        "reset": lambda: reset(host.engine, False),
    }


CALLS = ("begin", "dry", "fail", "end", "rollback", "predicted rollback", "backup", "retention", "reset")


@pytest.mark.parametrize("run", [SECOND, None], ids=["run", "outside of a run"])
@pytest.mark.parametrize("call", CALLS)
def test_e3_a_second_run_is_refused_by_name(host: SageHost, call: str, run: Run | None) -> None:
    """It took what the first was at for something left half done, and killed it."""
    name = _as(host, FIRST).begin("1")
    mark = {
        "PATH": os.environ["PATH"],
        stray_processes.MARK: f"{name}@{host.engine.root}",
        stray_processes.RUN: "first",
    }
    with subprocess.Popen(["sleep", "600"], env=mark) as child:
        try:
            before = snapshot(host.path)
            with pytest.raises(Leased, match=r"alice on deploy has a run on it since .*run first") as caught:
                _calls(_as(host, run))[call]()
            assert caught.value.details["lease"]["run"] == "first"
            assert caught.value.details["waits"]
            assert changes(before, snapshot(host.path)) == {}
            assert child.poll() is None
        finally:
            child.kill()
    _as(host, FIRST).end()
    # From then on it is free.
    assert _as(host, SECOND).install("2") > name


def test_e3_a_run_that_is_known_to_be_dead_is_followed_at_once(host: SageHost) -> None:
    """Only what it left is ended, not what others have at work."""
    name = _as(host, FIRST).begin("1")

    def sleeper(run: str, root: str = host.engine.root) -> subprocess.Popen[bytes]:
        variables = {stray_processes.MARK: f"{name}@{root}", stray_processes.RUN: run}
        return subprocess.Popen(["sleep", "600"], env={"PATH": os.environ["PATH"], **variables})

    left, other, elsewhere = sleeper("first"), sleeper("third"), sleeper("first", "/srv/other")
    try:
        result = _as(host, SECOND._replace(dead=["first"])).call(inputs={"python_deps": {"version": "1"}})
        assert result["install_id"] == name
        assert left.wait(10) == -9
        assert other.poll() is None
        assert elsewhere.poll() is None
        with pytest.raises(Leased, match="bob on laptop"):
            _as(host, FIRST).call(transitions=[{"phase": "python_deps", "status": "failed"}])
    finally:
        for process in (left, other, elsewhere):
            process.kill()
            process.wait()


def test_e3_check_mode_ends_nothing_that_a_dead_run_left(host: SageHost) -> None:
    name = _as(host, FIRST).begin("1")
    variables = {stray_processes.MARK: f"{name}@{host.engine.root}", stray_processes.RUN: "first"}
    with subprocess.Popen(["sleep", "600"], env={"PATH": os.environ["PATH"], **variables}) as left:
        before = snapshot(host.path)
        dead = _as(host, SECOND._replace(dead=["first"]))
        assert dead.call(inputs={"python_deps": {"version": "1"}}, check_mode=True)["resume"]["phase"]
        assert changes(before, snapshot(host.path)) == {}
        assert left.poll() is None
        left.kill()


def test_e3_silence_alone_kills_no_run_that_has_a_process(host: SageHost) -> None:
    name = _as(host, FIRST).begin("1")
    _silence(host, FIRST.seconds - 5)
    with pytest.raises(Leased):
        _as(host, SECOND).call(inputs={"python_deps": {"version": "1"}})
    _silence(host, 10)
    variables = {stray_processes.MARK: f"{name}@{host.engine.root}", stray_processes.RUN: "first"}
    with subprocess.Popen(["sleep", "600"], env={"PATH": os.environ["PATH"], **variables}) as child:
        with pytest.raises(Leased):
            _as(host, SECOND).call(inputs={"python_deps": {"version": "1"}})
        assert child.poll() is None
        child.kill()
    assert _as(host, SECOND).call(inputs={"python_deps": {"version": "1"}})["install_id"] == name


def test_e3_after_a_reboot_of_the_host_the_time_counts(host: SageHost) -> None:
    _as(host, FIRST).begin("1")
    _rewrite(host, boot_id="another", renewed=1e9)
    with pytest.raises(Leased):
        _as(host, SECOND).call(inputs={})
    _rewrite(host, wall=time.time() - 601)
    _as(host, SECOND).call(inputs={})


@pytest.mark.parametrize(
    ("module", "options"),
    [
        ("sage_venv", {"path": "/dev/null/venv"}),
        ("sage_resolve", {"venv": "/dev/null/venv", "requirements": ["isage"]}),
        ("sage_install", {"venv": "/dev/null/venv", "distributions": [{"name": "isage", "version": "1"}]}),
    ],
)
def test_e3_calls_that_know_no_record_renew_the_lease(
    host: SageHost, monkeypatch: pytest.MonkeyPatch, module: str, options: dict[str, t.Any]
) -> None:
    """Whoever waited for the end of a long sage_install had the root in the moment before the run's next call."""
    _as(host, FIRST).begin("1")
    monkeypatch.setenv(heartbeat.LEASE_FILE, os.path.join(host.engine.path, lease.NAME))

    def call_of(run: str) -> None:
        monkeypatch.setenv(heartbeat.RUN, run)
        assert run_module(module, no_index=True, **options)["failed"]
        monkeypatch.delenv(heartbeat.RUN)

    _silence(host, 601)
    call_of("first")
    with pytest.raises(Leased):
        _as(host, SECOND).call(inputs={"python_deps": {"version": "1"}})
    # Of another run, or where a clock was set back since, it is no sign of life of this one.
    _silence(host, 601)
    call_of("third")
    os.utime(os.path.join(host.engine.path, lease.NAME), (0, time.time() + 86400))
    _as(host, SECOND).call(inputs={"python_deps": {"version": "1"}})


@pytest.mark.parametrize("kind", ["link", "fifo", "no lease", "nothing"])
def test_e3_a_sign_of_life_touches_nothing_else(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    file, other = tmp_path / "lease.json", tmp_path / "other"
    other.write_text(json.dumps({"run": "first", "held": True}) if kind == "link" else "[" * 100_000)
    os.utime(other, (0, 0))
    if kind == "fifo":
        os.mkfifo(file)
    elif kind == "no lease":
        other.rename(file)
        other = file
    elif kind == "link":
        file.symlink_to(other)
    monkeypatch.setenv(heartbeat.LEASE_FILE, str(file))
    monkeypatch.setenv(heartbeat.RUN, "first")
    heartbeat.beat()
    assert other.stat().st_mtime == 0


def test_e3_a_run_that_lost_its_installation_moves_nothing(host: SageHost) -> None:
    """It wakes when the one that took it for dead has finished, so that nothing holds the lease."""
    _as(host, FIRST).begin("1")
    _silence(host, 601)
    _as(host, SECOND).call(inputs={"python_deps": {"version": "1"}})
    host.end()
    holder = _lease(host)
    before = _without_lease(host)
    with pytest.raises(Leased, match=r"no longer this run's \(first\): run second went on with it"):
        _as(host, FIRST).call(transitions=[{"phase": "python_deps", "status": "failed"}])
    assert changes(before, _without_lease(host)) == {}
    current = _lease(host)
    assert current is not None
    assert holder is not None
    assert current._replace(touched=0) == holder._replace(touched=0)
    # Whoever begins anew, or is no run, is not refused.
    _as(host, FIRST).call(inputs={"python_deps": {"version": "1"}})
    _as(host, None).call(transitions=[{"phase": "cleanup", "status": "completed", "data": "by hand"}])


def test_e3_every_transition_says_which_run_it_belongs_to(host: SageHost) -> None:
    _as(host, FIRST).begin("1")
    _silence(host, 601)
    _as(host, SECOND).call(inputs={"python_deps": {"version": "1"}})
    host.end()
    with host.engine.reading() as session:
        events = [event for line in session.lines() for event in line.events]
    runs = [event["run"] for event in events if event["event"] in ("begun", "described", "phase")]
    assert runs == ["first", "first", "second", *["second"] * len(PHASES)]


def test_e3_a_second_name_of_a_host_is_refused_in_the_same_run(host: SageHost) -> None:
    _as(host, FIRST).begin("1")
    other_name = FIRST._replace(host="web1b")
    with pytest.raises(Leased, match="host that the inventory calls web1: web1b is a second name") as caught:
        _as(host, other_name).call(inputs={"python_deps": {"version": "1"}})
    assert not caught.value.details["waits"]
    _as(host, FIRST).end()
    # Also in a later batch.
    with pytest.raises(Leased, match="second name"):
        _as(host, other_name).call(inputs={"python_deps": {"version": "2"}})
    _as(host, SECOND._replace(host="web1b")).install("2")


def test_e3_what_a_run_started_itself_belongs_to_it(host: SageHost, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hook of the package manager, in a task of the role."""
    _as(host, FIRST).begin("1")
    files = [{"kind": "files", "paths": [str(host.file)]}]
    monkeypatch.setenv(stray_processes.RUN, "first")
    assert backup(_as(host, None).engine, files, None, "apt: apt-get install", False)["changed"]
    monkeypatch.setenv(stray_processes.RUN, "third")
    with pytest.raises(Leased):
        backup(host.engine, files, None, "apt: apt-get remove", False)


def test_e3_a_call_outside_of_a_run_keeps_no_lease(host: SageHost) -> None:
    files = [{"kind": "files", "paths": [str(host.file)]}]
    backup(_as(host, FIRST._replace(brief=True)).engine, files, None, "by hand", False)
    assert _lease(host) is None
    _as(host, SECOND).begin("1")
    # A module that the play itself calls beside the role leaves the role's lease alone.
    backup(_as(host, SECOND._replace(brief=True)).engine, files, None, "between", False)
    current = _lease(host)
    assert current is not None
    assert current.held


def test_e3_a_rollback_ends_the_run_and_leaves_the_root_free(host: SageHost) -> None:
    """Although what failed can be continued: another controller need not wait for that."""
    _as(host, FIRST).begin("1")
    host.call(transitions=[{"phase": "python_deps", "status": "failed"}])
    rollback(host.engine, RollbackRequest("python_deps"), False)
    assert _as(host, SECOND).call(inputs={"python_deps": {"version": "1"}})["resume"]["phase"]


@pytest.mark.parametrize("release", [False, True])
def test_e3_a_run_that_undoes_nothing_says_when_it_has_ended(host: SageHost, release: bool) -> None:
    """As with sage_rollback_policy=none: what failed stays unfinished."""
    _as(host, FIRST).begin("1")
    _as(host, FIRST._replace(release=release)).call(transitions=[{"phase": "python_deps", "status": "failed"}])
    current = _lease(host)
    assert current is not None
    assert current.held is not release


def test_e3_a_rollback_that_fails_ends_the_run_too(host: SageHost) -> None:
    _as(host, FIRST).install("1")
    host.file.write_text("mine")
    host.venv.install("pack", "1", {"pack/__init__.py": "somebody's"})
    with pytest.raises(SageError):
        rollback(host.engine, RollbackRequest(), False)
    current = _lease(host)
    assert current is not None
    assert not current.held


def test_e3_two_names_may_make_one_point_after_the_other(host: SageHost) -> None:
    """Outside of the role, where no call depends on the one before."""
    files = [{"kind": "files", "paths": [str(host.file)]}]
    backup(_as(host, FIRST._replace(brief=True)).engine, files, None, "one", False)
    backup(_as(host, FIRST._replace(brief=True, host="web1b")).engine, files, None, "two", False)
    _as(host, FIRST).begin("1")
    with pytest.raises(Leased, match="second name"):
        backup(_as(host, FIRST._replace(brief=True, host="web1b")).engine, files, None, "three", False)


def test_e3_a_lease_that_is_held_is_had_before_anything_begins(host: SageHost) -> None:
    """As all hosts of an atomic run are, before one is changed."""
    _as(host, FIRST._replace(hold=True)).call()
    with pytest.raises(Leased, match="alice"):
        _as(host, SECOND).begin("1")
    _as(host, FIRST).call()
    _as(host, SECOND).begin("1")


def test_e3_a_run_prunes_before_another_one_may_begin(host: SageHost) -> None:
    """Else it would wait for that one, or leave what is no longer kept."""
    prunes = FIRST._replace(prunes=True)
    _as(host, prunes).install("1")
    # Of the only one nothing is to be removed.
    _as(host, SECOND).install("2")
    _as(host, prunes).install("3")
    with pytest.raises(Leased, match="alice"):
        _as(host, SECOND).begin("4")
    retain(_as(host, FIRST).engine, Limits(installations=1), False)
    _as(host, SECOND).begin("4")


def test_e3_a_switch_that_fires_belongs_to_the_run_that_armed_it(host: SageHost) -> None:
    _as(host, FIRST).begin("1")
    with host.engine.session() as session:
        assert session.where is not None
        armed = mark.make(session.required().install_id, "token", 100.0)
        mark.write(session.where, armed._replace(due=armed.due - 101, method="process", handle="0"))
    engine = Engine(host.engine.root)
    engine.joins = True
    assert program.fire(engine, "token")
    assert _lease(host) is None
    _as(host, SECOND).begin("1")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"format": 1}', b'{"format": 1, "run": 3}'])
def test_e3_what_is_no_lease_counts_for_none(host: SageHost, content: bytes) -> None:
    _as(host, FIRST).begin("1")
    pathlib.Path(host.engine.path, lease.NAME).write_bytes(content)
    _as(host, SECOND).call(inputs={"python_deps": {"version": "1"}})


def test_e3_a_lease_of_another_format_is_refused(host: SageHost) -> None:
    _as(host, FIRST).begin("1")
    file = pathlib.Path(host.engine.path, lease.NAME)
    fields = json.loads(file.read_bytes())
    file.write_text(json.dumps({**fields, "format": 9}))
    with pytest.raises(UnknownFormat, match=r"lease\.json has format 9"):
        _as(host, SECOND).call(inputs={})
    # What a newer version added to this one is kept.
    _rewrite(host, format=lease.FORMAT, renewed=fields["renewed"] - 10, color="new")
    _as(host, FIRST).call()
    assert json.loads(file.read_bytes())["color"] == "new"


def _one_run(path: str, number: int, seed: int) -> tuple[str, str]:
    """An installation in a process of its own, with gaps between its calls; what came of it, and how it was said."""
    chance = random.Random(seed)  # noqa: S311
    host = SageHost(pathlib.Path(path))
    host.engine.run = Run(f"run{number}", "deploy", user=f"user{number}", host="web")
    try:
        version = str(number)
        transitions = [{"phase": "python_deps", "status": "started"}]
        host.call(inputs={"python_deps": {"version": version}}, transitions=transitions)
        for phase in PHASES:
            time.sleep(chance.uniform(0, 0.05))
            if phase == "verification":
                verified(host.engine)
            host.call(transitions=[{"phase": phase, "status": "completed"}])
    except Leased as error:
        return "refused", error.what
    except (SageError, OSError) as error:
        return "dead", str(error)
    return "done", version


def _round(path: pathlib.Path, seed: int) -> None:
    """Two to four runs at once, on one root or two."""
    chance = random.Random(seed)  # noqa: S311
    roots = [str(path / str(number)) for number in range(chance.choice((1, 2)))]
    for root in roots:
        SageHost(pathlib.Path(root)).path.mkdir()
        (pathlib.Path(root) / "root").mkdir()
    runs = chance.randint(2, 4)
    context = multiprocessing.get_context("fork")
    with concurrent.futures.ProcessPoolExecutor(runs * len(roots), mp_context=context) as pool:
        jobs = [
            (root, pool.submit(_one_run, root, number, seed * 10 + number)) for root in roots for number in range(runs)
        ]
        ended = [(root, *job.result()) for root, job in jobs]
    for root in roots:
        results = [(outcome, text) for other, outcome, text in ended if other == root]
        done = [text for outcome, text in results if outcome == "done"]
        assert done, results
        assert not [text for outcome, text in results if outcome == "dead"], results
        history = SageHost(pathlib.Path(root)).history()
        assert sorted(installed.inputs["python_deps"]["version"] for installed in history) == sorted(done)
        assert {installed.status for installed in history} == {"completed"}
        for outcome, text in results:
            # Each names one that was at work, and came through.
            assert outcome == "done" or any(f"run run{version}," in text for version in done), results


@pytest.mark.slow
def test_e3_of_runs_at_once_one_gets_through_and_the_others_are_told_which(tmp_path: pathlib.Path) -> None:
    """With C(SAGE_SOAK_ROUNDS=1000) for an hour."""
    for number in range(ROUNDS):
        path = tmp_path / str(number)
        path.mkdir()
        _round(path, number)


def test_x11_a_lease_that_is_nested_too_deeply_is_none(tmp_path: pathlib.Path) -> None:
    with open_private(str(tmp_path / "state"), create=True) as state:
        (tmp_path / "state" / lease.NAME).write_text("[" * 100_000)
        assert lease.read(state) is None
