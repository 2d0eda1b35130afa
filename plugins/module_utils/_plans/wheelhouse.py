"""Wheels on a host that reaches no index: which are missing, and those that arrive, checked before they are kept."""

from __future__ import annotations

import errno
import hashlib
import os
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import (
    InputError,
    StorageError,
    StoreError,
)
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.ownership import storage_error
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.private import (
    PrivateDir,
    open_private,
    remove_private,
    write_all,
)

_BLOCK = 1 << 20
_RESERVE = 64 << 20  # bytes that a disk is not filled below
_PARTIAL = ".partial"
_UNTOUCHED = "the environment; nothing was installed."


class Wheel(t.NamedTuple):
    """One file.

    :param digest: C(sha256:…), or another algorithm that hashlib knows.
    :param size: bytes; -1 when unknown.
    :param url: where it can be had; empty when unknown.
    """

    file: str
    digest: str
    size: int = -1
    url: str = ""

    @classmethod
    def of(cls, options: t.Mapping[str, t.Any]) -> Wheel:
        """From a module's options.

        :raises InputError: its name leads elsewhere, or its hash is none.
        """
        name, digest = str(options["file"]), str(options["digest"])
        if "/" in name or "\0" in name or name.startswith(".") or not name.endswith(".whl"):
            raise InputError(f"{name!r} is not the name of a wheel.", untouched="everything.")
        hasher(digest)
        size = options.get("size")
        return cls(name, digest, size=-1 if size is None else int(size), url=str(options.get("url") or ""))


class _Hash(t.Protocol):
    def update(self, data: bytes, /) -> None:
        """Take in more."""

    def hexdigest(self) -> str:
        """The result."""


def hasher(digest: str) -> _Hash:
    """A new hash of the algorithm of I(digest).

    :raises InputError: hashlib does not know it.
    """
    algorithm = digest.partition(":")[0]
    if algorithm not in hashlib.algorithms_guaranteed or algorithm in ("md5", "sha1") or "shake" in algorithm:
        raise InputError(f"{digest!r} is not a reliable hash.", untouched="everything.")
    return hashlib.new(algorithm)


def digest_of(stream: t.BinaryIO, like: str) -> str:
    """The hash of what is left in I(stream), of the algorithm of I(like)."""
    digest = hasher(like)
    while block := stream.read(_BLOCK):
        digest.update(block)
    return f"{like.partition(':')[0]}:{digest.hexdigest()}"


class MissingWheels(t.NamedTuple):
    """What a host lacks.

    :param files: names of the wheels.
    :param free: bytes that may be filled.
    """

    files: list[str]
    free: int


def missing(path: str, wheels: t.Iterable[Wheel]) -> MissingWheels:
    """Compare the directory at I(path) with the wheels that are needed, by content; nothing is changed.

    :raises UnsafePath: the directory is not private.
    """
    wheels = list(wheels)
    try:
        with open_private(path, readonly=False) as place:
            return MissingWheels([wheel.file for wheel in wheels if not _has(place, wheel)], _free(path))
    except FileNotFoundError:
        return MissingWheels([wheel.file for wheel in wheels], _free(path))


def _has(place: PrivateDir, wheel: Wheel) -> bool:
    try:
        fd = place.open(wheel.file, os.O_RDONLY)
    except FileNotFoundError:
        return False
    with os.fdopen(fd, "rb") as stream:
        return digest_of(stream, wheel.digest) == wheel.digest


def _free(path: str) -> int:
    while not os.path.isdir(path):
        path = os.path.dirname(path)
    file_system = os.statvfs(path)
    return max(0, file_system.f_bavail * file_system.f_frsize - _RESERVE)


def accept(path: str, bundle: str, wheels: t.Sequence[Wheel]) -> None:
    """Take wheels out of I(bundle), which is their contents one after the other, into the directory at I(path).

    From the last to the first, so that the bundle can shrink as the directory grows: beside what arrives there is
    never more than one wheel twice.

    :raises StoreError: one of them is not what it should be; what is kept is whole.
    :raises StorageError: the disk refused.
    """
    with open_private(path, create=True) as place, open(bundle, "rb") as stream:
        offset = os.fstat(stream.fileno()).st_size
        if offset != sum(wheel.size for wheel in wheels):
            raise StoreError(
                f"Only {offset} of the wheels' {sum(wheel.size for wheel in wheels)} bytes have arrived.",
                untouched=_UNTOUCHED,
                advice="Run again.",
            )
        for name in place.names():
            if name.endswith(_PARTIAL):  # what a killed run left
                place.remove(name)
        for wheel in reversed(wheels):
            offset -= wheel.size
            stream.seek(offset)
            _take(place, stream, wheel)
            _shrink(bundle, offset)
        place.sync()


def _take(place: PrivateDir, stream: t.BinaryIO, wheel: Wheel) -> None:
    partial = f".{wheel.file}{_PARTIAL}"
    digest, remaining = hasher(wheel.digest), wheel.size
    try:
        fd = place.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        try:
            while remaining and (block := stream.read(min(_BLOCK, remaining))):
                digest.update(block)
                write_all(fd, block)
                remaining -= len(block)
            os.fsync(fd)
        finally:
            os.close(fd)
        if f"{wheel.digest.partition(':')[0]}:{digest.hexdigest()}" != wheel.digest:
            raise StoreError(
                f"{wheel.file} does not match the lock file after the transfer: its hash is {digest.hexdigest()}, not "
                f"{wheel.digest.partition(':')[2]}.",
                untouched=f"the environment, and in {place.path} every wheel that was there.",
                advice="Run again. If it happens again, find out what changes files on the way to this host.",
            )
        os.rename(partial, wheel.file, src_dir_fd=place.fd, dst_dir_fd=place.fd)
    except OSError as error:
        place.remove(partial)
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise no_room(place.path, wheel.size, _free(place.path)) from error
        raise storage_error(os.path.join(place.path, wheel.file), error) from error
    except BaseException:
        place.remove(partial)
        raise


def _shrink(bundle: str, size: int) -> None:
    try:
        os.truncate(bundle, size)
    except OSError:
        pass  # it may belong to who logged in; it goes as a whole afterwards


def no_room(path: str, need: int, free: int) -> StorageError:
    """The error for a host whose disk is too small.

    :param need: bytes that the wheels take.
    :param free: bytes that may be filled.
    """
    return StorageError(
        f"The disk of this host is too small for the wheels: {path} needs {_mega(need)}, and "
        f"{_mega(free)} can be used; {_mega(_RESERVE)} are left free.",
        untouched=f"{_UNTOUCHED[:-1]}, and wheels that were there before are as they were.",
        advice="Make room there, or put sage_root on another disk.",
        need=need,
        free=free,
    )


def _mega(size: int) -> str:
    return f"{size / 1e6:.1f} MB" if size >= 100_000 else f"{size} bytes"


def remove(path: str, *, dry: bool) -> list[str]:
    """Remove the directory at I(path) with the wheels in it; returns their names. What else is in it stays.

    :param dry: only find out.
    :raises UnsafePath: the directory is not private.
    """
    try:
        with open_private(path) as place:
            names = place.names()
            wheels = [name for name in names if name.endswith((".whl", _PARTIAL))]
            if not dry:
                for name in wheels:
                    place.remove(name)
    except FileNotFoundError:
        return []
    if not dry and len(wheels) == len(names):
        remove_private(path)
    return wheels
