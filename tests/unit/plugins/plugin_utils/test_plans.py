# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import multiprocessing
import os
import pathlib
import signal
import time
import typing as t

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import (
    InputError,
    InstallerError,
    StorageError,
)
from ansible_collections.intellistream.sage.plugins.module_utils._installers import lock_request
from ansible_collections.intellistream.sage.plugins.plugin_utils._plans import Plans, alone
from ansible_collections.intellistream.sage.tests.unit.waiting import FOREVER

GROUP = "linux-x86_64-glibc2_36-cp311"
WANTED = lock_request.request(GROUP, ["isage"], [])
OTHER = lock_request.request(GROUP, ["isage==1.0"], [])
LOCK = 'lock-version = "1.0"\n\n'


class Run:
    """One run of Ansible."""

    def __init__(self, base: pathlib.Path, name: str = "run") -> None:
        self.base = base
        self.run = base / name
        self.run.mkdir()

    def plans(self, request: str = WANTED, dry: bool = False, directory: str | None = "locks") -> Plans:
        place = str(self.base / directory) if directory else None
        return Plans(place, str(self.run), GROUP, request, dry)


@pytest.fixture
def run(tmp_path: pathlib.Path) -> Run:
    return Run(tmp_path)


def make(plans: Plans, text: str = LOCK + WANTED, refresh: bool = False) -> bool:
    """What each host does; whether it had to resolve."""
    with plans.alone():
        if plans.holds(plans.read(), refresh):
            return False
        plans.write(text)
        return True


def test_one_host_resolves(run: Run) -> None:
    assert [make(run.plans()) for dummy in range(5)] == [True, False, False, False, False]
    assert pathlib.Path(run.plans().find()).read_text() == LOCK + WANTED


def test_the_next_run_uses_it_again(run: Run, tmp_path: pathlib.Path) -> None:
    make(run.plans())
    assert not make(Run(tmp_path, "again").plans())


def test_made_anew_once_when_that_is_asked_for(run: Run, tmp_path: pathlib.Path) -> None:
    make(run.plans())
    again = Run(tmp_path, "again")
    assert [make(again.plans(), refresh=True) for dummy in range(3)] == [True, False, False]


def test_made_anew_for_something_else(run: Run, tmp_path: pathlib.Path) -> None:
    make(run.plans())
    assert make(Run(tmp_path, "again").plans(OTHER), LOCK + OTHER)


def test_somebody_elses_is_used_as_it_is(run: Run) -> None:
    (run.base / "locks").mkdir()
    pathlib.Path(run.plans().path).write_text(LOCK)
    assert not make(run.plans())
    assert not make(run.plans(OTHER))
    assert make(run.plans(), refresh=True)


def test_hosts_that_want_different_things(run: Run) -> None:
    make(run.plans())
    with pytest.raises(InputError, match="want different things"):
        make(run.plans(OTHER), LOCK + OTHER)
    assert make(run.plans(directory=None))
    assert make(run.plans(OTHER, directory=None), LOCK + OTHER)
    assert run.plans(directory=None).read() == LOCK + WANTED


def test_check_mode_writes_nothing(run: Run) -> None:
    assert make(run.plans(dry=True))
    assert not (run.base / "locks").exists()
    assert not make(run.plans(dry=True))
    assert pathlib.Path(run.plans(dry=True).current).read_text() == LOCK + WANTED


def test_three_may_fail(run: Run) -> None:
    for number in range(3):
        with run.plans().alone():
            assert not run.plans().holds(None, False)
            run.plans().failed(f"h{number}", "no index")
    with pytest.raises(InstallerError, match="h0, h1, h2 tried, and the last one said: no index"):
        make(run.plans())


def test_no_lock_file_for_this_host(run: Run) -> None:
    (run.base / "locks").mkdir()
    (run.base / "locks" / "pylock.other.toml").write_text(LOCK)
    with pytest.raises(InputError, match=r"the directory has pylock\.other\.toml"):
        run.plans().find()


def test_a_place_that_cannot_be_written_to(run: Run) -> None:
    (run.base / "locks").write_text("")
    with pytest.raises(StorageError, match="cannot write to"):
        make(run.plans())


def hold(directory: str, told: t.Any) -> None:
    with alone(directory, "x"):
        told.set()
        time.sleep(FOREVER)


def test_who_dies_is_not_waited_for(tmp_path: pathlib.Path) -> None:
    context = multiprocessing.get_context("fork")
    told = context.Event()
    holder = context.Process(target=hold, args=(str(tmp_path), told))
    holder.start()
    told.wait()
    os.kill(holder.pid or 0, signal.SIGKILL)
    with alone(str(tmp_path), "x"):
        pass
    holder.join()


def resolve(base: str, number: int, made: t.Any) -> None:
    plans = Plans(f"{base}/locks", f"{base}/run", GROUP, WANTED)
    with plans.alone():
        if plans.holds(plans.read(), False):
            return
        if number == 0:
            plans.failed("h0", "broken")
            return
        time.sleep(0.05)
        plans.write(LOCK + WANTED)
        with made.get_lock():
            made.value += 1


def test_many_at_once(run: Run) -> None:
    context = multiprocessing.get_context("fork")
    made = context.Value("i", 0)
    workers = [context.Process(target=resolve, args=(str(run.base), number, made)) for number in range(12)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert made.value == 1
    assert run.plans().read() == LOCK + WANTED


def test_x9_each_host_has_a_plan_of_its_own_where_nobody_vouches(run: Run) -> None:
    plans = run.plans()
    with plans.alone():
        assert not plans.holds(plans.read(), False)
        plans.not_shared("nobody vouches")
    other = run.plans()
    assert other.why_not_shared() == "nobody vouches"
    paths = {other.keep_for(host, LOCK + host) for host in ("a", "b/../a", "b")}
    assert len(paths) == 3
    assert all(str(run.run) in path and ".." not in path for path in paths)
    assert not list((run.base / "locks").glob("*.toml"))
