"""What of a package's files dpkg does not put back by itself.

Configuration as it was on disk, what lay beside it, files that somebody had removed, modes and owners
that somebody had given, capabilities, and dpkg's own files about the package.
"""

from __future__ import annotations

import os
import stat
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import UnsafePath
from ansible_collections.intellistream.sage.plugins.module_utils._content import item as content_item
from ansible_collections.intellistream.sage.plugins.module_utils._content import listing
from ansible_collections.intellistream.sage.plugins.module_utils._content.item import ABSENT, LINK, Item
from ansible_collections.intellistream.sage.plugins.module_utils._content.put_back import put_back
from ansible_collections.intellistream.sage.plugins.module_utils._dpkg import deb_file
from ansible_collections.intellistream.sage.plugins.module_utils._dpkg.database import ADMIN, LEFTOVERS, fingerprint
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.tree import Tree

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._dpkg.deb_file import Entry
    from ansible_collections.intellistream.sage.plugins.module_utils._dpkg.undo_goals import Saved

# Only these does a package manager make; the others are somebody's own.
_MADE = tuple(suffix for suffix in LEFTOVERS if suffix.startswith((".dpkg-", ".ucf-")))
_LABELS = ("security.selinux", "system.")
_KINDS = {deb_file.FILE: "file", deb_file.HARD: "file", deb_file.LINK: "link", deb_file.DIRECTORY: "dir"}

Diverted = t.Mapping[str, str]


def beside(conffiles: t.Iterable[str]) -> list[str]:
    """What package managers have put beside configuration files."""
    paths = [f"{path}{suffix}" for path in conffiles for suffix in _MADE]
    return [path for path in paths if os.path.lexists(path)]


def remove(path: str) -> None:
    """Remove a file or link, or a directory when it is empty; harmless when there is nothing."""
    try:
        if stat.S_ISDIR(os.lstat(path).st_mode):
            os.rmdir(path)
        else:
            os.unlink(path)
    except OSError:
        # Verification names what stays.
        return


def owned(paths: t.Collection[str]) -> set[str]:
    """Which of some paths any package has."""
    found: set[str] = set()
    for name in os.listdir(f"{ADMIN}/info"):
        if name.endswith(".list") and len(found) < len(paths):
            with open(f"{ADMIN}/info/{name}", encoding="utf-8", errors="surrogateescape") as lines:
                found.update(line.rstrip("\n") for line in lines if line.rstrip("\n") in paths)
    return found


def take_away(paths: t.Iterable[str]) -> None:
    """Remove files that came with a change, and the directories that came with them."""
    gone = [path for path in paths if os.path.lexists(path)]
    for path in gone:
        remove(path)
    above: set[str] = set()
    for path in gone:
        while len(path) > 1:
            path = os.path.dirname(path)
            above.add(path)
    for path in sorted(above - owned(above), key=len, reverse=True):
        if path != "/" and not os.path.islink(path):
            remove(path)


class Files:
    """One captured package's files.

    :param diverted: path as the package names it → where that is.
    """

    def __init__(self, saved: Saved, diverted: Diverted) -> None:
        self._saved = saved
        self._diverted = diverted
        self._conffiles = [self.real(path) for path in saved.facts["conffiles"]]
        # By where they are; what was there is among the extras, unless a package file holds it.
        self._wanted = {self.real(path): Item(ABSENT) for path in saved.facts["missing"]}
        self._wanted.update((real, Item(ABSENT)) for real in self._conffiles)
        self._wanted.update(saved.extras)

    def real(self, path: str) -> str:
        """Where a path of the package is."""
        return self._diverted.get(path, path)

    def differences(self, conffiles: t.Iterable[str] = ()) -> list[str]:
        """What M(restore) would change, cheaply; each with its path.

        :param conffiles: also look beside these.
        """
        found = []
        with self._store() as store:
            for real, item in self._wanted.items():
                found.append((real, differs(real, item, store, self._saved.at(real))))
        found += [(real, "is new") for real in self._new(conffiles)]
        for path, attributes in self._saved.facts["xattrs"].items():
            same = _attributes(self.real(path)) == attributes
            found.append((self.real(path), "" if same else "has other capabilities or attributes"))
        for path, when in self._saved.facts["times"].items():
            info = _lstat(self.real(path))
            same = info is None or info.st_mtime_ns == when
            found.append((self.real(path), "" if same else "was modified at another time"))
        return [f"{real} {why}" for real, why in found if why]

    def _store(self) -> Tree:
        where = self._saved.layer.where
        return Tree.of(where)

    def _new(self, conffiles: t.Iterable[str]) -> list[str]:
        return [real for real in beside({*self._conffiles, *conffiles}) if real not in self._saved.facts["leftovers"]]

    def restore(self, conffiles: t.Iterable[str] = ()) -> None:
        """Make it as it was; can be repeated."""
        for path in self._new(conffiles):
            remove(path)
        with self._store() as store:
            for real, item in self._wanted.items():
                at = self._saved.at(real)
                if not differs(real, item, store, at):
                    continue
                if item.kind == ABSENT:
                    remove(real)
                    continue
                os.makedirs(os.path.dirname(real), exist_ok=True)
                tree = listing.parent(real)
                if tree is not None:
                    with tree:
                        put_back(store, at, tree, os.path.basename(real), item)
                        tree.flush()
        for path, attributes in self._saved.facts["xattrs"].items():
            _give(self.real(path), attributes)
        for path, when in self._saved.facts["times"].items():
            info = _lstat(self.real(path))
            if info is not None and info.st_mtime_ns != when:
                os.utime(self.real(path), ns=(when, when), follow_symlinks=False)

    def content(self, listed: t.Sequence[str], at: str) -> list[str]:
        """How the files of the package differ from its package file; all of them are read.

        :param listed: what dpkg lists.
        :param at: where it does; when that was kept beside the package file, it decides.
        """
        if self._saved.deb is None:
            return []
        found = []
        packed = []
        for entry in self._entries():
            packed.append(entry.path)
            real = self.real(entry.path)
            why = self._unlike(entry, real) if real not in self._wanted else self._behind(entry, real)
            found += [f"{real} {why}"] if why else []
        if at not in self._wanted and packed != list(listed):
            found.append(f"{at} lists other files")
        return found

    def apply_metadata(self) -> None:
        """Give directories the owners and modes they had: dpkg leaves those as they are that it finds there."""
        for entry in self._entries() if self._saved.deb is not None else ():
            real = self.real(entry.path)
            info = _lstat(real) if entry.kind == deb_file.DIRECTORY else None
            if info is not None and stat.S_ISDIR(info.st_mode) and _other_mode(info, entry):
                os.chown(real, entry.uid, entry.gid, follow_symlinks=False)
                os.chmod(real, entry.mode)

    def _entries(self) -> t.Iterator[Entry]:
        """All that the package file has; read to its end, it is checked."""
        with self._store() as store:
            fd = store.open_file(str(self._saved.facts["deb"]))
        try:
            yield from deb_file.Deb(fd).entries()
        finally:
            os.close(fd)

    def _behind(self, entry: Entry, real: str) -> str:
        """Of a configuration file that is a link, what it leads to: dpkg looks and writes through it."""
        if self._wanted[real].kind != LINK or entry.kind != deb_file.FILE:
            return ""
        target = os.path.realpath(real)
        return "" if fingerprint(target) == entry.value else f"leads to {target}, which has other content"

    def _unlike(self, entry: Entry, real: str) -> str:
        info = _lstat(real)
        if info is None:
            return "is absent"
        if entry.kind == deb_file.HARD:
            first = _lstat(self.real(entry.value))
            return "" if first is not None and os.path.samestat(first, info) else f"is no hard link to {entry.value}"
        value = {deb_file.LINK: f"link {entry.value}", deb_file.DIRECTORY: "dir"}.get(entry.kind, entry.value)
        if fingerprint(real) != value:
            if entry.kind == deb_file.DIRECTORY and os.path.isdir(real):
                # Merged directories: to the package it is one.
                return ""
            return "has other content" if entry.kind == deb_file.FILE else f"is no {_KINDS.get(entry.kind)} as it was"
        return _other_mode(info, entry)


def _lstat(path: str) -> os.stat_result | None:
    try:
        return os.lstat(path)
    except OSError:
        return None


def differs(path: str, item: Item, store: Tree, at: str) -> str:
    """How what is at a path differs from what was captured; empty when it does not.

    :param at: where in the store its content is.
    """
    try:
        tree = listing.parent(path)
    except UnsafePath:
        tree = None
    if tree is None:
        return "" if item.kind == ABSENT else "is absent"
    with tree:
        return content_item.difference(tree, os.path.basename(path), item, store, at)


def _other_mode(info: os.stat_result, entry: Entry) -> str:
    if (info.st_uid, info.st_gid) != (entry.uid, entry.gid):
        return f"belongs to {info.st_uid}:{info.st_gid}, belonged to {entry.uid}:{entry.gid}"
    if not stat.S_ISLNK(info.st_mode) and stat.S_IMODE(info.st_mode) != entry.mode:
        return f"has mode {stat.S_IMODE(info.st_mode):04o}, had {entry.mode:04o}"
    return ""


def _attributes(path: str) -> dict[str, str]:
    try:
        names = os.listxattr(path, follow_symlinks=False)
        return {
            name: os.getxattr(path, name, follow_symlinks=False).hex() for name in names if not name.startswith(_LABELS)
        }
    except OSError:
        return {}


def _give(path: str, wanted: t.Mapping[str, str]) -> None:
    now = _attributes(path)
    try:
        for name in {**now, **wanted}:
            if name not in wanted:
                os.removexattr(path, name, follow_symlinks=False)
            elif now.get(name) != wanted[name]:
                os.setxattr(path, name, bytes.fromhex(wanted[name]), follow_symlinks=False)
    except OSError:
        # Verification names what stays different.
        return


def nobodys(paths: t.Collection[str]) -> list[str]:
    """Which of some paths no package has."""
    taken = owned(set(paths)) if paths else set()
    return [path for path in paths if path not in taken]
