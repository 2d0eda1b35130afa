# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How much of an environment is held where its files cannot be linked."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import CaptureError, SageError
from ansible_collections.intellistream.sage.plugins.module_utils._calls.backup import backup
from ansible_collections.intellistream.sage.plugins.module_utils._kind.interface import scoped
from ansible_collections.intellistream.sage.plugins.module_utils._records.session import Engine
from ansible_collections.intellistream.sage.plugins.module_utils._storage import store
from ansible_collections.intellistream.sage.tests.unit.disk import mount
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils._venv.test_resource import Host
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils.tinyvenv import SITE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LARGE = 3 << 20


class Scoped(Host):
    """A host that captures by a scope; C(keep) has a large file that no change of the tests replaces."""

    def __init__(self, path: Path, disk: Path | None) -> None:
        super().__init__(path)
        self.root.mkdir()
        self.venv.make()
        self.venv.install("keep", "1.0")
        self.venv.install("pack", "1.0")
        self.kept = self.venv.path / SITE / "keep" / "large.bin"
        self.kept.write_bytes(os.urandom(LARGE))
        # What was written within the granule of a look is copied.
        time.sleep(0.05)
        self.disk = disk
        if disk is not None:
            self.engine = Engine(str(self.root), repackage_dir=str(disk))

    def before(self, scope: str, check: bool = False) -> dict[str, Any]:
        """Capture before C(pack) changes to 2.0."""
        pins = [{"name": "pack", "version": "2.0"}]
        specs = scoped([{"kind": "venv", "path": str(self.venv.path), "distributions": pins}], scope)
        return dict(backup(self.engine, specs, None, "", check)["rollback_point"])

    def change(self) -> None:
        """What the plan says, and a file besides."""
        self.venv.uninstall("pack")
        self.venv.install("pack", "2.0")
        self.kept.unlink()
        self.kept.write_bytes(b"damaged")

    def manifest(self) -> dict[str, Any]:
        """Of the newest point."""
        own = self.disk if self.disk is not None else self.root / ".sage/checkpoints/store"
        return dict(json.loads(max(own.rglob("0.json")).read_text()))


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Scoped]:
    """A host whose store is on another file system."""
    disk = tmp_path / "disk"
    disk.mkdir()
    with ExitStack() as stack:
        mount("-t", "tmpfs", "-o", "size=32m,mode=700", "tmpfs", str(disk), stack=stack)
        yield Scoped(tmp_path, disk / "store")


def test_elsewhere_a_plan_holds_what_it_names_and_what_else_was_touched_is_named(elsewhere: Scoped) -> None:
    point = elsewhere.before("plan")
    assert point["bytes"] < LARGE
    assert elsewhere.manifest()["partly"]
    elsewhere.change()
    elsewhere.settle()
    with pytest.raises(SageError, match=r"large\.bin"):
        elsewhere.undo()
    with pytest.raises(
        SageError,
        match=r"After the rollback 1 things differ from what was captured: [^;]*large\.bin has lost what it was",
    ):
        elsewhere.undo(force=True)
    assert elsewhere.kept.read_bytes() == b"damaged"
    assert elsewhere.venv.installed() == {"keep": "1.0", "pack": "1.0"}


def test_elsewhere_byte_code_is_held_with_its_source(elsewhere: Scoped) -> None:
    assert (elsewhere.venv.path / SITE / "pack/__pycache__/__init__.cpython-311.pyc").exists()
    before = elsewhere.look()
    elsewhere.before("plan")
    elsewhere.venv.uninstall("pack")
    elsewhere.venv.install("pack", "2.0")
    elsewhere.settle()
    elsewhere.undo()
    assert elsewhere.look() == before


def test_elsewhere_the_whole_system_is_held_by_copies(elsewhere: Scoped) -> None:
    before = elsewhere.look()
    said = elsewhere.before("system", check=True)
    point = elsewhere.before("system")
    assert said["bytes"] >= point["bytes"] > LARGE
    assert not elsewhere.manifest()["partly"]
    elsewhere.change()
    elsewhere.settle()
    elsewhere.undo()
    assert elsewhere.look() == before


@pytest.mark.parametrize("scope", ["plan", "system"])
def test_the_room_that_is_asked_for_follows_the_scope(
    elsewhere: Scoped, scope: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "RESERVE", 0)
    os.truncate(elsewhere.kept, 40 << 20)
    if scope == "plan":
        elsewhere.before(scope)
        return
    with pytest.raises(CaptureError, match=r"needs \d+ bytes"):
        elsewhere.before(scope)
    assert elsewhere.points() == []


@pytest.mark.parametrize("scope", ["plan", "system"])
def test_where_links_work_everything_is_held_in_either_scope(tmp_path: Path, scope: str) -> None:
    host = Scoped(tmp_path, None)
    before = host.look()
    host.before(scope)
    assert not host.manifest()["partly"]
    host.change()
    host.settle()
    host.undo()
    assert host.look() == before


@pytest.mark.skipif(not shutil.which("chattr"), reason="needs chattr")
@pytest.mark.parametrize("scope", ["plan", "system"])
def test_a_file_that_cannot_be_linked_is_held_by_the_scope(tmp_path: Path, scope: str) -> None:
    """As root an immutable one, which is refused as an ordinary user's link to somebody else's file is."""
    host = Scoped(tmp_path, None)
    if subprocess.run(["chattr", "+i", str(host.kept)], capture_output=True, check=False).returncode:
        pytest.skip("no file can be made immutable here")
    time.sleep(0.05)
    try:
        host.before(scope)
    finally:
        subprocess.run(["chattr", "-i", str(host.kept)], check=True)
    copies = [path.stat().st_size for path in host.farm.glob("copies/*/*")]
    assert (LARGE in copies) == (scope == "system")
    assert host.manifest()["partly"] == (scope == "plan")
