# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A controller that is killed, or refused by its disk, at each system call while it opens a run or decides.

Afterwards there is no decision or a whole one, who comes next gets on with it, and what was told before still holds.
Nothing is decided for a host that asks about a run that was not opened.
All calls that change something are tried and each fifth of the others, with SAGE_TEST_ALL_CALLS=1 all of them.
"""

from __future__ import annotations

import hashlib
import os
import pathlib
import re
import shutil
import subprocess
import sys
import typing as t

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.private import MARK
from ansible_collections.intellistream.sage.plugins.module_utils._fleet.decision_log import (
    IDENTITY,
    FleetDecision,
    open_log,
)
from ansible_collections.intellistream.sage.tests.unit.crash.decision_driver import (
    ACTS,
    HOSTS,
    RUN,
    decide,
    open_run,
    resolve,
)
from ansible_collections.intellistream.sage.tests.unit.crash.test_crash import WHY_NOT
from ansible_collections.intellistream.sage.tests.unit.crash.test_undo_strace import EACH, OWN, SPACE, Call, Tracer

pytestmark = [pytest.mark.crash, pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT or "-")]

DRIVER = pathlib.Path(__file__).with_name("decision_driver.py")
CHANGES = re.compile(rf"{SPACE.pattern}|unlink\w*|fchmod")
CASES = [
    ("open", "nothing"),
    ("open", "place"),
    ("decide", "nothing"),
    ("decide", "place"),
    ("decide", "decided"),
    ("resolve", "place"),
    ("resolve", "killed"),
]
OPENED = f".{RUN}.{hashlib.sha256(chr(0).join(HOSTS).encode()).hexdigest()[:16]}.opened"


class DecisionTracer(Tracer):
    """The same for deciding."""

    def __init__(self, where: pathlib.Path) -> None:
        self.where = where
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        self.driver = subprocess.Popen(
            [sys.executable, str(DRIVER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )


@pytest.fixture(scope="module")
def tracer(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[Tracer]:
    opened = DecisionTracer(tmp_path_factory.mktemp("traced"))
    yield opened
    opened.driver.communicate()


def _before(root: pathlib.Path, situation: str) -> None:
    shutil.rmtree(root.parent, ignore_errors=True)
    root.parent.mkdir()
    if situation == "nothing":
        return
    open_run(str(root))
    if situation == "decided":
        resolve(str(root))
    if situation == "killed":
        # Between link and unlink, before anything was synced.
        decide(str(root))
        os.link(root / f"{RUN}.json", root / f".{RUN}.json.1.0.tmp")


def _read(root: pathlib.Path) -> FleetDecision | None:
    place = open_log(str(root))
    if place is None:
        return None
    with place:
        return place.read(RUN)


def _is_opened(root: pathlib.Path) -> bool:
    log = open_log(str(root))
    if log is None:
        return False
    with log:
        return bool(log.opened(RUN))


def _state(root: pathlib.Path) -> str:
    """How far the run has come: its decision, else C(opened), else nothing."""
    standing = _read(root)
    return standing.decision if standing is not None else "opened" if _is_opened(root) else ""


def _after(root: pathlib.Path, action: str, situation: str, told: bool, call: object) -> None:
    standing, state = _read(root), _state(root)
    if told:
        assert state if action == "open" else standing is not None, call
    if situation != "nothing":
        assert state, call
    # Who comes next: an abort wherever nothing stands.
    expected = standing.decision if standing is not None else "abort"
    if not state:
        if (root / IDENTITY).exists():
            # The run is not known here: the host stays in doubt, and nothing is decided for it.
            answer = resolve(str(root))
            assert (answer["decision"], answer["in_doubt"]) == (None, True), call
            assert not _state(root), call
        again = ACTS[action](str(root))["decision"]
        assert again == {"open": None, "decide": "commit"}[action], call
        expected = again or "abort"
    assert resolve(str(root))["decision"] == expected, call
    if standing is not None:
        assert _read(root) == standing, call
    marks = [] if (action, situation) == ("decide", "nothing") else [OPENED]
    assert sorted({*os.listdir(root)} - {MARK}) == [IDENTITY, *marks, f"{RUN}.json"], call


def _calls(tracer: Tracer, root: pathlib.Path, action: str, situation: str) -> list[Call]:
    _before(root, situation)
    answer, calls = tracer.run(action, "all")
    assert answer == {"ok": True}
    return calls


def _some(calls: list[Call]) -> list[Call]:
    return [call for number, call in enumerate(calls) if CHANGES.match(call.name) or number % (EACH or 5) == 0]


@pytest.mark.parametrize(("action", "situation"), CASES, ids=[" ".join(case) for case in CASES])
def test_killed_at_every_call(tracer: Tracer, action: str, situation: str) -> None:
    root = tracer.where / "host" / "root"
    calls = _calls(tracer, root, action, situation)
    tried = _some(calls)
    killed, seen = 0, set()
    for call in tried:
        _before(root, situation)
        name = call.name.partition("(")[0]
        inject = ("-e", f"inject={name}:signal=SIGKILL:when={call.number}")
        killed += tracer.run(action, f"{name},access,faccessat,faccessat2", *inject)[0] is None
        seen.add(_state(root))
        _after(root, action, situation, False, call)
    print(f"{action} {situation}: {len(calls)} calls, {len(tried)} tried, killed at {killed}")
    assert killed > len(tried) * 0.9
    begin = {"nothing": "", "place": "opened", "decided": "abort", "killed": "commit"}[situation]
    end = {"open": "opened", "decide": "commit", "resolve": "abort"}[action]
    assert seen == ({begin, end} if begin in {"", "opened"} else {begin})


@pytest.mark.parametrize("error", ["ENOSPC", "EIO"])
@pytest.mark.parametrize(("action", "situation"), CASES, ids=[" ".join(case) for case in CASES])
def test_refused_at_every_call(tracer: Tracer, action: str, situation: str, error: str) -> None:
    root = tracer.where / "host" / "root"
    calls = _calls(tracer, root, action, situation)
    wanted = [call for call in calls if not OWN.match(call.name) and (error == "EIO" or SPACE.match(call.name))]
    kinds: dict[str, int] = {}
    for call in _some(wanted):
        _before(root, situation)
        name = call.name.partition("(")[0]
        inject = ("-e", f"inject={name}:error={error}:when={call.number}")
        answer, dummy = tracer.run(action, f"{name},access,faccessat,faccessat2", *inject)
        assert answer is not None, call
        kind = answer.get("kind", "ok")
        kinds[kind] = kinds.get(kind, 0) + 1
        _after(root, action, situation, kind == "ok", call)
    print(f"{action} {situation}: {error} at {len(wanted)} calls: {kinds}")
    assert kinds
