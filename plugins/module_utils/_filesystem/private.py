"""Private directories, held open by descriptor: for the state, the store, and all else that is this user's alone.

The state is written by whoever runs the installation, often root, into directories others may
reach. So nothing here follows a path twice: a directory is opened once without following links,
its owner and mode are checked on the open descriptor, and every file below is reached through
that descriptor.

What belongs to others is reached by M(_filesystem.tree) and M(_filesystem.absolute).
"""

from __future__ import annotations

import errno
import os
import stat

from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.ownership import (
    check_ancestors,
    check_name,
    refuse,
    storage_error,
)

STATE_DIR = ".sage"
CHECKPOINTS = "checkpoints"
_NO_LINK = os.O_NOFOLLOW | os.O_CLOEXEC
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | _NO_LINK


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
                refuse(path, "it is a symbolic link")
            raise storage_error(path, error) from error
        info = os.fstat(fd)
        reason = ""
        if not stat.S_ISREG(info.st_mode):
            reason = "it is not a regular file"
        elif info.st_uid != os.geteuid() and not self.readonly:
            reason = f"it belongs to user id {info.st_uid}"
        elif info.st_nlink > 1:
            reason = "it is hard-linked to another name"
        if reason:
            os.close(fd)
            refuse(path, reason)
        return fd

    def read(self, name: str) -> bytes | None:
        """The whole content of a file, or None when there is none.

        :raises UnsafePath: it is not a file of this user's alone, see M(open).
        """
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
        """Write a file's next content durably under another name: what needs space is done, only M(publish) is left.

        :raises StorageError: the disk refused.
        """
        try:
            # What a killed process left goes first, so that nothing else is ever written through that name.
            self.unstage(name)
            write_new(_staged(name), data, dir_fd=self.fd)
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
        """Unlink a file; False when there was none, or it cannot be."""
        try:
            os.unlink(name, dir_fd=self.fd)
        except OSError:
            return False
        return True

    def sync(self) -> None:
        """Make the directory's entries durable.

        :raises StorageError: the disk refused.
        """
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
            refuse(os.path.join(self.path, name), "the name leads elsewhere")
        path = os.path.join(self.path, name)
        return _open_directory(path, name, self.fd, create, self.readonly)


def _staged(name: str) -> str:
    # A fixed name: what a killed process left is replaced by the next one, which holds the lock.
    return f".{name}.tmp"


def write_all(fd: int, data: bytes) -> None:
    """Write all of C(data), however little of it each call takes."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def write_new(name: str, data: bytes, *, mode: int = 0o600, dir_fd: int | None = None) -> None:
    """Write a file that nobody else has made, on the disk when this returns; its name is not yet.

    :param name: a path, or a name in the directory C(dir_fd).
    :param mode: of the file, whatever the umask is.
    :raises FileExistsError: there is something of that name.
    """
    fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_LINK, 0o600, dir_fd=dir_fd)
    try:
        write_all(fd, data)
        if mode != 0o600:
            os.fchmod(fd, mode)
        os.fsync(fd)
    finally:
        os.close(fd)


def sync_directory(path: str) -> None:
    """Make the names in a directory durable."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _open_directory(
    path: str, name: str, parent: int | None, create: bool, readonly: bool, mode: int = 0o700
) -> PrivateDir:
    if create:
        try:
            os.mkdir(name, mode, dir_fd=parent)
            if parent is None:
                sync_directory(os.path.dirname(path))
            else:
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
            refuse(path, "it is a symbolic link or no directory")
        raise storage_error(path, error) from error
    info = os.fstat(fd)
    if info.st_uid != os.geteuid() and not readonly:
        os.close(fd)
        refuse(path, f"it belongs to user id {info.st_uid}, and this is user id {os.geteuid()}")
    if stat.S_IMODE(info.st_mode) & ~mode and not readonly:
        os.fchmod(fd, stat.S_IMODE(info.st_mode) & mode)
    return PrivateDir(path, fd, readonly)


def _make(path: str) -> None:
    """Make a directory and those above it, durably."""
    if os.path.isdir(path):
        return
    _make(os.path.dirname(path))
    _open_directory(path, path, None, True, True, mode=0o755).close()


def _ignore(state: PrivateDir) -> None:
    """Keep git from taking the state in. In place and without a lock: everybody writes the same two bytes."""
    fd = state.open(".gitignore", os.O_WRONLY | os.O_CREAT)
    try:
        write_all(fd, b"*\n")
        os.fsync(fd)
    except OSError as error:
        raise storage_error(os.path.join(state.path, ".gitignore"), error) from error
    finally:
        os.close(fd)


def open_private(path: str, create: bool = False, readonly: bool = False) -> PrivateDir:
    """Open a private directory anywhere; C(create) makes it with those above it.

    :param path: absolute.
    :param readonly: nothing will be written, so it may be another user's.
    :raises FileNotFoundError: it does not exist and C(create) is false.
    :raises UnsafePath: it lies behind a link or in another user's directory.
    """
    check_name(path)
    if create:
        check_ancestors(os.path.dirname(path))
        _make(os.path.dirname(path))
    return _open_directory(path, path, None, create, readonly)


def open_state(root: str, checkpoint_dir: str | None = None, create: bool = False) -> PrivateDir | None:
    """Open the checkpoint directory: C(checkpoint_dir), or C(<root>/.sage/checkpoints).

    :param create: make what is missing, with C(.sage/.gitignore); else the state is only read.
    :returns: None when there is no state and C(create) is false.
    :raises UnsafePath: the state lies behind a link or in another user's directory.
    """
    named = checkpoint_dir or os.path.join(root, STATE_DIR)
    check_name(named)
    path = os.path.normpath(named)
    if create:
        check_ancestors(os.path.dirname(path))
        _make(os.path.dirname(path))
    try:
        if checkpoint_dir:
            return open_private(path, create, readonly=not create)
        # The venv lies in here too, and may be used by others: only the checkpoints are private.
        with _open_directory(path, path, None, create, not create, mode=0o755) as state:
            if create and not state.read(".gitignore"):
                _ignore(state)
            return state.child(CHECKPOINTS, create)
    except FileNotFoundError:
        return None
