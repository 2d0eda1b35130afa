# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an attack on the prototype found, F1 to F25 of the field's list, as far as it concerns the engine."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import functools
import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import StoreError, UnsafePath
from ansible_collections.intellistream.sage.plugins.module_utils._footprint import (
    apply,
    decide,
    metadata,
    settle,
    table,
)
from ansible_collections.intellistream.sage.plugins.module_utils._footprint.anchor import Anchor
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils._footprint.bench import (
    CALLS,
    Bench,
    killed,
    remove,
    snapshot,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ansible_collections.intellistream.sage.plugins.module_utils._footprint.settle import Footprint
    from ansible_collections.intellistream.sage.plugins.module_utils._footprint.table import Table, TableRow

# Calls from one kill to the next.
EACH = 1 if os.environ.get("SAGE_TEST_ALL") else 7
CLONE_NEWNS = 0x20000
LATER = 2_000_000_000_000_000_000

needs_mount = pytest.mark.skipif(
    subprocess.run(["unshare", "-m", "true"], check=False, stderr=subprocess.DEVNULL).returncode != 0,
    reason="needs to mount something, in a name space of its own",
)


@pytest.fixture(autouse=True)
def _no_granule(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else all would be copied: it was written in the second of the look."""
    monkeypatch.setattr(table, "GRANULE_NS", 0)


@pytest.fixture(params=[True, False], ids=["links", "copies"])
def bench(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Bench]:
    """A tree with a bit of everything."""
    _plant(tmp_path / "tree")
    with Bench(tmp_path, request.param) as made:
        yield made


def _plant(top: Path) -> None:
    (top / "directory/below").mkdir(parents=True)
    (top / "file").write_bytes(b"12345")
    (top / "directory/file").write_bytes(b"before")
    (top / "directory/below/file").write_bytes(b"deep")
    os.link(top / "file", top / "directory/second")
    (top / "link").symlink_to("directory")


def _transact(bench: Bench, change: Callable[[], object]) -> tuple[dict[str, object], Table, Footprint]:
    state = snapshot(bench.top)
    before = bench.capture()
    change()
    return state, before, bench.settle(before)


def _is_undone(bench: Bench, change: Callable[[], object]) -> None:
    state, before, footprint = _transact(bench, change)
    assert snapshot(bench.top) != state
    bench.undo_all(before, [footprint])
    assert snapshot(bench.top) == state
    assert not bench.leftovers()


def test_f1_the_inode_of_a_file_that_is_held_as_a_copy_is_used_again(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    victim = tmp_path / "tree/file"
    victim.write_bytes(b"12345")
    with Bench(tmp_path, links=False) as bench:

        def again() -> None:
            info = victim.stat()
            for _attempt in range(1000):
                victim.unlink()
                victim.write_bytes(b"54321")
                if victim.stat().st_ino == info.st_ino:
                    break
            else:
                pytest.skip("this file system gives no number twice")
            os.utime(victim, ns=(info.st_mtime_ns, info.st_mtime_ns))

        _is_undone(bench, again)
        assert victim.read_bytes() == b"12345"


def test_f2_other_content_of_the_same_size_and_time(bench: Bench) -> None:
    def replace() -> None:
        info = (bench.top / "file").stat()
        (bench.top / "new").write_bytes(b"54321")
        os.utime(bench.top / "new", ns=(info.st_mtime_ns, info.st_mtime_ns))
        os.rename(bench.top / "new", bench.top / "file")

    _is_undone(bench, replace)


def test_f2_no_time_is_given_to_other_content(bench: Bench) -> None:
    """Somebody's edit of the size from before is no content from before."""
    _state, before, footprint = _transact(bench, lambda: os.utime(bench.top / "directory/file", ns=(1, 1)))
    (bench.top / "new").write_bytes(b"edited")
    os.utime(bench.top / "new", ns=(1, 1))
    os.rename(bench.top / "new", bench.top / "directory/file")
    assert list(bench.undo(before, [footprint])) == ["directory/file"]
    assert (bench.top / "directory/file").read_bytes() == b"edited"
    assert (bench.top / "directory/file").stat().st_mtime_ns == 1


@pytest.mark.parametrize("when", ["held", "settled"])
def test_f3_a_write_that_its_times_do_not_show(bench: Bench, monkeypatch: pytest.MonkeyPatch, when: str) -> None:
    """A clock of seconds is what a file system with inodes of 128 bytes has: all times are the same."""
    for granule in ("GRANULE_NS", "_FINE_GRANULE_NS"):
        monkeypatch.setattr(table, granule, 10_000_000_000)
    victim = bench.top / "directory/file"

    def write(content: bytes) -> None:
        info = victim.stat()
        victim.write_bytes(content)
        os.utime(victim, ns=(info.st_mtime_ns, info.st_mtime_ns))

    if when == "held":
        _is_undone(bench, lambda: write(b"AFTER!"))
        return
    _state, before, footprint = _transact(bench, lambda: write(b"AFTER!"))
    write(b"edited")
    info = victim.stat()
    row = footprint.after.rows["directory/file"]._replace(ctime=info.st_ctime_ns, mtime=info.st_mtime_ns)
    footprint = footprint._replace(after=footprint.after._replace(rows={**footprint.after.rows, "directory/file": row}))
    assert list(bench.undo(before, [footprint])) == ["directory/file"]
    assert victim.read_bytes() == b"edited"


def _replace(path: Path, content: bytes) -> None:
    path.unlink()
    path.write_bytes(content)


def test_f13_an_edit_after_the_look_that_settles_is_not_the_changes(bench: Bench) -> None:
    before = bench.capture()
    _replace(bench.top / "directory/file", b"after")
    seen = bench.anchor.look(before)
    _replace(bench.top / "file", b"later")
    footprint = settle.settle(bench.anchor, before, bench.farm, seen=seen)
    assert footprint.paths() == ["directory", "directory/file"]
    assert not bench.undo(before, [footprint])
    assert (bench.top / "file").read_bytes() == b"later"


def test_f13_what_a_settled_path_has_by_then_is_what_is_hashed(bench: Bench) -> None:
    before = bench.capture()
    _replace(bench.top / "directory/file", b"after")
    seen = bench.anchor.look(before)
    _replace(bench.top / "directory/file", b"later")
    row = settle.settle(bench.anchor, before, bench.farm, seen=seen).after.rows["directory/file"]
    assert row.hash == bench.anchor.digest("directory/file")
    assert row._replace(hash="") == bench.anchor.row("directory/file")


def test_f4_a_store_that_was_copied_elsewhere(tmp_path: Path) -> None:
    """Numbers of inodes are others there: what a link's name says of content counts, what it says of its inode not."""
    _plant(tmp_path / "old/tree")
    with Bench(tmp_path / "old", store=tmp_path / "old/store") as bench:
        state, before, footprint = _transact(bench, lambda: remove(bench.top / "directory"))
    subprocess.run(["cp", "-a", str(tmp_path / "old"), str(tmp_path / "new")], check=True)
    with Bench(tmp_path / "new") as bench:
        # Some number of the old file system is another file's here.
        assert bench.farm.generation != before.generation
        bench.undo_all(before, [footprint])
        moved = {path.replace("/old/", "/new/"): row for path, row in state.items() if path.startswith("/")}
        put_back = snapshot(bench.top)
        assert put_back.pop("names of one file") in (
            [],
            [[str(bench.top / "directory/second"), str(bench.top / "file")]],
        )
        assert put_back == moved


@pytest.mark.parametrize("write", ["append", "truncate"])
def test_f5_what_was_written_in_place_is_named_at_once(tmp_path: Path, write: str) -> None:
    _plant(tmp_path / "tree")
    with Bench(tmp_path, links=True) as bench:

        def in_place() -> None:
            with open(bench.top / "directory/file", "ab" if write == "append" else "wb") as stream:
                stream.write(b"more")
            (bench.top / "directory/below/file").write_bytes(b"replaced, not linked")

        _state, before, footprint = _transact(bench, in_place)
        assert footprint.unheld["directory/file"] == "was written in place"
        left = snapshot(bench.top)
        with pytest.raises(StoreError, match="is gone"):
            bench.undo(before, [footprint])
        assert bench.decision is not None
        assert "directory/file" in bench.decision.lost
        assert snapshot(bench.top) == left


def test_f6_a_file_that_a_service_goes_on_writing_bars_nothing(bench: Bench) -> None:
    def change() -> None:
        (bench.top / "log").write_bytes(b"1\n")
        (bench.top / "file").unlink()

    _state, before, footprint = _transact(bench, change)
    with open(bench.top / "log", "ab") as stream:
        stream.write(b"2\n")
    differences = bench.undo(before, [footprint], groups=lambda path: ["package"] if path == "file" else [])
    assert bench.decision is not None
    assert bench.decision.living == ["log"]
    assert not bench.decision.conflicts
    assert list(differences) == ["log"]
    assert (bench.top / "log").read_bytes() == b"1\n2\n"
    assert (bench.top / "file").read_bytes() == b"12345"


def test_k1_a_directory_that_came_with_the_change_goes_whatever_mode_others_gave_it(bench: Bench) -> None:
    def change() -> None:
        (bench.top / "came").mkdir()
        (bench.top / "came" / "file").write_bytes(b"1")

    state, before, footprint = _transact(bench, change)
    (bench.top / "came").chmod(0o700)
    assert not bench.undo(before, [footprint], groups=lambda path: ["package"] if path.endswith("file") else [])
    assert snapshot(bench.top) == state


def test_f6_newer_content_of_what_the_change_deleted_is_given_back(tmp_path: Path) -> None:
    _plant(tmp_path / "tree")
    with Bench(tmp_path, links=True) as bench:

        def change() -> None:
            with open(bench.top / "directory/file", "ab") as stream:
                stream.write(b", and more")
                stream.flush()
                (bench.top / "directory/file").unlink()

        _state, before, footprint = _transact(bench, change)
        assert footprint.renewed == ("directory/file",)
        bench.undo_all(before, [footprint])
        assert (bench.top / "directory/file").read_bytes() == b"before, and more"


def test_f9_a_link_that_became_a_directory(bench: Bench) -> None:
    def change() -> None:
        (bench.top / "link").unlink()
        shutil.copytree(bench.top / "directory", bench.top / "link")

    _is_undone(bench, change)


def test_f9_a_directory_that_became_a_link(bench: Bench) -> None:
    def change() -> None:
        os.rename(bench.top / "directory", bench.top / "sources")
        (bench.top / "directory").symlink_to("sources")

    _is_undone(bench, change)


@pytest.mark.parametrize("kind", ["mode", "owner", "attribute", "time"])
def test_f10_only_metadata_changed(bench: Bench, kind: str) -> None:
    if kind == "owner" and os.geteuid() != 0:
        pytest.skip("only root may give files away")
    if kind == "time" and bench.policy.links:
        pytest.skip("of what is held by a link this looks like a write in place")
    change: dict[str, Callable[[Path], object]] = {
        "mode": lambda path: path.chmod(0o4711),
        "owner": lambda path: os.chown(path, 1, 2),
        "attribute": lambda path: os.setxattr(path, "user.a", b"1"),
        "time": lambda path: os.utime(path, ns=(1, 1)),
    }
    inode = (bench.top / "directory/file").stat().st_ino
    _is_undone(
        bench, lambda: [change[kind](bench.top / path) for path in ("directory/file", "directory/below", "file")]
    )
    assert (bench.top / "directory/file").stat().st_ino == inode


def _everything(top: Path) -> None:
    """One change of each kind."""
    (top / "link").unlink()
    (top / "link").mkdir()
    (top / "link/new").write_bytes(b"new")
    remove(top / "directory/below")
    (top / "directory/below").write_bytes(b"no directory")
    (top / "directory/replaced").write_bytes(b"AFTER!")
    os.rename(top / "directory/replaced", top / "directory/file")
    (top / "directory").chmod(0o700)
    (top / "file").chmod(0o711)
    os.setxattr(top / "file", "user.a", b"1")
    (top / "new/new").mkdir(parents=True)
    (top / "new/new/new").symlink_to("new")
    os.mkfifo(top / "new/pipe")


@pytest.mark.crash
def test_f11_killed_at_each_call(tmp_path: Path) -> None:
    nth, was_killed = 0, True
    while was_killed:
        nth += EACH
        where = tmp_path / str(nth)
        _plant(where / "tree")
        os.mkfifo(where / "tree/directory/below/pipe")
        with Bench(where) as bench:
            state, before, footprint = _transact(bench, functools.partial(_everything, bench.top))
            was_killed = killed(functools.partial(bench.undo_all, before, [footprint]), nth)
            bench.undo_all(before, [footprint])
            assert snapshot(bench.top) == state, nth
            assert not bench.leftovers(), nth
            assert not apply.begun(bench.stage), nth
            assert not list((bench.store / "aside").iterdir()), nth
        shutil.rmtree(where)
    assert nth > 40


ERRORS = [
    OSError(number, os.strerror(number))
    for number in (errno.ENOSPC, errno.EIO, errno.EMFILE, errno.EACCES, errno.EROFS)
]


@pytest.mark.crash
@pytest.mark.parametrize("error", ERRORS, ids=lambda error: errno.errorcode[error.errno])
def test_an_undo_that_fails_at_each_call_goes_on_when_run_again(tmp_path: Path, error: OSError) -> None:
    nth, failed = 0, True
    while failed:
        nth += EACH
        where = tmp_path / str(nth)
        _plant(where / "tree")
        with Bench(where, links=bool(nth % 2)) as bench:
            state, before, footprint = _transact(bench, functools.partial(_everything, bench.top))
            undo = functools.partial(bench.undo, before, [footprint])
            failed = killed(undo, nth, error, (*CALLS, "lstat", "fstat", "readlink", "scandir", "dup", "listxattr"))
            bench.undo_all(before, [footprint])
            assert snapshot(bench.top) == state, nth
            assert not bench.leftovers(), nth
            assert not list((bench.store / "aside").iterdir()), nth
        shutil.rmtree(where)


@pytest.mark.crash
@pytest.mark.parametrize("error", ERRORS, ids=lambda error: errno.errorcode[error.errno])
def test_a_capture_that_fails_at_each_call_goes_on_when_run_again(tmp_path: Path, error: OSError) -> None:
    """Or it does not fail, and holds all the same."""
    nth, failed = 0, True
    while failed:
        nth += EACH
        where = tmp_path / str(nth)
        _plant(where / "tree")
        calls = (*CALLS, "lstat", "fstat", "readlink", "scandir", "dup", "listxattr", "read")
        with Bench(where, links=bool(nth % 2)) as bench:
            state = snapshot(bench.top)
            failed = killed(bench.capture, nth, error, calls)
            before = bench.capture()
            _everything(bench.top)
            failed = killed(functools.partial(bench.settle, before), nth, error, calls) or failed
            bench.undo_all(before, [bench.settle(before)])
            assert snapshot(bench.top) == state, nth
            assert not bench.leftovers(), nth
        shutil.rmtree(where)


@pytest.mark.crash
@pytest.mark.parametrize("links", [True, False])
def test_f11_holding_and_settling_killed_at_each_call(tmp_path: Path, links: bool) -> None:
    nth, was_killed = 0, True
    while was_killed:
        nth += EACH
        where = tmp_path / str(nth)
        _plant(where / "tree")
        with Bench(where, links) as bench:
            state = snapshot(bench.top)
            was_killed = killed(bench.capture, nth)
            before = bench.capture()
            with open(bench.top / "directory/file", "ab") as stream:
                _everything(bench.top)
                stream.write(b"last words")
            was_killed = killed(functools.partial(bench.settle, before), nth) or was_killed
            bench.undo_all(before, [bench.settle(before)])
            assert len(snapshot(bench.top)) == len(state)
            assert not bench.leftovers()
            assert not list((bench.store / "farm").glob(".*"))
        shutil.rmtree(where)


def test_f13_what_is_written_after_the_decision_is_not_lost(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """By whoever has the path open or replaces it, in the last moment before it is put in place or taken away."""

    def change() -> None:
        _everything(bench.top)
        (bench.top / "directory/new").write_bytes(b"new")

    _state, before, footprint = _transact(bench, change)
    swap, rename = apply._swap, os.rename

    def late_swap(first_fd: int, first: str, second_fd: int, second: str) -> bool:
        if second == "file":
            (bench.top / "directory/file").write_bytes(b"operator's")
        return swap(first_fd, first, second_fd, second)

    def late_rename(name: str, to: str, **fds: int) -> None:
        if name == "new" and (bench.top / "directory/new").exists():
            (bench.top / "directory/new").write_bytes(b"operator's")
        rename(name, to, **fds)

    monkeypatch.setattr(apply, "_swap", late_swap)
    monkeypatch.setattr(os, "rename", late_rename)
    differences = bench.undo(before, [footprint])
    assert sorted(bench.application.late) == ["directory/file", "directory/new"]
    assert sorted(differences) == ["directory/file", "directory/new"]
    assert (bench.top / "directory/file").read_bytes() == b"operator's"
    assert (bench.top / "directory/new").read_bytes() == b"operator's"


@pytest.mark.crash
def test_f13_what_is_written_after_the_decision_is_not_lost_by_a_kill(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    swap = apply._swap

    def late_swap(first_fd: int, first: str, second_fd: int, second: str) -> bool:
        if second == "file" and not (where / "once").exists():
            (where / "once").touch()
            (where / "tree/directory/file").write_bytes(b"operator's")
        return swap(first_fd, first, second_fd, second)

    monkeypatch.setattr(apply, "_swap", late_swap)
    nth, was_killed = 0, True
    while was_killed:
        nth += EACH
        where = tmp_path / str(nth)
        _plant(where / "tree")
        with Bench(where) as bench:
            _state, before, footprint = _transact(bench, functools.partial(_everything, bench.top))
            was_killed = killed(functools.partial(bench.undo, before, [footprint]), nth)
            bench.undo(before, [footprint])
            kept = [path for path in where.rglob("*") if path.is_file() and path.read_bytes() == b"operator's"]
            assert len(kept) == 1, nth
            assert not bench.leftovers(), nth
        shutil.rmtree(where)


def test_f14_groups_are_decided_as_one_where_they_share_a_path(bench: Bench) -> None:
    owners = {"file": ["one"], "directory/second": ["one", "two"], "directory/file": ["two"], "link": ["three"]}

    def change() -> None:
        for path in owners:
            remove(bench.top / path)
            (bench.top / path).write_bytes(b"of the change")

    state, before, footprint = _transact(bench, change)
    (bench.top / "file").write_bytes(b"somebody's upgrade")
    groups = owners.__getitem__
    bench.undo(before, [footprint], groups=groups)
    assert bench.decision is not None
    assert bench.decision.conflicts == ["directory/file", "directory/second", "file"]
    assert [step.path for step in bench.decision.steps] == ["link"]
    assert (bench.top / "directory/file").read_bytes() == b"of the change"
    assert bench.undo(before, [footprint], groups=groups, force=True) == {}
    assert snapshot(bench.top) == state
    aside = [path for path in (bench.store / "aside").rglob("*") if path.is_file()]
    assert b"somebody's upgrade" in {path.read_bytes() for path in aside}


def test_f15_no_metadata_of_a_file_that_has_names_elsewhere(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "theirs").write_bytes(b"shared")
    (tmp_path / "theirs").chmod(0o600)
    os.link(tmp_path / "theirs", bench.top / "shared")
    state, before, footprint = _transact(bench, lambda: (bench.top / "shared").chmod(0o664))
    bench.undo_all(before, [footprint])
    assert snapshot(bench.top) == state
    info = (tmp_path / "theirs").stat()
    # As the change left theirs; it is another file now.
    assert info.st_mode & 0o7777 == 0o664
    assert info.st_ino != (bench.top / "shared").stat().st_ino


def test_f21_the_same_content_with_another_time_is_no_conflict(bench: Bench) -> None:
    state, before, footprint = _transact(bench, lambda: (bench.top / "directory/file").write_bytes(b"AFTER!") and None)
    if bench.policy.links:
        pytest.skip("what was written in place is not held")
    os.utime(bench.top / "directory/file", ns=(LATER, LATER))
    bench.undo_all(before, [footprint])
    assert snapshot(bench.top) == state


def test_f23_attributes_are_just_those_of_before(bench: Bench) -> None:
    os.setxattr(bench.top / "file", "user.kept", b"1")
    os.setxattr(bench.top / "directory", "user.kept", b"1")

    def change() -> None:
        for path in ("file", "directory"):
            os.removexattr(bench.top / path, "user.kept")
            os.setxattr(bench.top / path, "user.new", b"2")

    _is_undone(bench, change)


@pytest.mark.skipif(not shutil.which("setfacl"), reason="needs setfacl")
def test_f23_a_default_acl_is_not_inherited(bench: Bench) -> None:
    subprocess.run(["setfacl", "-d", "-m", "u:1:rwx", str(bench.top / "directory")], check=True)
    _is_undone(bench, lambda: remove(bench.top / "directory/file"))


def test_f23_special_files(bench: Bench, tmp_path: Path) -> None:
    os.mkfifo(bench.top / "pipe", 0o640)
    os.link(bench.top / "pipe", bench.top / "pipe too")
    (bench.top / "points").symlink_to("nowhere")
    os.link(bench.top / "points", bench.top / "points too", follow_symlinks=False)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"/proc/self/fd/{bench.anchor.parent.fd}/tree/socket")

    def change() -> None:
        (bench.top / "pipe").unlink()
        (bench.top / "pipe").write_bytes(b"")
        (bench.top / "points").unlink()

    _is_undone(bench, change)
    for name in ("pipe", "points"):
        assert os.lstat(bench.top / name).st_ino == os.lstat(bench.top / f"{name} too").st_ino
    _state, before, footprint = _transact(bench, (bench.top / "socket").unlink)
    assert bench.undo(before, [footprint]) == {"socket": "is gone"}
    assert list(bench.application.impossible) == ["socket"]


def test_f25_names_of_any_length_and_sparse_files(bench: Bench) -> None:
    name = "n" * 255
    (bench.top / name).write_bytes(b"long")
    with open(bench.top / "sparse", "wb") as stream:
        stream.truncate(8_000_000)
        stream.seek(4_000_000)
        stream.write(b"data")
    os.utime(bench.top / "sparse", ns=(1, 1))

    def change() -> None:
        (bench.top / name).unlink()
        (bench.top / "sparse").unlink()

    _is_undone(bench, change)
    assert (bench.top / "sparse").stat().st_blocks < 4_200


@pytest.fixture
def private(tmp_path: Path) -> Path:
    """A file that stays private, wherever somebody moves it."""
    path = tmp_path / "private"
    path.write_bytes(b"before")
    path.chmod(0o600)
    os.utime(path, ns=(1, 1))
    return path


def _is_still_private(where: Path, inode: int) -> None:
    paths = [path for path in where.rglob("*") if not path.is_symlink() and path.lstat().st_ino == inode]
    assert paths
    assert {path.lstat().st_mode & 0o77 for path in paths} == {0}


def test_x5_a_file_that_is_swapped_before_it_gets_its_mode(
    bench: Bench, tmp_path: Path, private: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inode = private.stat().st_ino
    _state, before, footprint = _transact(bench, lambda: (bench.top / "directory/file").chmod(0o640))
    real = metadata.apply_to

    def swapped(directory: int, name: str, *rest: Any) -> bool:
        if name == "file" and private.exists():
            os.rename(bench.top / "directory/file", tmp_path / "elsewhere")
            os.rename(private, bench.top / "directory/file")
        return real(directory, name, *rest)

    monkeypatch.setattr(metadata, "apply_to", swapped)
    assert bench.undo(before, [footprint])
    assert bench.application.late == ["directory/file"]
    _is_still_private(tmp_path, inode)


def test_x5_a_file_that_is_swapped_while_it_is_read(
    bench: Bench, tmp_path: Path, private: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was looked at is another file than what is read; it has the same size."""
    inode = private.stat().st_ino
    victim = bench.top / "directory/file"

    def replace() -> None:
        shutil.copy2(victim, bench.top / "new")
        (bench.top / "new").chmod(0o640)
        os.rename(bench.top / "new", victim)

    _state, before, footprint = _transact(bench, replace)
    real = Anchor.row

    def swapped(anchor: Anchor, path: str) -> TableRow | None:
        if path != "directory/file" or not private.exists():
            return real(anchor, path)
        os.rename(victim, tmp_path / "elsewhere")
        os.rename(private, victim)
        row = real(anchor, path)
        os.rename(victim, private)
        os.rename(tmp_path / "elsewhere", victim)
        return row

    monkeypatch.setattr(Anchor, "row", swapped)
    bench.undo(before, [footprint])
    _is_still_private(tmp_path, inode)


def test_x5_a_directory_that_is_swapped_after_it_was_made(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "private").mkdir(0o700)
    inode = (tmp_path / "private").stat().st_ino
    _state, before, footprint = _transact(bench, lambda: remove(bench.top / "directory/below"))
    real = metadata.apply_to

    def swapped(directory: int, name: str, *rest: Any) -> bool:
        if name == "below":
            os.rename(bench.top / "directory/below", tmp_path / "elsewhere")
            os.rename(tmp_path / "private", bench.top / "directory/below")
        return real(directory, name, *rest)

    monkeypatch.setattr(metadata, "apply_to", swapped)
    bench.undo(before, [footprint])
    assert "directory/below" in bench.application.late
    _is_still_private(tmp_path, inode)


@pytest.mark.skipif(not os.access("/dev/shm", os.W_OK), reason="needs a second file system")
def test_x5_a_new_name_that_is_swapped(tmp_path: Path, private: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On another file system than the stage's, new files are made where others may write."""
    inode = private.stat().st_ino
    _plant(tmp_path / "tree")
    with tempfile.TemporaryDirectory(dir="/dev/shm") as store, Bench(tmp_path, store=Path(store)) as bench:
        _state, before, footprint = _transact(bench, lambda: remove(bench.top / "directory/file"))
        real = metadata.apply_to

        def swapped(directory: int, name: str, *rest: Any) -> bool:
            if name == decide.COPYING and (bench.top / "directory" / name).exists():
                os.rename(bench.top / "directory" / name, tmp_path / "elsewhere")
                os.rename(private, bench.top / "directory" / name)
            return real(directory, name, *rest)

        monkeypatch.setattr(metadata, "apply_to", swapped)
        with pytest.raises(UnsafePath, match="somebody swaps files"):
            bench.undo(before, [footprint])
    _is_still_private(tmp_path, inode)


@needs_mount
@pytest.mark.parametrize("kind", ["tmpfs", "bind", "file"])
def test_f16_of_what_is_mounted_since_nothing_is_said(bench: Bench, tmp_path: Path, kind: str) -> None:
    """What lies below the mount is as it was, and what is mounted is left alone."""
    (tmp_path / "other").mkdir()
    (tmp_path / "other/file").write_bytes(b"other")
    point = {"tmpfs": "directory/below", "bind": "directory/below", "file": "directory/file"}[kind]
    words = {
        "tmpfs": ["-t", "tmpfs", "none"],
        "bind": ["--bind", str(tmp_path / "other")],
        "file": ["--bind", str(tmp_path / "other/file")],
    }[kind]

    def mount_and_undo() -> None:
        assert ctypes.CDLL(None).unshare(CLONE_NEWNS) == 0
        subprocess.run(["mount", "--make-rprivate", "/"], check=True)

        def change() -> None:
            subprocess.run(["mount", *words, str(bench.top / point)], check=True)
            (bench.top / "file").chmod(0o711)

        _state, before, footprint = _transact(bench, change)
        assert footprint.elsewhere == (point,)
        assert sorted(footprint.paths()) == ["directory/second", "file"]
        bench.undo_all(before, [footprint])
        if kind == "tmpfs":
            assert not os.listdir(bench.top / point)

    state = snapshot(bench.top)
    killed(mount_and_undo, 0)
    assert snapshot(bench.top) == state
    assert (tmp_path / "other/file").read_bytes() == b"other"


@needs_mount
@pytest.mark.parametrize("links", [True, False])
def test_f12_the_change_filled_the_disk(tmp_path: Path, links: bool) -> None:
    content = os.urandom(500_000)

    def fill_and_undo() -> None:
        assert ctypes.CDLL(None).unshare(CLONE_NEWNS) == 0
        subprocess.run(["mount", "--make-rprivate", "/"], check=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "none", str(tmp_path)], check=True)
        _plant(tmp_path / "tree")
        (tmp_path / "tree/large").write_bytes(content)
        with Bench(tmp_path, links) as bench:

            def change() -> None:
                (bench.top / "large").unlink()
                (bench.top / "directory/file").unlink()
                with contextlib.suppress(OSError), open(bench.top / "filled", "wb", buffering=0) as stream:
                    while True:
                        stream.write(b"x" * 4096)

            reserve = tmp_path / "reserve"
            reserve.write_bytes(os.urandom(100_000))
            state, before, footprint = _transact(bench, change)
            with pytest.raises(OSError, match="No space left"):
                (bench.top / "more").write_bytes(content)
            (bench.top / "more").unlink()
            # As a rollback does with that of the farm.
            reserve.unlink()
            bench.undo_all(before, [footprint])
            assert snapshot(bench.top) == state
            assert not bench.leftovers()

    killed(fill_and_undo, 0)
