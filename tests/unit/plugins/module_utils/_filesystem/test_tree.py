# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Paths below an open directory, never through a link."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import UnsafePath
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.tree import Tree, open_directory, parts

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("path", ["", "/etc/passwd", "..", "a/../b", "a//b", "./a", "a/.", "a\0b"])
def test_paths_that_lead_elsewhere(path: str) -> None:
    with pytest.raises(UnsafePath):
        parts(path)


@pytest.fixture
def top(tmp_path: Path) -> Path:
    (tmp_path / "top/a/b").mkdir(parents=True)
    (tmp_path / "top/a/b/file").write_text("content")
    (tmp_path / "top/way").symlink_to("a")
    os.mkfifo(tmp_path / "top/pipe")
    return tmp_path / "top"


def test_reads_and_tells(top: Path) -> None:
    with Tree(str(top), open_directory(str(top))) as tree:
        assert tree.read("a/b/file") == b"content"
        assert tree.lstat("a/nothing") is None
        assert tree.lstat("nothing/below") is None
        assert [name for name, dummy in tree.walk()] == ["a", "a/b", "a/b/file", "pipe", "way"]
        assert tree.unlink("a/b/file")
        assert not tree.unlink("a/b/file")
        assert tree.rmdir("a/b")
        assert not tree.rmdir("a/b")


def test_follows_no_link_and_opens_no_pipe(top: Path) -> None:
    with Tree(str(top), open_directory(str(top))) as tree:
        for path in ("way/b/file", "pipe"):
            with pytest.raises(UnsafePath):
                tree.read(path)
        with pytest.raises(UnsafePath):
            tree.enter("way", make=True)
        with pytest.raises(UnsafePath):
            tree.parent("a/..")


def test_no_path_leads_elsewhere_after_a_close_that_failed(tmp_path: Path) -> None:
    for name in ("a/b/c", "d/b/c"):
        (tmp_path / name).mkdir(parents=True)
    for nth in range(3):
        with Tree(str(tmp_path), open_directory(str(tmp_path))) as tree:
            # Closed by somebody else, so that the tree's own close fails, as on a network file system.
            os.close([tree.enter("a/b/c"[:length]) for length in (1, 3, 5)][nth])
            with pytest.raises(OSError, match="descriptor"):
                tree.enter("d/b/c")
            for directory in ("a/b/c", "d/b/c", "a", "d/b"):
                info = os.fstat(tree.enter(directory))
                assert os.path.samestat(info, (tmp_path / directory).stat()), (nth, directory)
            tree.enter("new", make=True)
    assert sorted(os.listdir(tmp_path)) == ["a", "d", "new"]


def test_a_close_that_failed_is_not_tried_again(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    tree = Tree(str(tmp_path), open_directory(str(tmp_path)))
    closed = tree.enter("a")
    os.close(closed)
    with pytest.raises(OSError, match="descriptor"):
        tree.close()
    # Whoever opens next gets the number.
    other = os.open(tmp_path, os.O_RDONLY)
    try:
        tree.close()
        os.fstat(other)
    finally:
        os.close(other)


def test_nothing_lies_below_a_file(top: Path) -> None:
    (top / "file").write_text("in the way")
    with Tree(str(top), open_directory(str(top))) as opened:
        assert opened.lstat("file/below") is None
        assert not opened.unlink("file/below/deeper")
        assert not opened.rmdir("file/below")
        assert list(opened.listing("file")) == []
        with pytest.raises(UnsafePath):
            opened.enter("file/below", make=True)
    assert (top / "file").read_text() == "in the way"


def test_links_above_are_followed_when_trusted(top: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(top)
    os.close(open_directory(str(tmp_path / "link/a")))
    with pytest.raises(UnsafePath, match="symbolic link"):
        open_directory(str(tmp_path / "link"))
    os.close(open_directory(str(tmp_path / "link"), follow=True))
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises((UnsafePath, OSError)):
        open_directory(str(tmp_path / "loop/a"))
    assert Tree.open(str(tmp_path / "nothing/there")) is None
    with pytest.raises(UnsafePath):
        open_directory("relative")
