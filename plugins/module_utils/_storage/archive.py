"""Archives: one rollback point's directory as one compressed file beside it, and back again.

A tar that any tar reads, compressed by the C(zstd) program where there is one, else by gzip. Its SHA-256 is
in the ledger, so what comes out is what went in. What comes out is written by descriptor all the same,
and only plain files and directories are taken.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import stat
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base import compression
from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import SageError, StorageError, StoreError
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.ownership import storage_error
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.private import PrivateDir
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.tree import Tree
from ansible_collections.intellistream.sage.plugins.module_utils._storage import contents, tarball
from ansible_collections.intellistream.sage.plugins.module_utils._storage import store as storage_store

_CHUNK = 1 << 20
_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.plugin_utils._events import ArchiveRecord

Point = t.Mapping[str, t.Any]


def temporary(point: str, what: str) -> str:
    """A name beside the point that no rollback point ever has; whoever finds it may remove it."""
    return f".{point}.{what}"


def pack(state: PrivateDir, point: Point) -> ArchiveRecord:
    """Write the archive of a point and read it back; the directory stays.

    :returns: what the ledger keeps of it: C(name), C(sha256), C(bytes), C(files), C(content) (bytes).
    :raises StorageError: there is no room for it; nothing is left behind.
    :raises StoreError: it cannot be read back as it was written; nothing is left behind.
    """
    suffix = compression.best()
    name = point["point"] + suffix
    half = temporary(point["point"], "pack")
    with _beside(state, point) as where, where.child(point["point"]) as directory:
        try:
            where.remove(half)
            fd = where.open(half, _NEW)
            try:
                with Tree.of(directory) as tree:
                    written = tarball.write(tree, fd, suffix)
                os.fsync(fd)
                if tarball.read(fd, suffix, None) != written:
                    raise _unusable(where, name, "it was not read back as it was written")
                record: ArchiveRecord = {
                    "name": name,
                    "sha256": _digest(fd),
                    "bytes": os.fstat(fd).st_size,
                    "files": written.files,
                    "content": written.bytes,
                }
            finally:
                os.close(fd)
            os.rename(half, name, src_dir_fd=where.fd, dst_dir_fd=where.fd)
            where.sync()
        except OSError as error:
            where.remove(half)
            raise storage_error(os.path.join(where.path, name), error) from error
        except compression.Refused as error:
            where.remove(half)
            raise StorageError(
                f"Could not write {where.path}/{name}: {error}.", untouched="the captured content."
            ) from error
        except SageError:
            where.remove(half)
            raise
    return record


def drop(state: PrivateDir, point: Point, record: ArchiveRecord) -> None:
    """Remove an archive that was never recorded."""
    with _beside(state, point) as where:
        where.remove(record["name"])


def intact(state: PrivateDir, point: Point) -> bool:
    """Whether the recorded archive is the one on disk, to the last byte."""
    try:
        with _beside(state, point) as where:
            os.close(_open(where, point))
    except (SageError, OSError):
        return False
    return True


def opened(state: PrivateDir, point: Point, stack: contextlib.ExitStack) -> PrivateDir:
    """The directory of a point, whether it was archived or not.

    Where the state is only read, an archive is unpacked elsewhere, and removed with the stack.

    :raises FileNotFoundError: there is neither.
    :raises StoreError: the archive is damaged, or its program is missing.
    """
    try:
        return stack.enter_context(contents.point_dir(state, point["install_id"], point["point"]))
    except FileNotFoundError:
        if not point.get("archive"):
            raise
    if not state.readonly:
        return stack.enter_context(unpack(state, point))
    import tempfile

    elsewhere = stack.enter_context(tempfile.TemporaryDirectory(prefix="sage-"))
    fd = os.open(elsewhere, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    there = stack.enter_context(PrivateDir(elsewhere, fd))
    with _beside(state, point) as where:
        _extract(where, point, there)
    return there


def unpack(state: PrivateDir, point: Point) -> PrivateDir:
    """Make an archived point's directory again; the archive stays. The caller closes what is returned.

    :raises StoreError: the archive is missing or damaged, or its program is; nothing is left behind.
    :raises StorageError: there is no room for it; nothing is left behind.
    """
    name = point["point"]
    with _beside(state, point) as where:
        half = temporary(name, "unpack")
        remove(where, half)
        try:
            with where.child(half, create=True) as directory:
                _extract(where, point, directory)
            os.rename(half, name, src_dir_fd=where.fd, dst_dir_fd=where.fd)
            where.sync()
        except OSError as error:
            remove(where, half)
            raise storage_error(os.path.join(where.path, name), error) from error
        except BaseException:
            remove(where, half)
            raise
        return where.child(name)


def member(state: PrivateDir, point: Point, name: str) -> bytes:
    """One small file from the top of an archive, without unpacking; the caller checks its hash.

    :raises StoreError: it is not there.
    """
    with _beside(state, point) as where:
        fd = _open(where, point)
        try:
            content = tarball.first(fd, _suffix(where, point), name)
        except compression.Refused as error:
            raise _unusable(where, point["archive"]["name"], str(error)) from error
        finally:
            os.close(fd)
        if content is None:
            raise _unusable(where, point["archive"]["name"], f"{name} is not in it")
        return content


def manifest(state: PrivateDir, point: Point, name: str) -> bytes:
    """One manifest of a point, whether it was archived or not; the caller checks its hash.

    :raises FileNotFoundError: there is neither.
    :raises StoreError: it cannot be read.
    """
    try:
        with contents.point_dir(state, point["install_id"], point["point"]) as directory:
            data = directory.read(name)
    except FileNotFoundError:
        if not point.get("archive"):
            raise
        data = member(state, point, name)
    if data is None:
        raise FileNotFoundError(name)
    return data


def remove_from(state: PrivateDir, install_id: str, name: str) -> None:
    """Remove something of an installation from the store, and the installation's directory when it is empty.

    :raises FileNotFoundError: there is no such installation.
    """
    with contents.opened(state) as store, store.child(install_id) as where:
        remove(where, name)
        where.sync()
        empty = not where.names()
        if empty:
            os.rmdir(install_id, dir_fd=store.fd)


def remove(where: PrivateDir, name: str) -> None:
    """Remove a file or directory below, at once as seen by its name; nothing to do when there is none."""
    try:
        info = os.lstat(name, dir_fd=where.fd)
    except FileNotFoundError:
        return
    if not stat.S_ISDIR(info.st_mode):
        os.unlink(name, dir_fd=where.fd)
        return
    # A directory that is half removed must never be taken for the point.
    gone = name if name.startswith(".") else temporary(name, "gone")
    if gone != name:
        remove(where, gone)
        os.rename(name, gone, src_dir_fd=where.fd, dst_dir_fd=where.fd)
        os.fsync(where.fd)
    # Relative to the open directory, so that no link swapped in above is followed.
    shutil.rmtree(f"/proc/self/fd/{where.fd}/{gone}")


def _extract(where: PrivateDir, point: Point, directory: PrivateDir) -> None:
    fd = _open(where, point)
    try:
        _room(where, directory, point["archive"])
        with Tree.of(directory) as tree:
            try:
                tarball.read(fd, _suffix(where, point), tree)
            except compression.Refused as error:
                raise _unusable(where, point["archive"]["name"], str(error)) from error
            storage_store.flush(tree, [path for path, is_directory in tree.walk() if not is_directory])
    finally:
        os.close(fd)


def _room(where: PrivateDir, directory: PrivateDir, record: ArchiveRecord) -> None:
    info = os.fstatvfs(directory.fd)
    needed = record.get("content", 0) + record.get("files", 0) * storage_store.PER_FILE + storage_store.RESERVE
    available = info.f_bavail * info.f_frsize
    if needed > available:
        raise StorageError(
            f"To unpack {where.path}/{record['name']}, {needed} bytes are needed in {os.path.dirname(directory.path)}; "
            f"{available} are available.",
            untouched="everything.",
            advice="Free space, then run again.",
            needed=needed,
            available=available,
        )


@contextlib.contextmanager
def _beside(state: PrivateDir, point: Point) -> t.Iterator[PrivateDir]:
    with contents.opened(state) as store, store.child(point["install_id"]) as where:
        yield where


def _unusable(where: PrivateDir, name: str, why: str) -> StoreError:
    path = os.path.join(where.path, name)
    return StoreError(
        f"The archive {path} cannot be used: {why}.",
        untouched="everything; nothing was restored from it.",
        advice="Restore the store from a copy; without it this rollback point cannot be used.",
        file=path,
    )


def _suffix(where: PrivateDir, point: Point) -> str:
    name = str(point["archive"]["name"])
    for suffix in (compression.ZSTD, compression.GZIP):
        if name == point["point"] + suffix:
            return suffix
    raise _unusable(where, name.replace("/", "?"), "it is not the name of an archive of this rollback point")


def _open(where: PrivateDir, point: Point) -> int:
    """The checked archive, at its beginning."""
    record = point["archive"]
    _suffix(where, point)
    try:
        fd = where.open(record["name"], os.O_RDONLY)
    except FileNotFoundError as error:
        raise _unusable(where, record["name"], "it is gone") from error
    try:
        if os.fstat(fd).st_size != record["bytes"] or _digest(fd) != record["sha256"]:
            raise _unusable(where, record["name"], "it is not what the ledger recorded")
        os.lseek(fd, 0, os.SEEK_SET)
    except BaseException:
        os.close(fd)
        raise
    return fd


def _digest(fd: int) -> str:
    sha = hashlib.sha256()
    os.lseek(fd, 0, os.SEEK_SET)
    while True:
        data = os.read(fd, _CHUNK)
        if not data:
            return sha.hexdigest()
        sha.update(data)
