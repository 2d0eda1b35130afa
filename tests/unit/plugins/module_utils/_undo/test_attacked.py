# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whole environments and files kept aside, when somebody swapped what is in the store: nothing outside is touched."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import SageError, StoreError
from ansible_collections.intellistream.sage.plugins.module_utils._calls.rollback import rollback
from ansible_collections.intellistream.sage.plugins.module_utils._undo.rollback import RollbackRequest
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils._undo.test_redo import Host
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils.tree import changes, snapshot

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """A directory of somebody else."""
    path = tmp_path / "victim"
    path.mkdir()
    (path / "precious").write_text("precious")
    return path


def _whole(host: Host) -> Path:
    return next(host.path.glob("root/.sage/checkpoints/store/*/*/*/whole"))


def _refused(host: Host, to: str, kind: type[SageError]) -> None:
    before = snapshot(host.path)
    for check_mode in (True, False):
        with pytest.raises(kind):
            rollback(host.engine, RollbackRequest(to), check_mode)
    # Who holds the lock is written into it.
    assert {*changes(before, snapshot(host.path))} <= {"root/.sage/checkpoints/lock"}


def test_a_link_for_a_whole_environment(host: Host, victim: Path) -> None:
    host.install("one", pack="1.0")
    undone = host.undo()
    whole = _whole(host)
    whole.rename(host.path / "stolen")
    whole.symlink_to(victim)
    _refused(host, str(undone["redo_point"]), StoreError)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
def test_a_whole_environment_of_somebody_else(host: Host) -> None:
    host.install("one", pack="1.0")
    undone = host.undo()
    os.chown(_whole(host), 4321, 4321)
    _refused(host, str(undone["redo_point"]), StoreError)


def test_a_link_for_the_content_directory(host: Host, victim: Path) -> None:
    host.install("one", pack="1.0")
    undone = host.undo()
    content = _whole(host).parent
    content.rename(host.path / "stolen")
    content.symlink_to(victim)
    _refused(host, str(undone["redo_point"]), SageError)


@pytest.mark.parametrize("place", ["a link", "somebody else's"])
def test_the_place_for_what_is_kept_aside(host: Host, victim: Path, place: str) -> None:
    if place != "a link" and os.geteuid() != 0:
        pytest.skip("only root can give a directory away")
    host.install("one", pack="1.0")
    host.install("two", pack="2.0")
    edited = host.venv.site / "pack" / "__init__.py"
    text = edited.read_text() + "# mine"
    edited.unlink()
    edited.write_text(text)
    before = snapshot(victim)
    for content in host.path.glob("root/.sage/checkpoints/store/*/*/0"):
        if place == "a link":
            (content / "aside").symlink_to(victim)
        else:
            (content / "aside").mkdir()
            os.chown(content / "aside", 4321, 4321)
    with pytest.raises(SageError, match="aside"):
        rollback(host.engine, RollbackRequest("last", force=True), False)
    assert changes(before, snapshot(victim)) == {}
    # What was to be kept is where it was.
    assert edited.read_text() == text


def test_the_place_for_edited_files(host: Host, victim: Path) -> None:
    host.install("one", pack="1.0")
    host.install("two", pack="2.0")
    host.file.write_text("mine")
    for content in host.path.glob("root/.sage/checkpoints/store/*/*/*"):
        if content.is_dir():
            (content / "aside").symlink_to(victim)
    before = snapshot(victim)
    with pytest.raises(SageError, match="aside"):
        rollback(host.engine, RollbackRequest("last", force=True), False)
    assert changes(before, snapshot(victim)) == {}
    assert host.file.read_text() == "mine"
