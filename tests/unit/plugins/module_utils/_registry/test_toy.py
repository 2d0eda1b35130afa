# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A kind of resource is one folder and one line in the registry: one in miniature goes through all there is."""

from __future__ import annotations

import os
import pathlib
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.intellistream.sage.plugins import module_utils
from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import ConflictError
from ansible_collections.intellistream.sage.plugins.module_utils._calls.backup import backup, settled
from ansible_collections.intellistream.sage.plugins.module_utils._calls.checkpoint import (
    CheckpointRequest,
    checkpoint,
)
from ansible_collections.intellistream.sage.plugins.module_utils._calls.rollback import rollback
from ansible_collections.intellistream.sage.plugins.module_utils._records.installation import PHASES
from ansible_collections.intellistream.sage.plugins.module_utils._registry import registry
from ansible_collections.intellistream.sage.plugins.module_utils._reports.report import report
from ansible_collections.intellistream.sage.plugins.module_utils._rollback_shell import sources
from ansible_collections.intellistream.sage.plugins.module_utils._undo.rollback import RollbackRequest
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils.bareshell import Host

if TYPE_CHECKING:
    from pathlib import Path

    from ansible_collections.intellistream.sage.plugins.plugin_utils._events import Transition
    from ansible_collections.intellistream.sage.plugins.plugin_utils._structures import DriftReport

TOY = pathlib.Path(__file__).parent / "toy"


class ToyHost(Host):
    """A host with a link that names release 1."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.link = path / "current"
        self.link.symlink_to("1")

    @property
    def release(self) -> str:
        return os.readlink(self.link)

    def change(self, release: str) -> None:
        self.link.unlink()
        self.link.symlink_to(release)

    def toy(self, release: str) -> dict[str, Any]:
        return {"kind": "toy", "path": str(self.link), "release": release}

    def upgrade(self, release: str) -> str:
        """Capture, change and settle; returns the rollback point."""
        point = str(backup(self.engine, [self.toy(release)], None, "by hand", False)["rollback_point"]["id"])
        self.change(release)
        settled(self.engine, point, False)
        return point

    def drift(self) -> list[DriftReport]:
        return list(report(self.engine, None, True, drift=True)["drift"] or [])


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ToyHost:
    """The folder, the line, and its shell beside that of the others."""
    monkeypatch.setattr(module_utils, "__path__", [*module_utils.__path__, str(TOY)])
    monkeypatch.setitem(registry.KINDS, "toy", "_toy.kind:ToyKind")
    with_toy = {**sources.everything(), "toy.sh": (TOY / "_toy/toy.sh").read_text()}
    monkeypatch.setattr(sources, "everything", lambda: with_toy)
    sent = {sources.OPTION: sources.packed()}
    monkeypatch.setattr(sources, "_received", {})
    sources.receive(sent)
    return ToyHost(tmp_path)


def test_options(host: ToyHost) -> None:
    options = registry.options()
    assert options["kind"]["choices"] == ["files", "venv", "git", "toy"]
    assert options["release"] == {"type": "str"}


def test_capture_change_undo_and_redo(host: ToyHost) -> None:
    host.upgrade("2")
    undone = rollback(host.engine, RollbackRequest(), False)
    assert (undone["plan"]["restore"], undone["exact"], host.release) == ([f"{host.link} to 1"], True, "1")
    redone = rollback(host.engine, RollbackRequest(to=str(undone["redo_point"])), False)
    assert (redone["exact"], host.release) == (True, "2")


def test_the_oldest_of_several_captures_decides(host: ToyHost) -> None:
    first = host.upgrade("2")
    host.upgrade("3")
    rollback(host.engine, RollbackRequest(to=first), False)
    assert host.release == "1"


def test_what_somebody_else_changed(host: ToyHost) -> None:
    host.upgrade("2")
    assert host.drift() == []
    host.change("mine")
    assert host.drift() == [{"kind": "toy", "path": str(host.link), "what": "it was 2, is mine", "theirs": False}]
    with pytest.raises(ConflictError, match="is mine, the change left 2"):
        rollback(host.engine, RollbackRequest(), False)
    assert host.release == "mine"
    rollback(host.engine, RollbackRequest(force=True), False)
    assert host.release == "1"


def test_other_kinds_can_be_selected(host: ToyHost) -> None:
    host.upgrade("2")
    assert not rollback(host.engine, RollbackRequest(kinds=["files"]), False)["changed"]
    assert rollback(host.engine, RollbackRequest(kinds=["toy"]), False)["changed"]
    assert host.release == "1"


def test_listing(host: ToyHost) -> None:
    point = host.upgrade("2")
    (transaction,) = report(host.engine, None, True)["transactions"]
    (listed,) = transaction["rollback_points"]
    assert (listed["id"], transaction["packages"]) == (point, ["[-] release 1", "[+] release 2"])
    assert report(host.engine, None, True)["installed_by"] == {"release": transaction["tid"]}


def test_in_a_phase(host: ToyHost) -> None:
    """Its facts are the result of a phase, and tell when that has to run again."""
    started: Transition = {"phase": "python_deps", "status": "started", "capture": [host.toy("2")]}
    checkpoint(host.engine, CheckpointRequest({}, True, {}, [started]), False)
    host.change("2")
    earlier: list[Transition] = [{"phase": name, "status": "completed"} for name in PHASES[:2]]
    completed: Transition = {"phase": "python_deps", "status": "completed", "result": [host.toy("2")]}
    checkpoint(host.engine, CheckpointRequest(None, True, {}, [*earlier, completed]), False)
    assert host.drift() == []
    host.change("mine")
    verdict = report(host.engine, None, True)["resume"]
    assert verdict is not None
    reasons = verdict["reasons"]
    assert {"phase": "python_deps", "reason": "it was 2, is mine"} in reasons


@pytest.mark.skipif(not shutil.which("dash"), reason="dash is not installed")
def test_rollback_sh(host: ToyHost) -> None:
    host.upgrade("release 2")
    text = host.undo()
    assert f"restore  {host.link} to 1" in text
    assert host.release == "1"
    again = rollback(host.engine, RollbackRequest(), False)
    assert (again["exact"], any(again["plan"].values())) == (True, False)
