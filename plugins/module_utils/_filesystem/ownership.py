"""Which directories are safe to keep state in, and how to say that one is not."""

from __future__ import annotations

import errno
import os
import stat
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import (
    StateError,
    StorageError,
    UnsafePath,
)

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EFBIG)


def storage_error(path: str, error: OSError) -> StateError:
    """The error to raise when writing C(path) failed with C(error).

    :returns: P(StorageError) where the disk refused, P(UnsafePath) where permissions did, else P(StateError).
    """
    if error.errno in _FULL:
        return StorageError(
            f"Could not write {path}: {error.strerror}.",
            untouched="the state recorded before this call.",
            advice="Free space or repair the file system, then run again: the run continues from the recorded state.",
            errno=error.errno,
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        return UnsafePath(
            f"No permission to use {path} as user id {os.geteuid()}.",
            untouched="everything.",
            advice="Run as the user who owns the state (become_user), or name another root.",
        )
    return StateError(f"Could not use {path}: {error.strerror}.", untouched="the state recorded before this call.")


def refuse(path: str, reason: str) -> t.NoReturn:
    """Refuse a path.

    :param reason: why, half a sentence.
    :raises UnsafePath: always.
    """
    raise UnsafePath(
        f"{path} is not safe to keep state in: {reason}.",
        untouched="everything.",
        advice="Run as the user who owns the directory (become_user), or name a root that only this user can write to.",
    )


def _check_owner(path: str, info: os.stat_result) -> None:
    if info.st_uid not in (os.geteuid(), 0):
        refuse(path, f"it belongs to user id {info.st_uid}, and this is user id {os.geteuid()}")
    others = 0o002 if info.st_uid == os.geteuid() else 0o022
    if info.st_mode & others and not info.st_mode & stat.S_ISVTX and not stat.S_ISLNK(info.st_mode):
        refuse(path, "others can write to it")


def check_ancestors(path: str) -> None:
    """Refuse C(path) when somebody else could swap one of its directories.

    For root every directory above counts: a user's home is a user's to rearrange (CVE-2024-9902).
    For other users the directory itself counts; those above are the administrator's affair.

    :raises UnsafePath: a directory belongs to another user, or anyone may write to it.
    """
    # As it is named too: whoever owns a link on the way may let it point elsewhere.
    for above in (os.path.realpath(path), path):
        while True:
            try:
                _check_owner(above, os.lstat(above))
                if os.geteuid() != 0:
                    return
            except FileNotFoundError:
                pass
            except OSError as error:
                raise storage_error(above, error) from error
            if above == os.path.dirname(above):
                break
            above = os.path.dirname(above)


def check_name(path: str) -> None:
    """Refuse what cannot be the path of a directory.

    :raises UnsafePath: C(path) is not absolute, or holds what no file name can hold.
    """
    try:
        possible = os.path.isabs(path) and b"\0" not in os.fsencode(path)
    except UnicodeEncodeError:
        possible = False
    if not possible:
        raise UnsafePath(
            f"{path!r} is not an absolute path.",
            untouched="everything.",
            advice="Name a directory from the root (/) on.",
        )
