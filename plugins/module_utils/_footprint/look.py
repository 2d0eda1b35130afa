"""One look at a tree: a row for each path, by descriptors, without following a link and without reading a file."""

from __future__ import annotations

import errno
import os
import stat
import time
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import CaptureError
from ansible_collections.intellistream.sage.plugins.module_utils._footprint import table as footprint_table
from ansible_collections.intellistream.sage.plugins.module_utils._footprint.table import (
    DIRECTORY,
    FILE,
    LINK,
    Table,
    TableRow,
)

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_TYPES = {
    stat.S_IFREG: FILE,
    stat.S_IFDIR: DIRECTORY,
    stat.S_IFLNK: LINK,
    stat.S_IFIFO: footprint_table.FIFO,
    stat.S_IFSOCK: footprint_table.SOCKET,
    stat.S_IFBLK: footprint_table.BLOCK,
    stat.S_IFCHR: footprint_table.CHARACTER,
}
# Each level keeps a descriptor open; nothing that people install is a tenth as deep.
_DEEPEST = 400
# What has none, and where they cannot be had.
NO_ATTRIBUTES = (errno.ENOTSUP, errno.ENOSYS, errno.ENOENT, errno.EACCES, errno.EPERM)


def look(directory: int, name: str, earlier: Table | None = None) -> Table:
    """Look at a path and at all below it.

    What vanishes while somebody looks is absent; what may not be looked at is named in C(unseen).

    :param directory: descriptor of the directory that the path is in.
    :param name: of the path there.
    :param earlier: a look at the same tree. Where the ctime is the same, what takes a call more is not asked again.
    :raises CaptureError: directories are nested too deeply.
    """
    began = time.time_ns()
    try:
        info = os.lstat(name, dir_fd=directory)
    except (FileNotFoundError, NotADirectoryError):
        return Table({}, began, file_system(directory))
    looking = _Look(earlier)
    looking.take("", name, directory, info)
    return Table(
        looking.rows,
        began,
        file_system(directory),
        boundaries=tuple(sorted({*looking.boundaries, *_mounted(directory, name)})),
        unseen=looking.unseen,
    )


def row_at(directory: int, name: str) -> TableRow | None:
    """The row of one path, with extended attributes; None where nothing is."""
    try:
        info = os.lstat(name, dir_fd=directory)
        return row_of(info, _target(info, name, directory), attributes_of(directory, name))
    except (FileNotFoundError, NotADirectoryError):
        return None


def file_system(fd: int) -> str:
    """Tells the file system that is open from others: the kernel's identifier of it, in hex."""
    return f"{os.fstatvfs(fd).f_fsid or 0:x}"


def attributes_of(directory: int, name: str) -> str:
    """The extended attributes of a path in an open directory, as P(_footprint.table.encode_attributes) has them."""
    # No call takes a name and a directory. By /proc no link is followed either.
    return attributes_at(f"/proc/self/fd/{directory}/{name}", follow=False)


def attributes_at(path: str, follow: bool = True) -> str:
    """The extended attributes of a path, as P(_footprint.table.encode_attributes) has them."""
    try:
        names = os.listxattr(path, follow_symlinks=follow)
        if not names:
            return ""
        attributes = {each: os.getxattr(path, each, follow_symlinks=follow) for each in names}
    except OSError as error:
        if error.errno in NO_ATTRIBUTES or error.errno == errno.ENODATA:
            return ""
        raise
    return footprint_table.encode_attributes(attributes)


def _target(info: os.stat_result, name: str, directory: int) -> str:
    """What a row says beside numbers: where a link points, which device it is."""
    if stat.S_ISLNK(info.st_mode):
        return os.readlink(name, dir_fd=directory)
    if stat.S_ISBLK(info.st_mode) or stat.S_ISCHR(info.st_mode):
        return f"{os.major(info.st_rdev)}:{os.minor(info.st_rdev)}"
    return ""


def type_of(info: os.stat_result) -> str:
    """The letter of a row's type."""
    return _TYPES[stat.S_IFMT(info.st_mode)]


def row_of(info: os.stat_result, target: str, attributes: str) -> TableRow:
    mode = info.st_mode
    return TableRow(
        type_of(info),
        mode & 0o7777,
        info.st_uid,
        info.st_gid,
        info.st_size if stat.S_ISREG(mode) else 0,
        info.st_mtime_ns,
        info.st_ino,
        info.st_ctime_ns,
        info.st_nlink,
        target,
        attributes,
    )


def _is_unmoved(row: TableRow, info: os.stat_result) -> bool:
    """Whether a path has the inode that a row is of, and nothing of it was changed since: nobody can set a ctime."""
    return (
        row.ctime == info.st_ctime_ns
        and row.inode == info.st_ino
        and row.mtime == info.st_mtime_ns
        and row.links == info.st_nlink
        and row.mode == info.st_mode & 0o7777
        and row.type == _TYPES[stat.S_IFMT(info.st_mode)]
        and (row.type != FILE or row.size == info.st_size)
    )


class _Look:
    """A look that is going on."""

    def __init__(self, earlier: Table | None) -> None:
        self._earlier = earlier.rows if earlier is not None else {}
        # What was changed later may have been changed again in the same tick of the clock.
        self._told = earlier.began - footprint_table.GRANULE_NS if earlier is not None else 0
        self.rows: dict[str, TableRow] = {}
        self.boundaries: list[str] = []
        self.unseen: dict[str, str] = {}

    def take(self, path: str, name: str, directory: int, info: os.stat_result, depth: int = 0) -> None:
        """Note one path; where it is a directory, all below it as well."""
        self._note(path, name, directory, info)
        if stat.S_ISDIR(info.st_mode):
            self._below(path, name, directory, info.st_dev, depth)

    def _note(self, path: str, name: str, directory: int, info: os.stat_result) -> None:
        recorded = self._earlier.get(path)
        if recorded is not None and recorded.ctime < self._told and _is_unmoved(recorded, info):
            self.rows[path] = recorded._replace(hash="") if recorded.hash else recorded
            return
        target = "" if stat.S_ISREG(info.st_mode) or stat.S_ISDIR(info.st_mode) else _target(info, name, directory)
        self.rows[path] = row_of(info, target, attributes_of(directory, name))

    def _below(self, path: str, name: str, directory: int, device: int, depth: int) -> None:
        if depth > _DEEPEST:
            raise CaptureError(
                f"{path} lies below more than {_DEEPEST} directories, and cannot be looked at.",
                untouched="everything.",
                advice="Find out what made them; remove them, then run again.",
                path=path,
            )
        try:
            fd = os.open(name, _DIRECTORY, dir_fd=directory)
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM):
                raise
            if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
                self.unseen[path] = error.strerror or str(error)
                return
            # It went, and perhaps something else has its name.
            del self.rows[path]
            row = row_at(directory, name)
            if row is not None and row.type != DIRECTORY:
                self.rows[path] = row
            return
        try:
            opened = os.fstat(fd)
            if opened.st_ino != self.rows[path].inode:
                self._note(path, name, directory, opened)
            directories: list[tuple[str, str, os.stat_result]] = []
            prefix = f"{path}/" if path else ""
            with os.scandir(fd) as children:
                for child in children:
                    try:
                        info = child.stat(follow_symlinks=False)
                        self._note(f"{prefix}{child.name}", child.name, fd, info)
                    except (FileNotFoundError, NotADirectoryError):
                        continue
                    if info.st_dev != device:
                        self.boundaries.append(f"{prefix}{child.name}")
                    if stat.S_ISDIR(info.st_mode):
                        directories.append((f"{prefix}{child.name}", child.name, info))
            for below, child_name, info in directories:
                self._below(below, child_name, fd, info.st_dev, depth + 1)
        finally:
            os.close(fd)


def _mounted(directory: int, name: str) -> t.Iterator[str]:
    """Paths below one where something is mounted, files included, relative to it.

    A bind mount of the same file system has the device of what is around it: only the kernel's list tells of it.
    """
    inside = os.path.join(os.readlink(f"/proc/self/fd/{directory}"), name, "")
    try:
        with open("/proc/self/mountinfo", "rb") as stream:
            points = [os.fsdecode(_octal(line.split()[4])) for line in stream]
    except OSError:
        return
    for point in points:
        if point.startswith(inside):
            yield point[len(inside) :]


def _octal(word: bytes) -> bytes:
    """A path as /proc writes it: spaces, tabs, line ends and backslashes are in octal."""
    parts = word.split(b"\\")
    return parts[0] + b"".join(bytes([int(part[:3], 8)]) + part[3:] for part in parts[1:])
