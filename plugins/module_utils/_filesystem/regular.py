"""Regular files where others may put links, pipes and devices: such a file is never read, written or replaced.

A file is written under a name that nobody can have foreseen, and renamed: what a link at its name leads to is not
touched, and neither is another name of the same file.
"""

from __future__ import annotations

import os
import stat
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import InputError
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.private import sync_directory, write_new

_KINDS = (
    (stat.S_ISLNK, "a symbolic link"),
    (stat.S_ISDIR, "a directory"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISSOCK, "a socket"),
)


def refuse_irregular(path: str, mode: int) -> None:
    """Refuse what is no regular file.

    :param mode: C(st_mode) of what is there.
    :raises InputError: it is none; nothing was opened for writing.
    """
    kind = next((name for is_kind, name in _KINDS if is_kind(mode)), "")
    if kind:
        raise InputError(
            f"{path} is {kind}, not a regular file.",
            untouched="everything; neither it nor what it leads to was opened or replaced.",
            advice="Name a regular file, or one that does not exist yet.",
            file=path,
        )


def open_regular(path: str) -> t.BinaryIO:
    """Open a regular file for reading, also through a link: what is read is then compared with a hash, or shown.

    :raises InputError: it is no regular file; a pipe does not keep us waiting.
    :raises OSError: it cannot be opened.
    """
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        refuse_irregular(path, os.fstat(fd).st_mode)
    except BaseException:
        os.close(fd)
        raise
    return os.fdopen(fd, "rb")


def read_regular(path: str) -> bytes | None:
    """What is in the file that will be replaced; None where nothing is.

    :raises InputError: something is there that is no regular file.
    :raises OSError: it cannot be read.
    """
    try:
        refuse_irregular(path, os.lstat(path).st_mode)
        with open_regular(path) as stream:
            return stream.read()
    except FileNotFoundError:
        return None


def staged_name(path: str) -> str:
    """A name beside a file that nobody can have foreseen."""
    return os.path.join(os.path.dirname(path), f".{os.path.basename(path)}.{os.urandom(8).hex()}.partial")


def create_new(path: str) -> t.BinaryIO:
    """Open a file for writing that nobody else has made, no link included.

    :raises FileExistsError: there is something of that name.
    """
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600), "wb")


def replace_regular(path: str, data: bytes, mode: int = 0o644) -> None:
    """Write a file as a whole, durably; call M(read_regular) first, which refuses what is not to be replaced.

    :param path: absolute.
    :raises OSError: the disk refused; what was there is still there.
    """
    staged = staged_name(path)
    try:
        write_new(staged, data, mode=mode)
        os.rename(staged, path)
    finally:
        if os.path.lexists(staged):
            os.unlink(staged)
    sync_directory(os.path.dirname(path))
