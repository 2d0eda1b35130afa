"""The files of a captured package of rpm: what differs from the capture, and how each gets back.

rpm installs the saved package, but decides by its own rules about configuration, leaves C(.rpmnew) and
C(.rpmsave), removes ghosts, and has nothing for what was missing. Whatever is not as it was once rpm is done
is put back from the saved package, or from what was captured beside it.
"""

from __future__ import annotations

import os
import shutil
import stat
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._content import item as content_item
from ansible_collections.intellistream.sage.plugins.module_utils._content.aside import ASIDE
from ansible_collections.intellistream.sage.plugins.module_utils._content.item import (
    ABSENT,
    DIRECTORY,
    FILE,
    LINK,
    Item,
)
from ansible_collections.intellistream.sage.plugins.module_utils._content.parents import difference, remove
from ansible_collections.intellistream.sage.plugins.module_utils._content.put_back import TEMPORARY, put_back
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.absolute import ParentDirectories
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.private import write_all
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.tree import Tree
from ansible_collections.intellistream.sage.plugins.module_utils._rpm.database import (
    LEFTOVERS,
    files_of,
    owners,
    rpm_module,
    transaction_set,
)

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._kind.interface import Facts, Layer

_CHUNK = 1 << 20
FILES = "files"


class PackageFiles:
    """The files of one captured package.

    :ivar wanted: absolute path → item; also what must not be there.
    """

    def __init__(self, layer: Layer, key: str, facts: Facts) -> None:
        self._layer = layer
        self._facts = facts
        self._header: t.Any = None
        self.wanted: dict[str, Item] = {}
        for section in layer.items.sections if layer.items is not None else ():
            if section.name == key and section.info == FILES:
                for path, item in layer.items.read(section) if layer.items is not None else ():
                    self.wanted[f"/{path}"] = item
        # What is a ghost and there belongs to whoever writes it; one that is gone comes back.
        self._ghosts: set[str] = set()
        beside = [path + suffix for path in facts["config"] for suffix in LEFTOVERS]
        for path, (dummy, item) in facts["extra"].items():
            if path not in self.wanted and path not in beside:
                self._ghosts.add(path)
            self.wanted[path] = Item(*item)
        for path in beside:
            self.wanted.setdefault(path, Item(ABSENT))

    def differing(self) -> list[str]:
        """The paths that look different, without reading them."""
        with ParentDirectories() as parents:
            return [
                path
                for path in sorted(self.wanted)
                if _looks_different(parents, path, self.wanted[path]) and not self._lives(path)
            ]

    def differences(self) -> list[tuple[str, str]]:
        """(path, why) of each path that is not as it was; everything is read."""
        found = []
        with ParentDirectories() as parents:
            for path in sorted(self.wanted):
                why = difference(parents, path, self.wanted[path])
                if why and not self._lives(path):
                    found.append((path, why))
        links = self._split()
        return found + [(path, f"is no longer the same file as {first}") for first, path in links]

    def in_the_way(self) -> list[str]:
        """Directories where a file or link belongs, and files where a directory does: rpm would give up halfway."""
        with ParentDirectories() as parents:
            there = [path for path, item in self.wanted.items() if item.kind in (FILE, LINK)]
            found = {path for path in there if _is_directory(parents, path)}
        directories = {path for path, item in self.wanted.items() if item.kind == DIRECTORY}
        above = {os.path.dirname(path) for path in there}
        found.update(path for path in above if os.path.lexists(path) and not os.path.isdir(path))
        found.update(path for path in directories if os.path.lexists(path) and not _is_real(path))
        return sorted(found)

    def unowned(self, ts: t.Any, owned: t.Container[str]) -> list[str]:
        """Files of nobody's where the package is going to have other ones, or none.

        :param owned: known to be a package's.
        """
        paths = [path for path, item in self.wanted.items() if item.kind != DIRECTORY and path not in owned]
        config = {path + ending for path in self._facts["config"] for ending in ("", *LEFTOVERS)}
        with ParentDirectories() as parents:
            there = [path for path in paths if path not in config and os.path.lexists(path)]
            there = [
                path for path in there if path not in self._ghosts and difference(parents, path, self.wanted[path])
            ]
        return [path for path in there if not owners(ts, path)]

    def clear(self) -> None:
        """Move them out of the way; M(mend) removes them."""
        for path in self.in_the_way():
            os.rename(path, _aside(path))

    def _lives(self, path: str) -> bool:
        return path in self._ghosts and os.path.lexists(path)

    def mend(self) -> None:
        """Make everything what it was; can be repeated."""
        for path in {*self.wanted, *map(os.path.dirname, self.wanted)}:
            if _is_real(_aside(path)):
                shutil.rmtree(_aside(path))
            elif os.path.lexists(_aside(path)):
                os.unlink(_aside(path))
        wrong = [path for path, dummy in self.differences()]
        unpacked: dict[str, Item] = {}
        with ParentDirectories() as parents, Tree.of(self._layer.where) as store:
            # What is not to be there first, and what is inside before what it is in.
            for path in reversed(wrong):
                if self.wanted[path].kind == ABSENT:
                    remove(parents, path)
            for path in wrong:
                item = self.wanted[path]
                if item.kind == ABSENT:
                    continue
                at = self._facts["extra"].get(path, ("", None))[0]
                tree, name = parents.make(path)
                tree.unlink(TEMPORARY)
                if item.kind == FILE and not at:
                    if not _dressed(tree, name, item):
                        unpacked[path] = item
                    continue
                _clear_for(tree, name, item)
                put_back(store, at, tree, name, item)
        if unpacked:
            self._unpack(unpacked)
        self._join()

    def _unpack(self, needed: dict[str, Item]) -> None:
        """Take content from the saved package; of several names of one file, any may have it."""
        for group in self._groups():
            if any(path in needed for path in group):
                needed.update({path: self.wanted[path] for path in group if self.wanted[path].kind == FILE})
        fd = self.open()
        try:
            rpm = rpm_module()
            header = transaction_set().hdrFromFdno(fd)
            archive = rpm.files(header).archive(rpm.fd(fd, "r", "gzdio"))
            with ParentDirectories() as parents:
                for file in archive:
                    item = needed.get(file.name)
                    if item is not None and item.kind == FILE and stat.S_ISREG(file.mode) and archive.hascontent():
                        _write(parents, file.name, item, archive)
        finally:
            os.close(fd)

    def header(self) -> t.Any:
        """The header of the saved package.

        :raises StoreError: it is gone or damaged.
        """
        if self._header is None:
            fd = self.open()
            try:
                self._header = transaction_set().hdrFromFdno(fd)
            except rpm_module().error as error:
                path = os.path.join(self._layer.where.path, self._facts["file"])
                raise content_item.damaged(path, str(error)) from error
            finally:
                os.close(fd)
        return self._header

    def open(self) -> int:
        """The saved package, opened; the caller closes it.

        :raises StoreError: it is gone.
        """
        name = self._facts["file"]
        try:
            return self._layer.where.open(name, os.O_RDONLY)
        except FileNotFoundError as error:
            raise content_item.damaged(os.path.join(self._layer.where.path, name), "it is missing") from error

    def _groups(self) -> list[list[str]]:
        """Names of the same file."""
        groups: dict[int, list[str]] = {}
        for file in files_of(self.header()):
            item = self.wanted.get(file.path)
            if stat.S_ISREG(file.mode) and not file.ghost and item is not None and item.kind == FILE:
                groups.setdefault(file.inode, []).append(file.path)
        return [sorted(group) for group in groups.values() if len(group) > 1]

    def _split(self) -> list[tuple[str, str]]:
        """(first name, another) of what was one file and is two."""
        found = []
        for first, *others in self._groups():
            for path in others:
                try:
                    same = os.path.samestat(os.lstat(first), os.lstat(path))
                except OSError:
                    # Told as missing.
                    continue
                if not same:
                    found.append((first, path))
        return found

    def _join(self) -> None:
        for first, path in self._split():
            with ParentDirectories() as one, ParentDirectories() as other:
                (source, name), (target, to) = one.make(first), other.make(path)
                target.unlink(TEMPORARY)
                os.link(name, TEMPORARY, src_dir_fd=source.fd, dst_dir_fd=target.fd, follow_symlinks=False)
                os.rename(TEMPORARY, to, src_dir_fd=target.fd, dst_dir_fd=target.fd)


def _aside(path: str) -> str:
    directory, dummy, name = path.rpartition("/")
    return f"{directory}/{ASIDE}-{name}"


def _is_real(path: str) -> bool:
    """Whether it is a directory, and no link to one."""
    return os.path.isdir(path) and not os.path.islink(path)


def _is_directory(parents: ParentDirectories, path: str) -> bool:
    tree, name = parents.at(path)
    return tree is not None and content_item.kind_of(tree.lstat(name)) == DIRECTORY


def _looks_different(parents: ParentDirectories, path: str, item: Item) -> bool:
    tree, name = parents.at(path)
    info = tree.lstat(name) if tree is not None else None
    kind = content_item.kind_of(info)
    if info is None or kind != item.kind or tree is None:
        return kind != item.kind
    if kind == LINK:
        return os.readlink(name, dir_fd=tree.fd) != item.value
    found = (stat.S_IMODE(info.st_mode), info.st_uid, info.st_gid)
    if found != (item.mode, item.uid, item.gid):
        return True
    return kind == FILE and (info.st_size, info.st_mtime_ns) != (item.size, item.mtime)


def _clear_for(tree: Tree, name: str, item: Item) -> None:
    """Take away an empty directory where something else belongs; one that is not is told by verifying."""
    if item.kind != DIRECTORY and content_item.kind_of(tree.lstat(name)) == DIRECTORY:
        tree.rmdir(name)


def _dressed(tree: Tree, name: str, item: Item) -> bool:
    """Give a file with the right content its owner, mode, time and attributes; False when the content is wrong."""
    info = tree.lstat(name)
    if info is None or not stat.S_ISREG(info.st_mode) or info.st_size != item.size or tree.digest(name) != item.value:
        return False
    fd = tree.open_file(name)
    try:
        content_item.apply_metadata(fd, item)
    finally:
        os.close(fd)
    return True


def _write(parents: ParentDirectories, path: str, item: Item, archive: t.Any) -> None:
    """Write a member of an archive, under a temporary name that is then renamed."""
    tree, name = parents.make(path)
    tree.unlink(TEMPORARY)
    _clear_for(tree, name, item)
    fd = os.open(TEMPORARY, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=tree.fd)
    try:
        left = item.size
        while left:
            data = archive.read(min(left, _CHUNK))
            if not data:
                break
            write_all(fd, data)
            left -= len(data)
        content_item.apply_metadata(fd, item)
        os.fsync(fd)
    finally:
        os.close(fd)
    os.rename(TEMPORARY, name, src_dir_fd=tree.fd, dst_dir_fd=tree.fd)
