"""The repackage store: where captured content lies, apart per installation and rollback point.

It is C(<checkpoints>/store), or where the file C(<checkpoints>/store.path) says.
C(<store>/<install_id>/<point>/<n>.json) is the manifest of the point's n-th resource,
C(<n>.items) the list of its content, C(<n>/) the content. The list's SHA-256 is in the manifest, the
manifest's in the ledger, whose chain protects it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import (
    CaptureError,
    InputError,
    StoreError,
    UnknownFormat,
)
from ansible_collections.intellistream.sage.plugins.module_utils._content.manifest import Items, Writer
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem import durable
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.private import open_private, remove_private

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.private import PrivateDir
    from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.tree import Tree

STORE = "store"
# Tells where the store is, when that is elsewhere.
PLACE = "store.path"
FORMAT = 2
# Left free so that the state itself, logs and the change have room.
RESERVE = 16 << 20
# What a directory entry, an inode and a line in a manifest cost.
PER_FILE = 512
# From here on one sync of the file system is cheaper than one per file.
_MANY = 200


def _elsewhere(state: PrivateDir) -> str:
    """Where the store is, when it is not below the state; else empty."""
    return os.fsdecode((state.read(PLACE) or b"").rstrip(b"\n"))


def path_of(state: PrivateDir) -> str:
    """Where the store is, or would be."""
    return _elsewhere(state) or os.path.join(state.path, STORE)


def opened(state: PrivateDir, create: bool = False) -> PrivateDir:
    """The store.

    :raises FileNotFoundError: there is none and C(create) is false.
    """
    path = _elsewhere(state)
    return open_private(path, create, state.readonly) if path else state.child(STORE, create)


def file_system(state: PrivateDir) -> tuple[int, os.statvfs_result]:
    """(device, what is free there) of the file system that the store is on, or will be."""
    try:
        with opened(state) as store:
            return os.fstat(store.fd).st_dev, os.fstatvfs(store.fd)
    except FileNotFoundError:
        return os.fstat(state.fd).st_dev, os.fstatvfs(state.fd)


def place(state: PrivateDir, directory: str) -> None:
    """Keep the store of this state below C(directory), which may serve many states.

    :raises InputError: there is a store already, elsewhere.
    """
    # To be recognized by people, and no other state's.
    name = state.path.replace("/", "-")[-40:].lstrip("-.")
    digest = hashlib.sha256(os.fsencode(state.path)).hexdigest()[:8]
    wanted = os.path.join(os.path.normpath(directory), f"{name}-{digest}")
    now = path_of(state)
    if now == wanted:
        return
    try:
        with opened(state) as store:
            used = bool(store.names())
    except FileNotFoundError:
        used = False
    if used:
        raise InputError(
            f"What was captured is in {now}, and not below {directory}.",
            untouched="everything.",
            advice=f"Leave repackage_dir as it was. Or move {now} to {wanted} and write that name to "
            f"{os.path.join(state.path, PLACE)}, both as the owner of the state.",
        )
    open_private(wanted, create=True).close()
    state.write(PLACE, os.fsencode(wanted) + b"\n")


def point_dir(state: PrivateDir, install_id: str, point: str, create: bool = False) -> PrivateDir:
    """The directory of one rollback point.

    :raises FileNotFoundError: there is none and C(create) is false.
    """
    with opened(state, create) as store, store.child(install_id, create) as installation:
        return installation.child(point, create)


def content_dir(point: PrivateDir, number: int, create: bool = False) -> PrivateDir:
    """The directory of the content of the point's C(number)-th resource."""
    return point.child(str(number), create)


def writer(point: PrivateDir, number: int) -> t.ContextManager[Writer]:
    """Where the list of the C(number)-th resource's content is written."""
    return contextlib.closing(Writer(point, f"{number}.items"))


def items(point: PrivateDir, number: int, manifest: t.Mapping[str, t.Any]) -> Items:
    """The list of the C(number)-th resource's content, checked against the hash in its manifest.

    :raises StoreError: it is missing or was changed.
    """
    return Items(point, f"{number}.items", manifest["items"])


def remove(state: PrivateDir) -> None:
    """Remove a store that is kept elsewhere; one below the state goes with it."""
    path = _elsewhere(state)
    if path:
        remove_private(path)


def discard(state: PrivateDir, install_id: str, point: str) -> None:
    """Remove what is there of a point that was never recorded."""
    try:
        with opened(state) as store, store.child(install_id) as installation:
            # Relative to the open directory, so that no link swapped in above is followed.
            if point in installation.names():
                shutil.rmtree(os.path.join(f"/proc/self/fd/{installation.fd}", point))
            installation.sync()
            if not installation.names():
                os.rmdir(install_id, dir_fd=store.fd)
    except FileNotFoundError:
        return


def discard_after(state: PrivateDir, newest: str, install_id: str) -> None:
    """Remove what killed runs left of changes that were never recorded: their ids are newer than the newest that is.

    :param newest: id of the newest change on record.
    :param install_id: of the one that is at work.
    """
    try:
        with opened(state) as store:
            names = [name for name in store.names() if name > newest and name != install_id]
            for name in names:
                shutil.rmtree(os.path.join(f"/proc/self/fd/{store.fd}", name))
            if names:
                store.sync()
    except FileNotFoundError:
        return


def encode(manifest: t.Mapping[str, t.Any]) -> bytes:
    """A manifest as canonical bytes."""
    return json.dumps({"format": FORMAT, **manifest}, separators=(",", ":"), sort_keys=True).encode()


def read_manifest(point: PrivateDir, resource: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """The manifest a C(captured) event names, checked against the hash in the ledger.

    :raises StoreError: it is missing or was changed.
    :raises UnknownFormat: it is of another format.
    """
    name = str(resource.get("manifest"))
    data = point.read(name) if name.endswith(".json") and "/" not in name else None
    path = os.path.join(point.path, name)
    if data is None:
        raise StoreError(
            f"The manifest {path} is missing.",
            untouched="everything.",
            advice="Restore the store from a copy; without it this rollback point cannot be used.",
            file=path,
        )
    if hashlib.sha256(data).hexdigest() != resource.get("sha256"):
        raise StoreError(
            f"The manifest {path} is not the one the ledger recorded.",
            untouched="everything.",
            advice="Somebody changed it. Restore the store from a copy.",
            file=path,
        )
    manifest: dict[str, t.Any] = json.loads(data)
    if manifest.get("format") != FORMAT:
        raise UnknownFormat(
            f"The manifest {path} has format {manifest.get('format')!r}, this version reads {FORMAT}",
            file=path,
            format=manifest.get("format"),
            known=FORMAT,
        )
    return manifest


def check_space(state: PrivateDir, files: int, size: int) -> None:
    """Refuse a capture that would fill the disk.

    :raises CaptureError: with what is needed and what is there.
    """
    info = file_system(state)[1]
    available = info.f_bavail * info.f_frsize
    needed = size + files * PER_FILE + RESERVE
    if needed > available or (info.f_files and files > info.f_favail):
        raise CaptureError(
            f"The store {path_of(state)} needs {needed} bytes and {files} files for this capture; "
            f"{available} bytes and {info.f_favail} files are available.",
            untouched="everything.",
            advice="Free space, or keep the store elsewhere (repackage_dir), then run again.",
            needed=needed,
            available=available,
        )


def flush(store: Tree, copied: t.Sequence[str]) -> None:
    """Make a store's content durable: the files that were copied, and all names."""
    if len(copied) < _MANY or not durable.syncfs(store.fd):
        for relative in copied:
            fd = store.open_file(relative)
            try:
                os.fsync(fd)
            finally:
                os.close(fd)
    store.flush()
