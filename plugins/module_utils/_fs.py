# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Private directories, held open by descriptor.

The state is written by whoever runs the installation, often root, into directories others may
reach. So nothing here follows a path twice: a directory is opened once without following links,
its owner and mode are checked on the open descriptor, and every file below is reached through
that descriptor.
"""

from __future__ import annotations

import errno
import os
import stat
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._errors import StateError, StorageError, UnsafePath

STATE_DIR = ".sage"
CHECKPOINTS = "checkpoints"
_NO_LINK = os.O_NOFOLLOW | os.O_CLOEXEC
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | _NO_LINK
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EFBIG)


def storage_error(path: str, error: OSError) -> StateError:
    """The error to raise when writing C(path) failed with C(error)."""
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


def _refuse(path: str, why: str) -> t.NoReturn:
    raise UnsafePath(
        f"{path} is not safe to keep state in: {why}.",
        untouched="everything.",
        advice="Run as the user who owns the directory (become_user), or name a root that only this user can write to.",
    )


def _check_owner(path: str, info: os.stat_result) -> None:
    if info.st_uid not in (os.geteuid(), 0):
        _refuse(path, f"it belongs to user id {info.st_uid}, and this is user id {os.geteuid()}")
    if info.st_mode & 0o022 and not info.st_mode & stat.S_ISVTX and info.st_uid != os.geteuid():
        _refuse(path, "others can write to it")


def check_ancestors(path: str) -> None:
    """Refuse C(path) when somebody else could swap one of its directories.

    For root every directory above counts: a user's home is a user's to rearrange (CVE-2024-9902).
    For other users the directory itself counts; those above are the administrator's affair.

    :raises UnsafePath: a directory belongs to another user, or anyone may write to it.
    """
    real = os.path.realpath(path)
    while True:
        try:
            info = os.stat(real)
        except FileNotFoundError:
            pass
        else:
            _check_owner(real, info)
            if os.geteuid() != 0:
                return
        parent = os.path.dirname(real)
        if parent == real:
            return
        real = parent


class PrivateDir:
    """A directory of mode 0700 that belongs to this user, held open.

    :ivar path: where it was found, for messages.
    :ivar fd: its descriptor; everything below is reached through it.
    :ivar readonly: nothing will be written, so another user's state may be looked at.
    """

    def __init__(self, path: str, fd: int, readonly: bool = False) -> None:
        self.path = path
        self.fd = fd
        self.readonly = readonly

    def __enter__(self) -> PrivateDir:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the descriptor back; harmless when already closed."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def names(self) -> list[str]:
        """The names in the directory, sorted."""
        return sorted(os.listdir(self.fd))

    def open(self, name: str, flags: int, mode: int = 0o600) -> int:
        """Open a regular file of this user below the directory; the caller closes the descriptor.

        :raises FileNotFoundError: it does not exist and C(flags) do not create it.
        :raises UnsafePath: it is a link, a device, hard-linked elsewhere or another user's.
        """
        path = os.path.join(self.path, name)
        try:
            # Non-blocking, so that a fifo somebody put there cannot hang the run.
            fd = os.open(name, flags | _NO_LINK | os.O_NONBLOCK, mode, dir_fd=self.fd)
        except FileNotFoundError:
            raise
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.EMLINK):
                _refuse(path, "it is a symbolic link")
            raise storage_error(path, error) from error
        info = os.fstat(fd)
        why = ""
        if not stat.S_ISREG(info.st_mode):
            why = "it is not a regular file"
        elif info.st_uid != os.geteuid() and not self.readonly:
            why = f"it belongs to user id {info.st_uid}"
        elif info.st_nlink > 1:
            why = "it is hard-linked to another name"
        if why:
            os.close(fd)
            _refuse(path, why)
        return fd

    def read(self, name: str) -> bytes | None:
        """The whole content of a file, or None when there is none."""
        try:
            fd = self.open(name, os.O_RDONLY)
        except FileNotFoundError:
            return None
        with os.fdopen(fd, "rb") as stream:
            return stream.read()

    def write(self, name: str, data: bytes) -> None:
        """Replace a file atomically and durably: a reader sees the old or the new content, never less.

        :raises StorageError: the disk refused; the old content is still there.
        """
        self.stage(name, data)
        self.publish(name)

    def stage(self, name: str, data: bytes) -> None:
        """Write a file's next content durably beside it: what needs space is done, only M(publish) is left.

        :raises StorageError: the disk refused; nothing is left behind.
        """
        try:
            fd = os.open(_staged(name), os.O_WRONLY | os.O_CREAT | os.O_TRUNC | _NO_LINK, 0o600, dir_fd=self.fd)
            try:
                _write_all(fd, data)
                os.fsync(fd)
            finally:
                os.close(fd)
        except OSError as error:
            self.unstage(name)
            raise storage_error(os.path.join(self.path, name), error) from error

    def publish(self, name: str) -> None:
        """Put a staged content in place, durably.

        :raises StorageError: the disk refused.
        """
        try:
            os.rename(_staged(name), name, src_dir_fd=self.fd, dst_dir_fd=self.fd)
            os.fsync(self.fd)
        except OSError as error:
            raise storage_error(os.path.join(self.path, name), error) from error

    def unstage(self, name: str) -> None:
        """Drop a staged content, if there is one."""
        self.remove(_staged(name))

    def remove(self, name: str) -> bool:
        """Unlink a file; False when there was none."""
        try:
            os.unlink(name, dir_fd=self.fd)
        except OSError:
            return False
        return True

    def sync(self) -> None:
        """Make the directory's entries durable."""
        try:
            os.fsync(self.fd)
        except OSError as error:
            raise storage_error(self.path, error) from error

    def child(self, name: str, create: bool = False) -> PrivateDir:
        """Open a directory below, made with mode 0700 when C(create).

        :raises FileNotFoundError: it does not exist and C(create) is false.
        :raises UnsafePath: it is a link, no directory, or another user's.
        """
        if name in ("", ".", "..") or "/" in name:
            _refuse(os.path.join(self.path, name), "the name leads elsewhere")
        path = os.path.join(self.path, name)
        return _open_directory(path, name, self.fd, create, self.readonly)


def _staged(name: str) -> str:
    # A fixed name: what a killed process left is overwritten by the next one, which holds the lock.
    return f".{name}.tmp"


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _open_directory(
    path: str, name: str, parent: int | None, create: bool, readonly: bool, mode: int = 0o700
) -> PrivateDir:
    if create:
        try:
            os.mkdir(name, mode, dir_fd=parent)
            if parent is not None:
                os.fsync(parent)
        except FileExistsError:
            pass
        except OSError as error:
            raise storage_error(path, error) from error
    try:
        fd = os.open(name, _DIRECTORY, dir_fd=parent)
    except FileNotFoundError:
        raise
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            _refuse(path, "it is a symbolic link or no directory")
        raise storage_error(path, error) from error
    info = os.fstat(fd)
    if info.st_uid != os.geteuid() and not readonly:
        os.close(fd)
        _refuse(path, f"it belongs to user id {info.st_uid}, and this is user id {os.geteuid()}")
    if stat.S_IMODE(info.st_mode) & ~mode and not readonly:
        os.fchmod(fd, stat.S_IMODE(info.st_mode) & mode)
    return PrivateDir(path, fd, readonly)


def open_state(root: str, checkpoint_dir: str | None = None, create: bool = False) -> PrivateDir | None:
    """Open the checkpoint directory: C(checkpoint_dir), or C(<root>/.sage/checkpoints).

    :param create: make what is missing, with C(.sage/.gitignore); else the state is only read.
    :returns: None when there is no state and C(create) is false.
    :raises UnsafePath: the state lies behind a link or in another user's directory.
    """
    own = os.path.normpath(checkpoint_dir) if checkpoint_dir else os.path.join(os.path.normpath(root), STATE_DIR)
    above = os.path.dirname(own)
    if not os.path.isabs(own):
        _refuse(own, "the path is not absolute")
    if create:
        check_ancestors(above)
        try:
            os.makedirs(above, mode=0o755, exist_ok=True)
        except OSError as error:
            raise storage_error(above, error) from error
    try:
        if checkpoint_dir:
            return _open_directory(own, own, None, create, not create)
        # The venv lies in here too, and may be used by others: only the checkpoints are private.
        with _open_directory(own, own, None, create, not create, mode=0o755) as state:
            if create and state.read(".gitignore") is None:
                state.write(".gitignore", b"*\n")
            return state.child(CHECKPOINTS, create)
    except FileNotFoundError:
        return None
