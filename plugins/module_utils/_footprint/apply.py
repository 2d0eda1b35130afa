"""The way back, carried out: each path is staged, and put in place by one rename or exchange.

It can be killed anywhere and run again: who decides anew finds what was put back as it was before the change, the rest
as it was left, and what is half done among the paths that P(begun) tells. Each step looks at what it takes away: what
somebody wrote since the decision is put back and named.

Order: what is below a directory that becomes something else goes first; then directories from the top, then files, then
what is to go, then directories from the bottom. No step leads through a link.
"""

from __future__ import annotations

import collections
import ctypes
import errno
import os
import shutil
import stat
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import UnsafePath
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.tree import Tree, unsafe
from ansible_collections.intellistream.sage.plugins.module_utils._footprint import closed, metadata
from ansible_collections.intellistream.sage.plugins.module_utils._footprint import look as footprint_look
from ansible_collections.intellistream.sage.plugins.module_utils._footprint import table as footprint_table
from ansible_collections.intellistream.sage.plugins.module_utils._footprint.anchor import Anchor
from ansible_collections.intellistream.sage.plugins.module_utils._footprint.decide import COPYING, RESTORE, STAGED
from ansible_collections.intellistream.sage.plugins.module_utils._footprint.table import (
    BLOCK,
    CHARACTER,
    DIRECTORY,
    FIFO,
    FILE,
    LINK,
    Table,
    TableRow,
    same_metadata,
)

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._footprint.decide import PathStep
    from ansible_collections.intellistream.sage.plugins.module_utils._footprint.farm import Farms

# A table of what was at the paths of a way back that began and did not end.
_BEGUN = "begun"
# Instead of numbers of inodes: of a file that is made here, and of one that is somebody's.
_MADE, _DISPUTED = 0, -1
_RENAME_EXCHANGE = 2


def begun(stage: Tree) -> dict[str, TableRow]:
    """What was at the paths at which a way back was at work that did not come to its end; empty if there is none.

    :param stage: that of the way back.
    :raises StoreError: what it wrote down is damaged.
    """
    try:
        stream = os.fdopen(stage.open_file(_BEGUN), "rb")
    except FileNotFoundError:
        return {}
    with stream:
        return footprint_table.read(stream, stage.name(_BEGUN)).rows


class Application:
    """A way back that is carried out, as a context manager.

    :param before: all that was there before the first change.
    :param now: the look by which the steps were decided.
    :param stage: a private directory in which files are made ready, if possible on the tree's file system.
    :param aside: where what others changed is moved to, when a step takes it away all the same.
    :ivar late: paths that somebody changed after the decision; they were left as they are.
    :ivar kept: directories that came with the changes, and stay since something is in them.
    :ivar impossible: path → why it cannot be made again.
    """

    def __init__(self, anchor: Anchor, farms: Farms, before: Table, current: Table, stage: Tree, aside: Tree) -> None:
        self._anchor = anchor
        # Descriptors of its own: those of a tree last until it leads to another directory.
        self._twins = Anchor(Tree(anchor.parent.path, os.dup(anchor.parent.fd)), anchor.name)
        self._farms = farms
        self._now = current
        self._stage = stage
        self._aside = aside
        # How many names of an inode are known to be the tree's.
        self._names = collections.Counter(row.inode for row in current.rows.values() if row.type == FILE)
        # The names that an inode had before the changes, where there were several.
        self._names_before: dict[int, list[str]] = {}
        for path, row in before.rows.items():
            if row.type != DIRECTORY and row.links > 1:
                self._names_before.setdefault(row.inode, []).append(path)
        # Paths that are not as before yet.
        self._pending: set[str] = set()
        # Directories that get their metadata back, and their inodes.
        self._directories: dict[str, int] = {}
        # Inodes that got other metadata here; other names of theirs show these as well.
        self._mended: set[int] = set()
        self.late: list[str] = []
        self.kept: list[str] = []
        self.impossible: dict[str, str] = {}

    def __enter__(self) -> Application:
        return self

    def __exit__(self, *exc: object) -> None:
        self._twins.parent.close()

    def run(self, steps: t.Sequence[PathStep], disputed: t.Container[str] = ()) -> None:
        """Carry out steps; nothing is synced.

        :param steps: sorted by path.
        :param disputed: paths where what is there now is somebody's, and is moved aside.
        :raises OSError: a step failed. What was done stays, and a rerun goes on.
        """
        self._begin(steps, disputed)
        closed.open_own(self._anchor, steps, self._now, self._stage)
        self._pending = {step.path for step in steps}
        directories = [step for step in steps if _goal(step) == DIRECTORY]
        for step in reversed(steps):
            # From the bottom: what is in a directory goes before it does.
            if step.now is not None and _goal(step) != step.now.type and DIRECTORY in (_goal(step), step.now.type):
                self._clear(step, steps, disputed)
        for step in directories:
            self._make_directory(step)
        restored = [step for step in steps if step.action == RESTORE and _goal(step) != DIRECTORY]
        # First those that need nothing new: others may become further names of their inodes.
        missing = [step for step in restored if not self._mend(step)]
        for step in missing:
            try:
                self._put(step, step.path in disputed)
            except OSError as error:
                if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                    raise
                # What is to go has the room.
                self._remove_files(steps, disputed)
                self._put(step, step.path in disputed)
        self._remove_files(steps, disputed)
        for step in reversed(steps):
            if step.action != RESTORE and step.now is not None and step.now.type == DIRECTORY:
                self._remove_directory(step.path)
        for step in reversed(directories):
            before, inode = step.touched.before, self._directories.get(step.path)
            if before is None or inode is None or not metadata.apply_to(*self._anchor.at(step.path), before, inode):
                self.late.append(step.path)
        closed.close_again(self._anchor, self._stage, {step.path for step in steps})
        self._stage.unlink(_BEGUN)

    def _remove_files(self, steps: t.Iterable[PathStep], disputed: t.Container[str]) -> None:
        for step in steps:
            if step.action != RESTORE and step.now is not None and step.now.type != DIRECTORY:
                self._take_away(step.path, step.now, step.path in disputed)

    def _begin(self, steps: t.Sequence[PathStep], disputed: t.Container[str]) -> None:
        """Clear away what a killed run left, and write down where this one will be at work."""
        rows = begun(self._stage)
        recorded = {_identity(row) for row in rows.values()}
        for step in steps:
            row = step.now if step.now is not None else step.touched.before
            if step.touched.before is not None:
                recorded.add(_identity(step.touched.before._replace(inode=_MADE)))
            if row is not None:
                # What is disputed is not known from here on, and is kept.
                rows[step.path] = row._replace(inode=_DISPUTED) if step.path in disputed else row
        self._discard(self._stage.fd, rows, recorded)
        for directory in {path.rpartition("/")[0] for path in rows if path}:
            try:
                self._discard(self._anchor.at(f"{directory}/{STAGED}" if directory else STAGED)[0], rows, recorded)
            except (FileNotFoundError, NotADirectoryError, UnsafePath):
                # The changes, or somebody, put something else there.
                continue
        if "" in rows:
            self._discard(self._anchor.parent.fd, rows, recorded)
        fd = os.open(COPYING, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=self._stage.fd)
        with os.fdopen(fd, "wb") as stream:
            stream.writelines(footprint_table.write(Table(rows)))
            stream.flush()
            os.fsync(fd)
        os.rename(COPYING, _BEGUN, src_dir_fd=self._stage.fd, dst_dir_fd=self._stage.fd)

    def _discard(self, fd: int, rows: t.Mapping[str, TableRow], recorded: set[tuple[object, ...]]) -> None:
        """Remove what is under a name of an undo's own; what it took out and did not look at any more is kept aside."""
        _unlink(fd, COPYING)
        row = footprint_look.row_at(fd, STAGED)
        if row is None:
            return
        if {_identity(row), _identity(row._replace(inode=_MADE))} & recorded or (row.type == FILE and row.links > 1):
            os.unlink(STAGED, dir_fd=fd)
            return
        kin = (path for path, other in rows.items() if (other.size, other.mtime) == (row.size, row.mtime))
        self._keep(fd, STAGED, next(kin, STAGED))

    def _clear(self, step: PathStep, steps: t.Sequence[PathStep], disputed: t.Container[str]) -> None:
        """Make way where a directory becomes something else, or something else a directory."""
        if step.now is None:
            return
        if step.now.type != DIRECTORY:
            self._take_away(step.path, step.now, step.path in disputed)
            return
        if step.action != RESTORE:
            return
        below = f"{step.path}/" if step.path else ""
        for inner in reversed([each for each in steps if each.path.startswith(below) and each.path != step.path]):
            if inner.now is not None and inner.now.type != DIRECTORY:
                self._take_away(inner.path, inner.now, inner.path in disputed)
            elif inner.now is not None:
                self._remove_directory(inner.path)
        if step.path in disputed:
            self._move_aside(step.path)
        else:
            self._remove_directory(step.path)

    def _make_directory(self, step: PathStep) -> None:
        directory, name = self._anchor.at(step.path, make=True)
        expected = step.now.inode if step.now is not None and step.now.type == DIRECTORY else None
        try:
            os.mkdir(name, 0o700, dir_fd=directory)
        except FileExistsError:
            if expected is None:
                # Somebody made it a moment ago; it is not ours to give away.
                return
        else:
            expected = os.lstat(name, dir_fd=directory).st_ino
        self._directories[step.path] = expected

    def _mend(self, step: PathStep) -> bool:
        """Put metadata back where the content is there, and all names of the inode are ours; False where not."""
        before, current = step.touched.before, self._anchor.row(step.path)
        if before is None or current is None or not self._is_content_there(before, current, step):
            return False
        if current.type == FILE:
            is_held = self._farms.holds_inode(current)
            if current.links > self._names[current.inode] + is_held or (is_held and current.mtime != before.mtime):
                # To change somebody else's mode or time is not ours to do; the time of what is held names its content.
                return False
            twins = (self._anchor.row(name) for name in self._twins_of(step.path, before))
            if any(twin is not None and twin.inode != current.inode for twin in twins):
                return False
        if not metadata.apply_to(*self._anchor.at(step.path), before, current.inode):
            self.late.append(step.path)
            return True
        self._mended.add(current.inode)
        self._pending.discard(step.path)
        return True

    def _put(self, step: PathStep, disputed: bool) -> None:
        """Put one path back that was no directory."""
        before = step.touched.before
        if before is None or step.path in self.late:
            return
        directory, name = self._anchor.at(step.path, make=True)
        current = footprint_look.row_at(directory, name)
        staged_in = self._make(step.path, before, step.touched.generation, directory)
        if staged_in is None:
            return
        if current is None:
            self._move_in(staged_in, directory, name)
        elif current.type == DIRECTORY:
            # Others have something in it.
            os.unlink(STAGED, dir_fd=staged_in)
            self.late.append(step.path)
            return
        elif not self._exchange(staged_in, directory, name, step, disputed):
            return
        self._pending.discard(step.path)

    def _is_content_there(self, before: TableRow, current: TableRow, step: PathStep) -> bool:
        """Whether only metadata differ."""
        if before.type != current.type or before.target != current.target:
            return False
        if before.type != FILE:
            return True
        if current.size != before.size:
            return False
        # Of what the farm holds the hash was checked before.
        is_held = current.inode == before.inode and self._farms.link_at(before, step.touched.generation) is not None
        return is_held or self._anchor.digest(step.path, current.inode) == before.hash

    def _make(self, path: str, before: TableRow, generation: str, directory: int) -> int | None:
        """Make what is to be put back, under the name C(STAGED).

        :returns: the directory that it is in: the stage, or the target's where that is on another file system.
        """
        for fd in (self._stage.fd, directory):
            try:
                self._make_in(fd, path, before, generation)
            except FileExistsError:
                os.unlink(STAGED, dir_fd=fd)
                self._make_in(fd, path, before, generation)
            except NotImplementedError as error:
                self.impossible[path] = str(error)
                return None
            if os.fstat(fd).st_dev == os.fstat(directory).st_dev:
                return fd
            os.unlink(STAGED, dir_fd=fd)
        return directory

    def _make_in(self, fd: int, path: str, before: TableRow, generation: str) -> None:
        if before.type != FILE and self._link_to_twin(fd, path, before):
            return
        if before.type == LINK:
            os.symlink(before.target, STAGED, dir_fd=fd)
        elif before.type == FIFO:
            os.mkfifo(STAGED, 0o600, dir_fd=fd)
        elif before.type in (BLOCK, CHARACTER):
            kind = stat.S_IFBLK if before.type == BLOCK else stat.S_IFCHR
            os.mknod(STAGED, kind | 0o600, os.makedev(*map(int, before.target.split(":"))), dir_fd=fd)
        elif before.type == FILE:
            self._make_file(fd, path, before, generation)
            return
        else:
            raise NotImplementedError("only the program that had made this socket can make it")
        metadata.apply_to(fd, STAGED, before)

    def _link_to_twin(self, fd: int, path: str, before: TableRow) -> bool:
        """Stage another name of what is no file, and had several; False where none of them is as before."""
        for name in self._twins_of(path, before):
            row = self._twins.row(name)
            if row is None or (row.type, row.target) != (before.type, before.target) or metadata.differ(row, before):
                continue
            directory, own_name = self._twins.at(name)
            os.link(own_name, STAGED, src_dir_fd=directory, dst_dir_fd=fd, follow_symlinks=False)
            return True
        return False

    def _make_file(self, fd: int, path: str, before: TableRow, generation: str) -> None:
        """A file: another name of one that was put back already, of what the farm holds, or a copy of that."""
        twin = next((name for name in self._twins_of(path, before) if self._twins.digest(name) == before.hash), None)
        source = self._twins.at(twin) if twin is not None else self._farms.link_at(before, generation)
        if source is not None and self._link_in(source, fd, path, before, twin is not None):
            return
        _unlink(fd, COPYING)
        inode = self._farms.copy_out(before, generation, fd, COPYING)
        if not metadata.apply_to(fd, COPYING, before, inode):
            raise unsafe(self._anchor.full(path), "somebody swaps files beside it")
        os.rename(COPYING, STAGED, src_dir_fd=fd, dst_dir_fd=fd)

    def _twins_of(self, path: str, before: TableRow) -> t.Iterator[str]:
        """Other names that an inode had, and that are as before."""
        names = self._names_before.get(before.inode, ())
        # An inode's number may be another file's in the table of a later change.
        return (name for name in names if path in names and name != path and name not in self._pending)

    def _link_in(self, source: tuple[int, str], fd: int, path: str, before: TableRow, is_twin: bool) -> bool:
        """Stage another name of an inode; False where it must not or cannot be."""
        try:
            os.link(source[1], STAGED, src_dir_fd=source[0], dst_dir_fd=fd, follow_symlinks=False)
        except FileExistsError:
            raise
        except OSError:
            return False
        row = footprint_look.row_at(fd, STAGED)
        if row is None or row.size != before.size:
            os.unlink(STAGED, dir_fd=fd)
            return False
        if metadata.differ(row, before):
            if is_twin or row.links > 2 + self._names[row.inode]:
                # Somebody swapped it, or has a name of it: to change its mode or time would change theirs.
                os.unlink(STAGED, dir_fd=fd)
                return False
            if not metadata.apply_to(fd, STAGED, before, row.inode):
                raise unsafe(self._anchor.full(path), "somebody swaps files beside it")
            self._mended.add(row.inode)
        return True

    def _move_in(self, staged_in: int, directory: int, name: str) -> None:
        os.rename(STAGED, name, src_dir_fd=staged_in, dst_dir_fd=directory)
        # Of two names of one inode a rename leaves both.
        _unlink(staged_in, STAGED)

    def _exchange(self, staged_in: int, directory: int, name: str, step: PathStep, disputed: bool) -> bool:
        """Swap what is staged with what is there, and look at what came out; False when that was somebody's."""
        if not _swap(staged_in, STAGED, directory, name):
            if disputed:
                self._move_aside(step.path)
            self._move_in(staged_in, directory, name)
            return True
        came = footprint_look.row_at(staged_in, STAGED)
        if came is not None and not self._is_same(came, step.now):
            _swap(staged_in, STAGED, directory, name)
            _unlink(staged_in, STAGED)
            self.late.append(step.path)
            return False
        self._drop(staged_in, step.path, came, disputed)
        return True

    def _take_away(self, path: str, expected: TableRow, disputed: bool) -> None:
        """Remove what is no directory: by a rename out of sight, then looked at."""
        try:
            directory, name = self._anchor.at(path)
            staged_in = self._stage.fd if self._is_near(directory) else directory
            _unlink(staged_in, STAGED)
            os.rename(name, STAGED, src_dir_fd=directory, dst_dir_fd=staged_in)
        except (FileNotFoundError, NotADirectoryError, UnsafePath):
            return
        came = footprint_look.row_at(staged_in, STAGED)
        if came is not None and not self._is_same(came, expected):
            os.rename(STAGED, name, src_dir_fd=staged_in, dst_dir_fd=directory)
            self.late.append(path)
        else:
            self._drop(staged_in, path, came, disputed)

    def _drop(self, staged_in: int, path: str, row: TableRow | None, disputed: bool) -> None:
        """What came out of the tree goes, or is kept aside; either way the tree has one name less of its inode."""
        if row is not None:
            self._names[row.inode] -= 1
        if disputed:
            self._keep(staged_in, STAGED, path)
        else:
            _unlink(staged_in, STAGED)

    def _is_same(self, row: TableRow, expected: TableRow | None) -> bool:
        """Whether something is what it was when the step was decided; renames and links move the ctime."""
        if expected is None:
            return False
        if (row.type, row.inode, row.size, row.target) != (
            expected.type,
            expected.inode,
            expected.size,
            expected.target,
        ):
            return False
        return row.inode in self._mended or (same_metadata(row, expected) and row.mtime == expected.mtime)

    def _is_near(self, directory: int) -> bool:
        return os.fstat(directory).st_dev == self._stage.device

    def _remove_directory(self, path: str) -> None:
        try:
            directory, name = self._anchor.at(path)
            self._anchor.parent.forget()
            directory, name = self._anchor.at(path)
            os.rmdir(name, dir_fd=directory)
        except (FileNotFoundError, NotADirectoryError, UnsafePath):
            return
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            self.kept.append(path)

    def _move_aside(self, path: str) -> None:
        """Keep what is at a path, whatever it is, out of the tree."""
        self._anchor.parent.forget()
        self._keep(*self._anchor.at(path), path)

    def _keep(self, fd: int, name: str, path: str) -> None:
        """Move something to where what others changed is kept, by its path in the tree."""
        to, free = self._aside.parent(self._aside.free_name(self._anchor.relative(path)), make=True)
        try:
            os.rename(name, free, src_dir_fd=fd, dst_dir_fd=to)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            _copy_away(fd, name, to, free)


def _goal(step: PathStep) -> str:
    return step.touched.before.type if step.touched.before is not None else ""


def _identity(row: TableRow) -> tuple[object, ...]:
    """Tells whether something is what a table has: of a file by its inode with this time, else by all that it says."""
    return (row.inode, row.size, row.mtime) if row.type == FILE else (row.type, row.target)


def _unlink(fd: int, name: str) -> None:
    try:
        os.unlink(name, dir_fd=fd)
    except FileNotFoundError:
        pass


def _copy_away(from_fd: int, name: str, to_fd: int, to: str) -> None:
    """Move something to another file system: a copy, then a removal."""
    source, target = f"/proc/self/fd/{from_fd}/{name}", f"/proc/self/fd/{to_fd}/{to}"
    if stat.S_ISDIR(os.lstat(source).st_mode):
        shutil.copytree(source, target, symlinks=True)
        shutil.rmtree(source)
    else:
        shutil.copy2(source, target, follow_symlinks=False)
        os.unlink(source)


def _swap(first_fd: int, first: str, second_fd: int, second: str) -> bool:
    """Exchange two names in one step; False where this kernel or file system cannot."""
    try:
        call = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError):
        return False
    if call(first_fd, os.fsencode(first), second_fd, os.fsencode(second), _RENAME_EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number in (errno.ENOSYS, errno.EINVAL, errno.EXDEV, errno.ENOTSUP):
        return False
    raise OSError(number, os.strerror(number), second)
