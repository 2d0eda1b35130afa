# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What sage_checkpoint_info tells, also of a damaged state."""

from __future__ import annotations

import pathlib
import typing as t

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import StateError
from ansible_collections.intellistream.sage.plugins.module_utils._records.installation import PHASES
from ansible_collections.intellistream.sage.plugins.module_utils._records.progress import KEYS
from ansible_collections.intellistream.sage.plugins.module_utils._records.session import Engine
from ansible_collections.intellistream.sage.plugins.module_utils._reports.report import report


@pytest.fixture
def engine(tmp_path: pathlib.Path) -> Engine:
    return Engine(str(tmp_path / "sage"), lock_timeout=5)


def _move(engine: Engine, *moves: tuple[str, str], begin: bool = False) -> None:
    with engine.session() as session:
        if begin:
            session.begin({"python_deps": {"url": "https://x.example"}}, {})
        for phase, status in moves:
            session.move(phase, status)
        session.commit()


def test_nothing_there(engine: Engine, tmp_path: pathlib.Path) -> None:
    told = report(engine, None, True)
    assert not told["changed"]
    assert not told["exists"]
    assert told["resume"] is not None
    assert told["resume"]["state"] == "none"
    assert told["installations"] == []
    assert list(tmp_path.iterdir()) == []


def test_everything(engine: Engine) -> None:
    _move(engine, *[(name, "completed") for name in PHASES])
    _move(engine, ("environment_setup", "failed"), begin=True)
    told = report(engine, None, True)
    assert told["exists"]
    assert told["status"] == "failed"
    assert tuple(told["progress"]) == KEYS
    assert told["progress_file"] == "current"
    assert [one["status"] for one in told["installations"]] == ["completed", "failed"]
    assert told["installations"][-1]["install_id"] == told["install_id"]
    assert told["resume"] is not None
    assert told["resume"]["needed"]
    assert told["resume"]["reasons"][0] == {"phase": "environment_setup", "reason": "it failed"}
    assert told["ledger"] == {
        "path": engine.path,
        "lines": 2,
        "intact": True,
        "broken_at": None,
        "message": "",
    }


def test_without_history_only_the_current_one_is_read(engine: Engine) -> None:
    _move(engine, ("cleanup", "started"))
    told = report(engine, None, False)
    assert told["ledger"]["lines"] is None
    assert told["phases"]["cleanup"]["status"] == "started"


def test_credentials_in_wanted_inputs_are_no_change(engine: Engine) -> None:
    _move(engine, *[(name, "completed") for name in PHASES], begin=True)
    wanted: dict[str, t.Any] = {"python_deps": {"url": "https://user:secret@x.example"}}
    told = report(engine, wanted, False)
    assert told["resume"] is not None
    assert told["resume"]["state"] == "finished"
    assert "secret" not in str(told)


@pytest.mark.parametrize("history", [True, False])
def test_a_broken_chain_is_told_not_raised(engine: Engine, history: bool) -> None:
    _move(engine, ("cleanup", "started"))
    _move(engine, ("cleanup", "failed"))
    raw = pathlib.Path(engine.path, "ledger.jsonl")
    raw.write_bytes(raw.read_bytes().replace(b'"failed"', b'"Failed"'))
    told = report(engine, None, history)
    assert told["exists"]
    assert not told["ledger"]["intact"]
    assert told["ledger"]["broken_at"] == 2
    assert "Line 2" in told["ledger"]["message"]
    # The module always returns the same keys.
    assert set(report(Engine(engine.root + "x"), None, True)) == set(told)


def test_an_older_break_leaves_the_current_one_told(engine: Engine) -> None:
    _move(engine, ("cleanup", "started"))
    _move(engine, ("cleanup", "started"), begin=True)
    raw = pathlib.Path(engine.path, "ledger.jsonl")
    raw.write_bytes(raw.read_bytes().replace(b'"started"', b'"Started"', 1))
    told = report(engine, None, True)
    assert told["ledger"]["broken_at"] == 1
    assert told["phases"]["cleanup"]["status"] == "started"


def test_a_lost_ledger_is_an_error(engine: Engine) -> None:
    _move(engine, ("cleanup", "started"))
    pathlib.Path(engine.path, "ledger.jsonl").unlink()
    with pytest.raises(StateError, match="the history is lost"):
        report(engine, None, True)
