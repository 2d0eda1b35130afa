"""Taking the files of a virtual environment into a store."""

from __future__ import annotations

import os
import stat
import time
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import CaptureError, UnsafePath
from ansible_collections.intellistream.sage.plugins.module_utils._base.fork import split_over_two_processes
from ansible_collections.intellistream.sage.plugins.module_utils._content import item, listing, manifest
from ansible_collections.intellistream.sage.plugins.module_utils._content.item import FILE, LINK, Item
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.tree import Tree
from ansible_collections.intellistream.sage.plugins.module_utils._storage import store as storage_store
from ansible_collections.intellistream.sage.plugins.module_utils._venv import distributions
from ansible_collections.intellistream.sage.plugins.module_utils._venv.distributions import Distribution, Row

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.private import PrivateDir
    from ansible_collections.intellistream.sage.plugins.module_utils._kind.interface import Layer
    from ansible_collections.intellistream.sage.plugins.plugin_utils._structures import ItemWriter

# The clock file systems stamp with; it lags behind the precise one by up to a tick.
_CLOCK_REALTIME_COARSE = 5
_SCRIPT = 65536
# The last one is what uv locks an environment by.
_OWN = ("pyvenv.cfg", "pip.conf", ".lock")

Facts = dict[str, t.Any]


class Found(t.NamedTuple):
    """One file to capture.

    :ivar fd: the open directory it is in, until the next file is looked for.
    :ivar row: what RECORD says about it, if anything.
    """

    relative: str
    fd: int
    kind: str
    info: os.stat_result
    row: Row | None


def chosen(venv: Tree, wanted: t.Collection[str]) -> list[Distribution]:
    """The distributions that will be captured.

    :raises CaptureError: one is registered twice.
    """
    found: dict[str, Distribution] = {}
    for one in distributions.installed(venv):
        if one.name in wanted:
            if one.name in found:
                raise cannot(
                    f"{one.name} is registered twice in {venv.path} ({found[one.name].version} and {one.version})",
                    "Remove one of the two .dist-info directories, or roll back the interrupted change.",
                )
            found[one.name] = one
    return list(found.values())


def need(venv: Tree, wanted: t.Collection[str], device: int | None) -> tuple[int, int]:
    """(files, bytes) that M(capture) would write to a store on file system C(device)."""
    files = size = 0
    for one in chosen(venv, wanted):
        if device == venv.device:
            # Links take no room, and the little that is copied fits into the reserve.
            files += (distributions.raw_record(venv, one.info) or b"").count(b"\n")
            continue
        rows = listed(venv, one)
        files += len(rows)
        size += sum(max(row.size, 0) for row in rows.values())
    return files, size


def capture(venv: Tree, wanted: t.Collection[str], where: PrivateDir, items: ItemWriter) -> Facts:
    """Capture these distributions and what belongs to the environment itself; returns facts for the manifest.

    :raises CaptureError: something cannot be captured.
    """
    with Tree.of(where) as store:
        taken = Taken(venv, store, items)
        for one in chosen(venv, wanted):
            items.section(one.name, one.version, one.info)
            rows, unchanged_ns = files(venv, one)
            for relative in taken.link(rows, unchanged_ns):
                taken.take(unlike(venv, one, relative, rows[relative]))
        items.section()
        for found in loose(venv):
            taken.take(found)
        directories = taken.directories()
        storage_store.flush(store, taken.copied)
    return {
        "dirs": directories,
        "files": taken.files,
        "copies": len(taken.copied),
        "bytes": taken.bytes,
        "captured_ns": time.clock_gettime_ns(_CLOCK_REALTIME_COARSE),
    }


def cannot(what: str, advice: str, **details: t.Any) -> CaptureError:
    return CaptureError(f"{what}.", untouched="everything.", advice=advice, **details)


def _found(venv: Tree, relative: str, row: Row | None) -> Found | None:
    try:
        fd, name = venv.parent(relative)
        info = os.lstat(name, dir_fd=fd)
    except (FileNotFoundError, NotADirectoryError):
        return None
    if stat.S_ISDIR(info.st_mode) and row is not None:
        # As some wheels list them.
        return None
    kind = item.kind_of(info)
    if kind not in (FILE, LINK):
        raise cannot(f"{venv.name(relative)} is no regular file and cannot be captured", "Remove it, then run again.")
    return Found(relative, fd, kind, info, row)


def listed(venv: Tree, one: Distribution) -> dict[str, Row]:
    """What RECORD lists, refused when it cannot be captured."""
    try:
        rows = distributions.record(venv, one.info, None, os.path.realpath(venv.path))
    except distributions.Outside as error:
        raise cannot(
            f"{one.name} {one.version} has the file {error} outside {venv.path}, which cannot be captured",
            f"Remove {one.name} by hand if it may go, then run again.",
            distribution=one.name,
            path=str(error),
        ) from error
    except UnsafePath as error:
        raise cannot(f"RECORD of {one.name} {one.version} is not safe: {error.what}", "Reinstall it.") from error
    if rows is None:
        raise cannot(
            f"{one.name} {one.version} in {venv.path} has no RECORD, so its files are unknown and cannot be captured",
            f"Remove the directory {venv.name(one.info)}, then run again: {one.name} is installed anew, over its "
            "files.",
            distribution=one.name,
        )
    return rows


def files(venv: Tree, one: Distribution) -> tuple[dict[str, Row], int]:
    """All that belongs to a distribution, and the ctime in ns up to which a file has not changed since it came.

    Installers write RECORD last. No program but the system's clock sets a ctime back, which any change of a file moves.
    """
    rows = listed(venv, one)
    last = venv.lstat(f"{one.info}/RECORD")
    unchanged_ns = last.st_ctime_ns if last is not None else 0
    for relative, is_directory in venv.walk(one.info):
        if not is_directory and not distributions.is_bytecode(relative):
            rows.setdefault(relative, Row((), -1))
    return rows, unchanged_ns


def unlike(venv: Tree, one: Distribution, relative: str, row: Row) -> Found | None:
    """A file that does not look as RECORD says; None when it is gone."""
    try:
        return _found(venv, relative, row)
    except UnsafePath as error:
        raise cannot(f"{one.name} {one.version} cannot be captured: {error.what}", "Reinstall it.") from error


def loose(venv: Tree) -> t.Iterator[Found]:
    """What belongs to the environment itself and is in no RECORD."""
    names = [name for name, is_directory in venv.listing("") if not is_directory and name in _OWN]
    for name, is_directory in venv.listing("bin"):
        info = None if is_directory else venv.lstat(f"bin/{name}")
        if info is not None and (name.lower().startswith(("activate", "deactivate")) or item.kind_of(info) == LINK):
            names.append(f"bin/{name}")
    for name in names:
        found = _found(venv, name, None)
        if found is not None:
            yield found


def own(venv: Tree) -> dict[str, list[t.Any]]:
    """The environment's own files, cheaply: path → what lstat tells."""
    return {found.relative: listing.brief_in(found.fd, found.relative.rpartition("/")[2]) for found in loose(venv)}


class Linked(t.NamedTuple):
    """What came of linking: lines for the manifest, and the files that have to be looked at."""

    lines: list[str]
    bytes: int
    directories: list[str]
    others: list[str]


def _link(venv: Tree, store: Tree, rows: t.Sequence[tuple[str, Row]], unchanged_ns: int) -> Linked:
    """Link the files that are as RECORD says. What may have changed since is read, if only its links did.

    Nearly all files of an environment come through here, so nothing is done twice.
    """
    linked = Linked([], 0, [], [])
    last, here, there, scripts, size = "", -1, -1, False, 0
    for relative, row in rows:
        directory, dummy, name = relative.rpartition("/")
        try:
            if directory != last or here < 0:
                scripts = directory == "bin"
                here, last = venv.enter(directory), directory
                there = store.enter(directory, make=True)
                linked.directories.append(directory)
            info = os.lstat(name, dir_fd=here)
            digest = row.digest
            plain = stat.S_ISREG(info.st_mode) and digest and not scripts
            if not plain or info.st_size != row.size:
                raise FileNotFoundError
            if info.st_ctime_ns > unchanged_ns and venv.digest(relative) != digest:
                raise FileNotFoundError
            try:
                os.link(name, name, src_dir_fd=here, dst_dir_fd=there, follow_symlinks=False)
            except FileExistsError:
                # The second process had come so far when it was killed.
                if not os.path.samestat(os.lstat(name, dir_fd=there), info):
                    raise
        except (OSError, UnsafePath):
            # Whatever it is, it is not the common case.
            here = -1
            linked.others.append(relative)
            continue
        size += row.size
        linked.lines.append(manifest.linked_line(relative, digest, info))
    return linked._replace(bytes=size)


class Taken:
    """Takes files into a store, lists them and counts."""

    def __init__(self, venv: Tree, store: Tree, items: ItemWriter) -> None:
        self.venv = venv
        self.store = store
        self.items = items
        self.files = self.bytes = 0
        self.copied: list[str] = []
        self._directories: set[str] = set()

    def directories(self) -> dict[str, int]:
        """Directories that must outlive an undo, with their modes."""
        names = {name for name, is_directory in self.venv.listing("") if is_directory}
        for name in self._directories:
            while name and name not in names:
                names.add(name)
                name = name.rpartition("/")[0]
        return {name: os.fstat(self.venv.enter(name)).st_mode & 0o7777 for name in sorted(names)}

    def link(self, rows: t.Mapping[str, Row], unchanged_ns: int) -> list[str]:
        """Link all files that are as RECORD says, and return the others."""
        others: list[str] = []
        for part in split_over_two_processes(
            lambda half: [_link(self.venv, self.store, half, unchanged_ns)], list(rows.items())
        ):
            # A second process's has come as JSON.
            linked = Linked(*part)
            self.items.write(linked.lines)
            self.files += len(linked.lines)
            self.bytes += linked.bytes
            self._directories.update(linked.directories)
            others += linked.others
        return others

    def take(self, found: Found | None) -> None:
        """Link or copy one file."""
        if found is None:
            return
        self.files += 1
        self._directories.add(found.relative.rpartition("/")[0])
        self.items.add(found.relative, self._item(found))

    def _item(self, found: Found) -> Item:
        relative, info = found.relative, found.info
        if found.kind == LINK:
            fd, name = self.venv.parent(relative)
            return item.item_of(LINK, info, os.readlink(name, dir_fd=fd))
        self.bytes += info.st_size
        digest = ""
        if found.row is not None and found.row.digests:
            # A second wrong line in RECORD is not an edit.
            content = self.venv.digest(relative)
            digest = content if content in found.row.digests else ""
        # Scripts are small, and people edit them.
        script = relative.startswith("bin/") and info.st_size < _SCRIPT
        if digest and not script and self._link(found):
            return item.item_of(FILE, info, digest, shared=True)
        return self._copy(found)

    def _link(self, found: Found) -> bool:
        return item.link_at(found.fd, found.relative.rpartition("/")[2], self.store, found.relative)

    def _copy(self, found: Found) -> Item:
        info, digest, xattrs = item.copy(self.venv, found.relative, self.store, found.relative)
        self.copied.append(found.relative)
        return item.item_of(FILE, info, digest)._replace(xattrs=xattrs)


def versions(layer: Layer) -> bytes:
    """A P(_kind.interface.PlainCopy): all distributions and their versions."""
    if not layer.manifest["existed"]:
        return b"# There was no environment.\n"
    lines = [f"{name}=={version}\n" for name, version in sorted(layer.manifest["distributions"].items())]
    return "".join(lines).encode()
