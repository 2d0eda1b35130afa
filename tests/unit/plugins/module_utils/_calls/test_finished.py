# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""All that a rerun asks: "finished" is said only where the whole call would find nothing to do."""

from __future__ import annotations

import os
import pathlib
import typing as t

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._calls.checkpoint import (
    CheckpointRequest,
    checkpoint,
    deliver_decision,
)
from ansible_collections.intellistream.sage.plugins.module_utils._calls.rollback import prepare_rollback, rollback
from ansible_collections.intellistream.sage.plugins.module_utils._calls.verdict import look
from ansible_collections.intellistream.sage.plugins.module_utils._records.installation import PHASES
from ansible_collections.intellistream.sage.plugins.module_utils._records.record import BEGUN
from ansible_collections.intellistream.sage.plugins.module_utils._undo.rollback import RollbackRequest as Target
from ansible_collections.intellistream.sage.plugins.module_utils._venv import undo
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils.recorded import verified
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils.sagehost import SageHost
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils.tree import changes, snapshot

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.plugin_utils._events import FleetTerms, Transition

WANTED: dict[str, dict[str, t.Any]] = {"python_deps": {"version": "1.0"}}


def _done(host: SageHost) -> list[Transition]:
    venv = {"kind": "venv", "path": str(host.venv.path), "distributions": [{"name": "pack", "version": "1.0"}]}
    return [
        {"phase": name, "status": "completed", "result": [venv] if name == "python_deps" else []} for name in PHASES
    ]


@pytest.fixture
def host(tmp_path: pathlib.Path) -> SageHost:
    one = SageHost(tmp_path).make()
    one.begin("1.0")
    verified(one.engine)
    one.call(transitions=_done(one))
    return one


def _look(host: SageHost, inputs: dict[str, dict[str, t.Any]] | None = None) -> dict[str, t.Any]:
    """Look, and compare with the whole call in check mode; nothing is written."""
    before = snapshot(host.path)
    found: dict[str, t.Any] = {**look(host.engine.root, None, inputs or WANTED)}
    request = CheckpointRequest(inputs or WANTED, True, {}, [], recover=True)
    whole: dict[str, t.Any] = {**checkpoint(host.engine, request, True)}
    remains = whole["changed"] or whole["recover"] or (whole["fleet"] or {}).get("asks") or whole["resume"]["phase"]
    assert found["finished"] == (not remains)
    if found["finished"]:
        assert found == {**{name: whole[name] for name in found if name != "finished"}, "finished": True}
    assert changes(before, snapshot(host.path)) == {}
    return found


def test_finished(host: SageHost) -> None:
    assert _look(host)["finished"]


def test_it_need_not_go_back(host: SageHost) -> None:
    _promised(host)
    _hear(host, "abort")
    assert _look(host)["finished"]


def test_nothing_there(tmp_path: pathlib.Path) -> None:
    assert look(str(tmp_path / "none"), None, {})["resume"]["state"] == "none"
    assert not look(str(tmp_path / "none"), None, {})["finished"]
    assert not (tmp_path / "none").exists()


def test_something_else_is_wanted(host: SageHost) -> None:
    assert _look(host, {"python_deps": {"version": "2.0"}})["resume"]["phase"] == "python_deps"


def _gone(host: SageHost) -> None:
    host.venv.uninstall("pack")


def _failed(host: SageHost) -> None:
    host.call(transitions=[{"phase": "cleanup", "status": "failed"}])


def _rolled_back(host: SageHost) -> None:
    rollback(host.engine, Target("last"), False)


def _undo_interrupted(host: SageHost) -> None:
    def killed(*dummy: object) -> None:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(undo.VenvUndo, "execute", killed)
        with pytest.raises(KeyboardInterrupt):
            _rolled_back(host)


def _script_begun(host: SageHost) -> None:
    pathlib.Path(host.engine.path, BEGUN).touch(0o600)


def _torn(host: SageHost) -> None:
    with open(os.path.join(host.engine.path, "ledger.jsonl"), "ab") as ledger:
        ledger.write(b'{"torn')


def _edited(host: SageHost) -> None:
    pathlib.Path(host.engine.path, "install_progress.json").write_text("{}", "utf-8")


def _in_doubt(host: SageHost) -> None:
    host.call(inputs={"python_deps": {"version": "2.0"}})
    waits: FleetTerms = {"run": "r1", "decision_log": "p" * 32, "where": "deploy:/fleet"}
    host.begin("1.0")
    verified(host.engine)
    checkpoint(host.engine, CheckpointRequest(None, True, {}, _done(host), prepare=waits), False)


def _promised(host: SageHost) -> None:
    prepare_rollback(
        host.engine, Target("last"), {"run": "r1", "decision_log": "p" * 32, "where": "deploy:/fleet"}, False
    )


def _going_back(host: SageHost) -> None:
    _promised(host)
    _hear(host, "commit")


def _hear(host: SageHost, decision: str) -> None:
    deliver_decision(host.engine, "r1", decision, False)


@pytest.mark.parametrize(
    "change",
    [
        _gone,
        _failed,
        _rolled_back,
        _undo_interrupted,
        _script_begun,
        _torn,
        _edited,
        _in_doubt,
        _promised,
        _going_back,
    ],
)
def test_anything_else_is_left_to_the_whole_call(host: SageHost, change: t.Callable[[SageHost], None]) -> None:
    change(host)
    assert not _look(host)["finished"]
