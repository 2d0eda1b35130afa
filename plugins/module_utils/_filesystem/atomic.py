"""A file of the system's put in place of another, so that all see the old one or the new one.

M(_filesystem.private.PrivateDir.write) does so too, in two steps, in directories of this user alone;
by M(_filesystem.write_once) the first writer wins, not the last. All three write by M(_filesystem.private.write_new).
"""

from __future__ import annotations

import contextlib
import os

from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.private import sync_directory, write_new


def replace(path: str, staged: str, data: bytes, mode: int) -> None:
    """Write a file, on the disk when this returns.

    :param path: absolute.
    :param staged: where it is written first, in the same directory; whatever is there goes.
    :param mode: of the file.
    :raises OSError: it could not be; the old file is still there.
    """
    with contextlib.suppress(FileNotFoundError):
        os.unlink(staged)
    write_new(staged, data, mode=mode)
    os.rename(staged, path)
    sync_directory(os.path.dirname(path))
