# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The store in another place than the state."""

from __future__ import annotations

import os
import pathlib
import subprocess
import tempfile
import typing as t

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import InputError, UnsafePath
from ansible_collections.intellistream.sage.plugins.module_utils._calls.backup import backup
from ansible_collections.intellistream.sage.plugins.module_utils._calls.checkpoint import reset
from ansible_collections.intellistream.sage.plugins.module_utils._calls.rollback import rollback
from ansible_collections.intellistream.sage.plugins.module_utils._records.session import Engine
from ansible_collections.intellistream.sage.plugins.module_utils._storage import store as storage_store
from ansible_collections.intellistream.sage.plugins.module_utils._undo.rollback import RollbackRequest
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils.tree import changes, snapshot


@pytest.fixture
def disk() -> t.Iterator[pathlib.Path]:
    """A directory on another file system, where hard links from elsewhere are impossible."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as path:
        yield pathlib.Path(path)


@pytest.fixture
def data(tmp_path: pathlib.Path) -> pathlib.Path:
    """Something to capture."""
    path = tmp_path / "data"
    path.mkdir()
    (path / "one").write_text("before")
    return path


def _spec(data: pathlib.Path) -> dict[str, t.Any]:
    return {"kind": "files", "paths": [str(data)]}


def _engine(tmp_path: pathlib.Path, disk: pathlib.Path | None, root: str = "sage") -> Engine:
    (tmp_path / root).mkdir(exist_ok=True)
    return Engine(str(tmp_path / root), repackage_dir=str(disk) if disk else None)


def _change(data: pathlib.Path) -> None:
    (data / "one").write_text("after")
    (data / "two").write_text("new")


def test_content_lies_there_and_comes_back_from_there(
    tmp_path: pathlib.Path, disk: pathlib.Path, data: pathlib.Path
) -> None:
    before = snapshot(data)
    assert backup(_engine(tmp_path, disk / "spool"), [_spec(data)], None, "", False)["changed"]
    (own,) = (disk / "spool").iterdir()
    assert list(own.rglob("0/copies/*/*"))
    assert [oct(path.stat().st_mode & 0o777) for path in (disk / "spool", own)][1] == "0o700"
    assert not (tmp_path / "sage/.sage/checkpoints/store").exists()
    _change(data)
    # Not told again: the state remembers.
    assert rollback(_engine(tmp_path, None), RollbackRequest(), False)["exact"]
    assert changes(before, snapshot(data)) == {}


def test_the_script_finds_it(tmp_path: pathlib.Path, disk: pathlib.Path, data: pathlib.Path) -> None:
    before = snapshot(data)
    engine = _engine(tmp_path, disk)
    backup(engine, [_spec(data)], None, "", False)
    _change(data)
    done = subprocess.run(["sh", f"{engine.path}/rollback.sh", "--yes"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert changes(before, snapshot(data)) == {}


def test_two_states_share_a_directory(tmp_path: pathlib.Path, disk: pathlib.Path, data: pathlib.Path) -> None:
    first, second = _engine(tmp_path, disk, "a"), _engine(tmp_path, disk, "b")
    for engine in (first, second):
        backup(engine, [_spec(data)], None, "", False)
    assert len(list(disk.iterdir())) == 2
    reset(first, False)
    assert len(list(disk.iterdir())) == 1
    before = snapshot(data)
    _change(data)
    rollback(second, RollbackRequest(), False)
    assert changes(before, snapshot(data)) == {}


def test_it_stays_where_it_is_while_something_is_in_it(
    tmp_path: pathlib.Path, disk: pathlib.Path, data: pathlib.Path
) -> None:
    backup(_engine(tmp_path, None), [_spec(data)], None, "", False)
    store = tmp_path / "sage/.sage/checkpoints/store"
    there = snapshot(store)
    with pytest.raises(InputError, match=r"checkpoints/store, and not below"):
        backup(_engine(tmp_path, disk), [_spec(data)], None, "other", False)
    assert changes(there, snapshot(store)) == {}
    assert list(disk.iterdir()) == []


def test_check_mode_makes_nothing(tmp_path: pathlib.Path, disk: pathlib.Path, data: pathlib.Path) -> None:
    backup(_engine(tmp_path, disk), [_spec(data)], None, "", True)
    assert list(disk.iterdir()) == []


def test_a_link_in_its_place_is_refused(tmp_path: pathlib.Path, disk: pathlib.Path, data: pathlib.Path) -> None:
    engine = _engine(tmp_path, disk)
    backup(engine, [_spec(data)], None, "", False)
    (own,) = disk.iterdir()
    moved = own.rename(disk / "moved")
    own.symlink_to(moved)
    _change(data)
    there = snapshot(data)
    with pytest.raises(UnsafePath):
        rollback(engine, RollbackRequest(), False)
    with pytest.raises(UnsafePath):
        reset(engine, False)
    assert changes(there, snapshot(data)) == {}
    assert os.listdir(moved)


def test_the_place_is_named_where_space_is_short(
    tmp_path: pathlib.Path, disk: pathlib.Path, data: pathlib.Path
) -> None:
    engine = _engine(tmp_path, disk)
    backup(engine, [_spec(data)], None, "", False)
    with engine.reading() as session, pytest.raises(Exception, match=f"The store {disk}") as caught:
        storage_store.check_space(session.where, 1, 1 << 60)  # type: ignore[arg-type]
    assert caught.type.__name__ == "CaptureError"
