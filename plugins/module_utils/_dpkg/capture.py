"""Writes packages to the store; the facts are those that C(_dpkg/resource.py) tells of."""

from __future__ import annotations

import os
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._content.item import FILE, Item, item_of
from ansible_collections.intellistream.sage.plugins.module_utils._dpkg import extra, scripts
from ansible_collections.intellistream.sage.plugins.module_utils._dpkg.database import CONFIG_FILES, fingerprint
from ansible_collections.intellistream.sage.plugins.module_utils._dpkg.disk import Disk
from ansible_collections.intellistream.sage.plugins.module_utils._dpkg.repackage import Image, pack
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.ownership import storage_error
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.private import write_all
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.tree import Tree
from ansible_collections.intellistream.sage.plugins.module_utils._storage import store

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._dpkg.database import Database, Package
    from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.private import PrivateDir
    from ansible_collections.intellistream.sage.plugins.module_utils._kind.interface import Facts
    from ansible_collections.intellistream.sage.plugins.plugin_utils._structures import ItemWriter

STATUS = "status"
OTHERS = "others"
# What an archive takes at most when there is nothing in it.
_ARCHIVE = 1 << 14


def needs(database: Database, package: Package) -> tuple[int, int]:
    """(files, bytes) that a capture of a package takes at most."""
    conffiles = package.conffiles()
    size = sum(_size(path) for path in conffiles) + len(package.stanza)
    files = len(conffiles) + 1
    if package.state != CONFIG_FILES:
        with Disk() as disk:
            image = Image(database, package, disk)
        # A header and some padding for each path, and what compression adds to what cannot be compressed.
        size += image.size + image.size // 1000 + sum(map(_size, image.info.values())) + 1024 * len(image.found)
        size += _ARCHIVE
    return files, size


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0


def file_name(package: Package) -> str:
    """Name of the package file, as apt names its own."""
    return f"{package.name}_{package.version.replace(':', '%3a')}_{package.arch}.deb"


class Capture:
    """One capture; a context manager.

    :param where: the content directory.
    :ivar files: that were written.
    :ivar bytes: in them.
    """

    def __init__(self, database: Database, where: PrivateDir, items: ItemWriter) -> None:
        self._database, self._where, self._items = database, where, items
        self._disk = Disk()
        self._store = Tree.of(where)
        self._auto = database.auto()
        self._overrides = database.overrides()
        self._written: list[str] = []
        self.files = self.bytes = 0

    def __enter__(self) -> Capture:
        return self

    def __exit__(self, *exc: object) -> None:
        self._disk.__exit__()
        self._store.close()

    def stanzas(self, packages: t.Iterable[Package]) -> None:
        """Keep what dpkg has recorded, word by word; first of all."""
        self._items.section()
        fd = self._create(STATUS)
        try:
            write_all(fd, os.fsencode("\n".join(one.stanza for one in packages)))
        except OSError as error:
            raise storage_error(os.path.join(self._where.path, STATUS), error) from error
        finally:
            os.close(fd)
        self._wrote(STATUS, item_of(FILE, self._stat(STATUS), self._store.digest(STATUS)))

    def others(self, paths: t.Iterable[str]) -> dict[str, str]:
        """Keep what is nobody's, in the first section.

        :returns: path → fingerprint of what was there.
        """
        found = {}
        for path in paths:
            if self._keep(OTHERS, path):
                found[path] = fingerprint(path)
        return found

    def take(self, package: Package) -> Facts:
        """Capture one package.

        :returns: its facts.
        :raises CaptureError: it cannot be captured.
        """
        there = package.state != CONFIG_FILES
        name = file_name(package) if there else ""
        self._items.section(package.key, package.version, name)
        diverted = self._database.diverted(package)
        conffiles = {path: diverted.get(path, path) for path in package.conffiles()}
        facts: Facts = {
            "version": package.version,
            "want": package.want,
            "state": package.state,
            "auto": package.key in self._auto,
            "deb": name or None,
            "conffiles": {
                path: {**known._asdict(), "now": fingerprint(conffiles[path])}
                for path, known in package.conffiles().items()
            },
            "overrides": {},
            "missing": [],
            "xattrs": {},
            "times": {},
        }
        info = self._database.info(package)
        if there:
            image = Image(self._database, package, self._disk)
            facts.update(missing=image.missing, xattrs=image.xattrs, times=image.times)
            differing = self._pack(image, name)
            facts["overrides"] = {
                one.entry.path: self._overrides[one.entry.path]
                for one in image.found
                if one.entry.path in self._overrides
            }
        else:
            differing = list(info.values())
        facts["leftovers"] = extra.leftovers(self._disk, conffiles.values())
        wanted = [*conffiles.values(), *facts["leftovers"], *differing]
        facts["extra"] = [path for path in dict.fromkeys(wanted) if self._keep(f"{extra.EXTRA}/{package.key}", path)]
        facts["inexact"] = scripts.reasons(scripts.installed(info))
        return facts

    def flush(self) -> None:
        """Make all of it durable."""
        store.flush(self._store, self._written)

    def _pack(self, image: Image, name: str) -> list[str]:
        fd = self._create(name)
        try:
            packed = pack(image, self._disk, fd)
        except OSError as error:
            raise storage_error(os.path.join(self._where.path, name), error) from error
        finally:
            os.close(fd)
        self._wrote(name, item_of(FILE, self._stat(name), packed.sha256))
        return packed.differing

    def _keep(self, below: str, path: str) -> bool:
        at = f"{below}{path}"
        item = extra.keep(path, self._store, at)
        if item is None:
            return False
        if item.kind == FILE:
            self._wrote(at, item)
        else:
            self._items.add(at, item)
        return True

    def _create(self, name: str) -> int:
        return self._where.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL)

    def _stat(self, name: str) -> os.stat_result:
        return os.lstat(name, dir_fd=self._where.fd)

    def _wrote(self, at: str, item: Item) -> None:
        self._items.add(at, item)
        self._written.append(at)
        self.files += 1
        self.bytes += item.size
