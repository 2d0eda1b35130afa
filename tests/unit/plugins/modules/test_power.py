# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The power is cut the moment a call has returned: what it said is so on the disk, and not in memory alone.

The root lies on a loop device. A copy of the file behind that device, taken at once, is what a power cut would leave.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import shutil
import typing as t

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._base import host
from ansible_collections.intellistream.sage.plugins.module_utils._records.installation import PHASES
from ansible_collections.intellistream.sage.plugins.modules import (
    sage_checkpoint,
    sage_resume_info,
    sage_rollback,
)
from ansible_collections.intellistream.sage.tests.integration.targets.setup_wheelhouse.files import wheelhouse
from ansible_collections.intellistream.sage.tests.unit.disk import Disk
from ansible_collections.intellistream.sage.tests.unit.plugins.modules.installing import EITHER, Bench


@pytest.fixture
def disk(tmp_path: pathlib.Path) -> t.Iterator[Disk]:
    with contextlib.ExitStack() as stack:
        yield Disk(tmp_path, stack)


def _look(top: pathlib.Path) -> dict[str, object]:
    """Path → content of all that counts: byte code is the interpreter's, and the lock says who had it last."""
    return {
        str(path.relative_to(top)): os.readlink(path) if path.is_symlink() else path.is_file() and path.read_bytes()
        for path in top.rglob("*")
        if "__pycache__" not in path.parts and path.name not in ("lock", "__pycache__")
    }


def _resource(bench: Bench, plan: list[dict[str, t.Any]]) -> dict[str, t.Any]:
    distributions = [{"name": planned["name"], "version": planned["version"]} for planned in plan]
    return {"kind": "venv", "path": bench.venv, "distributions": distributions}


def _transition(bench: Bench, root: str, status: str, **more: object) -> dict[str, t.Any]:
    earlier = [{"phase": phase, "status": "completed"} for phase in PHASES[:2] if status == "completed"]
    transitions = [*earlier, {"phase": "python_deps", "status": status, **more}]
    return bench.call(sage_checkpoint, root=root, lock_timeout=5, inputs={}, transitions=transitions)


def test_x1_what_is_completed_or_undone_is_on_the_disk(bench: Bench, disk: Disk) -> None:
    wheelhouse.main(str(bench.base))
    root = disk.path / "sage"
    bench.venv = str(root / ".sage" / "venv")
    os.makedirs(os.path.dirname(bench.venv))
    shutil.copytree(bench.template(bench.tool), bench.venv, symlinks=True)
    os.sync()
    before = _look(root / ".sage" / "venv")
    plan = bench.resolve("isage==0.1")["plan"]["distributions"]
    venv = _resource(bench, plan)
    _transition(bench, str(root), "started", capture=[venv])
    bench.install(plan)
    _transition(bench, str(root), "completed", result=[venv])
    installed = disk.cut("installed")
    assert _look(installed / "sage") == _look(root)
    assert len(_look(root / ".sage" / "venv")) > len(before)

    result = bench.call(sage_rollback, root=str(root), lock_timeout=5)
    undone = disk.cut("undone")
    assert result["exact"]
    assert _look(undone / "sage") == _look(root)
    assert _look(undone / "sage" / ".sage" / "venv") == before


@EITHER
def test_x1_nothing_is_finished_over_empty_files(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a disk forgot what it had said was on it, a rerun in another boot says so, and mends it."""
    wheelhouse.main(str(bench.base))
    bench.make_venv()
    root = str(bench.base / "root")
    plan = bench.resolve("isage==0.1")["plan"]["distributions"]
    venv = _resource(bench, plan)
    bench.install(plan)
    _transition(bench, root, "completed", result=[venv])

    def reasons() -> list[str]:
        resume = bench.call(sage_resume_info, root=root, inputs={})["resume"]
        return [reason["reason"] for reason in resume["reasons"] if reason["phase"] == "python_deps"]

    victim = next(pathlib.Path(bench.venv).glob("lib/python3*/site-packages/tinydep/__init__.py"))
    content = victim.read_bytes()
    assert content
    monkeypatch.setattr(host, "boot_id", lambda: "the next boot")
    assert reasons() == []
    os.truncate(victim, 0)
    assert reasons() == [f"{victim.relative_to(bench.venv)} of tinydep has lost its content"]
    assert bench.install(plan)["changed"]
    assert (victim.read_bytes(), reasons()) == (content, [])
