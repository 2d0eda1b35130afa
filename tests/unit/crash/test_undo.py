# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Capture and rollback, ended before each of the calls that change something, then run again.

A forked child ends at the call as SIGKILL would end it: nothing is cleaned up. Or the call fails
as on a full disk, which must leave a clear error and a state to go on from.
"""

from __future__ import annotations

import os
import shutil
import typing as t

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._engine import Engine
from ansible_collections.intellistream.sage.plugins.module_utils._errors import SageError
from ansible_collections.intellistream.sage.plugins.module_utils._points import backup
from ansible_collections.intellistream.sage.plugins.module_utils._rollback import Request, rollback
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils.tinyvenv import TinyVenv
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils.tree import changes, snapshot

if t.TYPE_CHECKING:
    from pathlib import Path

CALLS = ("link", "unlink", "rename", "mkdir", "rmdir", "symlink", "write", "fsync", "fchmod", "utime", "fchown")
FINISHED, CLEAR, KILLED, UNCLEAR = 0, 10, 11, 12


class Place:
    """An environment, a file, and a state."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.engine = Engine(str(path / "root"))
        self.venv = TinyVenv(path / "data" / "venv")
        self.venv.make()
        self.venv.install("pack", "1.0", {"pack/__init__.py": "old"})
        self.file = path / "data" / "config"
        self.file.write_text("before")
        (path / "root").mkdir()

    def capture(self) -> None:
        """A rollback point."""
        names = [{"name": "pack", "version": "2.0"}, {"name": "fresh", "version": "1.0"}]
        venv = {"kind": "venv", "path": str(self.venv.path), "distributions": names}
        backup(self.engine, [venv, {"kind": "files", "paths": [str(self.file)]}], "python_deps", "", False)

    def change(self) -> None:
        """What an installation does."""
        self.venv.install("pack", "2.0", {"pack/__init__.py": "new", "pack/more/new.py": ""})
        self.venv.install("fresh", "1.0", {"fresh.py": ""})
        self.file.write_text("after")

    def undo(self) -> None:
        """Back again."""
        rollback(self.engine, Request("last"), False)


def attempt(action: t.Callable[[], object], nth: int, error: OSError | None) -> int:
    """Carry an action out in a child that ends, or fails, at its C(nth) call."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    seen = 0

    def spoiled(real: t.Callable[..., t.Any]) -> t.Callable[..., t.Any]:
        def call(*args: t.Any, **kwargs: t.Any) -> t.Any:
            nonlocal seen
            seen += 1
            if seen == nth and error is None:
                os._exit(KILLED)
            if seen == nth and error is not None:
                raise error
            return real(*args, **kwargs)

        return call

    result = UNCLEAR
    try:
        for name in CALLS:
            setattr(os, name, spoiled(getattr(os, name)))
        action()
        result = FINISHED if seen < nth else CLEAR
    except SageError:
        result = CLEAR
    finally:
        os._exit(result)


@pytest.mark.parametrize("error", [None, OSError(28, "No space left on device")], ids=["killed", "full"])
@pytest.mark.parametrize("what", ["capture", "undo"])
def test_at_every_call(tmp_path: Path, what: str, error: OSError | None) -> None:
    nth, result = 0, KILLED
    while result != FINISHED:
        nth += 1
        place = Place(tmp_path / str(nth))
        before = snapshot(place.path / "data")
        if what == "capture":
            result = attempt(place.capture, nth, error)
            assert changes(before, snapshot(place.path / "data")) == {}, nth
            place.capture()
            place.change()
        else:
            place.capture()
            place.change()
            result = attempt(place.undo, nth, error)
        assert result != UNCLEAR, nth
        place.undo()
        assert changes(before, snapshot(place.path / "data")) == {}, nth
        with place.engine.reading() as session:
            assert all(point.get("undone") for point in session.history()[-1].points), nth
        shutil.rmtree(place.path)
    assert nth > 20
