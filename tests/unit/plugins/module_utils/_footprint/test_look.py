# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A look at a tree tells what find and getfattr tell, whatever is in the tree, and whatever happens meanwhile."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import CaptureError
from ansible_collections.intellistream.sage.plugins.module_utils._footprint import look as footprint_look
from ansible_collections.intellistream.sage.plugins.module_utils._footprint.table import GRANULE_NS, decode_attributes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ansible_collections.intellistream.sage.plugins.module_utils._footprint.table import Table


@contextlib.contextmanager
def _opened(directory: Path) -> Iterator[int]:
    fd = os.open(directory, os.O_RDONLY)
    try:
        yield fd
    finally:
        os.close(fd)


def _look(path: Path, earlier: Table | None = None) -> Table:
    with _opened(path.parent) as fd:
        return footprint_look.look(fd, path.name, earlier)


@pytest.fixture
def top(tmp_path: Path) -> Path:
    top = tmp_path / "top"
    (top / "a/b/empty").mkdir(parents=True)
    (top / "a/file").write_bytes(b"12345")
    os.link(top / "a/file", top / "a/b/second")
    (top / "a/b/line\nend").write_bytes(b"")
    (top / os.fsdecode(b"\xff\xfe")).write_bytes(b"no text")
    (top / "dangling").symlink_to("nowhere at all")
    (top / "loop").symlink_to(".")
    os.mkfifo(top / "pipe")
    os.chmod(top / "a/file", 0o4700)
    os.utime(top / "a/b/line\nend", ns=(-5, -5))
    return top


def test_tells_what_find_tells(top: Path) -> None:
    # A socket's path is short.
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as listener:
        here = os.getcwd()
        os.chdir(top)
        try:
            listener.bind("socket")
        finally:
            os.chdir(here)
    table = _look(top)
    fields = r"%P\0%y\0%m\0%U\0%G\0%s\0%i\0%n\0%l\0"
    words = subprocess.run(["find", str(top), "-printf", fields], check=True, stdout=subprocess.PIPE).stdout.split(
        b"\0"
    )
    told = {
        os.fsdecode(words[at]): list(map(os.fsdecode, words[at + 1 : at + 9])) for at in range(0, len(words) - 1, 9)
    }
    assert len(told) == 12
    assert told == {
        path: [
            row.type,
            f"{row.mode:o}",
            str(row.uid),
            str(row.gid),
            # Of all but files the size is the file system's business.
            str(row.size) if row.type == "f" else told[path][4],
            str(row.inode),
            str(row.links),
            row.target,
        ]
        for path, row in table.rows.items()
    }
    assert not table.unseen
    assert not table.boundaries
    for path, row in table.rows.items():
        info = os.lstat(top / path if path else top)
        assert (row.mtime, row.ctime) == (info.st_mtime_ns, info.st_ctime_ns)
    assert table.rows["a/b/line\nend"].mtime == -5


def test_directories_come_before_what_is_in_them(top: Path) -> None:
    paths = list(_look(top).rows)
    assert paths[0] == ""
    assert all(paths.index(path.rpartition("/")[0]) < paths.index(path) for path in paths if path)


@pytest.mark.parametrize("name", ["a/file", "dangling", "pipe", "a/b/empty"])
def test_the_path_may_be_anything(top: Path, name: str) -> None:
    table = _look(top / name)
    assert list(table.rows) == [""]
    assert table.rows[""] == _look(top).rows[name]


def test_what_is_not_there(top: Path) -> None:
    assert not _look(top / "nothing").rows


def test_extended_attributes_are_read_once_for_each_ctime(top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        os.setxattr(top / "a/file", "user.a,b", b"\0\xff")
    except OSError:
        pytest.skip("this file system has no extended attributes")
    # As if it had been some time ago.
    first = _look(top)._replace(began=time.time_ns() + 2 * GRANULE_NS)
    assert decode_attributes(first.rows["a/file"].attributes) == {"user.a,b": b"\0\xff"}
    assert first.rows["a"].attributes == ""
    asked: list[str] = []
    real = footprint_look.attributes_of

    def counted(directory: int, name: str) -> str:
        asked.append(name)
        return real(directory, name)

    monkeypatch.setattr(footprint_look, "attributes_of", counted)
    assert _look(top, first).rows == first.rows
    assert not asked
    os.setxattr(top / "a/b", "user.new", b"1")
    os.removexattr(top / "a/file", "user.a,b")
    second = _look(top, first)
    assert sorted(asked) == ["b", "file", "second"]
    assert decode_attributes(second.rows["a/b"].attributes) == {"user.new": b"1"}
    assert second.rows["a/file"].attributes == ""


def test_f3_attributes_that_changed_in_the_tick_of_the_look_are_read(top: Path) -> None:
    try:
        os.setxattr(top / "a/file", "user.a", b"1")
    except OSError:
        pytest.skip("this file system has no extended attributes")
    first = _look(top)
    os.setxattr(top / "a/file", "user.a", b"2")
    row = first.rows["a/file"]._replace(ctime=os.lstat(top / "a/file").st_ctime_ns)
    second = _look(top, first._replace(rows={**first.rows, "a/file": row}))
    assert decode_attributes(second.rows["a/file"].attributes) == {"user.a": b"2"}


def test_f6_what_vanishes_meanwhile_is_absent(top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = footprint_look.attributes_of

    def meanwhile(directory: int, name: str) -> str:
        if name == "a":
            (top / "a/b/line\nend").unlink()
            os.rename(top / "a/b", top / "gone")
            (top / "a/b").symlink_to("/etc")
        return real(directory, name)

    monkeypatch.setattr(footprint_look, "attributes_of", meanwhile)
    table = _look(top)
    assert table.rows["a/b"].target == "/etc"
    assert not any(path.startswith("a/b/") for path in table.rows)


def test_a_directory_that_a_link_replaces_while_it_is_opened_is_not_entered(
    top: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.open

    def late(path: str, flags: int, *arguments: int, dir_fd: int | None = None) -> int:
        if path == "b" and (top / "a/b").is_dir() and not (top / "a/b").is_symlink():
            os.rename(top / "a/b", top / "gone")
            (top / "a/b").symlink_to("/etc")
        return real(path, flags, *arguments, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", late)
    table = _look(top)
    assert table.rows["a/b"].target == "/etc"
    assert not any(path.startswith("a/b/") for path in table.rows)


@pytest.mark.skipif(os.geteuid() == 0, reason="root looks at everything")
def test_what_may_not_be_looked_at_is_named(top: Path) -> None:
    (top / "a").chmod(0)
    try:
        table = _look(top)
    finally:
        (top / "a").chmod(0o700)
    assert list(table.unseen) == ["a"]
    assert not any(path.startswith("a/") for path in table.rows)


def test_f16_mounts_are_boundaries() -> None:
    """Every Linux has devices of other file systems below C(/dev)."""
    with open("/proc/mounts", encoding="utf-8") as stream:
        mounted = {line.split()[1] for line in stream}
    expected = sorted(point[len("/dev/") :] for point in mounted if point.startswith("/dev/"))
    assert expected
    table = _look(Path("/dev"))
    assert list(table.boundaries) == expected
    assert {table.rows[path].type for path in expected} <= {"d", "c"}


def test_f25_deeper_than_can_be_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    here = os.open(tmp_path / "deep", os.O_RDONLY)
    for _level in range(500):
        os.mkdir("d", dir_fd=here)
        below = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    with pytest.raises(CaptureError, match="more than 400 directories"):
        _look(tmp_path / "deep")
