# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files that are written once, whole, and never change, whoever else tries to write them.

A file is linked to its name when it is whole and on the disk. A link never replaces anything, so of any number of
writers one wins, on this machine or over NFS, and the others read what it wrote. Whoever reads a file syncs its
directory first, since its writer may not have come to that: what was read once is there for good.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import stat
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import StateError
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.ownership import refuse, storage_error
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.private import (
    PrivateDir,
    open_private,
    write_all,
)

Content = dict[str, t.Any]

_FORMAT = 1
_FLAGS = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_TRIES = 50


class WriteOnceDir:
    """A private directory of such files: JSON mappings with a hash.

    :ivar path: where it is.
    :ivar readonly: nothing will be written, also not by looking.
    """

    def __init__(self, directory: PrivateDir) -> None:
        self._directory = directory
        self.path = directory.path
        self.readonly = directory.readonly

    def __enter__(self) -> WriteOnceDir:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the directory back."""
        self._directory.close()

    def names(self) -> list[str]:
        """The files' names, sorted."""
        return [name for name in self._directory.names() if not name.endswith(".tmp")]

    def write(self, name: str, content: Content) -> tuple[Content, bool]:
        """Write a file, unless there is one.

        :returns: what is in the file now, durably, and whether it was written by this call.
        :raises StorageError: the disk refused; what is in the file is not known to be durable.
        """
        made = self._write(name, _encode(content))
        found = self.read(name)
        if found is None:
            raise damaged(self.place(name), "it went away")
        self._tidy(name)
        return found, made

    def read(self, name: str) -> Content | None:
        """What is in a file, durable when this returns; None when there is none.

        :raises StateError: it is damaged, edited, somebody else's, or cannot be read.
        """
        data = self._read(name)
        if data is None:
            return None
        try:
            content = json.loads(data)
        except ValueError as error:
            raise damaged(self.place(name), "it is no JSON") from error
        if not isinstance(content, dict) or content.get("format") != _FORMAT:
            raise damaged(self.place(name), f"it is not of format {_FORMAT}")
        if content.pop("hash", None) != _hash(content):
            raise damaged(self.place(name), "it was changed after it was written")
        return content

    def place(self, name: str) -> str:
        """A file's path, for messages."""
        return os.path.join(self.path, name)

    def _write(self, name: str, data: bytes) -> bool:
        for dummy in range(_TRIES):
            staged = f".{name}.{os.getpid()}.{os.urandom(8).hex()}.tmp"
            try:
                self._stage(staged, data)
                return self._link(staged, name)
            except FileNotFoundError:
                # Who found that the file stands has tidied it away.
                continue
            except OSError as error:
                raise storage_error(self.place(name), error) from error
            finally:
                self._directory.remove(staged)
        raise StateError(f"What is written in {self.path} goes away at once.", untouched="everything.")

    def _stage(self, staged: str, data: bytes) -> None:
        fd = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _FLAGS, 0o600, dir_fd=self._directory.fd)
        try:
            write_all(fd, data)
            os.fsync(fd)
        finally:
            os.close(fd)

    def _link(self, staged: str, name: str) -> bool:
        fd = self._directory.fd
        try:
            os.link(staged, name, src_dir_fd=fd, dst_dir_fd=fd, follow_symlinks=False)
        except FileExistsError:
            return False
        except OSError as error:
            if error.errno in (errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP):
                raise StateError(
                    f"The file system of {self.path} has no hard links, so it cannot hold decisions.",
                    untouched="everything.",
                    advice="Name a directory on another file system.",
                ) from error
            raise
        return True

    def _read(self, name: str) -> bytes | None:
        for dummy in range(_TRIES):
            try:
                fd = os.open(name, os.O_RDONLY | _FLAGS, dir_fd=self._directory.fd)
            except FileNotFoundError:
                return None
            except OSError as error:
                if error.errno in (errno.ELOOP, errno.EMLINK):
                    refuse(self.place(name), "it is a symbolic link")
                raise storage_error(self.place(name), error) from error
            info = os.fstat(fd)
            try:
                _check(self.place(name), info, stat.S_IFREG)
            except StateError:
                os.close(fd)
                raise
            with os.fdopen(fd, "rb") as stream:
                try:
                    if info.st_nlink > 1 + self._staged(name, info):
                        # Its writer removes the other name at this moment, or somebody made one elsewhere.
                        continue
                    data = stream.read()
                    if not self.readonly:
                        self._directory.sync()
                        if info.st_nlink > 1:
                            self._tidy(name)
                    now = os.stat(name, dir_fd=self._directory.fd, follow_symlinks=False)
                except FileNotFoundError:
                    continue
                except OSError as error:
                    raise storage_error(self.place(name), error) from error
                if os.path.samestat(now, info):
                    return data
        return refuse(self.place(name), "it is hard-linked to another name, or somebody keeps replacing it")

    def _others(self, name: str) -> list[str]:
        """Names under which writers staged this file."""
        return [one for one in self._directory.names() if one.startswith(f".{name}.") and one.endswith(".tmp")]

    def _tidy(self, name: str) -> None:
        """What killed writers left is of no use once the file stands; one that lives does without."""
        for other in self._others(name):
            self._directory.remove(other)

    def _staged(self, name: str, info: os.stat_result) -> int:
        """How many of a file's links are such names: their writers live still, or were killed."""
        found = 0
        for other in self._others(name):
            try:
                found += os.path.samestat(os.stat(other, dir_fd=self._directory.fd, follow_symlinks=False), info)
            except FileNotFoundError:
                pass
        return found


def open_write_once(path: str, create: bool) -> WriteOnceDir | None:
    """Open such a directory.

    :param create: make it when there is none; else nothing is written in it either.
    :returns: None when there is none and C(create) is false.
    :raises UnsafePath: others can write there.
    """
    try:
        directory = open_private(path, create, readonly=not create)
    except FileNotFoundError:
        return None
    try:
        _check(path, os.fstat(directory.fd), stat.S_IFDIR)
    except StateError:
        directory.close()
        raise
    return WriteOnceDir(directory)


def damaged(path: str, why: str) -> StateError:
    """The error to raise when a file is not what was written."""
    return StateError(
        f"{path} cannot be trusted: {why}.",
        untouched="everything; hosts that wait for a decision stay in doubt.",
        advice="Restore it from a copy. Never remove it: a missing decision means abort, and hosts may have committed.",
    )


def _encode(content: Content) -> bytes:
    whole = {"format": _FORMAT, **content}
    return (json.dumps({**whole, "hash": _hash(whole)}, sort_keys=True, indent=1) + "\n").encode("ascii")


def _hash(content: Content) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode("ascii")).hexdigest()


def _check(path: str, info: os.stat_result, kind: int) -> None:
    """Refuse what another user could have written."""
    if stat.S_IFMT(info.st_mode) != kind:
        refuse(path, "it is not a regular file")
    if info.st_uid != os.geteuid():
        refuse(path, f"it belongs to user id {info.st_uid}, and this is user id {os.geteuid()}")
    if info.st_mode & 0o022:
        refuse(path, "others can write to it")
