# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The root's farm in the store: what lies there, for how long, and who settles what waits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils._timeline.treehost import host
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils.tree import snapshot

if TYPE_CHECKING:
    from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils._timeline.treehost import TreeHost

__all__ = ["host"]


def test_a_capture_holds_the_tree_in_the_farm(host: TreeHost) -> None:
    point = host.capture()
    assert [path.stat().st_ino for path in host.links()] == sorted(
        (host.top / name).stat().st_ino for name in ("one", "two", "lib/three")
    )
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
    import shutil

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
