# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A virtual environment: captures only the distributions that a plan is going to replace.

Their files, as RECORD lists them, are hard-linked into the store with RECORD's hashes as the
manifest, so a capture costs a link per file. Files that look edited are copied and hashed.
"""

from __future__ import annotations

import contextlib
import os
import time
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils import _captured, _distributions, _store, _venv_facts
from ansible_collections.intellistream.sage.plugins.module_utils._captured import FILE, LINK, Item
from ansible_collections.intellistream.sage.plugins.module_utils._distributions import Distribution, Row
from ansible_collections.intellistream.sage.plugins.module_utils._errors import CaptureError, UnsafePath
from ansible_collections.intellistream.sage.plugins.module_utils._resource import Facts, How, Layer, Resource, Undo
from ansible_collections.intellistream.sage.plugins.module_utils._tree import Tree

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._fs import PrivateDir
    from ansible_collections.intellistream.sage.plugins.module_utils._manifest import Writer

# The clock file systems stamp with; it lags behind the precise one by up to a tick.
_CLOCK_REALTIME_COARSE = 5
_SCRIPT = 65536


class Found(t.NamedTuple):
    """One file to capture.

    :ivar fd: the open directory it is in, until the next file is looked for.
    :ivar row: what RECORD says about it, if anything.
    :ivar edited: it does not look like what RECORD describes.
    """

    relative: str
    fd: int
    kind: str
    info: os.stat_result
    row: Row | None
    edited: bool


class VenvResource(Resource):
    """A virtual environment.

    :param path: absolute.
    :param distributions: mappings C(name), C(version): what the change will leave there.
    :param whole: the change removes the environment; C(keep) of its undo takes all of it.
    """

    kind = "venv"

    def __init__(self, path: str, distributions: list[dict[str, t.Any]], whole: bool = False) -> None:
        self.path = path
        self.whole = whole
        self.wanted = {
            _distributions.canonical(str(one["name"])): str(one.get("version") or "") for one in distributions
        }

    def plan(self) -> list[str]:
        with self._open() as venv:
            if venv is None:
                return [f"{self.path} (does not exist)"]
            return [f"{one.name} {one.version}" for one in self._chosen(venv)]

    def observe(self) -> Facts:
        with self._open() as venv:
            if venv is None:
                return {"path": self.path, "exists": False, "distributions": {}}
            found = {}
            for one in _distributions.installed(venv) if self.wanted else ():
                if one.name in self.wanted:
                    top = _distributions.top_names(_distributions.raw_record(venv, one.info) or b"")
                    found[one.name] = {"version": one.version, "top": sorted(f"{one.site}/{name}" for name in top)}
        return {"path": self.path, "exists": True, **_venv_facts.facts(self.path), "distributions": found}

    def differences(self, recorded: Facts) -> list[str]:
        with self._open() as venv:
            if venv is None:
                return [f"virtual environment {self.path} is gone"] if recorded.get("exists") else []
            if not recorded.get("exists"):
                return [f"virtual environment {self.path} was made by somebody else"]
            found = _venv_facts.facts(self.path, recorded)
            reasons = [
                f"{what} of {self.path} was {recorded.get(key)}, is {found[key] or 'gone'}"
                for key, what in (("python", "the interpreter"), ("version", "the interpreter's version"))
                if found[key] != recorded.get(key)
            ]
            known = recorded.get("distributions") or {}
            registered = _distributions.by_name(_distributions.installed(venv)) if known else {}
            for name, facts in sorted(known.items()):
                versions = [one.version for one in registered.get(name, ())]
                if versions != [facts["version"]]:
                    reasons.append(f"{name} was {facts['version']}, is {' and '.join(versions) or 'gone'}")
                    continue
                missing = [path for path in facts.get("top") or () if venv.lstat(path) is None]
                reasons += [f"{path} of {name} is gone" for path in missing]
        return reasons

    def need(self, device: int | None = None) -> tuple[int, int]:
        files = size = 0
        with self._open() as venv:
            if venv is None or self.whole:
                return 0, 0
            linkable = device is not None and device == venv.device
            for one in self._chosen(venv):
                if linkable:
                    # Links take no room, and the little that is copied fits into the reserve.
                    files += (_distributions.raw_record(venv, one.info) or b"").count(b"\n")
                    continue
                rows = _rows(venv, one)
                files += len(rows)
                size += sum(max(row.size, 0) for row in rows.values())
        return files, size

    @contextlib.contextmanager
    def _open(self) -> t.Iterator[Tree | None]:
        venv = Tree.open(self.path)
        if venv is None:
            yield None
            return
        with venv:
            yield venv

    def _chosen(self, venv: Tree) -> list[Distribution]:
        """The distributions that will be captured."""
        chosen: dict[str, Distribution] = {}
        for one in _distributions.installed(venv):
            if one.name in self.wanted:
                if one.name in chosen:
                    raise _cannot(
                        f"{one.name} is registered twice in {self.path} ({chosen[one.name].version} and {one.version})",
                        "Remove one of the two .dist-info directories, or roll back the interrupted change.",
                    )
                chosen[one.name] = one
        return list(chosen.values())

    def capture(self, where: PrivateDir, items: Writer) -> Facts:
        with self._open() as venv:
            if venv is None:
                return {"existed": False, "files": 0, "copies": 0, "bytes": 0}
            found = {one.name: one.version for one in _distributions.installed(venv)}
            facts = {"existed": True, "whole": self.whole, "distributions": found}
            if self.whole:
                return {**facts, "files": 0, "copies": 0, "bytes": 0}
            with Tree(where.path, os.dup(where.fd), 0o700) as store:
                taken = _Taken(venv, store, items)
                for one in self._chosen(venv):
                    items.section(one.name, one.version, one.info)
                    for each in _files(venv, one):
                        taken.take(each)
                items.section()
                for each in _loose(venv):
                    taken.take(each)
                directories = taken.directories()
                _store.settle(store, taken.copied)
        return {
            **facts,
            "dirs": directories,
            "files": taken.files,
            "copies": len(taken.copied),
            "bytes": taken.bytes,
            "captured_ns": time.clock_gettime_ns(_CLOCK_REALTIME_COARSE),
        }

    def undo(self, layers: t.Sequence[Layer], how: How) -> Undo:
        from ansible_collections.intellistream.sage.plugins.module_utils import _venv_removal

        if layers[0].manifest.get("whole"):
            return _venv_removal.VenvReturn(self.path, layers[0], how)
        if not all(layer.manifest["existed"] for layer in layers):
            return _venv_removal.VenvRemoval(self.path, layers, how)
        from ansible_collections.intellistream.sage.plugins.module_utils._venv_undo import VenvUndo

        return VenvUndo(self.path, layers, how)


def _cannot(what: str, advice: str, **details: t.Any) -> CaptureError:
    return CaptureError(f"{what}.", untouched="everything.", advice=advice, **details)


def _found(venv: Tree, relative: str, row: Row | None, installed_ns: int) -> Found | None:
    try:
        fd, name = venv.parent(relative)
        info = os.lstat(name, dir_fd=fd)
    except (FileNotFoundError, NotADirectoryError):
        return None
    kind = _captured.kind_of(info)
    if kind not in (FILE, LINK):
        raise _cannot(f"{venv.name(relative)} is no regular file and cannot be captured", "Remove it, or reinstall.")
    edited = row is None or not row.digest or info.st_size != row.size or info.st_mtime_ns > installed_ns
    return Found(relative, fd, kind, info, row, edited)


def _rows(venv: Tree, one: Distribution) -> dict[str, Row]:
    try:
        rows = _distributions.record(venv, one.info, None, os.path.realpath(venv.path))
    except _distributions.Outside as error:
        raise _cannot(
            f"{one.name} {one.version} has the file {error} outside {venv.path}, which cannot be captured",
            f"Remove {one.name} by hand if it may go, then run again.",
            distribution=one.name,
            path=str(error),
        ) from error
    except UnsafePath as error:
        raise _cannot(f"RECORD of {one.name} {one.version} is not safe: {error.what}", "Reinstall it.") from error
    if rows is None:
        raise _cannot(
            f"{one.name} {one.version} in {venv.path} has no RECORD, so its files are unknown and cannot be captured",
            f"Reinstall or remove {one.name}, then run again.",
            distribution=one.name,
        )
    return rows


def _files(venv: Tree, one: Distribution) -> t.Iterator[Found]:
    rows = _rows(venv, one)
    last = venv.lstat(f"{one.info}/RECORD")
    installed_ns = last.st_mtime_ns if last is not None else 0
    for relative, is_directory in venv.walk(one.info):
        if not is_directory and not _distributions.is_bytecode(relative):
            rows.setdefault(relative, Row("", -1, ()))
    for relative in sorted(rows):
        try:
            found = _found(venv, relative, rows[relative], installed_ns)
        except UnsafePath as error:
            raise _cannot(f"{one.name} {one.version} cannot be captured: {error.what}", "Reinstall it.") from error
        if found is not None:
            yield found


def _loose(venv: Tree) -> t.Iterator[Found]:
    """What belongs to the environment itself and is in no RECORD."""
    names = [name for name, is_directory in venv.listing("") if not is_directory and name in ("pyvenv.cfg", "pip.conf")]
    for name, is_directory in venv.listing("bin"):
        info = None if is_directory else venv.lstat(f"bin/{name}")
        if info is not None and (
            name.lower().startswith(("activate", "deactivate")) or _captured.kind_of(info) == LINK
        ):
            names.append(f"bin/{name}")
    for name in names:
        found = _found(venv, name, None, 0)
        if found is not None:
            yield found


class _Taken:
    """Takes files into a store, lists them and counts."""

    def __init__(self, venv: Tree, store: Tree, items: Writer) -> None:
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

    def take(self, found: Found) -> None:
        """Link or copy one file."""
        self.files += 1
        self._directories.add(found.relative.rpartition("/")[0])
        self.items.add(found.relative, self._item(found))

    def _item(self, found: Found) -> Item:
        relative, info = found.relative, found.info
        if found.kind == LINK:
            fd, name = self.venv.parent(relative)
            return _captured.item_of(LINK, info, os.readlink(name, dir_fd=fd))
        self.bytes += info.st_size
        digest = found.row.digest if found.row is not None else ""
        if found.edited and found.row is not None and found.row.digests:
            # It looks edited; its content decides. A second wrong line in RECORD is not an edit.
            now = self.venv.digest(relative)
            digest = now if now in found.row.digests else ""
        # Scripts are small, and people edit them.
        script = relative.startswith("bin/") and info.st_size < _SCRIPT
        if digest and not script and self._link(found):
            return _captured.item_of(FILE, info, digest, shared=True)
        return self._copy(found)

    def _link(self, found: Found) -> bool:
        return _captured.link_at(found.fd, found.relative.rpartition("/")[2], self.store, found.relative)

    def _copy(self, found: Found) -> Item:
        info, digest, xattrs = _captured.copy(self.venv, found.relative, self.store, found.relative)
        self.copied.append(found.relative)
        return _captured.item_of(FILE, info, digest)._replace(xattrs=xattrs)
