"""Captured files: how one gets into the store, is checked there, and gets back.

Linking costs nothing, but shares the inode with the live file until that is replaced. So a
linked file is trusted only after its hash was checked, and a file that people edit is copied.
"""

from __future__ import annotations

import errno
import os
import stat
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import StoreError
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.tree import Tree, digest_of

_CANNOT_LINK = (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EACCES, errno.EOPNOTSUPP, errno.ENOSYS)
_FICLONE = 0x40049409
_CHUNK = 1 << 20

FILE, LINK, DIRECTORY, ABSENT = "file", "link", "dir", "absent"
_KINDS = {stat.S_IFREG: FILE, stat.S_IFLNK: LINK, stat.S_IFDIR: DIRECTORY}


class Item(t.NamedTuple):
    """One captured path; stored in manifests as a list in this order.

    :ivar kind: V(file), V(link), V(dir) or V(absent).
    :ivar value: SHA-256 in hex of a file, target of a link, else empty.
    :ivar size: bytes of a file, else 0.
    :ivar mtime: nanoseconds; not compared for directories below the captured one.
    :ivar mode: permission bits.
    :ivar uid: owner.
    :ivar gid: group.
    :ivar shared: the captured file is a hard link to the one that was there.
    :ivar xattrs: name → value in hex.
    """

    kind: str
    value: str = ""
    size: int = 0
    mtime: int = 0
    mode: int = 0
    uid: int = 0
    gid: int = 0
    shared: bool = False
    xattrs: dict[str, str] = {}


def item_of(kind: str, info: os.stat_result, value: str, shared: bool = False) -> Item:
    """An item with what lstat says."""
    size = info.st_size if kind == FILE else 0
    return Item(kind, value, size, info.st_mtime_ns, stat.S_IMODE(info.st_mode), info.st_uid, info.st_gid, shared)


def kind_of(info: os.stat_result | None) -> str:
    """The kind of what lstat found; empty for devices, fifos and sockets."""
    if info is None:
        return ABSENT
    return _KINDS.get(stat.S_IFMT(info.st_mode), "")


def xattrs_of(fd: int) -> dict[str, str]:
    """Extended attributes of an open file or directory, POSIX ACLs among them, in hex."""
    try:
        return {name: os.getxattr(fd, name).hex() for name in os.listxattr(fd)}
    except OSError:
        return {}


def _xattrs_at(tree: Tree, relative: str) -> dict[str, str]:
    fd = tree.open_file(relative)
    try:
        return xattrs_of(fd)
    finally:
        os.close(fd)


def copy(source: Tree, relative: str, target: Tree, to: str) -> tuple[os.stat_result, str, dict[str, str]]:
    """Copy one regular file, by reflink where the file system can; not yet synced.

    :returns: lstat of the source, SHA-256 of what was copied, extended attributes.
    """
    import fcntl
    import hashlib

    reading = source.open_file(relative)
    try:
        fd, name = target.parent(to, make=True)
        writing = os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=fd)
        try:
            info = os.fstat(reading)
            sha = hashlib.sha256()
            try:
                fcntl.ioctl(writing, _FICLONE, reading)
                cloned = True
            except OSError:
                cloned = False
            while True:
                data = os.read(writing if cloned else reading, _CHUNK)
                if not data:
                    break
                sha.update(data)
                view = memoryview(b"" if cloned else data)
                while view:
                    view = view[os.write(writing, view) :]
            xattrs = xattrs_of(reading)
            apply_metadata(writing, item_of(FILE, info, "")._replace(xattrs=xattrs))
        finally:
            os.close(writing)
        return info, sha.hexdigest(), xattrs
    finally:
        os.close(reading)


def apply_metadata(fd: int, item: Item) -> None:
    """Give an open file or directory the owner, mode, attributes and time of an item."""
    info = os.fstat(fd)
    if (info.st_uid, info.st_gid) != (item.uid, item.gid):
        try:
            os.fchown(fd, item.uid, item.gid)
        except PermissionError:
            # Only root can give files away; verification names what stays different.
            pass
    if stat.S_IMODE(os.fstat(fd).st_mode) != item.mode:
        os.fchmod(fd, item.mode)
    if not item.shared:
        _attribute(fd, item.xattrs)
    if info.st_mtime_ns != item.mtime:
        os.utime(fd, ns=(item.mtime, item.mtime))


def _attribute(fd: int, wanted: t.Mapping[str, str]) -> None:
    """Give an open file or directory just these extended attributes, as far as this user may."""
    now = xattrs_of(fd)
    for name in {**now, **wanted}:
        if now.get(name) == wanted.get(name):
            continue
        try:
            if name in wanted:
                os.setxattr(fd, name, bytes.fromhex(wanted[name]))
            else:
                os.removexattr(fd, name)
        except OSError:
            # Verification names what stays different.
            continue


def link(source: Tree, relative: str, target: Tree, to: str) -> bool:
    """Hard-link one file; False when links are impossible here."""
    return link_at(*source.parent(relative), target, to)


def link_at(from_fd: int, name: str, target: Tree, to: str) -> bool:
    """Hard-link a file of an open directory; False when links are impossible here."""
    to_fd, to_name = target.parent(to, make=True)
    try:
        os.link(name, to_name, src_dir_fd=from_fd, dst_dir_fd=to_fd, follow_symlinks=False)
    except OSError as error:
        if error.errno in _CANNOT_LINK:
            return False
        raise
    return True


def verify(store: Tree, relative: str, item: Item) -> os.stat_result:
    """Check a captured file before it is used; returns what it is.

    :raises StoreError: it is missing, or not what was captured.
    """
    try:
        fd = store.open_file(relative)
    except OSError as error:
        raise damaged(store.name(relative), error.strerror or str(error)) from error
    except Exception as error:
        raise damaged(store.name(relative), str(error)) from error
    info = os.fstat(fd)
    why = ""
    if info.st_uid != item.uid and info.st_uid != os.geteuid():
        why = f"it belongs to user id {info.st_uid}, not {item.uid}"
    elif info.st_size != item.size:
        why = f"it has {info.st_size} bytes, not {item.size}"
    elif info.st_mode & ~item.mode & 0o7000:
        why = f"its mode is {stat.S_IMODE(info.st_mode):04o}, not {item.mode:04o}"
    if why:
        os.close(fd)
    elif digest_of(fd) != item.value:
        why = "its content has another hash"
    if why:
        raise damaged(store.name(relative), why)
    return info


def damaged(path: str, why: str) -> StoreError:
    """The error for captured content that cannot be trusted."""
    return StoreError(
        f"The captured file {path} is not what was captured: {why}.",
        untouched="everything; nothing was restored from it.",
        advice="Somebody changed it after the capture. Restore the store from a copy, or reinstall.",
        file=path,
    )


def difference(target: Tree, relative: str, item: Item, store: Tree | None = None, at: str = "") -> str:
    """How a live path differs from what was captured; empty when it does not.

    :param store: where the captured content is; a file that is the very inode checked there is
        not read again. Without it every file is hashed.
    """
    info = target.lstat(relative)
    kind = kind_of(info)
    if kind != item.kind:
        return f"is {kind or 'a special file'}, was {item.kind}"
    if info is None:
        return ""
    if kind == LINK:
        fd, name = target.parent(relative)
        found = os.readlink(name, dir_fd=fd)
        return f"points to {found}, pointed to {item.value}" if found != item.value else ""
    if (info.st_uid, info.st_gid) != (item.uid, item.gid):
        return f"belongs to {info.st_uid}:{info.st_gid}, belonged to {item.uid}:{item.gid}"
    if stat.S_IMODE(info.st_mode) != item.mode:
        return f"has mode {stat.S_IMODE(info.st_mode):04o}, had {item.mode:04o}"
    if kind == DIRECTORY:
        return "has other extended attributes" if xattrs_of(target.enter(relative)) != item.xattrs else ""
    if info.st_size != item.size:
        return f"has {info.st_size} bytes, had {item.size}"
    if info.st_mtime_ns != item.mtime:
        return "was modified at another time"
    kept = store.lstat(at) if store is not None else None
    if kept is not None and os.path.samestat(kept, info):
        return ""
    if not item.shared and _xattrs_at(target, relative) != item.xattrs:
        return "has other extended attributes"
    return "has other content" if target.digest(relative) != item.value else ""
