# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A host in miniature: installations as the role makes them, into an environment of a few files."""

from __future__ import annotations

import os
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._calls.checkpoint import (
    CheckpointRequest,
    checkpoint,
    prunable,
)
from ansible_collections.intellistream.sage.plugins.module_utils._pruning.policy import Limits
from ansible_collections.intellistream.sage.plugins.module_utils._pruning.prune import retain
from ansible_collections.intellistream.sage.plugins.module_utils._records.installation import (
    PHASES,
    Installation,
    installations,
)
from ansible_collections.intellistream.sage.plugins.module_utils._records.session import Engine
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils.recorded import verified
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils.tinyvenv import TinyVenv
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils.tree import Snapshot, snapshot

if t.TYPE_CHECKING:
    from pathlib import Path

    from ansible_collections.intellistream.sage.plugins.module_utils._records.installation import Change

Result = dict[str, t.Any]


class SageHost:
    """An environment, a file that people edit, and a state.

    :param path: all of it.
    :ivar before: install id → what was there before it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.engine = Engine(str(path / "root"))
        self.store = path / "root" / ".sage" / "checkpoints" / "store"
        self.data = path / "data"
        self.venv = TinyVenv(path / "data" / "venv")
        self.file = path / "data" / "config"
        self.before: dict[str, Snapshot] = {}

    def make(self) -> SageHost:
        """Create it, with a version 0 of everything."""
        self.venv.make()
        self.file.write_text("0")
        (self.path / "root").mkdir()
        self.change("0")
        return self

    def change(self, version: str) -> None:
        """What an installer does."""
        self.venv.install("pack", version, {"pack/__init__.py": version, "pack/data": f"{version}\n" * 20_000})
        # As an editor does, which may write into the same file.
        self.file.write_text(version)

    def call(self, check_mode: bool = False, **values: t.Any) -> Result:
        """One call of sage_checkpoint."""
        request = CheckpointRequest(values.get("inputs"), True, {}, values.get("transitions") or [])
        return {**checkpoint(self.engine, request, check_mode)}

    def begin(self, version: str) -> str:
        """Begin an installation, capture and change."""
        was = snapshot(self.data)
        venv = {
            "kind": "venv",
            "path": str(self.venv.path),
            "distributions": [{"name": "pack", "version": version}],
        }
        capture = [venv, {"kind": "files", "paths": [str(self.file)]}]
        started = {"phase": "python_deps", "status": "started", "capture": capture}
        result = self.call(inputs={"python_deps": {"version": version}}, transitions=[started])
        self.before[result["install_id"]] = was
        self.change(version)
        return str(result["install_id"])

    def end(self, limits: Limits | None = None) -> Result:
        """All phases done, and what the role does then; returns the retention's result."""
        verified(self.engine)
        result = self.call(transitions=[{"phase": name, "status": "completed"} for name in PHASES])
        return {**retain(self.engine, limits, False)} if limits is not None and result["prunable"] else {}

    def install(self, version: str, limits: Limits | None = None) -> str:
        """A whole installation."""
        name = self.begin(version)
        self.end(limits)
        return name

    def prunable(self) -> bool:
        """What sage_checkpoint would tell."""
        with self.engine.reading() as session:
            return prunable(session)

    def clean(self, check_mode: bool = False, **limits: t.Any) -> Result:
        """What clean_sage.yml does; sage_checkpoint always knows when there may be something to do."""
        expected = self.prunable()
        result: Result = {**retain(self.engine, Limits(**{"archive": False, **limits}), check_mode)}
        assert expected or not result["changed"] or limits.get("uncompressed") == 0
        return result

    def history(self) -> list[Installation]:
        """What the ledger says of installations."""
        return installations(self.changes())

    def changes(self) -> list[Change]:
        """What the ledger says of everything."""
        with self.engine.reading() as session:
            return session.history()

    def stored(self) -> list[str]:
        """What lies in the store."""
        changes = [path for path in self.store.glob("*") if path.name != "farm"]
        return sorted(name for change in changes for name in os.listdir(change))

    def occupied(self) -> int:
        """What the store occupies, as an independent program counts; files with links elsewhere count nothing.

        What the farm alone has serves the next capture, and is no rollback point's.
        """
        found: dict[int, list[os.stat_result]] = {}
        of_points: set[int] = set()
        farm = str(self.store / "farm")
        total = 0
        for directory, names, files in os.walk(self.store):
            in_farm = directory == farm or directory.startswith(f"{farm}/")
            of_points.update(os.lstat(os.path.join(directory, name)).st_ino for name in files if not in_farm)
            if not in_farm:
                total += sum(os.lstat(os.path.join(directory, name)).st_blocks * 512 for name in names)
            for name in files:
                info = os.lstat(os.path.join(directory, name))
                found.setdefault(info.st_ino, []).append(info)
        links = [infos for infos in found.values() if len(infos) == infos[0].st_nlink]
        links = [infos for infos in links if infos[0].st_ino in of_points]
        # Those of the installations themselves belong to no rollback point.
        total -= sum(one.lstat().st_blocks * 512 for one in self.store.iterdir())
        return total + sum(infos[0].st_blocks * 512 for infos in links)
