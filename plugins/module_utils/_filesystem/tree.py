"""Directory trees reached by descriptor, never through a link: for all that lies below one directory.

What is captured and restored may belong to somebody else, and a name may be swapped between a
check and its use. So a tree is opened once, and every path below is walked component by
component with C(O_NOFOLLOW), relative to an open directory. The last directories stay open, so
walking a sorted list of files costs one open per directory.

What this user keeps in private is reached by M(_filesystem.private), single paths of the system by
M(_filesystem.absolute).
"""

from __future__ import annotations

import errno
import os
import stat
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import UnsafePath

_NO_LINK = os.O_NOFOLLOW | os.O_CLOEXEC
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | _NO_LINK
_MAX_LINKS = 40
_CHUNK = 1 << 20


def unsafe(path: str, reason: str) -> UnsafePath:
    """The error for a path that leads somewhere it must not.

    :param reason: how that shows, half a sentence.
    """
    return UnsafePath(
        f"{path} is not followed: {reason}.",
        untouched="everything.",
        advice="Find out who made it; remove it or name another path, then run again.",
    )


def parts(relative: str) -> list[str]:
    """The components of a relative path that stays below its root.

    :raises UnsafePath: it is empty, absolute, or has C(..), C(.) or an empty component.
    """
    names = relative.split("/")
    for name in names:
        if name in ("", ".", "..") or "\0" in name:
            raise unsafe(relative, "the path leads elsewhere")
    return names


def open_directory(path: str, follow: bool = False) -> int:
    """Open an absolute directory; links above it are followed only when root or this user made them.

    :param follow: treat the directory itself like those above it.
    :returns: a descriptor the caller closes.
    :raises FileNotFoundError: it, or a directory above it, does not exist.
    :raises UnsafePath: it is a link, or lies behind a link of another user.
    """
    if not os.path.isabs(path):
        raise unsafe(path, "it is not absolute")
    # normpath would resolve "link/.." wrongly, so ".." is walked like any other name.
    todo = [name for name in path.split("/") if name not in ("", ".")][::-1]
    links = 0
    fd = os.open("/", _DIRECTORY)
    try:
        while todo:
            name = todo.pop()
            try:
                below = os.open(name, _DIRECTORY, dir_fd=fd)
            except OSError as error:
                info = os.lstat(name, dir_fd=fd) if error.errno in (errno.ELOOP, errno.ENOTDIR) else None
                if info is None:
                    raise
                if not stat.S_ISLNK(info.st_mode):
                    raise unsafe(path, f"{name} is no directory") from error
                links += 1
                if not (todo or follow) or links > _MAX_LINKS:
                    raise unsafe(path, f"{name} is a symbolic link") from error
                if info.st_uid not in (0, os.geteuid()):
                    raise unsafe(path, f"{name} is a symbolic link of user id {info.st_uid}") from error
                target = os.readlink(name, dir_fd=fd)
                if target.startswith("/"):
                    above, fd = fd, os.open("/", _DIRECTORY)
                    os.close(above)
                todo.extend([part for part in target.split("/") if part not in ("", ".")][::-1])
                continue
            above, fd = fd, below
            os.close(above)
    except BaseException:
        os.close(fd)
        raise
    return fd


def digest_of(fd: int) -> str:
    """The SHA-256 of an open file, in hex; the descriptor is closed."""
    import hashlib

    sha = hashlib.sha256()
    try:
        while True:
            data = os.read(fd, _CHUNK)
            if not data:
                return sha.hexdigest()
            sha.update(data)
    finally:
        os.close(fd)


class OpenDirectory(t.Protocol):
    """A directory that somebody holds open.

    :ivar path: absolute.
    :ivar fd: its descriptor.
    """

    path: str
    fd: int


class Tree:
    """A directory held open, and what lies below it; paths are relative to it.

    :ivar path: where it was found, for messages.
    :ivar fd: its descriptor, which is the tree's.
    :ivar mode: of directories made below.
    :ivar device: the file system that it is on, C(st_dev).
    """

    def __init__(self, path: str, fd: int, mode: int = 0o755) -> None:
        self.path = path
        self.fd = fd
        self.mode = mode
        self.device = os.fstat(fd).st_dev
        self._names: list[str] = []
        self._fds: list[int] = []
        self._last = ""

    @classmethod
    def of(cls, directory: OpenDirectory) -> Tree:
        """A private directory as a tree of its own; directories made below are private, too."""
        return cls(directory.path, os.dup(directory.fd), 0o700)

    @classmethod
    def open(cls, path: str, follow: bool = False) -> Tree | None:
        """Open a directory, or None when there is none; C(follow) as in M(open_directory)."""
        try:
            return cls(path, open_directory(path, follow))
        except FileNotFoundError:
            return None

    def __enter__(self) -> Tree:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Give all descriptors back."""
        fd, self.fd = self.fd, -1
        try:
            self.forget()
        finally:
            if fd >= 0:
                os.close(fd)

    def forget(self) -> None:
        """Close the directories kept open below; needed after one of them was moved or removed."""
        while self._fds:
            self._leave()

    def _leave(self) -> None:
        """Close the last of them; its name goes first, for that may fail."""
        self._names.pop()
        self._last = "/".join(self._names)
        os.close(self._fds.pop())

    def enter(self, directory: str, make: bool = False) -> int:
        """The descriptor of a directory below (C("") is the root itself); it stays the tree's.

        :param make: make what is missing.
        :raises FileNotFoundError: it does not exist, or a file is there instead, and C(make) is false.
        :raises UnsafePath: a component is a link or no directory.
        """
        if directory == self._last:
            return self._fds[-1] if self._fds else self.fd
        names = parts(directory) if directory else []
        common = 0
        while common < len(names) and common < len(self._names) and names[common] == self._names[common]:
            common += 1
        while len(self._fds) > common:
            self._leave()
        for name in names[common:]:
            above = self._fds[-1] if self._fds else self.fd
            if make:
                try:
                    os.mkdir(name, self.mode, dir_fd=above)
                except FileExistsError:
                    pass
            try:
                fd = os.open(name, _DIRECTORY, dir_fd=above)
            except OSError as error:
                if error.errno in (errno.ELOOP, errno.ENOTDIR):
                    if not make and stat.S_ISREG(os.lstat(name, dir_fd=above).st_mode):
                        # Nothing lies below a file: it may be what made an installer fail.
                        raise FileNotFoundError(errno.ENOENT, "a file is in the way", self.name(directory)) from error
                    raise unsafe(self.name(directory), f"{name} is a symbolic link or no directory") from error
                raise
            self._fds.append(fd)
            self._names.append(name)
            self._last = "/".join(self._names)
        return self._fds[-1] if self._fds else self.fd

    def name(self, relative: str) -> str:
        """The absolute path, for messages."""
        return f"{self.path}/{relative}" if relative else self.path

    def parent(self, relative: str, make: bool = False) -> tuple[int, str]:
        """The open directory that holds a path, which stays the tree's, and the path's last component.

        :param make: make directories that are missing.
        :raises FileNotFoundError: there is no such directory, and C(make) is false.
        :raises UnsafePath: the path leads elsewhere, or through a link.
        """
        directory, dummy, name = relative.rpartition("/")
        if name in ("", ".", ".."):
            raise unsafe(self.name(relative), "the path leads elsewhere")
        return self.enter(directory, make), name

    def lstat(self, relative: str) -> os.stat_result | None:
        """What is at a path, links not followed; None when nothing is.

        :raises UnsafePath: a directory above it is a link.
        """
        try:
            fd, name = self.parent(relative)
            return os.lstat(name, dir_fd=fd)
        except (FileNotFoundError, NotADirectoryError):
            return None

    def open_file(self, relative: str) -> int:
        """A descriptor for reading a regular file; the caller closes it.

        :raises FileNotFoundError: it does not exist.
        :raises UnsafePath: it is a link, device, fifo or directory.
        """
        fd, name = self.parent(relative)
        try:
            # Non-blocking, so that a fifo cannot hang the run.
            opened = os.open(name, os.O_RDONLY | os.O_NONBLOCK | _NO_LINK, dir_fd=fd)
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise unsafe(self.name(relative), "it is a symbolic link") from error
            raise
        if not stat.S_ISREG(os.fstat(opened).st_mode):
            os.close(opened)
            raise unsafe(self.name(relative), "it is not a regular file")
        return opened

    def digest(self, relative: str) -> str:
        """The SHA-256 of a regular file, in hex.

        :raises FileNotFoundError: it does not exist.
        :raises UnsafePath: it is something else.
        """
        return digest_of(self.open_file(relative))

    def read(self, relative: str) -> bytes:
        """The content of a regular file.

        :raises FileNotFoundError: it does not exist.
        :raises UnsafePath: it is something else.
        """
        with os.fdopen(self.open_file(relative), "rb") as stream:
            return stream.read()

    def listing(self, directory: str) -> list[tuple[str, bool]]:
        """(name, is a real directory) of each entry, sorted; empty when the directory is missing."""
        try:
            with os.scandir(self.enter(directory)) as children:
                return sorted((child.name, child.is_dir(follow_symlinks=False)) for child in children)
        except FileNotFoundError:
            return []

    def walk(self, directory: str = "") -> t.Iterator[tuple[str, bool]]:
        """(relative path, is a real directory) of all below, a directory before its content."""
        for name, is_directory in self.listing(directory):
            path = f"{directory}/{name}" if directory else name
            yield path, is_directory
            if is_directory:
                yield from self.walk(path)

    def is_directory(self, relative: str) -> bool:
        """Whether there is a real directory of that name."""
        info = self.lstat(relative)
        return info is not None and stat.S_ISDIR(info.st_mode)

    def free_name(self, relative: str, first: int = 1) -> str:
        """A path, or with the first number from C(first) on that nothing has."""
        free, number = relative, first
        while self.lstat(free) is not None:
            free, number = f"{relative}.{number}", number + 1
        return free

    def unlink(self, relative: str) -> bool:
        """Remove a file or link; False when there was none."""
        try:
            fd, name = self.parent(relative)
            os.unlink(name, dir_fd=fd)
        except FileNotFoundError:
            return False
        return True

    def rmdir(self, relative: str) -> bool:
        """Remove an empty directory; False when it is not there or not empty."""
        if f"{self._last}/".startswith(f"{relative}/"):
            self.forget()
        try:
            fd, name = self.parent(relative)
            os.rmdir(name, dir_fd=fd)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                return False
            raise
        return True

    def flush(self) -> None:
        """Make everything durable that was linked, renamed or removed on this file system so far: flush the journal.

        Journals keep the order of such operations, so one synced operation after all others does;
        a sync of each directory would cost a flush of the disk each.
        """
        synced = ".sage-flush.tmp"
        fd = os.open(synced, os.O_WRONLY | os.O_CREAT | _NO_LINK, 0o600, dir_fd=self.fd)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
            os.unlink(synced, dir_fd=self.fd)
        os.fsync(self.fd)
