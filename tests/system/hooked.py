# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What tests of hooks need, whatever the package manager."""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING

from ansible_collections.intellistream.sage.plugins.module_utils._calls.rollback import rollback
from ansible_collections.intellistream.sage.plugins.module_utils._records.session import Engine
from ansible_collections.intellistream.sage.plugins.module_utils._undo.rollback import RollbackRequest

if TYPE_CHECKING:
    import pathlib

    from ansible_collections.intellistream.sage.plugins.plugin_utils._events import Point
    from ansible_collections.intellistream.sage.plugins.plugin_utils._structures import HookSettings, RollbackResult


def settings(root: pathlib.Path, strict: bool = False) -> HookSettings:
    """The module's options."""
    return {"root": str(root), "checkpoint_dir": None, "repackage_dir": None, "lock_timeout": 1, "strict": strict}


def points(root: pathlib.Path) -> list[Point]:
    """All rollback points that could be undone."""
    with Engine(str(root)).reading() as session:
        return [point for one in session.history() for point in one.active_points]


def undo(root: pathlib.Path, manager: str) -> RollbackResult:
    """Go back to before the newest run of `apt` or `dnf`."""
    # An undo is a point of its own, too.
    newest = [point["point"] for point in points(root) if point["description"].startswith(f"{manager}: ")][-1]
    result = rollback(Engine(str(root)), RollbackRequest(newest), check_mode=False)
    assert result["changed"]
    return result


def lock(root: pathlib.Path) -> int:
    """Another process works on the state: the hook cannot record anything."""
    with Engine(str(root)).session():
        pass
    fd = os.open(root / ".sage/checkpoints/lock", os.O_RDWR)
    fcntl.flock(fd, fcntl.LOCK_EX)
    return fd
