# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""F12: a disk that a capture or a change has filled."""

from __future__ import annotations

import contextlib
import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import CaptureError
from ansible_collections.intellistream.sage.plugins.module_utils._storage import store
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils._timeline.treehost import TreeHost, host
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils.tree import snapshot

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["host"]


@pytest.fixture
def small(tmp_path: Path, host: TreeHost, monkeypatch: pytest.MonkeyPatch) -> Iterator[TreeHost]:
    """A host on a disk of 32 MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=32m", "tmpfs", str(disk)], capture_output=True, check=False
    )
    if done.returncode:
        pytest.skip("nothing can be mounted here")
    monkeypatch.setattr(store, "RESERVE", 0)
    try:
        yield TreeHost(disk)
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def _fill(disk: Path) -> None:
    # Without a buffer, which would be written once more when it is closed.
    with open(disk / "filler", "ab", buffering=0) as stream, contextlib.suppress(OSError):
        while stream.write(os.urandom(1 << 12)):
            pass


def test_f12_a_capture_without_room_says_so_and_leaves_nothing(small: TreeHost) -> None:
    small.capture()
    (small.top / "large.conf").write_bytes(os.urandom(12 << 20))
    _fill(small.top.parent)
    with open(small.top.parent / "filler", "ab") as stream:
        stream.truncate(os.path.getsize(stream.name) - (5 << 20))
    before, held = snapshot(small.top), snapshot(small.farm / "copies")
    with pytest.raises(CaptureError, match=r"There is no room in .*store for what the change would replace") as caught:
        small.capture()
    assert "repackage_dir" in caught.value.advice
    assert (snapshot(small.top), snapshot(small.farm / "copies")) == (before, held)
    assert not (small.farm / ".copy").exists()


def test_f12_a_change_that_filled_the_disk_is_undone(small: TreeHost) -> None:
    before = snapshot(small.top)
    small.capture()
    small.replace("one", "second")
    (small.top / "some.conf").unlink()
    _fill(small.top)
    assert small.undo()["exact"]
    assert snapshot(small.top) == before
