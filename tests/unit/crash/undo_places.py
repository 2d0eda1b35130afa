# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Small hosts on which captures and rollbacks are ended at every call."""

from __future__ import annotations

import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._calls.backup import backup
from ansible_collections.intellistream.sage.plugins.module_utils._calls.checkpoint import (
    CheckpointRequest,
    checkpoint,
)
from ansible_collections.intellistream.sage.plugins.module_utils._calls.rollback import rollback
from ansible_collections.intellistream.sage.plugins.module_utils._records.installation import PHASES
from ansible_collections.intellistream.sage.plugins.module_utils._records.session import Engine
from ansible_collections.intellistream.sage.plugins.module_utils._undo.rollback import RollbackRequest as Back
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils.tinyvenv import TinyVenv

if t.TYPE_CHECKING:
    from pathlib import Path

    from ansible_collections.intellistream.sage.plugins.plugin_utils._events import Transition

NAMES = [{"name": "pack", "version": "2.0"}, {"name": "fresh", "version": "1.0"}]


def engine(place: Path) -> Engine:
    """The engine of a place."""
    return Engine(str(place / "root"), lock_timeout=5)


def specs(place: Path) -> list[dict[str, t.Any]]:
    """What a change is going to touch."""
    venv = {"kind": "venv", "path": str(place / "data" / "venv"), "distributions": NAMES}
    return [venv, {"kind": "files", "paths": [str(place / "data" / name) for name in ("config", "conf.d", "link")]}]


def plain(place: Path) -> None:
    """An environment with a distribution, a file and a directory; nothing captured yet."""
    (place / "root").mkdir(parents=True)
    (place / "data" / "conf.d").mkdir(parents=True)
    venv = TinyVenv(place / "data" / "venv").make()
    venv.install("pack", "1.0", {"pack/__init__.py": "old", "../../../bin/pack": "old"})
    (place / "data" / "config").write_text("before")
    (place / "data" / "conf.d" / "one").write_text("before")
    (place / "data" / "link").symlink_to("config")


def capture(place: Path) -> None:
    """A rollback point."""
    backup(engine(place), specs(place), None, "", False)


def change(place: Path, killed: bool = False) -> None:
    """What an installation does."""
    venv = TinyVenv(place / "data" / "venv")
    venv.install("pack", "2.0", {"pack/__init__.py": "new", "pack/more/new.py": "", "../../../bin/pack": "new"})
    if killed:
        (venv.site / "pack").rename(venv.site / "~ack")
    venv.install("fresh", "1.0", {"fresh.py": ""}, register=not killed)
    (place / "data" / "config").write_text("after")
    (place / "data" / "conf.d" / "one").unlink()
    (place / "data" / "conf.d" / "two").write_text("after")
    (place / "data" / "link").unlink()
    (place / "data" / "link").mkdir()


def replaced(place: Path) -> None:
    """Distributions replaced and added, files changed."""
    plain(place)
    capture(place)
    change(place)


def taken_back(place: Path) -> None:
    """A rollback, that can be taken back."""
    replaced(place)
    rollback(engine(place), Back("last"), False)


def killed(place: Path) -> None:
    """An installer that was killed in its phase."""
    plain(place)
    started: Transition = {"phase": PHASES[2], "status": "started", "capture": specs(place)}
    checkpoint(engine(place), CheckpointRequest({PHASES[0]: {"want": 1}}, True, {}, [started]), False)
    change(place, killed=True)


def made(place: Path) -> None:
    """An environment that the installation made."""
    (place / "root").mkdir(parents=True, exist_ok=True)
    (place / "data").mkdir()
    venv = {"kind": "venv", "path": str(place / "data" / "venv")}
    backup(engine(place), [venv], None, "", False)
    TinyVenv(place / "data" / "venv").make()
    backup(engine(place), [{**venv, "distributions": NAMES}], None, "filled", False)
    TinyVenv(place / "data" / "venv").install("pack", "2.0")


def removed(place: Path) -> None:
    """An environment that a rollback removed as a whole."""
    made(place)
    first = engine(place)
    with first.reading() as session:
        name = session.history()[0].points[0]["point"]
    rollback(first, Back(name), False)


SITUATIONS: dict[str, t.Callable[[Path], None]] = {
    "plain": plain,
    "replaced": replaced,
    "taken back": taken_back,
    "killed": killed,
    "made": made,
    "removed": removed,
}
# Action and the situation it is carried out in.
CASES = (
    ("capture", "plain"),
    ("undo", "replaced"),
    ("undo", "killed"),
    ("first", "made"),
    ("redo", "taken back"),
    ("redo", "removed"),
)


def act(place: Path, action: str) -> None:
    """Carry an action out."""
    if action == "capture":
        capture(place)
        return
    with engine(place).reading() as session:
        points = [point for change in session.history() for point in change.points]
    redo = [point["point"] for point in points if point.get("redo")]
    to = {"undo": "last", "first": points[0]["point"], "redo": redo[0] if redo else ""}[action]
    rollback(engine(place), Back(to), False)


def unrecorded(place: Path) -> set[str]:
    """Content in the store that no rollback point explains."""
    with engine(place).reading() as session:
        known = {point["point"] for one in session.history() for point in one.points}
    # What lies in the farm serves the next capture.
    return {path.name for path in place.glob("root/.sage/checkpoints/store/2*/*")} - known
