"""What was changed is on the disk before it is recorded as done."""

from __future__ import annotations

import os
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.ownership import storage_error

# Where packages of the system have their files.
SYSTEM = ("/", "/boot", "/etc", "/opt", "/srv", "/usr", "/var")


def syncfs(fd: int) -> bool:
    """Sync the file system that is open; False where that cannot be asked for.

    :raises OSError: the disk refused what was written before.
    """
    try:
        import ctypes

        call = ctypes.CDLL(None, use_errno=True).syncfs
    except (ImportError, OSError, AttributeError):
        return False
    if call(fd) == 0:
        return True
    error = ctypes.get_errno()
    raise OSError(error, os.strerror(error))


def sync(paths: t.Iterable[str]) -> None:
    """Make everything on the file systems of some paths durable.

    :param paths: absolute; where nothing is, the directory above counts.
    :raises StorageError: a disk refused what was written.
    """
    synced = set()
    for path in paths:
        fd = _open_directory(path)
        try:
            device = os.fstat(fd).st_dev
            if device in synced:
                continue
            synced.add(device)
            if not syncfs(fd):
                os.sync()
                return
        except OSError as error:
            raise storage_error(path, error) from error
        finally:
            os.close(fd)


def _open_directory(path: str) -> int:
    """The directory at a path, or the nearest one above it that can be opened."""
    while True:
        try:
            return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError:
            if path == os.path.dirname(path):
                raise
            path = os.path.dirname(path)
