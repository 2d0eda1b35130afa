# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""F5: what a change writes in place is held as well."""

from __future__ import annotations

import resource
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._footprint import hold, keeper, table
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils._footprint.bench import Bench, snapshot

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ansible_collections.intellistream.sage.plugins.module_utils._footprint.table import Table

CONTENT = b"before" * 1000


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    monkeypatch.setattr(table, "GRANULE_NS", 0)
    (tmp_path / "tree").mkdir()
    for name in ("file", "other", "third"):
        (tmp_path / "tree" / name).write_bytes(CONTENT)
    with Bench(tmp_path, links=True) as made:
        yield made
        keeper.stop(str(made.top), made.farm)


def _watch(bench: Bench, before: Table, seconds: int = 60) -> list[str]:
    return keeper.Watch(bench.anchor, before, bench.farm, list(hold.unlinked(before)), seconds).refused()


def _keeper(bench: Bench) -> int:
    """The number of the process."""
    (lock,) = (bench.store / "farm").glob("keeper-*")
    return int(lock.read_text().strip())


def _lives(number: int) -> bool:
    try:
        # Of what ended and was not waited for it is empty.
        return bool(Path(f"/proc/{number}/cmdline").read_bytes())
    except OSError:
        return False


def _ends(number: int) -> bool:
    deadline = time.monotonic() + 30
    while _lives(number) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not _lives(number)


WRITES = {
    "append": 'echo more >> "$1/file"',
    "truncate": ': > "$1/file"',
    "copy": 'cp "$1/../store/new" "$1/file"',
    "same size and time": (
        'touch -r "$1/file" "$1/t"; printf B | dd of="$1/file" conv=notrunc; touch -r "$1/t" "$1/file"; rm "$1/t"'
    ),
    "written and removed": 'echo more >> "$1/file"; rm "$1/file"',
}


@pytest.mark.parametrize("write", list(WRITES))
def test_f5_what_is_written_in_place_is_undone(bench: Bench, write: str) -> None:
    (bench.store / "new").write_bytes(b"new")
    state = snapshot(bench.top)
    before = bench.capture()
    assert _watch(bench, before) == []
    subprocess.run(["sh", "-c", WRITES[write], "sh", str(bench.top)], check=True, stderr=subprocess.DEVNULL)
    footprint = bench.settle(before)
    assert not footprint.unheld
    bench.undo_all(before, [footprint])
    assert snapshot(bench.top) == state


def _is_all_undone(bench: Bench) -> None:
    """All files are watched, written in place, and come back."""
    state = snapshot(bench.top)
    before = bench.capture()
    assert _watch(bench, before) == []
    for name in ("file", "other", "third"):
        (bench.top / name).write_bytes(b"written")
    footprint = bench.settle(before)
    assert not footprint.unheld
    bench.undo_all(before, [footprint])
    assert snapshot(bench.top) == state


def test_f5_several_keep_what_one_may_not_have_open(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper, "_room", lambda: 1)
    _is_all_undone(bench)


@pytest.fixture
def no_queue() -> Iterator[None]:
    """No signal can wait: where one would, the kernel sends another."""
    limits = resource.getrlimit(resource.RLIMIT_SIGPENDING)
    resource.setrlimit(resource.RLIMIT_SIGPENDING, (0, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_SIGPENDING, limits)


def test_f5_it_goes_on_where_no_more_signals_can_wait(bench: Bench, no_queue: None) -> None:
    _is_all_undone(bench)


def test_f5_the_keeper_holds_no_directory_and_no_pipe_of_who_began_it(bench: Bench) -> None:
    _watch(bench, bench.capture())
    process = Path(f"/proc/{_keeper(bench)}")
    assert str((process / "cwd").readlink()) == "/"
    links = [str(link.readlink()) for link in (process / "fd").iterdir()]
    assert [link for link in links if link.startswith(("pipe:", "socket:"))] == []


def test_f5_what_somebody_has_open_cannot_be_watched(bench: Bench) -> None:
    before = bench.capture()
    with open(bench.top / "other", "ab"):
        assert _watch(bench, before) == ["other"]


def test_f5_the_keeper_ends_by_itself(bench: Bench) -> None:
    before = bench.capture()
    _watch(bench, before, 1)
    number = _keeper(bench)
    assert _lives(number)
    assert _ends(number)


def test_f5_the_keeper_ends_with_the_settling_and_another_can_begin(bench: Bench) -> None:
    before = bench.capture()
    for _time in range(2):
        _watch(bench, before)
        number = _keeper(bench)
        bench.settle(before)
        assert _ends(number)
