# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A user who is not root undoes what was done in directories that nobody may write to, their own and others' (F24)."""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import tempfile
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import RollbackError
from ansible_collections.intellistream.sage.plugins.module_utils._footprint import table
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils._footprint.bench import (
    Bench,
    killed,
    snapshot,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

USER = 65534

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be another user")


@pytest.fixture(autouse=True)
def _no_granule(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "GRANULE_NS", 0)


@contextlib.contextmanager
def _as_user(action: Callable[[], object]) -> Iterator[None]:
    """Do something in a child that is another user, and other things meanwhile."""
    child = os.fork()
    if not child:
        code = 1
        try:
            os.setgroups([])
            os.setresgid(USER, USER, USER)
            os.setresuid(USER, USER, USER)
            action()
            code = 0
        except BaseException:  # noqa: BLE001
            traceback.print_exc()
        finally:
            os._exit(code)
    yield
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.fixture
def where() -> Iterator[Path]:
    """A directory of the user's, with a tree in which a directory is closed."""
    # What pytest gives is below a directory that is root's alone.
    with tempfile.TemporaryDirectory() as directory:
        _make_tree(Path(directory))
        yield Path(directory)


def _make_tree(where: Path) -> None:
    tree = where / "tree"
    (tree / "closed" / "below").mkdir(parents=True)
    (tree / "closed" / "file").write_bytes(b"before")
    (tree / "closed" / "below" / "file").write_bytes(b"before")
    for path in [where, tree, *tree.rglob("*")]:
        os.chown(path, USER, USER)
    (tree / "closed" / "below").chmod(0o555)
    (tree / "closed").chmod(0o555)


def _change(tree: Path) -> None:
    (tree / "closed").chmod(0o755)
    (tree / "closed" / "below").chmod(0o755)
    (tree / "closed" / "file").unlink()
    (tree / "closed" / "file").write_bytes(b"after")
    shutil.rmtree(tree / "closed" / "below")
    (tree / "closed" / "new").mkdir()
    (tree / "closed" / "new" / "file").write_bytes(b"new")
    (tree / "closed" / "new").chmod(0o555)
    (tree / "closed").chmod(0o555)


def test_f24_own_directories_are_opened_and_closed_again(where: Path) -> None:
    def action() -> None:
        expected = snapshot(where / "tree")
        with Bench(where) as bench:
            before = bench.capture()
            _change(bench.top)
            footprint = bench.settle(before)
            bench.undo_all(before, [footprint])
            assert snapshot(bench.top) == expected
            assert not bench.leftovers()

    with _as_user(action):
        pass


def test_f24_killed_at_each_call_they_are_closed_all_the_same(where: Path) -> None:
    def action() -> None:
        expected = snapshot(where / "tree")
        for nth in range(1, 400):
            with Bench(where) as bench:
                before = bench.capture()
                _change(bench.top)
                footprint = bench.settle(before)
                came = killed(functools.partial(bench.undo, before, [footprint]), nth)
                bench.undo_all(before, [footprint])
                assert snapshot(bench.top) == expected, nth
                assert not bench.leftovers()
            if not came:
                return
        pytest.fail("the undo has more calls")

    with _as_user(action):
        pass


def test_f24_of_others_directories_it_is_told_before_anything_is_changed(where: Path) -> None:
    """Root gives a directory away after the change, as `sudo pip` does."""
    closed = where / "tree" / "closed"
    settled, given_away = os.pipe(), os.pipe()

    def action() -> None:
        with Bench(where) as bench:
            before = bench.capture()
            _change(bench.top)
            footprint = bench.settle(before)
            os.write(settled[1], b"1")
            os.read(given_away[0], 1)
            changed = snapshot(bench.top)
            with pytest.raises(RollbackError, match=f"may not write to {closed}, where") as refusal:
                bench.undo(before, [footprint])
            assert "as root" in refusal.value.advice
            assert snapshot(bench.top) == changed

    with _as_user(action):
        os.read(settled[0], 1)
        os.chown(closed, 0, 0)
        os.write(given_away[1], b"1")
