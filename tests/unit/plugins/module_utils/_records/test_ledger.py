# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The chain: nothing is changed, dropped, moved or half-written without being noticed."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
import tracemalloc
import typing as t

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import (
    LedgerBroken,
    StateError,
    StorageError,
)
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.private import PrivateDir, open_state
from ansible_collections.intellistream.sage.plugins.module_utils._records import ledger as records_ledger
from ansible_collections.intellistream.sage.plugins.module_utils._records.ledger import (
    GENESIS,
    NAME,
    TORN,
    Ledger,
    LedgerLine,
)
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils.recorded import event as recorded

JSON: st.SearchStrategy[t.Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters()), inner, max_size=3),
    max_leaves=6,
)
TEXT = "安装 \u2028 \ud800 \0 \x85 \r\n \\\" '$(id)' {{ x }} é"


@pytest.fixture
def state(tmp_path: pathlib.Path) -> t.Iterator[PrivateDir]:
    with t.cast("PrivateDir", open_state("/", str(tmp_path / "state"), create=True)) as opened:
        yield opened


def _fill(state: PrivateDir, *texts: t.Any) -> list[LedgerLine]:
    ledger = Ledger(state)
    for text in texts:
        last = ledger.tail()
        ledger.append(last, "20251115_143000", [recorded({"event": "test", "text": text})], "now")
    return ledger.since(0)


def _text(entry: LedgerLine) -> t.Any:
    return dict(entry.events[0])["text"]


def _raw(state: PrivateDir) -> pathlib.Path:
    return pathlib.Path(state.path, NAME)


def test_there_is_nothing_at_first(state: PrivateDir) -> None:
    ledger = Ledger(state)
    assert (ledger.size(), ledger.tail(), ledger.since(0), ledger.repair()) == (0, None, [], False)
    assert state.names() == []


def test_entries_are_numbered_and_chained(state: PrivateDir) -> None:
    entries = _fill(state, "one", "two", "three")
    assert [entry.seq for entry in entries] == [1, 2, 3]
    assert [entry.prev for entry in entries] == [GENESIS, entries[0].hash, entries[1].hash]
    assert Ledger(state).tail() == entries[-1]


def test_every_entry_is_one_line_of_ascii(state: PrivateDir) -> None:
    entries = _fill(state, TEXT, TEXT * 10_000)
    content = _raw(state).read_bytes()
    assert content.isascii()
    assert content.count(b"\n") == 2
    assert len(content.splitlines()) == 2
    assert [_text(entry) for entry in entries] == [TEXT, TEXT * 10_000]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(values=st.lists(JSON, min_size=1, max_size=4))
def test_any_json_comes_back_as_it_was(state: PrivateDir, values: list[t.Any]) -> None:
    state.remove(NAME)
    entries = _fill(state, *values)
    for value, entry in zip(values, entries):
        assert records_ledger._dump(_text(entry)) == records_ledger._dump(value)


@pytest.mark.slow
def test_every_changed_byte_is_noticed_with_its_entry(state: PrivateDir) -> None:
    _fill(state, TEXT, {"a": 1.5e-7, "b": [True, None]}, "Ünïcode 安")
    raw = _raw(state)
    good = raw.read_bytes()
    ends = [index for index, byte in enumerate(good) if byte == 10]
    for index, byte in enumerate(good):
        number = 1 + sum(end < index for end in ends)
        for other in {byte ^ 1, byte ^ 0x20, 0, 10, 13, 32, 255} - {byte}:
            raw.write_bytes(good[:index] + bytes([other]) + good[index + 1 :])
            if index == len(good) - 1:
                # The last line has no end now: what a power loss leaves, and repaired as such.
                assert [entry.seq for entry in Ledger(state).since(0)] == [1, 2]
                continue
            with pytest.raises(LedgerBroken) as caught:
                Ledger(state).since(0)
            assert caught.value.number == number, (index, other)
            assert f"Line {number} " in caught.value.what


@pytest.mark.parametrize(
    ("change", "number"),
    [
        (lambda lines: lines[1:], 1),
        (lambda lines: [lines[0], *lines[2:]], 2),
        (lambda lines: [lines[0], lines[2], lines[1], lines[3]], 2),
        (lambda lines: [*lines, lines[3]], 5),
        (lambda lines: [lines[0], lines[0], *lines[1:]], 2),
        (lambda lines: [*lines[:2], b"\n", *lines[2:]], 3),
        (lambda lines: [*lines[:3], b"[]\n"], 4),
        (lambda lines: [*lines[:3], b'{"seq": 4}\n'], 4),
    ],
)
def test_lines_dropped_moved_or_doubled_are_noticed(
    state: PrivateDir, change: t.Callable[[list[bytes]], list[bytes]], number: int
) -> None:
    _fill(state, 1, 2, 3, 4)
    _raw(state).write_bytes(b"".join(change(_raw(state).read_bytes().splitlines(keepends=True))))
    with pytest.raises(LedgerBroken) as caught:
        Ledger(state).since(0)
    assert caught.value.number == number
    assert "Restore ledger.jsonl" in caught.value.advice


def test_numbers_count_from_the_first_line_also_when_reading_begins_later(state: PrivateDir) -> None:
    _fill(state, 1, 2, 3, 4)
    lines = _raw(state).read_bytes().splitlines(keepends=True)
    _raw(state).write_bytes(b"".join([*lines[:3], lines[3].replace(b"test", b"tost")]))
    with pytest.raises(LedgerBroken) as caught:
        Ledger(state).since(len(lines[0]))
    assert caught.value.number == 4
    with pytest.raises(LedgerBroken) as caught:
        Ledger(state).tail()
    assert caught.value.number == 4


@pytest.mark.slow
def test_cut_at_any_byte_the_complete_entries_remain(state: PrivateDir) -> None:
    entries = _fill(state, "one", "two")
    good = _raw(state).read_bytes()
    for length in range(len(good)):
        _raw(state).write_bytes(good[:length])
        whole = good[:length].count(b"\n")
        ledger = Ledger(state)
        assert ledger.since(0) == entries[:whole]
        torn = good[:length].rpartition(b"\n")[2]
        assert ledger.repair(apply=False) is bool(torn)
        assert _raw(state).read_bytes() == good[:length]
        assert ledger.repair() is bool(torn)
        if torn:
            assert state.read(TORN) == torn
        assert ledger.since(0) == entries[:whole]
        assert len(_fill(state, "next")) == whole + 1


@pytest.mark.parametrize("tail", [b"\0" * 5000, b'{"seq":' + b"\0" * 40_000, b"\xff"])
def test_a_tail_of_junk_is_cut_off(state: PrivateDir, tail: bytes) -> None:
    entries = _fill(state, "one", "two")
    with _raw(state).open("ab") as stream:
        stream.write(tail)
    ledger = Ledger(state)
    assert ledger.tail() == entries[-1]
    assert ledger.repair()
    assert ledger.since(0) == entries
    assert state.read(TORN) == tail


def test_a_ledger_of_nothing_but_junk(state: PrivateDir) -> None:
    _raw(state).write_bytes(b"\0" * 100)
    assert Ledger(state).repair()
    assert [entry.seq for entry in _fill(state, "one")] == [1]


def test_short_writes_are_continued(state: PrivateDir, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: real(fd, bytes(data)[:7]))
    assert [_text(entry) for entry in _fill(state, "one", "two")] == ["one", "two"]


FULL = """
import resource, signal, sys
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.private import open_state
from ansible_collections.intellistream.sage.plugins.module_utils._records.ledger import Ledger
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils.recorded import event as recorded
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
ledger = Ledger(open_state("/", sys.argv[1], create=True))
resource.setrlimit(resource.RLIMIT_FSIZE, (ledger.size() + 20,) * 2)
try:
    ledger.append(ledger.tail(), "id", [{"event": "x" * 1000}], "now", 0)
except Exception as error:
    print(type(error).__name__)
"""


@pytest.mark.parametrize("before", [(), ("one",)])
def test_a_line_that_does_not_fit_is_taken_back(state: PrivateDir, before: tuple[str, ...]) -> None:
    entries = _fill(state, *before)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", FULL, state.path], check=False, capture_output=True, text=True, env=environment
    )
    assert done.stdout == "StorageError\n", done.stderr
    assert not Ledger(state).repair()
    assert Ledger(state).since(0) == entries


def test_a_directory_that_cannot_be_synced_takes_the_first_entry_back(
    state: PrivateDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.fsync

    def refuse(fd: int) -> None:
        if fd == state.fd:
            raise OSError(5, "Input/output error")
        real(fd)

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(StorageError):
        _fill(state, "one")
    assert Ledger(state).since(0) == []


def test_reading_the_current_installation_does_not_read_the_history(
    state: PrivateDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    _fill(state, *["x" * 1000] * 200)
    ledger = Ledger(state)
    last = ledger.append(ledger.tail(), "next", [recorded({"event": "begun"})], "now")
    read: list[int] = []
    real = os.pread

    def count(fd: int, length: int, offset: int) -> bytes:
        read.append(length)
        return real(fd, length, offset)

    monkeypatch.setattr(os, "pread", count)
    assert ledger.tail() == last
    assert ledger.since(last.begin) == [last]
    assert sum(read) < 100_000


def test_x11_a_line_that_is_nested_too_deeply_is_a_broken_line(state: PrivateDir) -> None:
    _fill(state, "first")
    with _raw(state).open("ab") as stream:
        stream.write(b'{"events":' + b"[" * 200_000 + b"]" * 200_000 + b"}\n")
    with pytest.raises(LedgerBroken, match="Line 2 of the ledger cannot be read"):
        Ledger(state).since(0)


@pytest.mark.slow
def test_e23_a_line_that_is_too_long_is_refused_before_it_is_read(state: PrivateDir) -> None:
    _fill(state, "first")
    length = 1 << 30
    with _raw(state).open("ab") as stream:
        # Nothing but holes: no disk is filled.
        stream.truncate(stream.tell() + length)
        stream.seek(0, os.SEEK_END)
        stream.write(b"\n")
    for read in (lambda: Ledger(state).since(0), Ledger(state).tail):
        tracemalloc.start()
        with pytest.raises(LedgerBroken, match=r"Line 2 of the ledger is longer than 16777216 bytes"):
            read()
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert most < 5 * records_ledger.LONGEST


def test_e23_no_line_is_written_that_could_not_be_read(state: PrivateDir) -> None:
    _fill(state, "first")
    before = _raw(state).read_bytes()
    with pytest.raises(StateError, match="has more than 16777216 bytes"):
        _fill(state, "x" * records_ledger.LONGEST)
    assert _raw(state).read_bytes() == before
