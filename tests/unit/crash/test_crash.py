# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Killed at every system call, refused at every write: the old state or the new one, never less.

The calls are those of a recorded run, enumerated with strace.
"""

from __future__ import annotations

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import typing as t

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._records.install_log import LOGS
from ansible_collections.intellistream.sage.plugins.module_utils._records.installation import installations
from ansible_collections.intellistream.sage.plugins.module_utils._records.progress import KEYS, NAME
from ansible_collections.intellistream.sage.plugins.module_utils._records.session import Engine
from ansible_collections.intellistream.sage.tests.unit.crash.driver import ACTIONS
from ansible_collections.intellistream.sage.tests.unit.waiting import wait_until

DRIVER = pathlib.Path(__file__).with_name("driver.py")
STRACE = shutil.which("strace")
WRITES = r"write|pwrite64|fsync|fdatasync|ftruncate|rename\w*|mkdir\w*|fchmod|openat\(.*O_(?:WRONLY|RDWR|CREAT)"
WRITING = re.compile(WRITES)
# Between two of these nothing changes that a kill could interrupt.
CHANGING = re.compile(rf"{WRITES}|openat|close|flock|dup|unlink\w*|rmdir")
TRACED = (
    "openat,write,pwrite64,fsync,fdatasync,ftruncate,rename,renameat,renameat2,mkdir,mkdirat,fchmod,close,flock,dup,"
    "unlink,unlinkat,rmdir,access,faccessat2"
)
CALL = re.compile(r"(\w+)\(")


def _can_trace() -> str:
    """Why strace cannot be used here, or an empty string."""
    if STRACE is None:
        return "strace is not installed"
    with subprocess.Popen(["sleep", "60"]) as child:
        command = [STRACE, "-o", "/dev/null", "-p", str(child.pid)]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as tracer:
            assert tracer.stderr is not None
            said = tracer.stderr.readline().strip()
            child.kill()
    return "" if "attached" in said else f"strace may not attach to a process here: {said}"


WHY_NOT = _can_trace()
pytestmark = [pytest.mark.crash, pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT or "-")]


class Call(t.NamedTuple):
    """One system call of the action: its name, and its number among those of that name in the process."""

    name: str
    number: int
    line: str


class Trace:
    """The driver, and strace on each of its children."""

    def __init__(self, where: pathlib.Path) -> None:
        self.where = where
        self.log = where / "trace.log"
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        self.driver = subprocess.Popen(
            [sys.executable, str(DRIVER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )

    def __enter__(self) -> Trace:
        return self

    def __exit__(self, *exc: object) -> None:
        self.driver.communicate()

    def run(self, action: str, root: pathlib.Path, *options: str) -> tuple[dict[str, t.Any] | None, list[Call]]:
        """The child's answer (None when it was killed), and the calls of the action."""
        for name in ("go", "answer", "trace.log"):
            (self.where / name).unlink(missing_ok=True)
        assert self.driver.stdin is not None
        assert self.driver.stdout is not None
        self.driver.stdin.write(json.dumps([action, str(root), str(self.where)]) + "\n")
        self.driver.stdin.flush()
        pid = self.driver.stdout.readline().strip()
        command = [str(STRACE), "-p", pid, "-o", str(self.log), "-e", f"trace={TRACED}", *options]
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as strace:
            wait_until(
                lambda: self.log.exists() and '/go"' in self.log.read_text(errors="replace"), "a traced child", 0.001
            )
            (self.where / "go").touch()
            status = int(self.driver.stdout.readline())
            strace.wait()
        if os.WIFSIGNALED(status):
            assert os.WTERMSIG(status) == signal.SIGKILL
            return None, self._calls()
        assert status == 0
        return json.loads((self.where / "answer").read_text()), self._calls()

    def _calls(self) -> list[Call]:
        """The calls between the marks; what counts is what strace saw of each name."""
        counts: dict[str, int] = {}
        calls: list[Call] = []
        for line in self.log.read_text(errors="replace").splitlines():
            match = CALL.match(line)
            if f'"{self.where}/end"' in line:
                break
            if match is not None:
                counts[match[1]] = counts.get(match[1], 0) + 1
                if CHANGING.match(line):
                    calls.append(Call(match[1], counts[match[1]], line))
        return calls


Summary = list[tuple[str, dict[str, str]]]


def _summary(root: pathlib.Path) -> Summary:
    """What a reader sees: every installation's status and phases. Fails when the ledger is broken."""
    with Engine(str(root)).reading() as session:
        return [
            (one.status, {name: phase.status for name, phase in one.phases.items()})
            for one in installations(session.history())
        ]


def _check_progress(root: pathlib.Path, nothing_before: bool, conditions: tuple[str, ...]) -> None:
    engine = Engine(str(root))
    path = pathlib.Path(engine.path, NAME)
    with engine.reading() as session:
        if session.installation is None:
            assert not path.exists()
            return
        condition = session.progress_condition()
        assert condition in conditions or (nothing_before and condition == "missing")
    if path.exists():
        assert tuple(json.loads(path.read_bytes())) == KEYS


def _nothing(root: pathlib.Path) -> None:
    """A host that never saw an installation."""


def _begun(root: pathlib.Path) -> None:
    with Engine(str(root)).session() as session:
        session.move("environment_setup", "started")
        session.commit()


def _corrupt(root: pathlib.Path) -> None:
    _begun(root)
    pathlib.Path(Engine(str(root)).path, NAME).write_text('{"install_id": ')


def _torn(root: pathlib.Path) -> None:
    _begun(root)
    with pathlib.Path(Engine(str(root)).path, "ledger.jsonl").open("ab") as stream:
        stream.write(b'{"begin":0,\0\0')


def _removing(root: pathlib.Path) -> None:
    _begun(root)
    store = pathlib.Path(Engine(str(root)).path, "store")
    store.mkdir()
    (store / "content").write_text("")


CASES: list[tuple[str, t.Callable[[pathlib.Path], None]]] = [
    ("update", _begun),
    ("begin", _nothing),
    ("begin", _begun),
    ("update", _corrupt),
    ("update", _torn),
    ("reset", _removing),
]
IDS = [f"{action} after {before.__name__.strip('_')}" for action, before in CASES]


@pytest.fixture
def trace(tmp_path: pathlib.Path) -> t.Iterator[Trace]:
    with Trace(tmp_path) as opened:
        yield opened


class Case:
    """An action, the state before it and the state after it."""

    def __init__(self, action: str, before: t.Callable[[pathlib.Path], None], trace: Trace) -> None:
        self.action = action
        self.before = before
        self.trace = trace
        root = self.root()
        self.old = _summary(root)
        answer, self.calls = self.run(root)
        assert answer == {"ok": True}
        self.new = _summary(root)
        assert self.new != self.old or before is _torn
        self.names = self._names(root)

    def run(self, root: pathlib.Path, *options: str) -> tuple[dict[str, t.Any] | None, list[Call]]:
        """The action on a root, traced."""
        return self.trace.run(self.action, root, *options)

    def root(self) -> pathlib.Path:
        """A fresh root in the state before."""
        root = self.trace.where / "root"
        shutil.rmtree(root, ignore_errors=True)
        root.mkdir()
        self.before(root)
        return root

    def _names(self, root: pathlib.Path) -> list[str]:
        """What is there; the log of an installation, which has its id, may lack what a killed call did."""
        paths = [str(path.relative_to(root)) for path in root.rglob("*")]
        return sorted(path for path in paths if LOGS not in pathlib.Path(path).parts)

    def check(self, root: pathlib.Path, call: Call) -> None:
        """The old state or the new one; and the same again finishes the job."""
        assert _summary(root) in (self.old, self.new), call.line
        damaged = self.before is _corrupt
        conditions = ("current", "stale", *(("corrupt",) if damaged else ()))
        if not damaged or _summary(root) == self.new:
            _check_progress(root, self.before is _nothing, conditions)
        ACTIONS[self.action](Engine(str(root), lock_timeout=5))
        assert _summary(root) == self.new, call.line
        assert self._names(root) == self.names, call.line
        _check_progress(root, False, ("current",))


@pytest.mark.parametrize(("action", "before"), CASES, ids=IDS)
def test_killed_at_every_call(trace: Trace, action: str, before: t.Callable[[pathlib.Path], None]) -> None:
    case = Case(action, before, trace)
    seen: set[str] = set()
    for call in case.calls:
        root = case.root()
        answer, calls = case.run(
            root,
            "-e",
            f"inject={call.name}:signal=SIGKILL:when={call.number}",
        )
        assert answer is None, call.line
        # Right where it was meant to be: within the action, at that call.
        assert calls, call.line
        assert calls[-1].number == call.number
        seen.add(json.dumps(_summary(root)))
        case.check(root, call)
    assert len(case.calls) > 8
    assert seen == {json.dumps(case.old), json.dumps(case.new)}


@pytest.mark.parametrize("error", ["ENOSPC", "EIO"])
@pytest.mark.parametrize(("action", "before"), CASES[:-1], ids=IDS[:-1])
def test_refused_at_every_write(
    trace: Trace, action: str, before: t.Callable[[pathlib.Path], None], error: str
) -> None:
    case = Case(action, before, trace)
    writing = [call for call in case.calls if WRITING.match(call.line)]
    assert len(writing) > 4
    for call in writing:
        root = case.root()
        answer, _calls = case.run(
            root,
            "-e",
            f"inject={call.name}:error={error}:when={call.number}",
        )
        assert answer is not None, call.line
        after = _summary(root)
        if answer == {"ok": True}:
            assert after == case.new, call.line
        else:
            assert answer["kind"] == "StorageError", (call.line, answer)
            assert answer["advice"], call.line
            assert after == case.old, call.line
        case.check(root, call)


@pytest.mark.parametrize("error", ["ENOSPC", "EIO"])
@pytest.mark.parametrize(("action", "before"), CASES[:3], ids=IDS[:3])
def test_refused_from_some_write_on(
    trace: Trace, action: str, before: t.Callable[[pathlib.Path], None], error: str
) -> None:
    case = Case(action, before, trace)
    for call in (call for call in case.calls if WRITING.match(call.line) and call.name != "openat"):
        root = case.root()
        answer, _calls = case.run(
            root,
            "-e",
            f"inject={call.name}:error={error}:when={call.number}+",
        )
        if answer is not None:
            assert answer == {"ok": True} or (answer["kind"] == "StorageError" and answer["advice"]), call.line
        case.check(root, call)
