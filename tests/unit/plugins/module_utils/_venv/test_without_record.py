# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""V5: of a distribution whose RECORD somebody removed nobody knows the files, so all that may be its own are held."""

from __future__ import annotations

import os
import shutil
import subprocess
import typing as t

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._calls.backup import backup, settled
from ansible_collections.intellistream.sage.plugins.module_utils._calls.rollback import rollback
from ansible_collections.intellistream.sage.plugins.module_utils._records.session import Engine
from ansible_collections.intellistream.sage.plugins.module_utils._undo.rollback import RollbackRequest
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils.tinyvenv import TinyVenv
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils.tree import changes, snapshot

if t.TYPE_CHECKING:
    from pathlib import Path


def _spec(venv: TinyVenv) -> dict[str, t.Any]:
    return {"kind": "venv", "path": str(venv.path), "distributions": [{"name": "pack", "version": "2"}]}


def _made(path: Path) -> TinyVenv:
    venv = TinyVenv(path)
    venv.make()
    venv.install("keep", "1")
    venv.install("pack", "1", {"pack/old.py": "old\n"})
    next(venv.site.glob("pack-*.dist-info/RECORD")).unlink()
    return venv


def test_k1_the_words_count_what_is_held(tmp_path: Path) -> None:
    """They counted two files, of the metadata, and nothing of the package."""
    venv = _made(tmp_path / "venv")
    captured = backup(Engine(str(tmp_path / "root")), [_spec(venv)], None, "", False)["rollback_point"]
    files = [path for path in venv.path.rglob("*") if path.is_file() and not path.is_symlink()]
    assert captured["files"] == len(files)
    assert captured["bytes"] == sum(path.stat().st_size for path in files)


def test_v5_what_no_record_lists_comes_back_on_a_file_system_of_its_own(tmp_path: Path) -> None:
    """Where no link can hold it, only what the change was to replace is copied; of that nobody knew."""
    place = tmp_path / "other"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m,mode=755", "none", str(place)]
    if os.geteuid() or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root can mount")
    try:
        venv = _made(place / "venv")
        engine = Engine(str(tmp_path / "root"))
        before = snapshot(venv.path)
        point = backup(engine, [_spec(venv)], None, "", False)["rollback_point"]
        # As an installer that cleans up all the same.
        for path in (venv.site / "pack", *venv.site.glob("pack-*.dist-info")):
            shutil.rmtree(path)
        venv.install("pack", "2", {"pack/new.py": "new\n"})
        settled(engine, point["id"], False)
        assert rollback(engine, RollbackRequest(force=True), False)["exact"]
        assert changes(before, snapshot(venv.path)) == {}
    finally:
        subprocess.run(["umount", str(place)], check=True)


def _upgraded_unsettled(engine: Engine, venv: TinyVenv) -> None:
    backup(engine, [_spec(venv)], None, "", False)
    for path in (venv.site / "pack", *venv.site.glob("pack-*.dist-info")):
        shutil.rmtree(path)
    venv.install("pack", "2", {"pack/new.py": "new\n"})


def test_k1_what_the_new_version_lacks_comes_back_though_nobody_looked(tmp_path: Path) -> None:
    """It stayed away, for no RECORD says whose it was; and that was called exact."""
    venv = _made(tmp_path / "venv")
    engine = Engine(str(tmp_path / "root"))
    before = snapshot(venv.path)
    _upgraded_unsettled(engine, venv)
    outcome = rollback(engine, RollbackRequest(), False)
    assert changes(before, snapshot(venv.path)) == {}
    assert outcome["exact"], outcome["inexact"]


def test_k1_what_nobody_owns_and_that_stays_otherwise_is_named(tmp_path: Path) -> None:
    """It may be of the distribution without a RECORD, or somebody's."""
    venv = _made(tmp_path / "venv")
    (venv.site / "data.txt").write_text("old\n")
    engine = Engine(str(tmp_path / "root"))
    before = snapshot(venv.path)
    _upgraded_unsettled(engine, venv)
    (venv.site / "data.txt").write_text("otherwise\n")
    outcome = rollback(engine, RollbackRequest(), False)
    assert list(changes(before, snapshot(venv.path))) == [os.path.relpath(venv.site / "data.txt", venv.path)]
    assert not outcome["exact"]
    assert any("data.txt" in line for line in outcome["inexact"])
