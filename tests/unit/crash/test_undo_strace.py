# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Capture and rollback of a real process, killed or refused at its system calls, then run again.

All system calls of an undisturbed run are enumerated, those that only read too. By default a few are tried,
with SAGE_TEST_ALL_CALLS=1 all of them, with 3 each third.
"""

from __future__ import annotations

import collections
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

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import SageError
from ansible_collections.intellistream.sage.tests.unit.crash.test_crash import STRACE, WHY_NOT
from ansible_collections.intellistream.sage.tests.unit.crash.undo_places import (
    CASES,
    SITUATIONS,
    act,
    change,
    engine,
    unrecorded,
)
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils.tree import changes, snapshot
from ansible_collections.intellistream.sage.tests.unit.waiting import wait_until

pytestmark = [pytest.mark.crash, pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT or "-")]

DRIVER = pathlib.Path(__file__).with_name("undo_driver.py")
EACH = int(os.environ.get("SAGE_TEST_ALL_CALLS", "0"))
TRIES = {"killed": 11, "ENOSPC": 5, "EIO": 6}
CALL = re.compile(r"(\w+)\(")
# While it waits for the tracer these are called an unknown number of times.
WAITING = ("access", "faccessat", "faccessat2", "clock_nanosleep", "select", "pselect6")
# The interpreter's own memory and signals; refused they end it, which killing it tries already.
OWN = re.compile(r"mmap|munmap|mremap|brk|madvise|mprotect|futex|rt_sig\w+|close|exit_group|get\w*id|getrandom|times")
SPACE = re.compile(r"write|pwrite64|fsync|fdatasync|ftruncate|rename\w*|mkdir\w*|link\w*|symlink\w*|open\w*\(.*O_CREAT")
LEFT = re.compile(r"\.sage-|\.tmp$|sage-removed")


class Call(t.NamedTuple):
    """A system call.

    :ivar number: of that name, in its process.
    :ivar own: of the process itself, and not of one that it has forked.
    """

    name: str
    number: int
    own: bool


class Tracer:
    """The driver, and strace on each of its children."""

    def __init__(self, where: pathlib.Path) -> None:
        self.where = where
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        self.driver = subprocess.Popen(
            [sys.executable, str(DRIVER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )

    def run(self, action: str, traced: str, *options: str) -> tuple[dict[str, t.Any] | None, list[Call]]:
        """The child's answer (None when it was killed), and its calls."""
        log = self.where / "trace.log"
        for name in ("go", "answer", "trace.log"):
            (self.where / name).unlink(missing_ok=True)
        assert self.driver.stdin is not None
        assert self.driver.stdout is not None
        self.driver.stdin.write(json.dumps([action, str(self.where / "host" / "root"), str(self.where)]) + "\n")
        self.driver.stdin.flush()
        pid = self.driver.stdout.readline().strip()
        command = [str(STRACE), "-f", "-p", pid, "-o", str(log), "-e", f"trace={traced}", *options]
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as strace:
            wait_until(lambda: log.exists() and b'/go"' in log.read_bytes(), "a traced child", 0.0005)
            (self.where / "go").touch()
            status = int(self.driver.stdout.readline())
            strace.wait()
        calls = self._calls(log.read_text(errors="replace"), pid)
        if os.WIFSIGNALED(status):
            assert os.WTERMSIG(status) == signal.SIGKILL
            return None, calls
        assert status == 0, log.read_text(errors="replace")[-2000:]
        return json.loads((self.where / "answer").read_text()), calls

    def _calls(self, log: str, pid: str) -> list[Call]:
        counts: collections.Counter[tuple[str, str]] = collections.Counter()
        calls: list[Call] = []
        for line in log.splitlines():
            match = None if " resumed>" in line else CALL.search(line)
            if f'"{self.where}/end"' in line:
                break
            if match is None:
                continue
            process = line.partition(" ")[0]
            counts[process, match[1]] += 1
            if match[1] in WAITING:
                # What came before was before the action.
                calls = calls if '/go"' not in line else []
            else:
                name = f"{match[1]}{'(O_CREAT' if 'O_CREAT' in line else ''}"
                calls.append(Call(name, counts[process, match[1]], process == pid))
        return calls


class Trial:
    """An action on a small host: what is there before and after it, and all its calls."""

    def __init__(self, where: pathlib.Path, action: str, situation: str, tracer: Tracer) -> None:
        self.where, self.action, self.tracer = where, action, tracer
        self.host, self.saved = where / "host", where / "saved"
        shutil.rmtree(self.host, ignore_errors=True)
        shutil.rmtree(self.saved, ignore_errors=True)
        SITUATIONS[situation](self.host)
        # With its links; the ledger has absolute names, so each trial is where the first one was.
        self.host.rename(self.saved)
        self.again()
        self.before = snapshot(self.host / "data")
        answer, self.calls = tracer.run(action, "all")
        assert answer == {"ok": True}
        self.after = snapshot(self.host / "data")
        assert bool(changes(self.before, self.after)) == (action != "capture")

    def again(self) -> None:
        """The state before the action."""
        shutil.rmtree(self.host, ignore_errors=True)
        subprocess.run(["cp", "-a", str(self.saved), str(self.host)], check=True)

    def run(self, call: Call, what: str) -> dict[str, t.Any] | None:
        """The action again, disturbed at one of its calls."""
        self.again()
        name = call.name.partition("(")[0]
        options = ["-e", f"inject={name}:{what}:when={call.number}"]
        return self.tracer.run(self.action, f"{name},access,faccessat,faccessat2", *options)[0]

    def wrong(self, call: Call) -> list[str]:
        """What is wrong when the same is run again, which has to come to the end that an undisturbed run comes to."""
        found = []
        if self.action == "capture" and changes(self.before, snapshot(self.host / "data")):
            found.append("a capture changed something")
        try:
            act(self.host, self.action)
            if self.action == "capture":
                change(self.host)
                act(self.host, "undo")
            with engine(self.host).reading() as session:
                history = session.history()
        except (SageError, OSError) as error:
            return [f"{call}: {error}"]
        different = changes(self.after, snapshot(self.host / "data"))
        found += [f"not exact: {different}"] if different else []
        found += ["not finished"] if any(one.undoing for one in history) else []
        found += [f"{name} is in no record" for name in unrecorded(self.host)]
        left = [path.name for path in (self.host / "data").rglob("*") if LEFT.search(path.name)]
        return [f"{call}: {what}" for what in [*found, *(f"{name} was left" for name in left)]]


@pytest.fixture(scope="module")
def tracer(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[Tracer]:
    opened = Tracer(tmp_path_factory.mktemp("traced"))
    yield opened
    opened.driver.communicate()


def _some(calls: list[Call], tries: int) -> list[Call]:
    return calls[:: EACH or max(1, len(calls) // tries)]


@pytest.mark.parametrize(("action", "situation"), CASES, ids=[" ".join(case) for case in CASES])
def test_killed(tracer: Tracer, action: str, situation: str) -> None:
    trial = Trial(tracer.where, action, situation, tracer)
    tried = _some(trial.calls, TRIES["killed"])
    killed, wrong = 0, []
    for call in tried:
        # What a forked process does is done without it.
        killed += trial.run(call, "signal=SIGKILL") is None and call.own
        wrong += trial.wrong(call)
    print(f"{action} {situation}: {len(trial.calls)} calls, {len(tried)} tried, killed at {killed}")
    assert wrong == []
    # How much memory the interpreter asks for differs from run to run; one of few may be such a call.
    assert killed >= sum(call.own for call in tried) * 0.9 - 1


@pytest.mark.parametrize("error", ["ENOSPC", "EIO"])
@pytest.mark.parametrize(("action", "situation"), CASES, ids=[" ".join(case) for case in CASES])
def test_refused(tracer: Tracer, action: str, situation: str, error: str) -> None:
    trial = Trial(tracer.where, action, situation, tracer)
    wanted = [call for call in trial.calls if not OWN.match(call.name) and (error == "EIO" or SPACE.match(call.name))]
    tried = _some(wanted, TRIES[error])
    answers: collections.Counter[str] = collections.Counter()
    wrong = []
    for call in tried:
        answer = trial.run(call, f"error={error}")
        assert answer is not None, call
        answers[answer.get("kind", "ok")] += 1
        wrong += trial.wrong(call)
    print(f"{action} {situation}: {error} at {len(tried)} of {len(wanted)} calls: {dict(answers)}")
    assert wrong == []
    assert len(tried) > 3
