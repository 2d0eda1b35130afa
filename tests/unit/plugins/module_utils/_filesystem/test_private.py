# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Directories nobody else can reach into, files that are whole or not there."""

from __future__ import annotations

import os
import pathlib
import stat
import subprocess
import sys
import typing as t

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import (
    SageError,
    StateError,
    UnsafePath,
)
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.private import (
    MARK,
    PrivateDir,
    open_state,
    remove_private,
)

ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
NOBODY = 65534


@pytest.fixture
def state(tmp_path: pathlib.Path) -> t.Iterator[PrivateDir]:
    opened = open_state(str(tmp_path / "sage"), create=True)
    assert opened is not None
    with opened:
        yield opened


def _mode(path: str) -> int:
    return stat.S_IMODE(os.lstat(path).st_mode)


def test_what_is_made_is_private_and_ignored_by_git(tmp_path: pathlib.Path, state: PrivateDir) -> None:
    state.write("file", b"content")
    hidden = tmp_path / "sage" / ".sage"
    assert _mode(str(hidden)) == 0o755
    assert _mode(state.path) == 0o700
    assert _mode(os.path.join(state.path, "file")) == 0o600
    assert (hidden / ".gitignore").read_text() == "*\n"


def test_a_loose_umask_changes_nothing(tmp_path: pathlib.Path) -> None:
    before = os.umask(0)
    try:
        with t.cast("PrivateDir", open_state(str(tmp_path / "sage"), create=True)) as state:
            state.write("file", b"")
            assert (_mode(state.path), _mode(os.path.join(state.path, "file"))) == (0o700, 0o600)
    finally:
        os.umask(before)


def test_an_open_directory_of_ours_is_closed_again(tmp_path: pathlib.Path, state: PrivateDir) -> None:
    pathlib.Path(state.path).chmod(0o777)
    with t.cast("PrivateDir", open_state(str(tmp_path / "sage"), create=True)):
        assert _mode(state.path) == 0o700


@pytest.mark.parametrize("inside", ["checkpoints", "named"])
def test_x4_a_directory_with_somebodys_data_is_refused(tmp_path: pathlib.Path, inside: str) -> None:
    root, named = tmp_path / "sage", tmp_path / "named"
    directory = named if inside == "named" else root / ".sage" / "checkpoints"
    directory.mkdir(parents=True)
    (directory / "customer.db").write_text("precious")
    for mode in (0o1777, 0o755, 0o700):
        directory.chmod(mode)
        for create in (True, False):
            with pytest.raises(UnsafePath, match=r"was not made by this collection, and holds customer\.db") as caught:
                open_state(str(root), str(named) if inside == "named" else None, create=create)
            assert "empty" in caught.value.advice
        assert _mode(str(directory)) == mode
    assert [path.name for path in directory.iterdir()] == ["customer.db"]
    # The way out for a copy.
    (directory / MARK).touch()
    with t.cast("PrivateDir", open_state(str(root), str(named) if inside == "named" else None, create=True)):
        assert (directory / "customer.db").read_text() == "precious"


def test_x4_an_empty_directory_keeps_its_mode_and_is_not_removed(tmp_path: pathlib.Path) -> None:
    directory = tmp_path / "named"
    directory.mkdir()
    (directory / "lost+found").mkdir()
    directory.chmod(0o755)
    with t.cast("PrivateDir", open_state("/nonexistent", str(directory), create=True)) as state:
        state.write("file", b"content")
        state.child("child", create=True).close()
        assert state.names() == ["child", "file"]
    assert _mode(str(directory)) == 0o755
    directory.chmod(0o757)
    with pytest.raises(UnsafePath, match="others can write to it"):
        open_state("/nonexistent", str(directory), create=True)
    directory.chmod(0o755)
    remove_private(str(directory))
    assert [path.name for path in directory.iterdir()] == ["lost+found"]
    assert _mode(str(directory)) == 0o755


def test_x4_another_programs_dot_sage_keeps_its_mode(tmp_path: pathlib.Path) -> None:
    other = tmp_path / "sage" / ".sage"
    other.mkdir(parents=True)
    other.chmod(0o777)
    with pytest.raises(UnsafePath, match="others can write to it"):
        open_state(str(tmp_path / "sage"), create=True)
    assert (_mode(str(other)), list(other.iterdir())) == (0o777, [])


def test_without_state_there_is_none_and_nothing_is_made(tmp_path: pathlib.Path) -> None:
    assert open_state(str(tmp_path / "sage")) is None
    assert list(tmp_path.iterdir()) == []


def test_checkpoint_dir_is_used_as_it_is(tmp_path: pathlib.Path) -> None:
    with t.cast("PrivateDir", open_state("/nonexistent", str(tmp_path / "a" / "b" / ""), create=True)) as state:
        assert state.path == str(tmp_path / "a" / "b")


@pytest.mark.parametrize("root", ["relative", "", "/tmp/with\0nul", "/tmp/with\ud800surrogate"])
def test_names_that_no_directory_has_are_refused(root: str) -> None:
    for create in (True, False):
        with pytest.raises(UnsafePath, match="not an absolute path"):
            open_state(root, create=create)
        with pytest.raises(UnsafePath, match="not an absolute path"):
            open_state("/tmp", root or "relative", create=create)


def test_any_bytes_can_be_the_name_of_a_root(tmp_path: pathlib.Path) -> None:
    root = os.path.join(str(tmp_path), os.fsdecode("安装 '\"$(id){{ x }}\n".encode() + b"\xff"))
    with t.cast("PrivateDir", open_state(root, create=True)) as state:
        state.write("file", b"content")
    assert os.listdir(tmp_path) == [os.path.basename(root)]


def test_read_tells_missing_from_empty(state: PrivateDir) -> None:
    assert state.read("file") is None
    state.write("file", b"")
    assert state.read("file") == b""


def test_write_replaces_and_leaves_nothing_else(state: PrivateDir) -> None:
    for content in (b"old", b"new" * 100_000):
        state.write("file", content)
        assert state.read("file") == content
    assert state.names() == ["file"]


def test_a_staged_content_is_not_seen_before_it_is_published(state: PrivateDir) -> None:
    state.write("file", b"old")
    state.stage("file", b"new")
    assert state.read("file") == b"old"
    state.publish("file")
    assert state.read("file") == b"new"
    state.stage("file", b"newest")
    state.unstage("file")
    assert state.names() == ["file"]


def test_write_all_goes_on_after_short_writes(state: PrivateDir, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: real(fd, bytes(data)[:3]))
    state.write("file", b"0123456789")
    assert state.read("file") == b"0123456789"


def test_a_refused_write_keeps_the_old_content(state: PrivateDir) -> None:
    state.write("file", b"old")
    script = (
        "import resource, signal, sys\n"
        "from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.private import open_state\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))\n"
        "try:\n"
        "    open_state('/', sys.argv[1], create=True).write('file', b'x' * 100)\n"
        "except Exception as error:\n"
        "    print(type(error).__name__, error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, state.path],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.stdout.startswith("StorageError Could not write"), done.stderr
    assert "Left as it was" in done.stdout
    assert "What to do: Free space" in done.stdout
    assert state.read("file") == b"old"
    assert state.names() == ["file"]


def _link(path: str, victim: str) -> None:
    os.symlink(victim, path)


def _pipe(path: str, victim: str) -> None:
    os.mkfifo(path)


def _hard_link(path: str, victim: str) -> None:
    os.link(victim, path)


def _directory(path: str, victim: str) -> None:
    os.mkdir(path)


def _device(path: str, victim: str) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can make devices")
    try:
        os.mknod(path, 0o600 | stat.S_IFCHR, os.makedev(1, 3))
    except PermissionError:
        pytest.skip("no devices can be made in this container")


def _foreign(path: str, victim: str) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give files away")
    pathlib.Path(path).write_text("foreign")
    os.chown(path, NOBODY, NOBODY)


TRICKS = [_link, _pipe, _hard_link, _directory, _device, _foreign]


@pytest.mark.parametrize("flags", [os.O_RDONLY, os.O_RDWR | os.O_CREAT, os.O_WRONLY | os.O_APPEND])
@pytest.mark.parametrize("trick", TRICKS)
def test_a_file_that_is_something_else_is_refused(
    state: PrivateDir, tmp_path: pathlib.Path, trick: t.Callable[[str, str], None], flags: int
) -> None:
    victim = tmp_path / "victim"
    victim.write_text("untouched")
    trick(os.path.join(state.path, "file"), str(victim))
    with pytest.raises(StateError) as caught:
        os.close(state.open("file", flags))
    assert "file" in str(caught.value)
    assert victim.read_text() == "untouched"


@pytest.mark.parametrize("trick", [_link, _pipe, _hard_link, _device, _foreign])
def test_nothing_is_ever_written_through_a_staged_name(
    state: PrivateDir, tmp_path: pathlib.Path, trick: t.Callable[[str, str], None]
) -> None:
    victim = tmp_path / "victim"
    victim.write_text("untouched")
    trick(os.path.join(state.path, ".file.tmp"), str(victim))
    state.write("file", b"content")
    assert state.read("file") == b"content"
    assert victim.read_text() == "untouched"


def test_a_state_behind_a_link_is_refused(tmp_path: pathlib.Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    root = tmp_path / "root"
    root.mkdir()
    (root / ".sage").symlink_to(elsewhere)
    for create in (True, False):
        with pytest.raises(UnsafePath, match="symbolic link"):
            open_state(str(root), create=create)
    (root / ".sage").unlink()
    (root / ".sage").mkdir()
    (root / ".sage" / "checkpoints").symlink_to(elsewhere)
    for create in (True, False):
        with pytest.raises(UnsafePath, match="symbolic link"):
            open_state(str(root), create=create)
    assert list(elsewhere.iterdir()) == []


def test_a_root_that_is_a_link_of_ours_works(tmp_path: pathlib.Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "root").symlink_to(tmp_path / "real")
    with t.cast("PrivateDir", open_state(str(tmp_path / "root"), create=True)):
        assert (tmp_path / "real" / ".sage" / "checkpoints").is_dir()


def test_a_file_where_the_root_should_be(tmp_path: pathlib.Path) -> None:
    (tmp_path / "root").write_text("")
    with pytest.raises(SageError):
        open_state(str(tmp_path / "root"), create=True)


def test_a_place_everybody_can_write_to_is_refused(tmp_path: pathlib.Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    with pytest.raises(UnsafePath, match="others can write"):
        open_state(str(shared), create=True)
    with pytest.raises(UnsafePath, match="others can write"):
        open_state(str(shared / "root"), create=True)
    shared.chmod(0o1777)
    with t.cast("PrivateDir", open_state(str(shared / "root"), create=True)):
        pass


@ROOT_ONLY
@pytest.mark.parametrize("foreign", ["home", "home/root", "home/root/.sage", "home/root/.sage/checkpoints"])
def test_root_keeps_nothing_in_another_users_directory(tmp_path: pathlib.Path, foreign: str) -> None:
    root = tmp_path / "home" / "root"
    (root / ".sage" / "checkpoints").mkdir(parents=True)
    os.chown(tmp_path / foreign, NOBODY, NOBODY)
    with pytest.raises(UnsafePath, match=f"belongs to user id {NOBODY}") as caught:
        open_state(str(root), create=True)
    assert "become_user" in caught.value.advice
    assert list((root / ".sage" / "checkpoints").iterdir()) == []
    # What is recorded says what is run: to look is as dangerous.
    with pytest.raises(UnsafePath, match=f"belongs to user id {NOBODY}"):
        open_state(str(root))


@ROOT_ONLY
def test_root_does_not_go_through_another_users_link(tmp_path: pathlib.Path) -> None:
    (tmp_path / "real").mkdir()
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "real")
    os.lchown(link, NOBODY, NOBODY)
    with pytest.raises(UnsafePath, match="belongs to user id"):
        open_state(str(link / "root"), create=True)
    assert list((tmp_path / "real").iterdir()) == []


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../a"])
def test_a_child_is_never_elsewhere(state: PrivateDir, name: str) -> None:
    with pytest.raises(UnsafePath, match="leads elsewhere"):
        state.child(name, create=True)


def test_a_child_is_private_too(state: PrivateDir) -> None:
    with pytest.raises(FileNotFoundError):
        state.child("child")
    with state.child("child", create=True) as child:
        child.write("file", b"content")
        assert _mode(child.path) == 0o700
    with state.child("child") as child:
        assert child.read("file") == b"content"


def test_closing_twice_is_harmless(state: PrivateDir) -> None:
    state.close()
    state.close()


def test_no_descriptor_is_left_open(tmp_path: pathlib.Path) -> None:
    before = os.listdir("/proc/self/fd")
    with t.cast("PrivateDir", open_state(str(tmp_path / "sage"), create=True)) as state:
        state.write("file", b"content")
        state.read("file")
        os.symlink("file", os.path.join(state.path, "link"))
        with pytest.raises(UnsafePath):
            state.read("link")
    assert os.listdir("/proc/self/fd") == before


MAKE = f"""
import os, sys
from {open_state.__module__} import open_state
os.setgroups([])
os.setgid({NOBODY})
os.setuid({NOBODY})
for create in (False, True, False):
    state = open_state(sys.argv[1], create=create)
    print(state and state.path)
"""


def _shared(tmp_path: pathlib.Path) -> pathlib.Path:
    """A directory of root's that its group may write to."""
    for path in (tmp_path, tmp_path.parent, tmp_path.parent.parent):
        if path != pathlib.Path("/tmp"):
            path.chmod(0o755)
    shared = tmp_path / "it's shared"
    shared.mkdir()
    os.chown(shared, 0, NOBODY)
    shared.chmod(0o775)
    return shared


@ROOT_ONLY
def test_x6_what_does_not_exist_yet_is_judged_like_what_does(tmp_path: pathlib.Path) -> None:
    """A user was refused where an empty directory, made by hand, was accepted; the advice did not say so."""
    root = _shared(tmp_path) / "sage"
    done = subprocess.run(
        [sys.executable, "-c", MAKE, str(root)],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    checkpoints = root / ".sage" / "checkpoints"
    assert done.stdout.splitlines() == ["None", str(checkpoints), str(checkpoints)], done.stderr


@ROOT_ONLY
def test_x6_the_advice_about_what_others_can_write_to_helps(tmp_path: pathlib.Path) -> None:
    root = _shared(tmp_path) / "sage"
    for create in (False, True):
        with pytest.raises(UnsafePath, match="others can write to it") as caught:
            open_state(str(root), create=create)
    command = caught.value.advice.partition("as its owner: ")[2].partition(". Or ")[0]
    assert command.startswith("chmod go-w ")
    subprocess.run(["sh", "-c", command], check=True)
    with t.cast("PrivateDir", open_state(str(root), create=True)) as state:
        assert state.path.startswith(str(root))


@ROOT_ONLY
def test_x3_the_advice_about_what_is_another_users_names_the_user(tmp_path: pathlib.Path) -> None:
    root = tmp_path / "sage"
    with t.cast("PrivateDir", open_state(str(root), create=True)):
        pass
    for user, name in ((NOBODY, "nobody"), (4_000_000, "'#4000000'")):
        os.chown(root, user, user)
        with pytest.raises(UnsafePath) as caught:
            open_state(str(root))
        assert f"--become-user {name}, or become_user" in caught.value.advice
