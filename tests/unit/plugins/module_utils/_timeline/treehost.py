# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A host with trees whose content is held by links in the root's farm, as that of environments is."""

from __future__ import annotations

import json
import pathlib
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.intellistream.sage.plugins import module_utils
from ansible_collections.intellistream.sage.plugins.module_utils._calls.backup import backup, settled
from ansible_collections.intellistream.sage.plugins.module_utils._calls.rollback import rollback
from ansible_collections.intellistream.sage.plugins.module_utils._footprint import table
from ansible_collections.intellistream.sage.plugins.module_utils._records.session import Engine
from ansible_collections.intellistream.sage.plugins.module_utils._registry import registry
from ansible_collections.intellistream.sage.plugins.module_utils._undo.rollback import RollbackRequest

if TYPE_CHECKING:
    from pathlib import Path

    from ansible_collections.intellistream.sage.plugins.plugin_utils._events import Point
    from ansible_collections.intellistream.sage.plugins.plugin_utils._structures import RollbackResult

TREES = pathlib.Path(__file__).parent / "trees"


class TreeHost:
    """A root, and a tree beside it with some files.

    :ivar top: the tree.
    """

    def __init__(self, where: Path) -> None:
        self.root = where / "root"
        self.root.mkdir()
        self.engine = Engine(str(self.root))
        self.top = where / "tree"
        (self.top / "lib").mkdir(parents=True)
        for name in ("one", "two", "lib/three"):
            (self.top / name).write_text(f"{name}, first")
        (self.top / "some.conf").write_text("edited by people")

    @property
    def store(self) -> Path:
        return self.root / ".sage/checkpoints/store"

    @property
    def farm(self) -> Path:
        return self.store / "farm"

    def links(self) -> list[Path]:
        """What the farm holds by links."""
        return sorted(path for path in self.farm.glob("links-*/*/*"))

    def copies(self) -> list[Path]:
        """What the farm holds by copies."""
        return sorted(path for path in self.farm.glob("copies/*/*"))

    def replace(self, name: str, content: str) -> None:
        """As installers do: a new file takes the name."""
        staged = self.top / ".staged"
        staged.write_text(content)
        staged.rename(self.top / name)

    def spec(self, path: Path | None = None) -> dict[str, Any]:
        return {"kind": "tree", "path": str(path or self.top)}

    def capture(self, *paths: Path) -> str:
        """A rollback point of the tree, or of these; its name."""
        specs = [self.spec(path) for path in paths or [self.top]]
        return str(backup(self.engine, specs, None, "", False)["rollback_point"]["id"])

    def settle(self, point: str) -> None:
        settled(self.engine, point, False)

    def change(self, name: str, content: str) -> str:
        """Capture, replace one file, settle; the name of the rollback point."""
        point = self.capture()
        self.replace(name, content)
        self.settle(point)
        return point

    def undo(self, to: str = "last", **how: Any) -> RollbackResult:
        return rollback(self.engine, RollbackRequest(to=to, **how), False)

    def points(self) -> dict[str, Point]:
        with self.engine.reading() as session:
            return {point["point"]: point for change in session.history() for point in change.points}

    def directory(self, point: str) -> Path:
        return self.store / point.rpartition(".")[0] / point

    def manifest(self, point: str) -> dict[str, Any]:
        return dict(json.loads((self.directory(point) / "0.json").read_text()))


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TreeHost:
    """The kind, and a host with a tree."""
    monkeypatch.setattr(module_utils, "__path__", [*module_utils.__path__, str(TREES)])
    monkeypatch.setitem(registry.KINDS, "tree", "_trees.kind:TreesKind")
    # Everything here is written within a second.
    monkeypatch.setattr(table, "GRANULE_NS", 0)
    return TreeHost(tmp_path)
