# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tables of settled points lie in parts that points share."""

from __future__ import annotations

import errno
import os
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import SageError
from ansible_collections.intellistream.sage.plugins.module_utils._footprint import table_parts
from ansible_collections.intellistream.sage.plugins.module_utils._fsck.check import check
from ansible_collections.intellistream.sage.plugins.module_utils._pruning.policy import Limits
from ansible_collections.intellistream.sage.plugins.module_utils._pruning.prune import retain
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils._timeline.treehost import TreeHost, host
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils.tree import snapshot

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["host"]

FILES = 120


@pytest.fixture(autouse=True)
def many(host: TreeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files enough for some parts."""
    monkeypatch.setattr(table_parts, "_SMALL", 0)
    monkeypatch.setattr(table_parts, "_ROWS", 8)
    (host.top / "many").mkdir()
    for number in range(FILES):
        (host.top / f"many/{number}").write_text(f"{number}, first")


def _parts(host: TreeHost, point: str) -> list[Path]:
    return sorted((host.directory(point) / "0/parts").iterdir())


def test_a_point_keeps_of_its_table_what_differs(host: TreeHost) -> None:
    points = [host.change(f"many/{number}", "second") for number in range(6)]
    host.capture()
    shared = points[1:]
    own = [sum(path.stat().st_nlink == 1 for path in _parts(host, point)) for point in shared]
    assert min(len(_parts(host, point)) for point in shared) > 8
    # Its first line, and where the files lie that this change and the one before it replaced, and their directory.
    assert max(own) <= 5, own
    assert not any((host.directory(point) / "0/0.before").exists() for point in points)
    # The last of them is the farm's, too.
    assert {path.name for path in host.farm.glob("parts-*/*")} == {path.name for path in _parts(host, points[-1])}


def test_an_undo_through_points_in_parts_is_exact(host: TreeHost) -> None:
    before = snapshot(host.top)
    first = host.change("many/1", "second")
    middle = snapshot(host.top)
    second = host.change("many/2", "second")
    host.change("many/1", "third")
    host.capture()
    host.undo(second)
    assert snapshot(host.top) == middle
    shutil.rmtree(host.farm)
    host.undo(first)
    assert snapshot(host.top) == before


def test_a_damaged_part_is_found_and_nothing_is_done_by_it(host: TreeHost) -> None:
    point = host.change("many/1", "second")
    host.capture()
    before = snapshot(host.top)
    part = _parts(host, point)[-1]
    part.write_bytes(part.read_bytes()[:-9] + b"sixpence\n")
    with pytest.raises(SageError, match=r"0\.before is (gone|not what was recorded)"):
        host.undo(point)
    assert snapshot(host.top) == before
    texts = [finding["text"] for finding in check(host.engine, False, False)["findings"]]
    # The farm has another name of it.
    assert sum(point in text for text in texts) == 1
    assert sum(part.name in text for text in texts) == 1


def test_a_damaged_part_of_the_farm_is_given_to_no_point(host: TreeHost) -> None:
    before = snapshot(host.top)
    first = host.change("many/1", "second")
    second = host.change("many/2", "second")
    for path in host.farm.glob("parts-*/*"):
        path.unlink()
        path.write_bytes(b"something else")
    host.capture()
    assert all(path.read_bytes() != b"something else" for path in _parts(host, second))
    host.undo(first)
    assert snapshot(host.top) == before


@pytest.mark.parametrize("name", ["link", "unlink", "fsync"])
def test_a_disk_that_refuses_anywhere_takes_no_table(
    host: TreeHost, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    before = snapshot(host.top)
    first = host.change("many/1", "second")
    directory = host.directory(host.change("many/2", "second")) / "0"
    real, failing = getattr(os, name), 0

    def refuse(*args: Any, **kwargs: Any) -> Any:
        nonlocal failing
        failing -= 1
        if not failing:
            raise OSError(errno.EIO, "the disk refused")
        return real(*args, **kwargs)

    for position in (1, 2, 5, 9, 14):
        monkeypatch.setattr(os, name, refuse)
        failing = position
        try:
            retain(host.engine, Limits(), False)
        except SageError:
            pass
        monkeypatch.setattr(os, name, real)
        assert (directory / "0.before").exists() or (directory / "0.parts").exists()
        assert check(host.engine, False, False)["intact"]
    host.undo(first)
    assert snapshot(host.top) == before


def test_parts_of_what_is_captured_no_more_leave_the_farm(host: TreeHost, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(host.top, other)
    point = host.capture(other)
    (other / "many/1").unlink()
    host.settle(point)
    host.change("many/1", "second")
    host.capture()
    assert len(list(host.farm.glob("parts-*"))) == 2
    host.undo(point)
    retain(host.engine, Limits(redo=False), False)
    retain(host.engine, Limits(redo=False), False)
    assert len(list(host.farm.glob("parts-*"))) <= 1
