"""Files that are written once, whole, and never change, whoever else tries to write them.

A file is linked to its name when it is whole and on the disk. A link never replaces anything, so of any number of
writers one wins, on this machine or over NFS, and the others read what it wrote. Whoever reads a file syncs its
directory first, since its writer may not have come to that: what was read once is there for good.

A file is one JSON object: C(format), an integer, 1 today; C(hash), the SHA-256 in hex of all the other fields as JSON
with sorted keys; and what was written. Writers stage it as C(.<name>.<process id>.<random>.tmp) in the same directory.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import stat
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import StateError, UnknownFormat
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.ownership import (
    refuse,
    refuse_foreign,
    refuse_shared,
    storage_error,
)
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.private import (
    PrivateDir,
    open_private,
    write_new,
)

# The fields of a file, without its hash.
Content = dict[str, object]

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

    def write(self, name: str, content: t.Mapping[str, object]) -> tuple[Content, bool]:
        """Write a file, unless there is one.

        :param content: what JSON can hold.
        :returns: what is in the file now, durably, and whether it was written by this call.
        :raises StateError: what is in the file is damaged, edited, somebody else's, or cannot be read.
        :raises StorageError: the disk refused; what is in the file is not known to be durable.
        """
        is_ours = self._write(name, _encode(content))
        standing = self.read(name)
        if standing is None:
            raise damaged(self.path_of(name), "it went away")
        self._remove_strays(name)
        return standing, is_ours

    def read(self, name: str) -> Content | None:
        """What is in a file, durable when this returns; None when there is none.

        :raises StateError: it is damaged, edited, somebody else's, or cannot be read.
        :raises UnknownFormat: another version wrote it.
        """
        data = self._read(name)
        if data is None:
            return None
        try:
            content = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise damaged(self.path_of(name), "it is no JSON") from error
        if not isinstance(content, dict) or content.pop("hash", None) != _hash(content):
            raise damaged(self.path_of(name), "it was changed after it was written")
        if content.get("format") != _FORMAT:
            raise UnknownFormat(
                f"{self.path_of(name)} has format {content.get('format')!r}, this version reads {_FORMAT}",
                untouched="everything; hosts that wait for a decision stay in doubt.",
                format=content.get("format"),
                known=_FORMAT,
            )
        return content

    def path_of(self, name: str) -> str:
        """A file's path, for messages."""
        return os.path.join(self.path, name)

    def _write(self, name: str, data: bytes) -> bool:
        """Write a file, unless there is one; whether this call did."""
        for dummy in range(_TRIES):
            staged = f".{name}.{os.getpid()}.{os.urandom(8).hex()}.tmp"
            try:
                write_new(staged, data, dir_fd=self._directory.fd)
                return self._link(staged, name)
            except FileNotFoundError:
                # Who found that the file stands has removed it.
                continue
            except OSError as error:
                raise storage_error(self.path_of(name), error) from error
            finally:
                self._directory.remove(staged)
        raise StateError(f"Files that are written to {self.path} disappear at once.", untouched="everything.")

    def _link(self, staged: str, name: str) -> bool:
        """Give a staged file its name; False when that is taken."""
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
        """The bytes of a file that nobody else could have written, durable; None when there is none."""
        for dummy in range(_TRIES):
            try:
                fd = os.open(name, os.O_RDONLY | _FLAGS, dir_fd=self._directory.fd)
            except FileNotFoundError:
                return None
            except OSError as error:
                if error.errno in (errno.ELOOP, errno.EMLINK):
                    refuse(self.path_of(name), "it is a symbolic link")
                raise storage_error(self.path_of(name), error) from error
            info = os.fstat(fd)
            try:
                _check(self.path_of(name), info, stat.S_IFREG)
            except StateError:
                os.close(fd)
                raise
            with os.fdopen(fd, "rb") as stream:
                try:
                    if info.st_nlink > 1 + self._count_staged(name, info):
                        # Its writer removes the other name at this moment, or somebody made one elsewhere.
                        continue
                    data = stream.read()
                    if not self.readonly:
                        self._directory.sync()
                        if info.st_nlink > 1:
                            self._remove_strays(name)
                    current = os.stat(name, dir_fd=self._directory.fd, follow_symlinks=False)
                except FileNotFoundError:
                    continue
                except OSError as error:
                    raise storage_error(self.path_of(name), error) from error
                if os.path.samestat(current, info):
                    return data
        return refuse(self.path_of(name), "it is hard-linked to another name, or somebody keeps replacing it")

    def _staged_names(self, name: str) -> list[str]:
        """Names under which writers staged this file."""
        names = self._directory.names()
        return [staged for staged in names if staged.startswith(f".{name}.") and staged.endswith(".tmp")]

    def _remove_strays(self, name: str) -> None:
        """Remove what killed writers staged, of no use once the file stands; a writer that lives does without."""
        for staged in self._staged_names(name):
            self._directory.remove(staged)

    def _count_staged(self, name: str, info: os.stat_result) -> int:
        """How many of a file's links are such names: their writers live still, or were killed."""
        links = 0
        for staged in self._staged_names(name):
            try:
                links += os.path.samestat(os.stat(staged, dir_fd=self._directory.fd, follow_symlinks=False), info)
            except FileNotFoundError:
                pass
        return links


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


def damaged(path: str, reason: str) -> StateError:
    """The error to raise when a file is not what was written.

    :param reason: how that shows, half a sentence.
    """
    return StateError(
        f"{path} cannot be trusted: {reason}.",
        untouched="everything; hosts that wait for a decision stay in doubt.",
        advice="Restore it from a copy. Never remove it: a missing decision means abort, and hosts may have committed.",
    )


def _encode(content: t.Mapping[str, object]) -> bytes:
    fields = {"format": _FORMAT, **content}
    return (json.dumps({**fields, "hash": _hash(fields)}, sort_keys=True, indent=1) + "\n").encode("ascii")


def _hash(content: t.Mapping[str, object]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode("ascii")).hexdigest()


def _check(path: str, info: os.stat_result, kind: int) -> None:
    """Refuse what another user could have written."""
    if stat.S_IFMT(info.st_mode) != kind:
        refuse(path, "it is not a regular file")
    if info.st_uid != os.geteuid():
        refuse_foreign(path, info.st_uid)
    if info.st_mode & 0o022:
        refuse_shared(path)
