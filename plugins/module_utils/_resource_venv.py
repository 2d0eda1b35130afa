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

from ansible_collections.intellistream.sage.plugins.module_utils import (
    _distributions,
    _store,
    _venv_capture,
    _venv_facts,
)
from ansible_collections.intellistream.sage.plugins.module_utils._resource import Facts, How, Layer, Resource, Undo
from ansible_collections.intellistream.sage.plugins.module_utils._tree import Tree

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._distributions import Distribution
    from ansible_collections.intellistream.sage.plugins.module_utils._fs import PrivateDir
    from ansible_collections.intellistream.sage.plugins.module_utils._manifest import Writer

# The clock file systems stamp with; it lags behind the precise one by up to a tick.
_CLOCK_REALTIME_COARSE = 5


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
                rows = _venv_capture.listed(venv, one)
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
                    raise _venv_capture.cannot(
                        f"{one.name} is registered twice in {self.path} ({chosen[one.name].version} and {one.version})",
                        "Remove one of the two .dist-info directories, or roll back the interrupted change.",
                    )
                chosen[one.name] = one
        return list(chosen.values())

    def capture(self, where: PrivateDir, items: Writer) -> Facts:
        with self._open() as venv:
            if venv is None:
                return {"existed": False, "files": 0, "copies": 0, "bytes": 0}
            there = {one.name: one.version for one in _distributions.installed(venv)}
            facts = {"existed": True, "whole": self.whole, "distributions": there}
            if self.whole:
                return {**facts, "files": 0, "copies": 0, "bytes": 0}
            with Tree(where.path, os.dup(where.fd), 0o700) as store:
                taken = _venv_capture.Taken(venv, store, items)
                for one in self._chosen(venv):
                    items.section(one.name, one.version, one.info)
                    rows, installed_ns = _venv_capture.files(venv, one)
                    for relative in taken.link(rows, installed_ns):
                        taken.take(_venv_capture.unlike(venv, one, relative, rows[relative], installed_ns))
                items.section()
                for found in _venv_capture.loose(venv):
                    taken.take(found)
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
