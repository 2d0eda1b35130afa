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
import shutil
import stat
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import UnsafePath
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.ownership import (
    check_name,
    check_open,
    check_owned,
    open_owned,
    refuse,
    refuse_foreign,
    storage_error,
)

STATE_DIR = ".sage"
CHECKPOINTS = "checkpoints"
# Keeps git from taking in what is below C(STATE_DIR).
IGNORE = ".gitignore"
IGNORED = b"*\n"
# In every directory that is private: without it a directory is somebody's, whatever its name.
MARK = ".intellistream-sage"
_MADE = b"made\n"
_FOUND = b"found\n"
# What is in an empty file system.
_RESERVED = "lost+found"
_NO_LINK = os.O_NOFOLLOW | os.O_CLOEXEC
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | _NO_LINK


class PrivateDir:
    """A directory that belongs to this user and holds nothing but what this collection keeps in it, held open.

    It is marked (C(MARK)). One that the collection made has mode 0700, and gets it back when somebody loosened it. One
    that was there before, empty, keeps the mode it has, and is never removed.

    :ivar path: where it was found, for messages.
    :ivar fd: its descriptor; everything below is reached through it.
    :ivar readonly: nothing will be written, so it may be root's.
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
        """The names in the directory, sorted, without the mark."""
        # Opened anew: a listing that cannot be wound back would be silently empty the next time.
        fd = os.open(".", _DIRECTORY, dir_fd=self.fd)
        try:
            return sorted({*os.listdir(fd)} - {MARK, _RESERVED})
        finally:
            os.close(fd)

    def is_marked(self) -> bool:
        """Whether it is this collection's."""
        try:
            return stat.S_ISREG(os.stat(MARK, dir_fd=self.fd, follow_symlinks=False).st_mode)
        except FileNotFoundError:
            return False

    def was_made(self) -> bool:
        """Whether this collection made it; else it was there, empty."""
        return (self.read(MARK) or b"").startswith(_MADE)

    def absent_before(self) -> list[str]:
        """Paths around it that were not there before it was marked, and that were made for it or after it."""
        return [os.fsdecode(line) for line in (self.read(MARK) or b"").split(b"\n")[1:] if line]

    def clear(self) -> None:
        """Remove what is in it, the mark last: what is left of an interrupted removal is still recognized.

        :raises OSError: the disk refused.
        """
        for name in self.names():
            if stat.S_ISDIR(os.stat(name, dir_fd=self.fd, follow_symlinks=False).st_mode):
                # Through the open directory; rmtree itself follows no link.
                shutil.rmtree(f"/proc/self/fd/{self.fd}/{name}")
            else:
                os.unlink(name, dir_fd=self.fd)
        self.remove(MARK)

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
        elif not _is_ours(info.st_uid, self.readonly):
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

    def write(self, name: str, data: bytes, mode: int = 0o600) -> None:
        """Replace a file atomically and durably: a reader sees the old or the new content, never less.

        :param mode: of the file.
        :raises StorageError: the disk refused; the old content is still there.
        """
        self.stage(name, data, mode)
        self.publish(name)

    def stage(self, name: str, data: bytes, mode: int = 0o600) -> None:
        """Write a file's next content durably under another name: what needs space is done, only M(publish) is left.

        :raises StorageError: the disk refused.
        """
        try:
            # What a killed process left goes first, so that nothing else is ever written through that name.
            self.unstage(name)
            write_new(_staged(name), data, mode=mode, dir_fd=self.fd)
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
        child, dummy = _open_directory(path, name, self.fd, create, self.readonly)
        if not self.readonly:
            # What is in a directory of ours is ours.
            _tighten(child)
        return child


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


def sync_directory(path: str, dir_fd: int | None = None) -> None:
    """Make the names in a directory durable.

    :param path: of it, seen from the directory C(dir_fd).
    """
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=dir_fd)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _open_directory(
    path: str, name: str, parent: int, create: bool, readonly: bool, mode: int = 0o700
) -> tuple[PrivateDir, bool]:
    """A directory, and whether it was made just now."""
    made = False
    if create:
        try:
            os.mkdir(name, mode, dir_fd=parent)
            made = True
            # A descriptor of a path alone cannot be synced.
            sync_directory(".", parent)
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
    if not _is_ours(info.st_uid, readonly):
        os.close(fd)
        refuse_foreign(path, info.st_uid)
    return PrivateDir(path, fd, readonly), made


def _is_ours(owner: int, readonly: bool) -> bool:
    """Whether what belongs to a user may be used; also what is only looked at says what will be done and run."""
    return owner == os.geteuid() or (readonly and owner == 0)


def _tighten(directory: PrivateDir) -> None:
    mode = stat.S_IMODE(os.fstat(directory.fd).st_mode)
    if mode & 0o077:
        os.fchmod(directory.fd, mode & 0o700)


def _open_marked(
    path: str, name: str, parent: int, create: bool, readonly: bool, absent: t.Sequence[str] = ()
) -> PrivateDir:
    """A directory that is this collection's alone.

    :param absent: what is written into its mark, see M(PrivateDir.absent_before).
    :raises FileNotFoundError: it does not exist and C(create) is false.
    :raises UnsafePath: it is another user's, or holds what is not the collection's.
    """
    directory, made = _open_directory(path, name, parent, create, readonly)
    try:
        if made:
            _mark(directory, _MADE, absent)
        else:
            _check_mark(directory, create, absent)
    except BaseException:
        directory.close()
        raise
    return directory


def _mark(directory: PrivateDir, content: bytes, absent: t.Sequence[str]) -> None:
    lines = [os.fsencode(path) + b"\n" for path in absent if "\n" not in path]
    try:
        write_new(MARK, b"".join([content, *lines]), dir_fd=directory.fd)
        os.fsync(directory.fd)
    except FileExistsError:
        pass  # Another process has opened it at the same time.
    except OSError as error:
        raise storage_error(os.path.join(directory.path, MARK), error) from error


def _check_mark(directory: PrivateDir, create: bool, absent: t.Sequence[str]) -> None:
    """Refuse a directory that is somebody's; an empty one becomes the collection's when C(create)."""
    if not directory.is_marked():
        names = directory.names()
        # Another process may have marked it between the two looks.
        if names and not directory.is_marked():
            raise UnsafePath(
                f"{directory.path} was not made by this collection, and holds {names[0]}.",
                untouched="everything in it, and its mode.",
                advice="Name a directory that does not exist yet, or an empty one. If it is a copy of a checkpoint "
                f"directory, make an empty file named {MARK} in it.",
                file=names[0],
            )
        if create and not names:
            _mark(directory, _FOUND, absent)
    if directory.readonly:
        return
    if os.fstat(directory.fd).st_mode & 0o077 and directory.was_made():
        _tighten(directory)
    else:
        check_open(directory.path, directory.fd)


def _ignore(state: PrivateDir) -> None:
    """Keep git from taking the state in. In place and without a lock: everybody writes the same two bytes."""
    fd = state.open(IGNORE, os.O_WRONLY | os.O_CREAT)
    try:
        write_all(fd, IGNORED)
        os.fsync(fd)
    except OSError as error:
        raise storage_error(os.path.join(state.path, IGNORE), error) from error
    finally:
        os.close(fd)


def open_private(path: str, create: bool = False, readonly: bool = False, absent: t.Sequence[str] = ()) -> PrivateDir:
    """Open a private directory anywhere; C(create) makes it with those above it.

    :param path: absolute.
    :param readonly: nothing will be written, so it may be root's.
    :param absent: what is written into its mark if it has none yet, see M(PrivateDir.absent_before).
    :raises FileNotFoundError: it does not exist and C(create) is false.
    :raises UnsafePath: it lies behind a link or in another user's directory, or was not made by this collection and is
        not empty.
    """
    check_name(path)
    above, name = os.path.split(path.rstrip("/"))
    parent = _enter(above, create)
    try:
        return _open_marked(path, name, parent, create, readonly, absent)
    finally:
        os.close(parent)


def _enter(path: str, create: bool) -> int:
    """A descriptor of a directory that nobody else can replace.

    :raises FileNotFoundError: it does not exist and C(create) is false.
    """
    fd = open_owned(path, create)
    if fd is None:
        raise FileNotFoundError(path)
    return fd


def _absent(*paths: str) -> list[str]:
    """Of these paths and the directories above them, those that are not there, the deepest first."""
    missing: set[str] = set()
    for path in paths:
        while path not in missing and not os.path.lexists(path):
            missing.add(path)
            path = os.path.dirname(path)
    return sorted(missing, key=lambda path: (-path.count("/"), path))


def remove_private(path: str) -> None:
    """Remove a private directory with all that is in it; one that was there before, empty, stays and is empty again.

    :raises UnsafePath: it is a link, another user's, or was not made by this collection.
    :raises OSError: the disk refused.
    """
    try:
        with open_private(path) as directory:
            made = directory.was_made()
            directory.clear()
    except FileNotFoundError:
        return
    if made:
        os.rmdir(path)


def is_empty(path: str) -> bool:
    """Whether a path is a directory with nothing in it."""
    try:
        return not {*os.listdir(path)} - {_RESERVED}
    except OSError:
        return False


def open_state(root: str, checkpoint_dir: str | None = None, create: bool = False) -> PrivateDir | None:
    """Open the checkpoint directory: C(checkpoint_dir), or C(<root>/.sage/checkpoints).

    :param create: make what is missing, with C(.sage/.gitignore); else the state is only read.
    :returns: None when there is no state and C(create) is false.
    :raises UnsafePath: the state lies behind a link or in another user's directory, or the directory was not made by
        this collection and is not empty.
    """
    check_name(checkpoint_dir or root)
    hidden = os.path.join(os.path.normpath(root), STATE_DIR)
    place = os.path.normpath(checkpoint_dir or os.path.join(hidden, CHECKPOINTS))
    # Whoever removes SAGE leaves what was there before it.
    absent: list[str] = []
    if create and not os.path.lexists(os.path.join(place, MARK)):
        absent = _absent(os.path.dirname(place), os.path.join(hidden, IGNORE))
    if checkpoint_dir:
        # What is recorded says what is done and run there.
        check_owned(root)
        try:
            return open_private(place, create, readonly=not create, absent=absent)
        except FileNotFoundError:
            return None
    try:
        parent = _enter(root, create)
    except FileNotFoundError:
        return None
    try:
        # The venv lies in here too, and may be used by others: only the checkpoints are private.
        with _open_directory(hidden, STATE_DIR, parent, create, not create, mode=0o755)[0] as state:
            # It may be another program's, so its mode is.
            check_open(hidden, state.fd)
            if create and not state.read(IGNORE):
                _ignore(state)
            return _open_marked(place, CHECKPOINTS, state.fd, create, not create, absent)
    except FileNotFoundError:
        return None
    finally:
        os.close(parent)
