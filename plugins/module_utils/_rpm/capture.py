"""Capture one installed package of rpm: the package itself, and what no package file holds."""

from __future__ import annotations

import hashlib
import os
import stat
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._content import item as content_item
from ansible_collections.intellistream.sage.plugins.module_utils._content.item import ABSENT, FILE, Item
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.absolute import Directories
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.private import write_all
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.tree import Tree, digest_of
from ansible_collections.intellistream.sage.plugins.module_utils._rpm import database, disk, repackage, scripts
from ansible_collections.intellistream.sage.plugins.module_utils._rpm.disk import GHOST, GONE, PACKED, Seen

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.private import PrivateDir
    from ansible_collections.intellistream.sage.plugins.module_utils._kind.interface import Facts
    from ansible_collections.intellistream.sage.plugins.module_utils._rpm.database import Package
    from ansible_collections.intellistream.sage.plugins.plugin_utils._structures import ItemWriter

# What package managers own as ghosts and need themselves: bringing an old state of it back would break them.
_LIVE = ("/var/lib/dnf", "/var/cache/dnf", "/var/lib/yum")
# A ghost this large that is mostly holes (/var/log/lastlog) is left out.
_HUGE = 64 << 20
# What a file costs in an archive and in a header.
_HEADS = 400


class Look(t.NamedTuple):
    """An installed package, and what is on disk of it.

    :ivar extra: what no package file holds: path → what is there.
    :ivar inexact: what cannot be promised, for people.
    """

    package: Package
    header: t.Any
    seen: list[Seen]
    extra: dict[str, os.stat_result]
    inexact: list[str]

    @property
    def need(self) -> tuple[int, int]:
        """(files, bytes) that a capture writes, at most."""
        inodes = {(one.info.st_dev, one.info.st_ino): one.info for one in self.seen if one.how == PACKED and one.info}
        infos = [*inodes.values(), *self.extra.values()]
        size = sum(info.st_size for info in infos if stat.S_ISREG(info.st_mode))
        return 2 + len(self.extra), size + size // 1000 + _HEADS * len(self.seen)


def look(ts: t.Any, package: Package, directories: Directories) -> Look:
    """What is there of a package; nothing is read but names and attributes."""
    header = database.header_at(ts, package.offset)
    seen = [disk.look(directories, file) for file in database.files_of(header)]
    inexact = scripts.inexact(header)
    live = (*_LIVE, database.dbpath())
    extra: dict[str, os.stat_result] = {}
    for one in seen:
        info, path = one.info, one.file.path
        if one.how == GHOST and (not info or any(path == at or path.startswith(f"{at}/") for at in live)):
            continue
        if one.how != PACKED and info is not None:
            why = unkept(info)
            if why:
                inexact.append(f"{path} {why}")
            else:
                extra[path] = info
        if one.file.config:
            for ending in database.LEFTOVERS:
                leftover = directories.lstat(path + ending)
                if leftover is not None and not unkept(leftover):
                    extra[path + ending] = leftover
    return Look(package, header, seen, extra, inexact)


def unkept(info: os.stat_result) -> str:
    """Why something is not kept aside; empty when it is."""
    if not content_item.kind_of(info):
        return "is a device, pipe or socket that its package does not hold"
    if info.st_size > _HUGE and info.st_blocks * 512 < info.st_size // 2:
        return "is large and mostly holes, and is not kept"
    return ""


def configuration(header: t.Any, directories: Directories) -> Facts:
    """The configuration files of an installed header as they are now: path → item; devices left out."""
    found: Facts = {}
    for file in database.files_of(header):
        if file.config:
            info = directories.lstat(file.path)
            digest = digest_of(directories.open(file.path)) if info and stat.S_ISREG(info.st_mode) else ""
            item = disk.item_of(directories, file.path, info, digest)
            if item is not None:
                found[file.path] = list(item)
    return found


class Captured(t.NamedTuple):
    """What was written of a package.

    :ivar facts: as the manifest has them.
    :ivar written: names below the content directory that have to be synced.
    """

    facts: Facts
    written: list[str]
    size: int


def capture(one: Look, where: PrivateDir, store: Tree, items: ItemWriter, number: int, tid: int) -> Captured:
    """Capture a package.

    :param store: the content directory again, as a tree.
    :param number: of the package in this capture.
    :param tid: what the repackaged one is marked with.
    """
    package = one.package
    name = f"{one.header['NAME']}-{one.header['VERSION']}-{one.header['RELEASE']}.{package.arch}.rpm"
    with Directories() as directories:
        fd = where.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL)
        try:
            made = repackage.repackage(one.header, one.seen, directories, fd, tid)
            item = content_item.item_of(FILE, os.fstat(fd), made.sha256)
        finally:
            os.close(fd)
        # As the database has it, for the undo to put back there: that of the saved package tells what is on disk.
        original = _header(one.header.unload(), where, f"{name}.header")
        extra = {
            path: aside(directories, path, info, store, f"extra/{number}/{place}")
            for place, (path, info) in enumerate(sorted(one.extra.items()))
        }
    packed = dict(made.files)
    _list(items, one, {name: item, f"{name}.header": original}, packed, extra)
    known = {**packed, **{path: kept for path, (dummy, kept) in extra.items()}}
    copies = [at for at, dummy in extra.values() if at]
    facts = {
        "name": package.name,
        "arch": package.arch,
        "evr": package.evr,
        "nevra": package.nevra,
        "file": name,
        "header": f"{name}.header",
        "installonly": package.installonly,
        "tid": package.tid,
        "time": package.time,
        "config": {of.file.path: list(known.get(of.file.path, Item(ABSENT))) for of in one.seen if of.file.config},
        "extra": {path: [at, list(kept)] for path, (at, kept) in extra.items()},
        "missing": [of.file.path for of in one.seen if of.how == GONE and of.info is None],
        "states": {of.file.path: of.file.state for of in one.seen if of.file.state != database.NORMAL},
        "inexact": one.inexact,
    }
    written = [name, f"{name}.header", *copies]
    return Captured(facts, written, item.size + original.size + sum(kept.size for at, kept in extra.values() if at))


def _header(data: bytes, where: PrivateDir, name: str) -> Item:
    """Write an installed header as it is."""
    fd = where.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL)
    try:
        write_all(fd, data)
        return content_item.item_of(FILE, os.fstat(fd), hashlib.sha256(data).hexdigest())
    finally:
        os.close(fd)


def _list(
    items: ItemWriter,
    one: Look,
    own: t.Mapping[str, Item],
    packed: t.Mapping[str, Item],
    extra: t.Mapping[str, t.Any],
) -> None:
    """Both sections of a package in the list.

    :param own: the package itself, and its header.
    """
    items.section(one.package.key, one.package.evr, next(iter(own)))
    for name, item in own.items():
        items.add(name, item)
    for at, kept in extra.values():
        if at:
            items.add(at, kept)
    items.section(one.package.key, one.package.evr, "files")
    for path, kept in packed.items():
        items.add(path.lstrip("/"), kept)
    for of in one.seen:
        if of.how == GONE:
            kept = extra[of.file.path][1] if of.file.path in extra else Item(ABSENT)
            items.add(of.file.path.lstrip("/"), kept)


def aside(directories: Directories, path: str, info: os.stat_result, store: Tree, at: str) -> tuple[str, Item]:
    """Keep one path aside; returns where its content is, empty when it has none, and its item."""
    if not stat.S_ISREG(info.st_mode):
        item = disk.item_of(directories, path, info)
        return "", item or Item(ABSENT)
    directory, dummy, name = path.rpartition("/")
    with Tree(directory, os.dup(directories.enter(directory))) as tree:
        copied, digest, xattrs = content_item.copy(tree, name, store, at)
    # A log may have grown while it was read: its size is what was copied.
    size = t.cast("os.stat_result", store.lstat(at)).st_size
    return at, content_item.item_of(FILE, copied, digest)._replace(size=size, xattrs=xattrs)
