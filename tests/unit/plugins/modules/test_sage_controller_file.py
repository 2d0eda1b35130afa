# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A file on the controller: regular files are replaced whole, and nothing else is."""

from __future__ import annotations

import os
import socket
import stat
import typing as t

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import InputError
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.regular import open_regular
from ansible_collections.intellistream.sage.tests.unit.plugins.modules.running import run_module

if t.TYPE_CHECKING:
    import pathlib


def _write(path: pathlib.Path, **options: t.Any) -> dict[str, t.Any]:
    return run_module("sage_controller_file", path=str(path), content="new\n", **options)


def test_a_file_is_written_once_and_foreseen(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "status"
    predicted = _write(file, _ansible_check_mode=True)
    assert predicted["changed"]
    assert predicted["diff"]["after"] == "new\n"
    assert not file.exists()
    assert _write(file)["changed"]
    assert file.read_text() == "new\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o644
    assert not _write(file)["changed"]
    assert [path.name for path in tmp_path.iterdir()] == ["status"]


def test_x10_another_name_of_the_file_keeps_its_content(tmp_path: pathlib.Path) -> None:
    (tmp_path / "theirs").write_text("theirs")
    os.link(tmp_path / "theirs", tmp_path / "status")
    _write(tmp_path / "status")
    assert (tmp_path / "theirs").read_text() == "theirs"
    assert (tmp_path / "status").read_text() == "new\n"


def _plant(kind: str, path: pathlib.Path, target: pathlib.Path) -> None:
    if kind == "symbolic link":
        path.symlink_to(target)
    elif kind == "directory":
        path.mkdir()
    elif kind == "named pipe":
        os.mkfifo(path)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(str(path))
    else:
        os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 3))


@pytest.mark.parametrize("kind", ["symbolic link", "directory", "named pipe", "socket", "device"])
@pytest.mark.parametrize("check_mode", [False, True])
def test_x10_what_is_no_regular_file_stays(tmp_path: pathlib.Path, kind: str, check_mode: bool) -> None:
    if kind == "device" and os.getuid():
        pytest.skip("needs root")
    target, path = tmp_path / "target", tmp_path / "status"
    target.write_text("theirs")
    _plant(kind, path, target)
    before = path.lstat()
    told = _write(path, _ansible_check_mode=check_mode)
    assert told["failed"]
    assert f"is a {kind}, not a regular file" in told["msg"]
    assert target.read_text() == "theirs"
    after = path.lstat()
    assert (after.st_ino, after.st_mode, after.st_mtime_ns) == (before.st_ino, before.st_mode, before.st_mtime_ns)
    assert len(list(tmp_path.iterdir())) == 2


def test_x10_a_device_of_the_system_stays() -> None:
    before = os.lstat("/dev/null")
    told = run_module("sage_controller_file", path="/dev/null", content="new\n")
    assert "/dev/null is a device" in told["msg"]
    assert os.path.samestat(before, os.lstat("/dev/null"))


def test_x10_a_pipe_is_not_waited_for(tmp_path: pathlib.Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="named pipe"):
        open_regular(str(tmp_path / "pipe"))


def test_the_directory_has_to_be_there(tmp_path: pathlib.Path) -> None:
    told = _write(tmp_path / "nowhere" / "status")
    assert told["error"]["kind"] == "StorageError"
