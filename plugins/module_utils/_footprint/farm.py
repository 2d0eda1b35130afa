"""Content of a tree's files, kept between points: links where the inode may be shared, copies elsewhere.

A link is named by what it holds, C(inode.size.mtime): as long as it lives, no other content can have that inode. A copy
is named by its hash, for its inode says nothing of the file that it was made of. Links lie in a directory per
generation: a farm that was copied elsewhere begins a new one, since inodes have other numbers there; tables say of
which they are.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import shutil
import stat
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import StoreError, UnsafePath
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.tree import Tree, digest_of
from ansible_collections.intellistream.sage.plugins.module_utils._footprint import look as footprint_look
from ansible_collections.intellistream.sage.plugins.module_utils._footprint.table import FILE

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._footprint.table import Table, TableRow

CANNOT_LINK = frozenset(
    (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EACCES, errno.EOPNOTSUPP, errno.ENOSYS, errno.ENOENT)
)
COPIES, LINKS = "copies", "links-"
# How many links were needed when somebody looked; and that there are many more.
_COLLECTED, _CROWDED = "collected", "crowded"
_SLACK = 1000
_STAGED = ".copy"
_FICLONE = 0x40049409
_CHUNK = 1 << 20
# From here on a file is linked although others have a name of its inode: nothing edits such files in place, and the
# hash tells if somebody did.
_LARGE = 8 << 20
_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


class Copied(t.NamedTuple):
    """A copy that was made.

    :ivar info: the inode that was read, before it was.
    :ivar size: bytes that were read: others if it was being written.
    :ivar digest: SHA-256 of these, in hex.
    """

    info: os.stat_result
    size: int
    digest: str


class Farm:
    """What is held of a tree's content.

    :ivar tree: the directory that it lies in.
    :ivar generation: of links made now.
    """

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self.generation = f"{LINKS}{footprint_look.file_system(tree.fd)}-{os.fstat(tree.fd).st_ino:x}"
        self._count: int | None = None

    def adopt(self, other: Farm, row: TableRow, generation: str) -> None:
        """Hold by its hash what another farm holds of a row: by a link where nobody else has a name of the inode.

        :raises OSError: there is no room.
        :raises StoreError: the other does not hold it.
        """
        final = _of_copy(row.hash)
        held = self.tree.lstat(final)
        if held is not None and held.st_size == row.size:
            return
        path = other.path(row, generation)
        if path is None:
            other.digest(row, generation)
            return
        fd, name = other.tree.parent(path)
        info = os.lstat(name, dir_fd=fd)
        if info.st_nlink == 1 or info.st_size >= _LARGE:
            to, to_name = self.tree.parent(final, make=True)
            try:
                os.link(name, to_name, src_dir_fd=fd, dst_dir_fd=to, follow_symlinks=False)
                return
            except OSError as error:
                if error.errno not in CANNOT_LINK:
                    raise
        reading = os.open(name, _READ, dir_fd=fd)
        try:
            self.copy_open(reading)
        finally:
            os.close(reading)

    def names(self) -> set[str]:
        """The names of all links of this generation that hold the inode that they are named for."""
        names: set[str] = set()
        for directory, is_directory in self.tree.listing(self.generation):
            if is_directory:
                with os.scandir(self.tree.enter(f"{self.generation}/{directory}")) as links:
                    names.update(link.name for link in links if link.name.startswith(f"{link.inode():x}."))
        self._count = len(names)
        return names

    def collect(self, tables: t.Iterable[Table], digests: t.Iterable[str] | None) -> int:
        """Remove links and copies that none of some tables names, and generations without any.

        :param digests: of copies that are needed besides; None where all are.
        :returns: how many names went.
        """
        links: dict[str, set[str]] = {}
        copies = set(digests or ())
        for table in tables:
            rows = [row for row in table.rows.values() if row.type == FILE]
            # Size and time of what somebody goes on writing to are others by now.
            links.setdefault(table.generation, set()).update(f"{row.inode:x}" for row in rows)
            copies.update(row.hash for row in rows)
        removed = 0
        for top, dummy in self.tree.listing(""):
            if top == COPIES and digests is not None:
                removed += self._remove_others(top, copies)
            elif top.startswith(LINKS):
                removed += self._remove_others(top, links.get(top, ()))
        self.tree.unlink(_STAGED)
        return removed

    def _remove_others(self, top: str, needed: t.Container[str]) -> int:
        removed = 0
        for directory, dummy in self.tree.listing(top):
            fd = self.tree.enter(f"{top}/{directory}")
            with os.scandir(fd) as children:
                others = [child.name for child in children if child.name.partition(".")[0] not in needed]
            for name in others:
                os.unlink(name, dir_fd=fd)
            removed += len(others)
            self.tree.rmdir(f"{top}/{directory}")
        self.tree.rmdir(top)
        return removed

    def is_crowded(self) -> bool:
        """Whether there is much in it that came since M(collect), so that it is worthwhile to look for what may go."""
        try:
            return self.tree.lstat(_CROWDED) is not None
        except FileNotFoundError:
            return False

    def note_collected(self) -> None:
        """Remember how much is needed, for M(is_crowded)."""
        needed = len(self.names())
        if needed != self._needed():
            self._write(_COLLECTED, b"%d\n" % needed)
        self.tree.unlink(_CROWDED)

    def note_size(self) -> None:
        """Remember for M(is_crowded) how much there is; only whoever has asked for M(names) knows."""
        if self._count is not None and self._count > _SLACK + self._needed() * 5 // 4:
            self._write(_CROWDED, b"")

    def _needed(self) -> int:
        try:
            return int(self.tree.read(_COLLECTED))
        except (FileNotFoundError, ValueError):
            return 0

    def _write(self, name: str, content: bytes) -> None:
        """Write what only spares work: it is not synced."""
        fd = os.open(
            name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=self.tree.fd
        )
        try:
            os.write(fd, content)
        finally:
            os.close(fd)

    def holds_inode(self, row: TableRow) -> bool:
        """Whether a link of this generation holds the very inode of a row, and it was not written to since."""
        info = self.tree.lstat(_of_link(self.generation, row))
        return info is not None and (info.st_ino, info.st_size, info.st_mtime_ns) == (row.inode, row.size, row.mtime)

    def newest(self, row: TableRow) -> TableRow | None:
        """A row with the size and times that its inode has now; None where no link holds that inode.

        Who has a file open goes on writing to it, also when it has only the farm's name any more.
        """
        try:
            fd, name = self.tree.parent(_of_link(self.generation, row))
            if _lstat(fd, name) is None:
                # Who was killed after this renaming looks for the older name again.
                name = next((other for other in os.listdir(fd) if other.startswith(f"{row.inode:x}.")), name)
            info = _lstat(fd, name)
        except FileNotFoundError:
            return None
        if info is None or info.st_ino != row.inode:
            return None
        renewed = row._replace(size=info.st_size, mtime=info.st_mtime_ns)
        if link_name(renewed) != name:
            os.rename(name, link_name(renewed), src_dir_fd=fd, dst_dir_fd=fd)
        return renewed

    def path(self, row: TableRow, generation: str) -> str | None:
        """Where the content of a file's row is; None where it is not held.

        :param generation: of the table that the row is from.
        """
        if row.hash:
            copy = _of_copy(row.hash)
            info = self.tree.lstat(copy)
            if info is not None and info.st_size == row.size:
                return copy
        return self.link_of(row, generation)

    def link_of(self, row: TableRow, generation: str) -> str | None:
        """Where a link holds the content of a row; None where none does."""
        link = _of_link(generation, row)
        info = self.tree.lstat(link)
        if info is None or (info.st_size, info.st_mtime_ns) != (row.size, row.mtime):
            return None
        # Of another generation only the name tells: the inode is another.
        return link if generation != self.generation or info.st_ino == row.inode else None

    def digest(self, row: TableRow, generation: str) -> str:
        """The SHA-256 of what is held of a row, in hex.

        :raises StoreError: it is not held, or not what the row's hash says.
        """
        path = self.path(row, generation)
        if path is None:
            raise self._damaged(_of_link(generation, row), "gone")
        digest = digest_of(self.tree.open_file(path))
        if row.hash and digest != row.hash:
            raise self._damaged(path, "not what was captured")
        return digest

    def link(self, directory: int, name: str, row: TableRow) -> os.stat_result | None:
        """Hold a file by a link.

        :returns: the inode, with its new ctime; None when a link is impossible, or the file is not the row's any more.
        """
        path = _of_link(self.generation, row)
        try:
            fd, link = self.tree.parent(path, make=True)
            os.link(name, link, src_dir_fd=directory, dst_dir_fd=fd, follow_symlinks=False)
        except FileExistsError:
            pass
        except OSError as error:
            if error.errno in CANNOT_LINK:
                return None
            raise
        info = os.lstat(link, dir_fd=fd)
        if stat.S_ISREG(info.st_mode) and (info.st_ino, info.st_size, info.st_mtime_ns) == (
            row.inode,
            row.size,
            row.mtime,
        ):
            return info
        # Something else took the file's name since the look, or what has this name here was damaged.
        os.unlink(link, dir_fd=fd)
        return None

    def copy(self, directory: int, name: str) -> Copied:
        """Hold a file by a copy, sharing its blocks where the file system can; not synced yet.

        :raises OSError: it cannot be read, or there is no room.
        """
        reading = os.open(name, _READ, dir_fd=directory)
        try:
            return self.copy_open(reading)
        finally:
            os.close(reading)

    def copy_open(self, reading: int, staged: str = _STAGED) -> Copied:
        """Hold a file that is open at its beginning, see P(copy).

        :param staged: temporary name in the farm, one for each process that copies.
        """
        info = os.fstat(reading)
        if not stat.S_ISREG(info.st_mode):
            raise OSError(errno.EINVAL, "no regular file")
        fd = self.tree.fd
        self.tree.unlink(staged)
        writing = os.open(staged, _NEW, 0o600, dir_fd=fd)
        try:
            digest, size = _fill(reading, writing)
            # A shell without coreutils can take a time over, and set none but of whole seconds.
            os.utime(writing, ns=(info.st_mtime_ns, info.st_mtime_ns))
        finally:
            os.close(writing)
        to, final = self.tree.parent(_of_copy(digest), make=True)
        os.rename(staged, final, src_dir_fd=fd, dst_dir_fd=to)
        return Copied(info, size, digest)

    def flush(self, digests: t.Iterable[str]) -> None:
        """Make copies durable, and all names in the farm.

        :param digests: of these copies.
        """
        for digest in digests:
            fd = self.tree.open_file(_of_copy(digest))
            try:
                os.fsync(fd)
            finally:
                os.close(fd)
        self.tree.flush()

    def copy_out(self, row: TableRow, generation: str, directory: int, name: str) -> int:
        """Write what is held of a row to a new file, 0600.

        :returns: its inode.
        :raises StoreError: it is not held, or not what was captured; the file is not there then.
        """
        path = self.path(row, generation)
        if path is None:
            raise self._damaged(_of_link(generation, row), "gone")
        reading = self.tree.open_file(path)
        try:
            writing = os.open(name, _NEW, 0o600, dir_fd=directory)
            try:
                digest = _fill(reading, writing)[0]
                inode = os.fstat(writing).st_ino
            finally:
                os.close(writing)
        finally:
            os.close(reading)
        if row.hash and digest != row.hash:
            os.unlink(name, dir_fd=directory)
            raise self._damaged(path, "not what was captured")
        return inode

    def open_copy(self, digest: str) -> int | None:
        """A descriptor of the copy that is named for a hash; None where there is no file of that name."""
        try:
            return self.tree.open_file(_of_copy(digest))
        except (FileNotFoundError, UnsafePath):
            return None

    def remove_copy(self, digest: str) -> None:
        """Remove whatever is named for a hash."""
        try:
            fd, name = self.tree.parent(_of_copy(digest))
            if stat.S_ISDIR(os.lstat(name, dir_fd=fd).st_mode):
                # Through the open directory; rmtree itself follows no link.
                shutil.rmtree(f"/proc/self/fd/{fd}/{name}")
            else:
                os.unlink(name, dir_fd=fd)
        except FileNotFoundError:
            return

    def _damaged(self, path: str, manner: str) -> StoreError:
        return StoreError(
            f"Captured content in {self.tree.path} is {manner}.",
            untouched="everything; nothing was restored from it.",
            advice="Restore the store from a copy, or roll back to another point.",
            file=self.tree.name(path),
        )


class Farms:
    """Several farms as one, for going back through changes whose content lies apart.

    :param farms: asked in this order.
    """

    def __init__(self, farms: t.Iterable[Farm]) -> None:
        self._farms = list(farms)

    def first(self) -> Farms:
        """The first of them alone."""
        return Farms(self._farms[:1])

    def holds_inode(self, row: TableRow) -> bool:
        """Whether one of them holds the very inode of a row, see M(Farm.holds_inode)."""
        return any(farm.holds_inode(row) for farm in self._farms)

    def holds(self, row: TableRow, generation: str) -> bool:
        """Whether one of them has the content of a file's row."""
        return self._of(row, generation) is not None

    def digest(self, row: TableRow, generation: str) -> str:
        """The SHA-256 of what is held of a row, see M(Farm.digest)."""
        return (self._of(row, generation) or self._farms[-1]).digest(row, generation)

    def copy_out(self, row: TableRow, generation: str, directory: int, name: str) -> int:
        """Write what is held of a row to a new file, see M(Farm.copy_out)."""
        return (self._of(row, generation) or self._farms[-1]).copy_out(row, generation, directory, name)

    def read(self, row: TableRow, generation: str) -> bytes | None:
        """What is held of a small file; None where it is not held."""
        farm = self._of(row, generation)
        path = farm.path(row, generation) if farm is not None else None
        return farm.tree.read(path) if farm is not None and path is not None else None

    def link_at(self, row: TableRow, generation: str) -> tuple[int, str] | None:
        """A name of a row's inode, to be linked at once: an open directory and the name there; None without one."""
        farm = self._of(row, generation)
        # In another generation the inode is another one: a copy of it is as good, and leaves the farm its own.
        if farm is None or generation != farm.generation:
            return None
        link = farm.link_of(row, generation)
        # Of what was written in place the copy has the content, whatever times the inode got.
        return farm.tree.parent(link) if link is not None and link == farm.path(row, generation) else None

    def _of(self, row: TableRow, generation: str) -> Farm | None:
        return next((farm for farm in self._farms if farm.path(row, generation) is not None), None)


def _fill(reading: int, writing: int) -> tuple[str, int]:
    """Copy one open file to another; the SHA-256 and size of what was copied. Holes stay holes."""
    try:
        fcntl.ioctl(writing, _FICLONE, reading)
        reading, cloned = writing, True
    except OSError:
        cloned = False
    sha, size = hashlib.sha256(), 0
    while True:
        data = os.read(reading, _CHUNK)
        if not data:
            break
        sha.update(data)
        size += len(data)
        if cloned:
            continue
        if data.count(0) == len(data):
            os.lseek(writing, len(data), os.SEEK_CUR)
            continue
        view = memoryview(data)
        while view:
            view = view[os.write(writing, view) :]
    if not cloned:
        os.ftruncate(writing, size)
    return sha.hexdigest(), size


def _lstat(fd: int, name: str) -> os.stat_result | None:
    try:
        return os.lstat(name, dir_fd=fd)
    except FileNotFoundError:
        return None


def _of_link(generation: str, row: TableRow) -> str:
    # Neighbours are made together, and are linked, looked at and removed together.
    return f"{generation}/{row.inode >> 8 & 0xFF:02x}/{row.inode:x}.{row.size:x}.{row.mtime:x}"


def link_name(row: TableRow) -> str:
    """The name of the link that holds a row's inode, as M(Farm.names) has it."""
    return f"{row.inode:x}.{row.size:x}.{row.mtime:x}"


def _of_copy(digest: str) -> str:
    return f"{COPIES}/{digest[:2]}/{digest}"


def name_for(prefix: str, path: str) -> str:
    """The name of a file of the farm that is about one of the trees that it has content of.

    :param prefix: the beginning of the name.
    :param path: of the tree, absolute.
    """
    return f"{prefix}{hashlib.sha256(os.fsencode(path)).hexdigest()[:16]}"
