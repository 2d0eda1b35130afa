# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The root's farm in the store: what lies there, for how long, and who settles what waits."""

from __future__ import annotations

import os
import pathlib
import shutil
import statistics
import subprocess
import tempfile
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._calls.checkpoint import reset
from ansible_collections.intellistream.sage.plugins.module_utils._footprint import farm as footprint_farm
from ansible_collections.intellistream.sage.plugins.module_utils._footprint import look as footprint_look
from ansible_collections.intellistream.sage.plugins.module_utils._pruning.policy import Limits
from ansible_collections.intellistream.sage.plugins.module_utils._pruning.prune import retain
from ansible_collections.intellistream.sage.plugins.module_utils._records.ledger import NAME as LEDGER
from ansible_collections.intellistream.sage.plugins.module_utils._records.session import Engine
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils._timeline.treehost import TreeHost, host
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils.tree import snapshot

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["host"]


def test_a_capture_holds_the_tree_in_the_farm(host: TreeHost) -> None:
    point = host.capture()
    assert {path.stat().st_ino for path in host.links()} == {
        (host.top / name).stat().st_ino for name in ("one", "two", "lib/three")
    }
    assert [path.read_text() for path in host.copies()] == ["edited by people"]
    assert host.farm.stat().st_mode & 0o777 == 0o700
    assert (host.farm / "unsettled").read_text() == f"{point}\n"
    assert host.points()[point]["resources"][0]["farm"]


def test_the_next_capture_only_takes_what_is_new(host: TreeHost) -> None:
    host.change("one", "second")
    point = host.capture()
    assert (host.manifest(point)["links"], host.manifest(point)["copies"]) == (1, 0)


def test_a_settled_point_needs_nothing_but_itself(host: TreeHost) -> None:
    before = snapshot(host.top)
    host.change("one", "second")
    shutil.rmtree(host.farm)
    assert host.undo()["exact"]
    assert snapshot(host.top) == before


def test_an_unsettled_point_is_undone_from_the_farm(host: TreeHost) -> None:
    before = snapshot(host.top)
    host.capture()
    host.replace("one", "second")
    host.undo()
    assert snapshot(host.top) == before


def test_f7_a_new_capture_settles_the_old_point_first(host: TreeHost) -> None:
    before = snapshot(host.top)
    first = host.capture()
    host.replace("one", "second")
    middle = snapshot(host.top)
    second = host.capture()
    points = host.points()
    assert points[first].get("after") is not None
    assert points[second].get("after") is None
    host.replace("two", "second")
    host.settle(second)
    host.undo(second)
    assert snapshot(host.top) == middle
    host.undo(first)
    assert snapshot(host.top) == before


def test_f7_the_table_of_a_point_is_never_replaced(host: TreeHost) -> None:
    first = host.capture()
    table = (host.directory(first) / "0/0.before").read_bytes()
    host.replace("one", "second")
    host.capture()
    assert (host.directory(first) / "0/0.before").read_bytes() == table


def test_what_a_newer_capture_took_over_is_not_settled_again(host: TreeHost) -> None:
    first = host.change("one", "second")
    second = host.change("two", "second")
    host.capture()
    settled = host.points()[first]["after"]
    host.settle(first)
    host.settle(second)
    assert host.points()[first]["after"] == settled


def test_what_a_point_has_leaves_the_farm(host: TreeHost) -> None:
    host.change("one", "second")
    replaced = next((host.directory(host.change("two", "second")) / "0/copies").glob("*/*"))
    assert replaced.stat().st_nlink == 2
    host.capture()
    retain(host.engine, Limits(), False)
    assert replaced.stat().st_nlink == 1
    assert {path.stat().st_ino for path in host.links()} == {
        (host.top / name).stat().st_ino for name in ("one", "two", "lib/three")
    }


def test_nothing_of_what_waits_leaves_the_farm(host: TreeHost) -> None:
    before = snapshot(host.top)
    host.capture()
    for name in ("one", "two", "some.conf"):
        host.replace(name, "second")
    retain(host.engine, Limits(), False)
    host.undo()
    assert snapshot(host.top) == before


def test_what_a_killed_capture_left_goes(host: TreeHost) -> None:
    host.capture()
    foreign = host.top.parent / "foreign"
    foreign.write_text("linked, and never in a table")
    inode = foreign.stat()
    os.link(foreign, host.links()[0].parent / f"{inode.st_ino:x}.{inode.st_size:x}.{inode.st_mtime_ns:x}")
    (host.farm / "copies/00").mkdir()
    (host.farm / "copies/00" / ("0" * 64)).write_text("copied, and never in a table")
    (host.farm / ".copy").write_text("half of a cop")
    retain(host.engine, Limits(), False)
    assert len(host.links()) == 3
    assert len(host.copies()) == 1
    assert not (host.farm / ".copy").exists()
    assert foreign.stat().st_nlink == 1


def test_the_farm_goes_with_the_last_point(host: TreeHost) -> None:
    first = host.change("one", "second")
    host.undo(first)
    retain(host.engine, Limits(redo=False), False)
    assert not any(point.get("pruned") is None for point in host.points().values())
    retain(host.engine, Limits(redo=False), False)
    assert not host.farm.exists()


def test_several_trees_share_a_farm(host: TreeHost, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(host.top, other)
    os.link(host.top / "one", other / "shared")
    first = host.capture(host.top, other)
    before = snapshot(host.top), snapshot(other)
    (other / "shared").unlink()
    host.replace("two", "second")
    host.settle(first)
    host.capture(other)
    retain(host.engine, Limits(), False)
    host.undo(first)
    assert (snapshot(host.top), snapshot(other)) == before


@pytest.mark.parametrize("slack", [1000, 4], ids=["roomy", "collected from time to time"])
def test_after_many_points_a_capture_costs_what_it_cost(
    host: TreeHost, monkeypatch: pytest.MonkeyPatch, slack: int
) -> None:
    calls = 0

    def counted(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            nonlocal calls
            # So many lines of the ledger are looked at, and no more.
            calls += args[0] != LEDGER
            return real(*args, **kwargs)

        return call

    monkeypatch.setattr(footprint_farm, "_SLACK", slack)
    for name in ("open", "lstat", "stat", "link", "unlink", "rename", "scandir", "listdir", "write", "read"):
        monkeypatch.setattr(os, name, counted(getattr(os, name)))
    costs = []
    for number in range(28):
        calls = 0
        host.change("one", f"content {number}")
        costs.append(calls)
    # Links lie in more directories now. To open what 13 more points have would be more than that.
    assert statistics.median(costs[-12:]) <= statistics.median(costs[3:15]) + 26, costs
    assert slack > 4 or len(host.links()) < 12


def test_an_undo_looks_three_times_and_asks_of_what_moved(host: TreeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    """For its plan, for its own capture, and for what it left; what did not move is not asked for attributes again."""
    looks: list[int] = []
    real_look, real_list = footprint_look.look, os.listxattr

    def look(*args: Any) -> Any:
        looks.append(0)
        return real_look(*args)

    def listxattr(*args: Any, **kwargs: Any) -> Any:
        if looks:
            looks[-1] += 1
        return real_list(*args, **kwargs)

    for number in range(50):
        (host.top / f"other{number}").write_text("not changed")
    host.change("one", "second")
    host.change("two", "second")
    monkeypatch.setattr(footprint_look, "look", look)
    monkeypatch.setattr(os, "listxattr", listxattr)
    assert host.undo()["exact"]
    assert len(looks) == 3
    assert sum(looks) < 50, looks


def _move(host: TreeHost) -> None:
    """Copy tree and root elsewhere and back: every inode is another."""
    for path in (host.top, host.root):
        away = path.with_name("away")
        subprocess.run(["cp", "-a", str(path), str(away)], check=True)
        shutil.rmtree(path)
        away.rename(path)


def _build(host: TreeHost) -> None:
    """As reproducible builds do: files of one size and time, with different content."""
    for name in ("one", "two", "lib/three"):
        (host.top / name).write_text(name[:3])
        os.utime(host.top / name, ns=(0, 0))


def test_f4_a_moved_farm_has_each_files_own_content(host: TreeHost) -> None:
    _build(host)
    before = snapshot(host.top)
    host.capture()
    for name in ("one", "two"):
        host.replace(name, "second")
    _move(host)
    host.undo()
    assert snapshot(host.top) == before


def test_f4_after_a_move_only_the_change_is_in_the_footprint(host: TreeHost) -> None:
    _build(host)
    before = snapshot(host.top)
    point = host.capture()
    host.replace("one", "second")
    _move(host)
    host.settle(point)
    rows = (host.directory(point) / "0/0.footprint").read_text()
    assert rows.count(" one\n") == 2
    assert " two\n" not in rows
    host.undo()
    assert snapshot(host.top) == before


def test_f4_the_farm_begins_anew_and_the_links_of_before_go(host: TreeHost) -> None:
    _build(host)
    host.change("one", "second")
    (old,) = host.farm.glob("links-*")
    _move(host)
    before = snapshot(host.top)
    point = host.change("two", "second")
    assert host.manifest(point)["links"] == 3
    retain(host.engine, Limits(), False)
    (new,) = host.farm.glob("links-*")
    assert new != old
    host.undo(point)
    assert snapshot(host.top) == before


def test_removing_the_record_removes_the_farm(host: TreeHost) -> None:
    host.capture()
    assert (host.top / "one").stat().st_nlink == 2
    reset(host.engine, False)
    assert not host.farm.exists()
    assert (host.top / "one").stat().st_nlink == 1


def test_a_farm_elsewhere_holds_copies_and_goes_with_its_store(
    host: TreeHost, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as disk:
        if os.stat(disk).st_dev == os.stat(tmp_path).st_dev:
            pytest.skip("both are on one file system")
        host.engine = Engine(str(host.root), repackage_dir=f"{disk}/spool")
        before = snapshot(host.top)
        host.change("one", "second")
        (own,) = (pathlib.Path(disk) / "spool").iterdir()
        assert not list(own.glob("farm/links-*/*/*"))
        assert len(list(own.glob("farm/copies/*/*"))) == 4
        monkeypatch.setattr(TreeHost, "store", property(lambda _host: own))
        point = host.change("two", "second")
        # What nobody touched has its hash again, and is not read.
        assert host.manifest(point)["copies"] == 1
        host.undo(next(iter(host.points())))
        assert snapshot(host.top) == before
        reset(host.engine, False)
        assert not own.exists()
