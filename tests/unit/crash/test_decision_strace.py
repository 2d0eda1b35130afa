# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A controller that is killed, or refused by its disk, at each system call while it decides.

Afterwards there is no decision or a whole one, who comes next gets on with it, and what was told before still holds.
All calls that change something are tried and each fifth of the others, with SAGE_TEST_ALL_CALLS=1 all of them.
"""

from __future__ import annotations

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
from ansible_collections.intellistream.sage.tests.unit.crash.decision_driver import RUN, decide, resolve
from ansible_collections.intellistream.sage.tests.unit.crash.test_crash import WHY_NOT
from ansible_collections.intellistream.sage.tests.unit.crash.test_undo_strace import EACH, OWN, SPACE, Call, Tracer

pytestmark = [pytest.mark.crash, pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT or "-")]

DRIVER = pathlib.Path(__file__).with_name("decision_driver.py")
CHANGES = re.compile(rf"{SPACE.pattern}|unlink\w*|fchmod")
CASES = [("decide", "nothing"), ("decide", "place"), ("decide", "decided"), ("resolve", "place"), ("resolve", "killed")]


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
    place = open_log(str(root), create=True)
    assert place is not None
    with place:
        place.open(RUN, ["a", "b"])
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


def _after(root: pathlib.Path, told: bool, call: object) -> None:
    found = _read(root)
    assert found is not None or not told, call
    # Who comes next: an abort wherever nothing stands.
    if (root / IDENTITY).exists():
        assert resolve(str(root))["decision"] == (found.decision if found is not None else "abort"), call
    else:
        assert decide(str(root))["decision"] == "commit", call
    if found is not None:
        assert _read(root) == found, call
    assert sorted({*os.listdir(root)} - {MARK}) == [IDENTITY, f"{RUN}.json"], call


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
        found = _read(root)
        seen.add(found.decision if found is not None else "")
        _after(root, False, call)
    print(f"{action} {situation}: {len(calls)} calls, {len(tried)} tried, killed at {killed}")
    assert killed > len(tried) * 0.9
    wanted = {"decide": {"", "commit"}, "resolve": {"", "abort"}}[action]
    assert seen == {"decided": {"abort"}, "killed": {"commit"}}.get(situation, wanted)


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
        _after(root, kind == "ok", call)
    print(f"{action} {situation}: {error} at {len(wanted)} calls: {kinds}")
    assert kinds
