# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Capture and undo of files, links and directories, whole trees compared."""

from __future__ import annotations

import itertools
import os
import socket
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import (
    CaptureError,
    ConflictError,
    InputError,
    RollbackError,
    SageError,
    StoreError,
)
from ansible_collections.intellistream.sage.plugins.module_utils._calls.backup import backup, settled
from ansible_collections.intellistream.sage.plugins.module_utils._calls.rollback import rollback
from ansible_collections.intellistream.sage.plugins.module_utils._records.session import Engine
from ansible_collections.intellistream.sage.plugins.module_utils._registry.registry import make
from ansible_collections.intellistream.sage.plugins.module_utils._undo.rollback import RollbackRequest
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils.tree import changes, snapshot

if TYPE_CHECKING:
    from pathlib import Path

    from ansible_collections.intellistream.sage.plugins.plugin_utils._structures import BackupResult, RollbackResult

NAMES = ["plain", "配置 '$(id)'\n.yaml", b"\xff\xfe.bin".decode("utf-8", "surrogateescape")]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "root").mkdir()
    return tmp_path / "root"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    top = tmp_path / "data"
    (top / "tree/sub/empty").mkdir(parents=True)
    (top / "file").write_text("content\n")
    (top / "file").chmod(0o640)
    os.utime(top / "file", ns=(1, 1_000_000_007))
    (top / "link").symlink_to("file")
    (top / "tree/sub/one").write_text("1")
    (top / "tree/up").symlink_to("..")
    (top / "tree/sub").chmod(0o750)
    return top


def capture(root: Path, *paths: Path, check: bool = False) -> BackupResult:
    spec = {"kind": "files", "paths": [str(path) for path in paths]}
    return backup(Engine(str(root)), [spec], None, "", check)


def undo(root: Path, to: str = "last", check: bool = False) -> RollbackResult:
    return rollback(Engine(str(root)), RollbackRequest(to), check)


def wreck(data: Path) -> None:
    """Change, remove and add everything."""
    (data / "file").unlink()
    (data / "file").mkdir()
    (data / "file/inside").write_text("x")
    (data / "link").unlink()
    (data / "link").write_text("no link")
    (data / "tree/sub/one").write_text("2")
    (data / "tree/sub/empty").rmdir()
    (data / "tree/sub").chmod(0o700)
    (data / "tree/new").write_text("new")
    (data / "absent").mkdir()
    (data / "absent/deep").write_text("x")


def test_everything_comes_back(root: Path, data: Path) -> None:
    before = snapshot(data)
    capture(root, data / "file", data / "link", data / "tree", data / "absent")
    wreck(data)
    predicted = undo(root, check=True)
    assert changes(before, snapshot(data))
    assert {**undo(root), "redo_point": None} == predicted
    assert changes(before, snapshot(data)) == {}
    assert undo(root)["changed"] is False


@pytest.mark.parametrize("name", NAMES)
def test_names_survive(root: Path, data: Path, name: str) -> None:
    path = data / "tree" / name
    path.write_text(name.encode("utf-8", "surrogateescape").hex())
    before = snapshot(data)
    capture(root, data / "tree")
    path.write_text("other")
    undo(root)
    assert changes(before, snapshot(data)) == {}


def test_parent_missing_before_and_after(root: Path, data: Path) -> None:
    path = data / "not/there/yet"
    capture(root, path, data / "tree")
    path.parent.mkdir(parents=True)
    path.write_text("x")
    undo(root)
    assert not path.exists()


def test_directory_that_vanished(root: Path, data: Path, tmp_path: Path) -> None:
    before = snapshot(data / "tree")
    capture(root, data / "tree")
    os.rename(data, tmp_path / "gone")
    undo(root)
    assert changes(before, snapshot(data / "tree")) == {}


def test_the_oldest_capture_of_each_path_decides(root: Path, data: Path) -> None:
    before = snapshot(data)
    first = capture(root, data / "tree/sub")["rollback_point"]["id"]
    (data / "tree/sub/one").write_text("2")
    (data / "tree/two").write_text("2")
    capture(root, data / "tree", data / "file")
    (data / "tree/sub/one").write_text("3")
    (data / "tree/two").write_text("3")
    (data / "file").write_text("3")
    undo(root, first)
    after = snapshot(data)
    assert set(changes(before, after)) == {"tree/two"}
    assert (data / "tree/two").read_text() == "2"


def test_second_capture_changes_nothing(root: Path, data: Path) -> None:
    assert capture(root, data / "tree", check=True)["changed"]
    assert not (root / ".sage").exists()
    point = capture(root, data / "tree")
    assert capture(root, data / "tree", check=True)["changed"] is False
    again = capture(root, data / "tree")
    assert (again["changed"], again["rollback_point"]) == (False, point["rollback_point"])
    (data / "tree/sub/one").write_text("2")
    assert capture(root, data / "tree")["changed"]


def test_state_is_private(root: Path, data: Path) -> None:
    capture(root, data / "file", data / "tree")
    for directory, _directories, files in os.walk(root / ".sage/checkpoints"):
        assert os.stat(directory).st_mode & 0o077 == 0
        for name in files:
            if name.endswith((".json", ".jsonl")):
                assert os.stat(os.path.join(directory, name)).st_mode & 0o077 == 0


def test_f23_a_pipe_comes_back(root: Path, data: Path) -> None:
    os.mkfifo(data / "tree/pipe", 0o640)
    os.utime(data / "tree/pipe", ns=(1, 7))
    before = snapshot(data)
    capture(root, data / "tree")
    (data / "tree/pipe").unlink()
    undo(root)
    assert changes(before, snapshot(data)) == {}


def test_a_socket_bars_nothing(root: Path, data: Path) -> None:
    listener = socket.socket(socket.AF_UNIX)
    here = os.getcwd()
    try:
        os.chdir(data / "tree")
        listener.bind("socket")
    finally:
        os.chdir(here)
        listener.close()
    before = snapshot(data)
    capture(root, data / "tree")
    (data / "tree/sub/one").write_text("2")
    undo(root)
    assert changes(before, snapshot(data)) == {}
    capture(root, data / "tree")
    (data / "tree/socket").unlink()
    with pytest.raises(RollbackError, match="tree/socket is gone"):
        undo(root)


def test_paths_that_lead_elsewhere_are_refused(root: Path, data: Path) -> None:
    for path in ("relative", "/a/../b", "/"):
        with pytest.raises(InputError):
            make({"kind": "files", "paths": [path]})
    with pytest.raises(InputError):
        make({"kind": "files"})
    with pytest.raises(InputError):
        make({"kind": "nothing", "path": "/x"})


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make links of others")
def test_link_of_another_user_above_is_refused(root: Path, data: Path, tmp_path: Path) -> None:
    os.symlink(data, tmp_path / "way")
    capture(root, tmp_path / "way/file")
    os.chown(tmp_path / "way", 12345, 12345, follow_symlinks=False)
    with pytest.raises(CaptureError, match="12345"):
        capture(root, tmp_path / "way/link")


def test_short_of_space_is_refused(root: Path, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        f_bavail, f_frsize, f_files, f_favail, f_fsid = 10, 4096, 1000, 1000, 1

    monkeypatch.setattr(os, "fstatvfs", lambda fd: Full)
    with pytest.raises(CaptureError) as caught:
        capture(root, data / "file")
    assert caught.value.details["available"] == 40960
    assert caught.value.details["needed"] > 40960


def test_damaged_store_is_refused(root: Path, data: Path) -> None:
    capture(root, data / "file")
    stored = next((root / ".sage/checkpoints/store").glob("*/*/0/copies/*/*"))
    stored.write_text("Content\n")
    (data / "file").write_text("other")
    with pytest.raises(StoreError):
        undo(root)
    assert (data / "file").read_text() == "other"


def test_link_swapped_in_for_a_directory_is_not_followed(root: Path, data: Path, tmp_path: Path) -> None:
    before = snapshot(data)
    capture(root, data / "tree")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "one").write_text("not yours")
    secret = snapshot(outside)
    (data / "tree/sub/one").unlink()
    (data / "tree/sub/empty").rmdir()
    (data / "tree/sub").rmdir()
    (data / "tree/sub").symlink_to(outside)
    undo(root)
    assert changes(secret, snapshot(outside)) == {}
    assert changes(before, snapshot(data)) == {}


@pytest.mark.crash
def test_interrupted_anywhere_finishes(root: Path, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = snapshot(data)
    for call in ("rename", "unlink", "mkdir", "symlink", "utime", "fchmod", "fsync"):
        for nth in (1, 2, 3, 5, 8):
            point = capture(root, data / "file", data / "link", data / "tree", data / "absent")["rollback_point"]["id"]
            wreck(data)
            real, calls = getattr(os, call), itertools.count(1)

            def die(*args: Any, _real: Any = real, _calls: Any = calls, _nth: int = nth, **kwargs: Any) -> Any:
                if next(_calls) >= _nth:
                    raise KeyboardInterrupt
                return _real(*args, **kwargs)

            with monkeypatch.context() as patch:
                patch.setattr(os, call, die)
                try:
                    undo(root, point)
                except KeyboardInterrupt:
                    pass
            undo(root, point)
            assert changes(before, snapshot(data)) == {}, (call, nth)


def test_interrupted_capture_leaves_nothing_recorded(root: Path, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.fsync
    for nth in range(1, 12):
        calls = itertools.count(1)

        def fail(fd: int, _calls: Any = calls, _nth: int = nth) -> None:
            if next(_calls) == _nth:
                raise OSError(28, "No space left on device")
            real(fd)

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", fail)
            try:
                capture(root, data / "tree")
            except SageError:
                with Engine(str(root)).reading() as session:
                    assert session.installation is None or not session.installation.points
            else:
                break
    assert capture(root, data / "tree")["rollback_point"]["files"] == 5


def test_observe_and_differences(data: Path) -> None:
    resource = make({"kind": "files", "paths": [str(data / "file"), str(data / "link"), str(data / "absent")]})
    recorded = resource.observe()
    assert resource.differences(recorded) == []
    wreck(data)
    assert resource.differences(recorded) == [
        f"{data}/absent was changed",
        f"{data}/absent/deep was changed",
        f"{data}/file was changed",
        f"{data}/file/inside was changed",
        f"{data}/link was changed",
    ]


def settled_change(root: Path, data: Path) -> None:
    """A change of some files, and what it left on record."""
    point = capture(root, data / "file", data / "tree")["rollback_point"]["id"]
    (data / "file").write_text("changed by the change\n")
    (data / "tree/made").mkdir()
    (data / "tree/made/inside").write_text("x")
    result = settled(Engine(str(root)), point, False)
    assert result["changed"]
    assert settled(Engine(str(root)), point, False)["changed"] is False


def test_what_only_others_changed_stays(root: Path, data: Path) -> None:
    settled_change(root, data)
    (data / "tree/sub/one").write_text("theirs\n")
    (data / "tree/sub/new").write_text("theirs\n")
    (data / "tree/sub/more").mkdir()
    (data / "tree/sub/more/new").write_text("theirs\n")
    (data / "tree/up").unlink()
    undo(root)
    assert (data / "file").read_text() == "content\n"
    assert not (data / "tree/made").exists()
    assert (data / "tree/sub/one").read_text() == "theirs\n"
    assert (data / "tree/sub/new").read_text() == "theirs\n"
    assert (data / "tree/sub/more/new").read_text() == "theirs\n"
    assert not (data / "tree/up").is_symlink()


def test_what_both_changed_is_a_conflict(root: Path, data: Path) -> None:
    settled_change(root, data)
    (data / "file").write_text("theirs\n")
    (data / "tree/made/theirs").write_text("theirs too\n")
    before = snapshot(data)
    with pytest.raises(ConflictError) as caught:
        undo(root)
    assert caught.value.details["conflicts"] == [
        f"{data}/tree/made/theirs was changed by somebody",
        f"{data}/file was changed by somebody",
    ]
    assert changes(before, snapshot(data)) == {}
    rollback(Engine(str(root)), RollbackRequest("last", force=True), False)
    assert (data / "file").read_text() == "content\n"
    assert not (data / "tree/made").exists()
    kept = {path.name: path.read_text() for path in (root / ".sage").rglob("aside/**/*") if path.is_file()}
    assert kept == {"file": "theirs\n", "theirs": "theirs too\n"}


def test_acl_and_attributes_come_back(root: Path, data: Path) -> None:
    """An access control list is an extended attribute to the system."""
    acl = bytes.fromhex("0200000001000600ffffffff02000700e703000004000400ffffffff10000700ffffffff20000400ffffffff")
    try:
        os.setxattr(data / "file", "system.posix_acl_access", acl)
        os.setxattr(data / "tree", "system.posix_acl_default", acl)
    except OSError:
        pytest.skip("no access control lists here")
    before = (data / "file").stat().st_mode
    capture(root, data / "file", data / "tree")
    os.removexattr(data / "file", "system.posix_acl_access")
    os.removexattr(data / "tree", "system.posix_acl_default")
    os.setxattr(data / "tree/sub", "system.posix_acl_default", acl)
    undo(root)
    assert os.getxattr(data / "file", "system.posix_acl_access") == acl
    assert os.getxattr(data / "tree", "system.posix_acl_default") == acl
    assert os.listxattr(data / "tree/sub") == []
    assert (data / "file").stat().st_mode == before


def test_absent_paths_are_no_files_in_check_mode_either(root: Path, data: Path) -> None:
    paths = [data / "file", data / "absent"]
    assert capture(root, *paths, check=True)["rollback_point"]["files"] == 1
    assert capture(root, *paths)["rollback_point"]["files"] == 1
