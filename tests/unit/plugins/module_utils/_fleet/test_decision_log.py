# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A decision is written once: whoever writes, whoever is killed, whatever the disk says."""

from __future__ import annotations

import json
import os
import signal
import stat
import threading
import time
import typing as t

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import (
    InputError,
    StateError,
    StorageError,
    UnsafePath,
)
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem import private, write_once
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.private import MARK
from ansible_collections.intellistream.sage.plugins.module_utils._fleet.decision_log import (
    IDENTITY,
    DecisionLog,
    FleetDecision,
    PartVote,
    check_run,
    make_decision,
    new_run,
    open_log,
)

if t.TYPE_CHECKING:
    import pathlib

ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
NOBODY = 65534


def _open(path: pathlib.Path) -> DecisionLog:
    log = open_log(str(path), create=True)
    assert log is not None
    return log


def _decision(log: DecisionLog, decision: str = "commit", run: str = "r1") -> FleetDecision:
    return make_decision(run, decision, ["b", "a"], "because", log.identity)


@pytest.fixture
def path(tmp_path: pathlib.Path) -> pathlib.Path:
    return tmp_path / "state" / "fleet"


@pytest.fixture
def log(path: pathlib.Path) -> t.Iterator[DecisionLog]:
    with _open(path) as opened:
        yield opened


def _files(path: pathlib.Path) -> list[str]:
    return sorted(one.name for one in path.iterdir() if one.name != MARK)


def test_what_was_written_first_stands(path: pathlib.Path, log: DecisionLog) -> None:
    assert log.read("r1") is None
    first, made = log.write(_decision(log))
    assert made
    assert (first.decision, first.hosts, first.decision_log) == ("commit", ["a", "b"], log.identity)
    assert log.write(_decision(log, "abort")) == (first, False)
    assert log.write(_decision(log, "abort", "r2"))[0].decision == "abort"
    with _open(path) as again:
        assert again.read("r1") == first
        assert (again.identity, again.where) == (log.identity, log.where)
    assert _files(path) == [IDENTITY, "r1.json", "r2.json"]
    assert stat.S_IMODE((path / "r1.json").stat().st_mode) == 0o600
    assert stat.S_IMODE(path.stat().st_mode) == 0o700
    assert (path / "r1.json").stat().st_nlink == 1
    # As docs/fleet.md says.
    content = json.loads((path / "r1.json").read_text())
    assert (content["format"], content["run"], content["decision"]) == (1, "r1", "commit")


def test_looking_writes_nothing(path: pathlib.Path) -> None:
    assert open_log(str(path)) is None
    path.mkdir(parents=True, mode=0o755)
    assert open_log(str(path)) is None
    assert _files(path) == []
    assert stat.S_IMODE(path.stat().st_mode) == 0o755
    with _open(path) as log:
        log.write(_decision(log))
    looking = open_log(str(path))
    assert looking is not None
    with looking:
        assert looking.read("r1") is not None


def test_two_places_of_one_name_are_two(tmp_path: pathlib.Path) -> None:
    with _open(tmp_path / "a") as one, _open(tmp_path / "b") as other:
        assert one.identity != other.identity


@pytest.mark.parametrize("run", ["", ".r", "-r", "a/b", "..", "a b", "ä", "a\n", "r" * 101, "a\0"])
def test_what_no_run_can_be_called(log: DecisionLog, run: str) -> None:
    for asked in (log.read, check_run):
        with pytest.raises(InputError):
            asked(run)


def test_ids_of_runs(log: DecisionLog) -> None:
    runs = {new_run() for dummy in range(50)}
    assert len(runs) == 50
    assert all(check_run(run) == run for run in runs)


def _damage(path: pathlib.Path, **changes: t.Any) -> None:
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, **changes}))


@pytest.mark.parametrize("name", ["r1.json", IDENTITY])
@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"format": 2}', "\xff\xfe"])
def test_what_is_no_decision_is_not_taken_for_one(
    path: pathlib.Path, log: DecisionLog, name: str, content: str
) -> None:
    log.write(_decision(log))
    (path / name).write_bytes(content.encode("latin-1"))
    with pytest.raises(StateError, match="cannot be trusted") as caught, _open(path) as again:
        again.write(_decision(again, "abort"))
    assert "Never remove it" in caught.value.advice
    assert (path / name).read_bytes() == content.encode("latin-1")


def test_edited(path: pathlib.Path, log: DecisionLog) -> None:
    log.write(_decision(log))
    _damage(path / "r1.json", decision="abort")
    with pytest.raises(StateError, match="changed after"):
        log.read("r1")


def test_whole_but_about_something_else(path: pathlib.Path, log: DecisionLog) -> None:
    log.write(_decision(log))
    (path / "r2.json").write_bytes((path / "r1.json").read_bytes())
    (path / "r2.json").chmod(0o600)
    with pytest.raises(StateError, match="not a decision about run r2"):
        log.read("r2")
    (path / "r3.json").write_bytes(write_once._encode({"run": "r3"}))
    (path / "r3.json").chmod(0o600)
    with pytest.raises(StateError, match="lacks 'decision'"):
        log.read("r3")


def test_decisions_without_an_identity_are_nobodys(path: pathlib.Path, log: DecisionLog) -> None:
    log.write(_decision(log))
    (path / IDENTITY).unlink()
    with pytest.raises(StateError, match="not known"):
        open_log(str(path), create=True)


def _symlink(file: pathlib.Path) -> None:
    file.rename(file.with_suffix(".real"))
    file.symlink_to(file.with_suffix(".real"))


def _directory(file: pathlib.Path) -> None:
    file.unlink()
    file.mkdir()


def _fifo(file: pathlib.Path) -> None:
    file.unlink()
    os.mkfifo(file)


def _open_to_others(file: pathlib.Path) -> None:
    file.chmod(0o662)


def _linked(file: pathlib.Path) -> None:
    file.with_suffix(".elsewhere").hardlink_to(file) if hasattr(file, "hardlink_to") else os.link(
        file, file.with_suffix(".elsewhere")
    )


def _foreign(file: pathlib.Path) -> None:
    os.chown(file, NOBODY, -1)


@pytest.mark.parametrize("create", [True, False])
@pytest.mark.parametrize(
    "make_unsafe", [_symlink, _directory, _fifo, _open_to_others, _linked, pytest.param(_foreign, marks=ROOT_ONLY)]
)
def test_what_others_could_have_written(
    path: pathlib.Path, log: DecisionLog, make_unsafe: t.Callable[[pathlib.Path], None], create: bool
) -> None:
    log.write(_decision(log))
    make_unsafe(path / "r1.json")
    again = open_log(str(path), create)
    assert again is not None
    with pytest.raises(UnsafePath), again:
        again.read("r1")


@ROOT_ONLY
@pytest.mark.parametrize("create", [True, False])
def test_another_users_directory(path: pathlib.Path, log: DecisionLog, create: bool) -> None:
    os.chown(path, NOBODY, -1)
    with pytest.raises(UnsafePath):
        open_log(str(path), create)


def test_a_directory_where_others_can_write(path: pathlib.Path, log: DecisionLog) -> None:
    path.chmod(0o777)
    with pytest.raises(UnsafePath):
        open_log(str(path))
    # As everywhere, our own is closed again.
    _open(path).__exit__()
    assert stat.S_IMODE(path.stat().st_mode) == 0o700


def test_unreadable(path: pathlib.Path, log: DecisionLog, monkeypatch: pytest.MonkeyPatch) -> None:
    log.write(_decision(log))
    real = os.open

    def refused(name: str, *args: t.Any, **kwargs: t.Any) -> int:
        if name == "r1.json":
            raise PermissionError(13, "Permission denied")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(os, "open", refused)
    with pytest.raises(UnsafePath, match="No permission"):
        log.read("r1")
    # Nor is it taken for one that could be written.
    with pytest.raises(UnsafePath, match="No permission"):
        log.write(_decision(log, "abort"))


def test_no_disk_is_no_decision(path: pathlib.Path, log: DecisionLog, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(fd: int, data: bytes) -> None:
        os.write(fd, data[:10])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(private, "write_all", full)
        with pytest.raises(StorageError):
            log.write(_decision(log))
    assert _files(path) == [IDENTITY]
    assert log.read("r1") is None
    assert log.write(_decision(log))[1]


def test_a_directory_that_was_not_synced_is_synced_by_the_reader(
    path: pathlib.Path, log: DecisionLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    fail = True

    def fsync(fd: int) -> None:
        if stat.S_ISDIR(os.fstat(fd).st_mode):
            if fail:
                raise OSError(5, "Input/output error")
            synced.append(fd)

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(StorageError):
        log.write(_decision(log))
    # It is there, and nobody may act on it while it cannot be made durable.
    assert "r1.json" in _files(path)
    with pytest.raises(StorageError):
        log.read("r1")
    fail = False
    found, made = log.write(_decision(log, "abort"))
    assert (found.decision, made) == ("commit", False)
    assert synced


def test_no_hard_links(log: DecisionLog, monkeypatch: pytest.MonkeyPatch) -> None:
    def link(*args: t.Any, **kwargs: t.Any) -> None:
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", link)
    with pytest.raises(StateError, match="no hard links"):
        log.write(_decision(log))


def test_a_writer_killed_between_link_and_unlink(path: pathlib.Path, log: DecisionLog) -> None:
    log.write(_decision(log))
    left = path / ".r1.json.1.00.tmp"
    os.link(path / "r1.json", left)
    assert log.read("r1") is not None
    (path / ".r1.json.2.00.tmp").write_text("half")
    log.write(_decision(log, "abort"))
    assert _files(path) == [IDENTITY, "r1.json"]


def test_a_writer_whose_staged_file_is_removed_begins_again(log: DecisionLog, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.link
    times = []

    def link(staged: str, name: str, **kwargs: t.Any) -> None:
        times.append(name)
        if len(times) < 3:
            os.unlink(staged, dir_fd=kwargs["src_dir_fd"])
        real(staged, name, **kwargs)

    monkeypatch.setattr(os, "link", link)
    assert log.write(_decision(log))[1]
    assert len(times) == 3


def test_votes(log: DecisionLog) -> None:
    vote = PartVote("r1", 1, 2, ["a"], None)
    assert log.votes("r1", 2) == []
    assert log.vote(vote) == vote
    # What was said first stands.
    assert log.vote(vote._replace(until=7.0)) == vote
    log.vote(PartVote("r1", 2, 2, ["b"], 5.0))
    assert [one.until for one in log.votes("r1", 2)] == [None, 5.0]
    log.vote(PartVote("r2", 1, 3, ["a"], None))
    with pytest.raises(InputError, match="2 parts here, and into 3"):
        log.votes("r2", 2)


def _race(path: pathlib.Path, number: int, ready: int, answers: int) -> t.NoReturn:
    status = 1
    try:
        decision = "commit" if number % 2 else "abort"
        os.read(ready, 1)
        with _open(path) as log:
            found, made = log.write(_decision(log, decision)._replace(why=str(number)))
            answer = [number, found.decision, found.why, made, log.identity]
            os.write(answers, json.dumps(answer).encode().ljust(200))
        status = 0
    finally:
        os._exit(status)


@pytest.mark.slow
@pytest.mark.parametrize(
    "prepared", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["a new log", "an old log"]
)
def test_of_many_writers_one_wins(path: pathlib.Path, prepared: bool) -> None:
    for dummy in range(5):
        directory = path.with_name(new_run())
        if prepared:
            _open(directory).__exit__()
        ready, go = os.pipe()
        came, answers = os.pipe()
        children = []
        for number in range(24):
            child = os.fork()
            if not child:
                os.close(go)
                _race(directory, number, ready, answers)
            children.append(child)
        os.close(go)
        assert [os.waitpid(child, 0)[1] for child in children] == [0] * 24
        os.close(answers)
        with os.fdopen(came, "rb") as stream:
            told = [json.loads(stream.read(200)) for dummy in children]
        os.close(ready)
        assert len({tuple(one[1:3]) for one in told}) == 1
        assert len({one[4] for one in told}) == 1
        assert [one[0] for one in told if one[3]] == [int(told[0][2])]
        assert _files(directory) == [IDENTITY, "r1.json"]


@pytest.mark.slow
def test_writers_that_are_killed_at_any_time(path: pathlib.Path) -> None:
    """Whoever is told something is told what all others are told, before and after."""
    directory = path
    _open(directory).__exit__()
    for turn in range(40):
        run = f"r{turn}"
        came, answers = os.pipe()
        children = []
        for number in range(4):
            child = os.fork()
            if not child:
                with _open(directory) as log:
                    decision = "commit" if number % 2 else "abort"
                    os.write(answers, log.write(_decision(log, decision, run))[0].decision[:5].encode())
                os._exit(0)
            children.append(child)
        for child in children:
            time.sleep((turn * 7 + number * 3) % 20 / 10_000)
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        os.close(answers)
        with os.fdopen(came, "rb") as stream:
            said = stream.read()
        told = {said[log : log + 5].decode() for log in range(0, len(said), 5)}
        with _open(directory) as log:
            found, dummy = log.write(_decision(log, "abort", run))
        assert told <= {found.decision[:5]}
    assert [name for name in _files(directory) if name.endswith(".tmp")] == []


@pytest.mark.slow
def test_readers_while_others_write(path: pathlib.Path, log: DecisionLog) -> None:
    """Between link and unlink a file has two names; that is nothing to refuse."""
    wrong: list[Exception] = []
    ended = threading.Event()

    def read() -> None:
        number = 0
        try:
            with _open(path) as mine:
                while not ended.is_set():
                    number += mine.read(f"r{number}") is not None
        except StateError as error:
            wrong.append(error)

    readers = [threading.Thread(target=read) for dummy in range(2)]
    for reader in readers:
        reader.start()
    for number in range(150):
        log.write(_decision(log, run=f"r{number}"))
    ended.set()
    for reader in readers:
        reader.join()
    assert wrong == []


def test_a_place_that_another_one_makes_meanwhile(path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = write_once.WriteOnceDir.read
    other: list[str] = []

    def read(files: write_once.WriteOnceDir, name: str) -> dict[str, t.Any] | None:
        found = real(files, name)
        if not other and name == IDENTITY:
            other.append("")
            with _open(path) as log:
                log.write(_decision(log, "commit"))
                other[0] = log.identity
        return found

    monkeypatch.setattr(write_once.WriteOnceDir, "read", read)
    with _open(path) as log:
        assert [log.identity] == other
