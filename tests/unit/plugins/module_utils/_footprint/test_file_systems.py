# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The same random changes and undos on the file systems that people use, made on loop devices."""

from __future__ import annotations

import contextlib
import os
import random
import subprocess
from typing import TYPE_CHECKING, NamedTuple

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._footprint import table
from ansible_collections.intellistream.sage.tests.unit.disk import EXT4, Disk, mount
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils._footprint.bench import Changes
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils._footprint.test_rounds import Round

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.property
ROUNDS = int(os.environ.get("SAGE_FOOTPRINT_ROUNDS", "0")) or (200 if os.environ.get("SAGE_TEST_ALL") else 2)


class Where(NamedTuple):
    """Where rounds are played.

    :ivar store: where what is held lies, when not beside the tree.
    """

    trees: Path
    store: Path | None = None


def _ext4(base: Path, stack: contextlib.ExitStack) -> Where:
    return Where(Disk(base, stack).path)


def _ext4_of_seconds(base: Path, stack: contextlib.ExitStack) -> Where:
    """Inodes of 128 bytes have room for times of whole seconds."""
    return Where(Disk(base, stack, [*EXT4, "-I", "128"]).path)


def _xfs(base: Path, stack: contextlib.ExitStack) -> Where:
    return Where(Disk(base, stack, ["mkfs.xfs", "-q", "-m", "reflink=1"], 320).path)


def _xfs_without_reflink(base: Path, stack: contextlib.ExitStack) -> Where:
    return Where(Disk(base, stack, ["mkfs.xfs", "-q", "-m", "reflink=0"], 320).path)


def _btrfs(base: Path, stack: contextlib.ExitStack) -> Where:
    return Where(Disk(base, stack, ["mkfs.btrfs", "-q"], 128).path)


def _btrfs_subvolumes(base: Path, stack: contextlib.ExitStack) -> Where:
    """The store is a subvolume: no link leads from one to the other."""
    path = _btrfs(base, stack).trees
    subprocess.run(["btrfs", "-q", "subvolume", "create", str(path / "store")], check=True, capture_output=True)
    return Where(path, path / "store")


def _overlay(base: Path, stack: contextlib.ExitStack) -> Where:
    """What lies below is copied up as it is linked."""
    disk = _ext4(base, stack).trees
    for name in ("lower", "upper", "work"):
        (disk / name).mkdir()
    for seed in range(ROUNDS):
        tree = disk / "lower" / f"{seed}" / "tree"
        tree.mkdir(parents=True)
        (disk / f"{seed}").write_bytes(b"from below")
        # Made again for the same seed; no secret.
        Changes(tree, random.Random(seed), disk / f"{seed}", in_place=False).change(30)  # noqa: S311
    path = base / "merged"
    path.mkdir()
    options = f"lowerdir={disk}/lower,upperdir={disk}/upper,workdir={disk}/work"
    mount("-t", "overlay", "-o", options, "overlay", str(path), stack=stack)
    return Where(path)


def _tmpfs(base: Path, stack: contextlib.ExitStack) -> Where:
    path = base / "memory"
    path.mkdir()
    mount("-t", "tmpfs", "tmpfs", str(path), stack=stack)
    return Where(path)


def _elsewhere(base: Path, stack: contextlib.ExitStack) -> Where:
    """The store lies on a file system of its own."""
    return Where(_ext4(base, stack).trees, _tmpfs(base, stack).trees)


FILE_SYSTEMS: list[Callable[[Path, contextlib.ExitStack], Where]] = [
    *(_ext4, _ext4_of_seconds, _xfs, _xfs_without_reflink, _btrfs, _btrfs_subvolumes, _overlay, _tmpfs, _elsewhere)
]


@pytest.mark.parametrize("make", FILE_SYSTEMS, ids=lambda make: make.__name__.strip("_"))
def test_changes_are_undone_exactly(
    tmp_path: Path, make: Callable[[Path, contextlib.ExitStack], Where], monkeypatch: pytest.MonkeyPatch
) -> None:
    if make is not _ext4_of_seconds:
        # Else all would be copied: it was written in the second of the look.
        monkeypatch.setattr(table, "GRANULE_NS", 0)
    with contextlib.ExitStack() as stack:
        trees, stores = make(tmp_path, stack)
        for seed in range(ROUNDS):
            where, store = trees / f"{seed}", stores / f"{seed}" if stores is not None else None
            where.mkdir(exist_ok=True)
            with Round(where, f"{make.__name__} {seed}", links=True, store=store) as each:
                for _point in range(3):
                    each.transact(each.change, kill=bool(seed % 2))
                each.undo_killed(0, 2)
                each.assert_is_as(0)
