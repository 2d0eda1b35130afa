# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Many processes at once lose nothing, and readers never see less than a whole file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import typing as t

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._records.installation import (
    PHASES,
    installations,
)
from ansible_collections.intellistream.sage.plugins.module_utils._records.progress import KEYS, NAME
from ansible_collections.intellistream.sage.plugins.module_utils._records.session import Engine

if t.TYPE_CHECKING:
    import pathlib

pytestmark = pytest.mark.crash

PROCESSES, UPDATES = 32, 5

UPDATER = """
import sys
from ansible_collections.intellistream.sage.plugins.module_utils._records.session import Engine
from ansible_collections.intellistream.sage.plugins.module_utils._records.installation import PHASES
engine = Engine(sys.argv[1], lock_timeout=120)
print("ready", flush=True)
sys.stdin.readline()
for number in range(int(sys.argv[3])):
    with engine.session() as session:
        if sys.argv[4] == "begin":
            session.begin({"cleanup": {"who": sys.argv[2]}}, {})
        assert session.move(PHASES[number], "completed", f"{sys.argv[2]}.{number}")
        session.commit()
        assert session.repaired == [], session.repaired
"""


def _start(root: pathlib.Path, processes: int, what: str) -> list[subprocess.Popen[str]]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    started = [
        subprocess.Popen(
            [sys.executable, "-c", UPDATER, str(root), f"p{number}", str(UPDATES), what],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        for number in range(processes)
    ]
    for one in started:
        assert one.stdout is not None
        assert one.stdout.readline() == "ready\n"
    for one in started:
        assert one.stdin is not None
        one.stdin.write("go\n")
        one.stdin.flush()
    return started


def _watch(root: pathlib.Path, started: list[subprocess.Popen[str]]) -> int:
    """Read while they write; every look must be a whole one."""
    engine = Engine(str(root))
    path = f"{engine.path}/{NAME}"
    looks = 0
    while any(one.poll() is None for one in started):
        try:
            with open(path, "rb") as stream:
                content = stream.read()
        except FileNotFoundError:
            continue
        assert tuple(json.loads(content)) == KEYS
        with engine.reading() as session:
            assert session.progress_condition() in ("current", "stale", "missing")
            session.history()
        looks += 1
    return looks


def _ended_well(started: list[subprocess.Popen[str]]) -> None:
    for one in started:
        dummy, said = one.communicate()
        assert (one.returncode, said) == (0, "")


def test_32_updaters_lose_nothing(tmp_path: pathlib.Path) -> None:
    started = _start(tmp_path, PROCESSES, "move")
    assert _watch(tmp_path, started) > 5
    _ended_well(started)
    with Engine(str(tmp_path)).reading() as session:
        lines = session.lines()
        told = [event["data"] for line in lines for event in line.events if event["event"] == "phase"]
        assert sorted(told) == sorted(f"p{one}.{number}" for one in range(PROCESSES) for number in range(UPDATES))
        assert [line.seq for line in lines] == list(range(1, PROCESSES * UPDATES + 1))
        assert len(session.history()) == 1
        assert session.progress_condition() == "current"


def test_installations_begun_at_once_have_ids_that_increase(tmp_path: pathlib.Path) -> None:
    started = _start(tmp_path, 8, "begin")
    assert _watch(tmp_path, started) > 5
    _ended_well(started)
    with Engine(str(tmp_path)).reading() as session:
        ids = [one.install_id for one in installations(session.history())]
        assert len(ids) == 8 * UPDATES
        assert ids == sorted(set(ids))
        assert {one.status for one in installations(session.history())[:-1]} == {"abandoned"}
        assert set(PHASES) == set(session.history()[0].phases)
