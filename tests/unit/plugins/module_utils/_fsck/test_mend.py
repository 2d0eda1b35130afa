# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""E18, the store's half: missing, damaged and foreign content is found by name, and mended from another copy."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._fsck.check import check
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils._timeline.treehost import host
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils.tree import snapshot

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils._timeline.treehost import TreeHost

__all__ = ["host"]


def _damage(path: Path) -> None:
    """Other content of the same size and time."""
    info = path.stat()
    path.unlink()
    path.write_bytes(b"x" * info.st_size)
    os.utime(path, ns=(info.st_atime_ns, info.st_mtime_ns))


def _become_link(path: Path) -> None:
    path.unlink()
    path.symlink_to("/etc/passwd")


def _become_directory(path: Path) -> None:
    path.unlink()
    (path / "below").mkdir(parents=True)


HURTS: list[Callable[[Path], None]] = [lambda path: path.unlink(), _damage, _become_link, _become_directory]


def _content_of(host: TreeHost, point: str) -> Path:
    return next(host.directory(point).glob("0/copies/*/*"))


def _findings(host: TreeHost) -> dict[str, bool]:
    """Text and whether it can be mended, of each."""
    return {each["text"]: each["mendable"] for each in check(host.engine, False, False)["findings"]}


@pytest.mark.parametrize("hurt", HURTS)
def test_e18_content_of_a_point_comes_back_from_another_point(host: TreeHost, hurt: Callable[[Path], None]) -> None:
    before = snapshot(host.top)
    first = host.change("one", "second")
    host.change("one", "one, first")
    second = host.change("one", "third")
    # Both points hold the same content.
    hurt(_content_of(host, first))
    shutil.rmtree(host.farm)
    (text, is_mendable), *more = _findings(host).items()
    assert first in text
    assert str(host.top / "one") in text
    assert (is_mendable, more) == (True, [])
    assert check(host.engine, True, False)["repaired"] == [text]
    assert not _findings(host)
    assert second != first
    host.undo(first)
    assert snapshot(host.top) == before


def test_e18_content_of_a_point_comes_back_from_the_tree(host: TreeHost) -> None:
    point = host.change("one", "second")
    host.replace("one", "one, first")
    shutil.rmtree(host.farm)
    _damage(_content_of(host, point))
    assert list(_findings(host).values()) == [True]
    assert check(host.engine, True, False)["intact"]


def test_e18_content_that_is_nowhere_else_is_named_and_left(host: TreeHost) -> None:
    point = host.change("one", "second")
    shutil.rmtree(host.farm)
    _damage(_content_of(host, point))
    before = snapshot(host.store)
    ((text, is_mendable),) = _findings(host).items()
    assert (str(host.top / "one") in text, is_mendable) == (True, False)
    assert not check(host.engine, True, False)["changed"]
    assert snapshot(host.store) == before


@pytest.mark.parametrize("hurt", HURTS)
def test_e18_a_link_that_a_point_waits_for_is_made_again(host: TreeHost, hurt: Callable[[Path], None]) -> None:
    before = snapshot(host.top)
    host.capture()
    hurt(host.links()[0])
    assert list(_findings(host).values())[:1] == [True]
    assert check(host.engine, True, False)["intact"]
    for name in ("one", "two", "lib/three"):
        host.replace(name, "second")
    host.undo()
    assert snapshot(host.top) == before


def test_e18_a_table_comes_back_from_the_farm(host: TreeHost) -> None:
    point = host.capture()
    table = host.directory(point) / "0/0.before"
    content = table.read_bytes()
    table.write_bytes(content[:-9])
    assert list(_findings(host).values()) == [True]
    assert check(host.engine, True, False)["intact"]
    assert table.read_bytes() == content


def test_e18_what_is_wrong_in_the_farm_is_found_by_name(host: TreeHost) -> None:
    host.change("one", "second")
    _damage(host.copies()[0])
    link = host.links()[0]
    link.rename(link.with_name(f"1.{link.name.partition('.')[2]}"))
    (host.farm / ".copy").write_text("half of")
    (host.farm / "copies/00").mkdir()
    (host.farm / "copies/00/notes").write_text("somebody's")
    (host.farm / "notes").write_text("somebody's")
    names = ["copies/00/notes", ".copy", "notes", *(str(path.relative_to(host.farm)) for path in host.copies()[1:])]
    texts = "\n".join(_findings(host))
    assert all(f"{host.farm}/{name} " in texts for name in names)
    assert "/1." in texts
    check(host.engine, True, False)
    assert list(_findings(host)) == [f"{host.farm}/notes is nothing that this collection keeps there"]
    assert not (host.farm / "copies/00/notes").exists()


def test_e18_a_farm_without_points_is_told_and_removed(host: TreeHost) -> None:
    point = host.capture()
    with host.engine.session() as session:
        session.add({"event": "pruned", "installations": [point.rpartition(".")[0]], "points": [point]})
        session.commit()
    assert any("no rollback point" in text for text in _findings(host))
    check(host.engine, True, False)
    assert not host.farm.exists()
