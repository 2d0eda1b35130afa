# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The engine is the second line: whatever a caller leaves out or ignores, nothing is recorded as done that is not."""

from __future__ import annotations

import hashlib
import itertools
import json
import typing as t

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._records.installation import PHASES
from ansible_collections.intellistream.sage.tests.unit.plugins.action.playing import play
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils.tinyvenv import SITE, TinyVenv
from ansible_collections.intellistream.sage.tests.unit.plugins.modules.running import run_module

if t.TYPE_CHECKING:
    import pathlib

FLEET = {"run": "r1", "decision_log": "p", "where": "deploy:/fleet"}
LOOK = [{"argv": ["echo", "core : ok"], "shows": "core *: *ok"}]


class Host:
    """A record, and calls of the modules on it."""

    def __init__(self, root: pathlib.Path) -> None:
        self.root = root
        self.venv = TinyVenv(root / ".sage" / "venv")

    def move(self, *moves: tuple[str, str], **options: t.Any) -> dict[str, t.Any]:
        transitions = [{"phase": phase, "status": status} for phase, status in moves]
        return run_module("sage_checkpoint", root=str(self.root), transitions=transitions, **options)

    def verify(self, **options: t.Any) -> dict[str, t.Any]:
        return run_module("sage_verify", **{"root": str(self.root), "commands": LOOK, **options})

    @property
    def lines(self) -> list[dict[str, t.Any]]:
        ledger = self.root / ".sage" / "checkpoints" / "ledger.jsonl"
        return [json.loads(line) for line in ledger.read_text().splitlines()] if ledger.exists() else []

    @property
    def statuses(self) -> dict[str, str]:
        """What the events of the ledger say of each phase, read without the collection."""
        events = itertools.chain.from_iterable(line["events"] for line in self.lines)
        return {event["phase"]: event["status"] for event in events if event["event"] == "phase"}

    def done(self) -> None:
        """All that verification rests on."""
        assert self.move(*[(name, "completed") for name in PHASES[:4]]).get("changed")


@pytest.fixture
def host(tmp_path: pathlib.Path) -> Host:
    return Host(tmp_path / "root")


@pytest.mark.parametrize("status", ["completed", "skipped"])
@pytest.mark.parametrize(("missing", "phase"), itertools.combinations(PHASES, 2))
def test_e10_no_phase_is_done_while_an_earlier_one_is_not(host: Host, missing: str, phase: str, status: str) -> None:
    before = [(name, "completed") for name in PHASES[: PHASES.index(missing)]]
    host.move(*before, (missing, "failed"))
    recorded = len(host.lines)
    refused = host.move((phase, status))
    assert refused["failed"]
    assert (refused["error"]["kind"], refused["error"]["missing"]) == ("OutOfOrder", missing)
    assert f"{missing} comes first, and is failed" in refused["msg"]
    assert len(host.lines) == recorded
    assert host.statuses[missing] == "failed"


@pytest.mark.parametrize("end", [("verification", "completed"), ("verification", "skipped"), ("cleanup", "completed")])
def test_e10_nothing_is_completed_that_was_not_verified(host: Host, end: tuple[str, str]) -> None:
    host.done()
    host.move(("verification", "started"))
    assert host.verify(commands=[{"argv": ["false"]}])["failed"]
    refused = host.move(*([] if end[0] == "verification" else [("verification", "completed")]), end)
    assert (refused["error"]["kind"], refused["error"]["missing"]) == ("OutOfOrder", "verification")
    assert "sage_verify" in refused["msg"]
    refused = host.move(*[(name, "completed") for name in PHASES], prepare=FLEET)
    assert refused["error"]["kind"] == "OutOfOrder"
    assert host.statuses["verification"] == "started"
    assert "cleanup" not in host.statuses


@pytest.mark.parametrize("earlier", PHASES[:5])
@pytest.mark.parametrize("status", ["started", "failed", "pending"])
def test_e10_a_verification_is_void_once_something_before_it_moves(host: Host, earlier: str, status: str) -> None:
    host.done()
    host.move(("verification", "started"))
    told = host.verify()
    assert told.get("changed"), told
    host.move((earlier, status))
    refused = host.move(*[(name, "completed") for name in PHASES])
    assert (refused["error"]["kind"], refused["error"]["missing"]) == ("OutOfOrder", "verification")


def test_e10_the_evidence_is_in_the_ledger(host: Host) -> None:
    host.root.mkdir()
    host.venv.make()
    host.venv.install("pack", "1.0", {"pack/__init__.py": "there"})
    spec = {"kind": "venv", "path": str(host.venv.path), "distributions": [{"name": "pack", "version": "1.0"}]}
    transitions: list[dict[str, t.Any]] = [{"phase": name, "status": "completed"} for name in PHASES[:4]]
    transitions[2]["result"] = [spec]
    run_module("sage_checkpoint", root=str(host.root), transitions=transitions)
    assert host.verify()["error"]["kind"] == "OutOfOrder"
    host.move(("verification", "started"))
    told = host.verify(venv=str(host.venv.path))
    [event] = host.lines[-1]["events"]
    assert event == {"event": "verified", **told["evidence"]}
    assert event["resources"] == [f"venv {host.venv.path}"]
    assert event["versions"] == {"pack": "1.0"}
    assert event["files"] >= 2
    assert event["commands"] == [
        {"argv": LOOK[0]["argv"], "output": hashlib.sha256(b"core : ok\n").hexdigest()},
    ]
    assert host.move(("verification", "completed"), ("cleanup", "completed"))["changed"]
    # What was lost since is seen at the next verification.
    next(host.venv.path.rglob("pack/__init__.py")).write_text("")
    host.move(("verification", "started"))
    lost = host.verify(venv=str(host.venv.path))
    assert lost["error"]["kind"] == "NotVerified"
    assert f"1 file of pack 1.0 was edited: {SITE}/pack/__init__.py" in lost["msg"]
    assert host.move(("verification", "completed"))["error"]["kind"] == "OutOfOrder"


def test_e10_a_result_that_is_not_there_is_none(host: Host) -> None:
    spec = {"kind": "venv", "path": str(host.venv.path)}
    done = {"phase": "environment_setup", "status": "completed", "result": [spec]}
    refused = run_module("sage_checkpoint", root=str(host.root), transitions=[done])
    assert (refused["error"]["kind"], refused["error"]["missing"]) == ("OutOfOrder", "environment_setup")
    assert host.statuses == {}


def test_e10_in_check_mode_nothing_is_refused_and_nothing_is_run(host: Host, tmp_path: pathlib.Path) -> None:
    host.done()
    recorded = len(host.lines)
    ran = tmp_path / "ran"
    told = host.verify(commands=[{"argv": ["touch", str(ran)]}], _ansible_check_mode=True)
    assert told.get("changed"), told
    assert host.move(("verification", "completed"), _ansible_check_mode=True)["changed"]
    assert not ran.exists()
    assert len(host.lines) == recorded


@pytest.mark.slow
def test_e10_a_play_that_ignores_errors_completes_nothing(tmp_path: pathlib.Path) -> None:
    host = Host(tmp_path / "root")
    checkpoint, root = "intellistream.sage.sage_checkpoint", {"root": str(host.root)}
    tasks: list[dict[str, t.Any]] = [
        {checkpoint: {**root, "transitions": [{"phase": name, "status": "completed"} for name in PHASES[:3]]}},
        {checkpoint: {**root, "phase": "sage_packages", "status": "started"}},
        {"ansible.builtin.command": "false"},
        {checkpoint: {**root, "transitions": [{"phase": "verification", "status": "started"}]}},
        {"intellistream.sage.sage_verify": {**root, "commands": [{"argv": ["false"]}]}},
        {checkpoint: {**root, "transitions": [{"phase": name, "status": "completed"} for name in PHASES[4:]]}},
    ]
    plays = [{"hosts": "all", "gather_facts": False, "ignore_errors": True, "tasks": tasks}]
    played = play(tmp_path, plays)
    assert played.status == 0, played.output
    assert (host.statuses["sage_packages"], host.statuses["verification"]) == ("started", "started")
    assert "cleanup" not in host.statuses
