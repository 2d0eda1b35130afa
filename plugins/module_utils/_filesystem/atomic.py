# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A file of the system's put in place of another, so that all see the old one or the new one."""

from __future__ import annotations

import contextlib
import os

from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.private import write_all


def replace(path: str, staged: str, data: bytes, mode: int) -> None:
    """Write a file, on disk when this returns.

    :param staged: where it is written first, in the same directory; whatever is there goes.
    """
    with contextlib.suppress(FileNotFoundError):
        os.unlink(staged)
    fd = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        write_all(fd, data)
        os.fchmod(fd, mode)
        os.fsync(fd)
    finally:
        os.close(fd)
    os.rename(staged, path)
    sync(os.path.dirname(path))


def sync(directory: str) -> None:
    """Make the names in a directory durable."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
