"""Single paths of the system, absolute, each reached through its directory, which is opened once.

Packages name paths through links: C(/bin/sh) where C(/bin) is a link today. Such links are followed as long
as root or this user made them, others' never; the last component is not followed at all.
"""

from __future__ import annotations

import os

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import CaptureError, UnsafePath
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.tree import Tree, open_directory, unsafe

_MOST_OPEN = 64
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


class Directories:
    """Directories by name, opened once, as a context manager: to look at paths.

    While it lasts, nothing is to be made or moved there: it keeps many open, and what is missing is remembered.
    """

    def __init__(self) -> None:
        self._open: dict[str, int] = {}

    def __enter__(self) -> Directories:
        return self

    def __exit__(self, *exc: object) -> None:
        self.forget()

    def forget(self) -> None:
        """Close all."""
        while self._open:
            # Forgotten first: also when a close fails, no name has the descriptor of another.
            fd = self._open.popitem()[1]
            if fd >= 0:
                os.close(fd)

    def enter(self, path: str) -> int:
        """The descriptor of a directory; the caller does not close it.

        :raises FileNotFoundError: there is none.
        :raises UnsafePath: it lies behind somebody else's link.
        """
        fd = self._open.get(path)
        if fd is None:
            if len(self._open) >= _MOST_OPEN:
                self.forget()
            fd = self._open[path] = _open_parent(path)
        if fd < 0:
            raise FileNotFoundError(path)
        return fd

    def at(self, path: str) -> tuple[int, str]:
        """The descriptor of the directory that has an absolute path, and the path's name there.

        :raises FileNotFoundError: there is no such directory.
        """
        directory, dummy, name = path.rpartition("/")
        if name == ".." or not path.startswith("/"):
            raise unsafe(path, "the path leads elsewhere")
        return self.enter(directory), name or "."

    def lstat(self, path: str) -> os.stat_result | None:
        """What is at a path, the last link not followed; None when nothing is."""
        try:
            fd, name = self.at(path)
            return os.lstat(name, dir_fd=fd)
        except (FileNotFoundError, NotADirectoryError):
            return None

    def readlink(self, path: str) -> str:
        """The target of a link.

        :raises OSError: there is no link.
        """
        fd, name = self.at(path)
        return os.readlink(name, dir_fd=fd)

    def open(self, path: str) -> int:
        """A descriptor for reading a file or directory; the caller closes it.

        :raises OSError: there is none, or it is a link.
        """
        fd, name = self.at(path)
        return os.open(name, _READ, dir_fd=fd)


class ParentDirectories:
    """The directories that hold absolute paths, as a context manager: to change paths. One is open, not to be stale."""

    def __init__(self) -> None:
        self._directory = ""
        self._tree: Tree | None = None

    def __enter__(self) -> ParentDirectories:
        return self

    def __exit__(self, *exc: object) -> None:
        tree, self._directory, self._tree = self._tree, "", None
        if tree is not None:
            tree.close()

    def at(self, path: str) -> tuple[Tree | None, str]:
        """The directory that holds a path, None when there is none, and the path's name in it.

        The tree stays open until the next call.

        :raises UnsafePath: the directory lies behind somebody else's link.
        """
        directory, dummy, name = path.rpartition("/")
        if directory != self._directory or self._tree is None:
            self.__exit__()
            fd = _open_parent(directory)
            self._directory, self._tree = directory, Tree(directory or "/", fd) if fd >= 0 else None
        return self._tree, name

    def make(self, path: str) -> tuple[Tree, str]:
        """The same, with the directory made when it is missing.

        :raises UnsafePath: the directory lies behind somebody else's link.
        """
        tree, name = self.at(path)
        if tree is None:
            os.makedirs(os.path.dirname(path), 0o755, exist_ok=True)
            tree, name = self.at(path)
        if tree is None:
            raise FileNotFoundError(path)
        return tree, name


def _open_parent(path: str) -> int:
    """A descriptor of a directory, for the caller to close; -1 when there is none, or a file in its place."""
    try:
        return open_directory(path or "/", follow=True)
    except (FileNotFoundError, NotADirectoryError):
        return -1
    except UnsafePath:
        if os.path.isdir(path):
            raise
        return -1


def unchanged(before: os.stat_result, after: os.stat_result) -> bool:
    """Whether nothing happened to a file between two looks."""
    return _facts(before) == _facts(after)


def _facts(info: os.stat_result) -> tuple[int, ...]:
    return (info.st_dev, info.st_ino, info.st_mode, info.st_size, info.st_mtime_ns, info.st_ctime_ns)


def changed_meanwhile(path: str) -> CaptureError:
    """The error for a file that was changed while it was read."""
    return CaptureError(
        f"{path} was changed while it was captured.",
        untouched="everything.",
        advice="Find out what writes to it, wait for that to end, then run again.",
        path=path,
    )
