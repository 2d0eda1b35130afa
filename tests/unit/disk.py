# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A file system on a loop device, of any type, whose power can be cut."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import contextlib
    from collections.abc import Sequence
    from pathlib import Path

EXT4 = ("mkfs.ext4", "-q")
MEGABYTES = 96


class Disk:
    """A file system of its own.

    :param base: an empty directory, for the file behind the device.
    :param stack: unmounts it when it ends.
    :param make: the command that makes the file system, but for the file's name.
    :param megabytes: size.
    :ivar path: where it is mounted.
    """

    def __init__(
        self, base: Path, stack: contextlib.ExitStack, make: Sequence[str] = EXT4, megabytes: int = MEGABYTES
    ) -> None:
        if os.geteuid() != 0 or not shutil.which(make[0]):
            pytest.skip(f"needs root and {make[0]}")
        self._image = base / "disk.img"
        self._stack = stack
        self._base = base
        with open(self._image, "wb") as file:
            file.truncate(megabytes << 20)
        subprocess.run([*make, str(self._image)], check=True)
        self.path = self._mount(self._image, "disk")

    def _mount(self, image: Path, name: str) -> Path:
        path = self._base / name
        path.mkdir()
        mount("-o", "loop", str(image), str(path), stack=self._stack)
        return path

    def cut(self, name: str) -> Path:
        """Where what would be on the disk after a power cut can be looked at."""
        image = self._base / f"{name}.img"
        subprocess.run(["cp", "--sparse=always", str(self._image), str(image)], check=True)
        return self._mount(image, name)


def mount(*words: str, stack: contextlib.ExitStack) -> None:
    """Mount something until a stack ends; skip the test where that cannot be, as in a container.

    :param words: of the command; the last one is the directory.
    """
    try:
        subprocess.run(["mount", *words], check=True, capture_output=True, text=True)
    except subprocess.CalledProcessError as error:
        pytest.skip(f"this cannot be mounted here: {error.stderr.strip()}")
    stack.callback(subprocess.run, ["umount", words[-1]], check=True)
