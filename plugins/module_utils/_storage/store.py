"""Writing to the repackage store: where captured content lies, apart per installation and rollback point.

What is in it, and where, is in M(_storage.contents).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import CaptureError, InputError
from ansible_collections.intellistream.sage.plugins.module_utils._content.manifest import Writer
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem import durable
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.ownership import storage_error
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.private import open_private, remove_private
from ansible_collections.intellistream.sage.plugins.module_utils._storage import contents

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.private import PrivateDir
    from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.tree import Tree

# Left free so that the state itself, logs and the change have room.
RESERVE = 16 << 20
# In a farm: room that only a way back takes.
_RESERVED, _FOR_A_WAY_BACK = "reserve", 4 << 20
# What a directory entry, an inode and a line in a manifest cost.
PER_FILE = 512
# From here on one sync of the file system is cheaper than one per file.
_MANY = 200


def file_system(state: PrivateDir) -> tuple[int, os.statvfs_result]:
    """(device, what is free there) of the file system that the store is on, or will be."""
    try:
        with contents.opened(state) as store:
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
    now = contents.path_of(state)
    if now == wanted:
        return
    try:
        with contents.opened(state) as store:
            used = bool(store.names())
    except FileNotFoundError:
        used = False
    if used:
        raise InputError(
            f"What was captured is in {now}, and not below {directory}.",
            untouched="everything.",
            advice=f"Leave sage_repackage_dir (the module's option `repackage_dir`) as it was. "
            f"Or move {now} to {wanted} and write that name to "
            f"{os.path.join(state.path, contents.PLACE)}, both as the owner of the state.",
        )
    open_private(wanted, create=True).close()
    state.write(contents.PLACE, os.fsencode(wanted) + b"\n")


def reserve(farm: PrivateDir) -> None:
    """Keep room for a way back: the change may fill the disk.

    :raises StorageError: there is not so much room.
    """
    fd = farm.open(_RESERVED, os.O_RDWR | os.O_CREAT)
    try:
        if os.fstat(fd).st_size < _FOR_A_WAY_BACK:
            os.posix_fallocate(fd, 0, _FOR_A_WAY_BACK)
    except OSError as error:
        farm.remove(_RESERVED)
        raise storage_error(os.path.join(farm.path, _RESERVED), error) from error
    finally:
        os.close(fd)


def release(state: PrivateDir) -> None:
    """Give a way back the room that was kept for it, where the disk is full."""
    try:
        with contents.farm_dir(state) as farm:
            info = os.fstatvfs(farm.fd)
            if info.f_bavail * info.f_frsize < _FOR_A_WAY_BACK:
                farm.remove(_RESERVED)
    except FileNotFoundError:
        return


def writer(point: PrivateDir, number: int) -> t.ContextManager[Writer]:
    """Where the list of the C(number)-th resource's content is written."""
    return contextlib.closing(Writer(point, f"{number}.items"))


def remove(state: PrivateDir) -> None:
    """Remove a store that is kept elsewhere; one below the state goes with it."""
    path = contents.elsewhere(state)
    if path:
        remove_private(path)


def discard(state: PrivateDir, install_id: str, point: str) -> None:
    """Remove what is there of a point that was never recorded."""
    try:
        with contents.opened(state) as store, store.child(install_id) as installation:
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
        with contents.opened(state) as store:
            names = [name for name in contents.install_ids(store) if name > newest and name != install_id]
            for name in names:
                shutil.rmtree(os.path.join(f"/proc/self/fd/{store.fd}", name))
            if names:
                store.sync()
    except FileNotFoundError:
        return


def encode(manifest: t.Mapping[str, t.Any]) -> bytes:
    """A manifest as canonical bytes."""
    return json.dumps({"format": contents.FORMAT, **manifest}, separators=(",", ":"), sort_keys=True).encode()


def check_space(state: PrivateDir, files: int, size: int) -> None:
    """Refuse a capture that would fill the disk.

    :raises CaptureError: with what is needed and what is there.
    """
    info = file_system(state)[1]
    available = info.f_bavail * info.f_frsize
    needed = size + files * PER_FILE + RESERVE
    if needed > available or (info.f_files and files > info.f_favail):
        raise CaptureError(
            f"The store {contents.path_of(state)} needs {needed} bytes and {files} files for this capture; "
            f"{available} bytes and {info.f_favail} files are available.",
            untouched="everything.",
            advice="Free space. Or keep the store elsewhere: sage_repackage_dir (the module's option "
            "`repackage_dir`). Then run again.",
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
