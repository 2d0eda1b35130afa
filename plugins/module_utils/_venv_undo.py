# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The way back to the distributions a virtual environment had.

Everything is computed first, from three sides: what was captured, what the installation was to
leave, what is there now. Check mode shows the computation, a run executes it. The order is such
that an interrupted undo can be computed again: a distribution's RECORD goes last.
"""

from __future__ import annotations

import os
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils import _captured, _distributions, _venv_litter
from ansible_collections.intellistream.sage.plugins.module_utils._captured import FILE, Item
from ansible_collections.intellistream.sage.plugins.module_utils._distributions import Distribution, Row
from ansible_collections.intellistream.sage.plugins.module_utils._errors import RollbackError, UnsafePath
from ansible_collections.intellistream.sage.plugins.module_utils._resource import Layer, Undo
from ansible_collections.intellistream.sage.plugins.module_utils._tree import Tree

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._fs import PrivateDir


class Target:
    """What one distribution has to become again.

    :ivar version: the captured version; None: it was not there.
    :ivar files: path → captured item.
    :ivar where: the captured content.
    :ivar allowed: versions that captures and installations explain; empty string: any.
    """

    def __init__(self, captured: dict[str, t.Any] | None, where: PrivateDir) -> None:
        self.version: str | None = captured["version"] if captured else None
        self.files = {path: Item(*values) for path, values in captured["files"].items()} if captured else {}
        self.where = where
        self.allowed: list[str] = []


class VenvUndo(Undo):
    """Takes an environment back through its captures; the oldest of each distribution wins.

    :param path: the environment.
    :param layers: oldest first; the environment existed at each.
    """

    def __init__(self, path: str, layers: t.Sequence[Layer], *, force: bool, resumed: bool) -> None:
        super().__init__()
        self.path = path
        self.layers = layers
        self.force = force
        self.resumed = resumed
        self.targets: dict[str, Target] = {}
        for layer in layers:
            captured = layer.manifest["captured"]
            wanted = {_distributions.canonical(one["name"]): str(one.get("version") or "") for one in _listed(layer)}
            for name in [*wanted, *captured]:
                target = self.targets.get(name)
                if target is None:
                    target = self.targets[name] = Target(captured.get(name), layer.where)
                target.allowed += [wanted.get(name, "") if name in wanted else captured[name]["version"]]
                target.allowed += [captured[name]["version"]] if name in captured else []
        self.loose = {path: Item(*values) for path, values in layers[0].manifest["loose"].items()}
        self.dirs: dict[str, int] = {}
        for layer in layers:
            self.dirs = {**layer.manifest["dirs"], **self.dirs}
        unfinished = [layer.manifest["captured_ns"] for layer in layers if not layer.completed]
        self.since: int | None = min(unfinished) if unfinished else None
        self.erase: list[str] = []
        self.put: list[tuple[str, Item, PrivateDir]] = []
        self.aside: list[str] = []
        self.infos: list[str] = []
        self.litter = _venv_litter.Litter([], [])
        venv = Tree.open(path)
        if venv is None:
            self.conflicts.append(f"{path} was removed by somebody; only what was captured of it could be put back")
            return
        with venv:
            self._compute(venv)

    def _compute(self, venv: Tree) -> None:
        registered = _distributions.by_name(_distributions.installed(venv))
        captured = {path for target in self.targets.values() for path in target.files}
        erase: set[str] = set()
        listed = {name: self._rows(venv, registered.get(name, [])) for name in sorted(self.targets)}
        claims = self._claims(listed)
        for name, rows in listed.items():
            target, now = self.targets[name], registered.get(name, [])
            self._judge_versions(name, target, now)
            # An interrupted undo may have emptied one and not removed it.
            self.infos += [one.info for one in now]
            self._judge_edits(venv, rows, claims)
            erase.update(rows)
            put = self._differing(venv, target.files, target.where)
            self.put += put
            self._describe(name, target, now, put, [path for path in rows if path not in captured])
        erase -= captured
        others = [one for name, several in registered.items() if name not in self.targets for one in several]
        erase -= _distributions.owned_by(venv, others, erase)
        erase -= set(self.loose)
        own = set(self.loose)
        self.erase = sorted(erase)
        loose = self._differing(venv, self.loose, self.layers[0].where)
        if not any(path == "pyvenv.cfg" for path, dummy, dummy2 in loose):
            # No installer touches these unless the environment is made anew: what differs was edited by people.
            edited = {path for path, dummy, dummy2 in loose if venv.lstat(path) is not None}
            loose = [one for one in loose if one[0] not in edited]
            self.loose = {path: item for path, item in self.loose.items() if path not in edited}
        self.put += loose
        self.plan["restore"] += [venv.name(path) for path, dummy, dummy2 in loose]
        self.plan["restore"] += self._modes(venv, mend=False)
        if self.since is not None:
            known = captured | erase | own | set(self.aside)
            self.litter = _venv_litter.find(venv, others, known, self.since)
            self.plan["remove"] += [f"{venv.name(path)} (kept aside)" for path in self.litter.entries]

    def _judge_versions(self, name: str, target: Target, now: list[Distribution]) -> None:
        for one in now:
            if "" in target.allowed or any(_distributions.same_version(one.version, known) for known in target.allowed):
                continue
            self.conflicts.append(
                f"{name} {one.version} in {self.path} was installed by somebody else "
                f"(captured: {target.version or 'none'}, installed: {' or '.join(sorted(set(target.allowed)))})"
            )
        if target.version and not now and not self.resumed and self.since is None:
            self.conflicts.append(f"{name} in {self.path} was removed by somebody else (captured: {target.version})")

    def _rows(self, venv: Tree, now: list[Distribution]) -> dict[str, tuple[Row, int]]:
        found: dict[str, tuple[Row, int]] = {}
        for one in now:
            rows = _distributions.record(venv, one.info, prefix=os.path.realpath(self.path), strict=False)
            info = venv.lstat(f"{one.info}/RECORD")
            if rows is None or info is None:
                if self.since is not None:
                    # An installer was killed: what it left is put aside with all other litter.
                    continue
                rows = {}
            for relative, is_directory in venv.walk(one.info):
                if not is_directory:
                    rows.setdefault(relative, Row("", -1, ()))
            installed_ns = info.st_mtime_ns if info is not None else 0
            found.update({relative: (row, installed_ns) for relative, row in rows.items()})
        return found

    def _claims(self, listed: t.Mapping[str, dict[str, tuple[Row, int]]]) -> dict[str, set[str]]:
        """Path → digests that explain its content.

        Distributions share files more often than they should: the one installed last wrote it, and none edited it.
        """
        claims: dict[str, set[str]] = {}
        for rows in listed.values():
            for relative, (row, dummy) in rows.items():
                claims.setdefault(relative, set()).update(row.digests)
        for target in self.targets.values():
            for relative, item in target.files.items():
                claims.setdefault(relative, set()).add(item.value)
        return claims

    def _judge_edits(self, venv: Tree, rows: dict[str, tuple[Row, int]], claims: t.Mapping[str, set[str]]) -> None:
        for relative, (row, installed_ns) in rows.items():
            if not row.digests:
                continue
            info = venv.lstat(relative)
            if info is None or _captured.kind_of(info) != FILE:
                continue
            if row.digest and info.st_size == row.size and info.st_mtime_ns <= installed_ns:
                continue
            if relative not in self.aside and venv.digest(relative) not in claims[relative]:
                self.aside.append(relative)
                if self.since is not None and info.st_ctime_ns >= self.since:
                    # Most likely half written by the installer that was killed; kept in case it was not.
                    self.plan["remove"].append(f"{venv.name(relative)} (kept aside)")
                else:
                    self.conflicts.append(f"{venv.name(relative)} was edited by somebody")

    def _differing(
        self, venv: Tree, files: t.Mapping[str, Item], where: PrivateDir
    ) -> list[tuple[str, Item, PrivateDir]]:
        with Tree(where.path, os.dup(where.fd), 0o700) as store:
            return [
                (path, item, where)
                for path, item in files.items()
                if _captured.difference(venv, path, item, store, path)
            ]

    def _describe(
        self, name: str, target: Target, now: list[Distribution], put: t.Sequence[object], extra: t.Sequence[str]
    ) -> None:
        versions = [one.version for one in now]
        self.plan["erase"] += [f"{name} {version}" for version in versions if version != target.version]
        if target.version is None:
            return
        if target.version not in versions:
            self.plan["install"].append(f"{name} {target.version}")
        elif put or (extra and versions == [target.version]):
            self.plan["restore"].append(f"{name} {target.version} ({len(put) + len(extra)} files)")

    def check(self) -> None:
        for where in {id(where): where for dummy, dummy2, where in self.put}.values():
            with Tree(where.path, os.dup(where.fd), 0o700) as store:
                for path, item, place in self.put:
                    if place is where and item.kind == FILE:
                        _captured.sound(store, path, item)

    def execute(self) -> None:
        venv = Tree.open(self.path)
        if venv is None:
            raise RollbackError(f"{self.path} is gone; there is nothing to put the captured files back into.")
        with venv:
            if self.aside or self.litter.entries:
                with _venv_litter.Aside(venv, self.layers[-1].where) as aside:
                    for relative in self.aside:
                        aside.take(relative)
                    for relative in self.litter.entries:
                        aside.take(relative)
            content = [path for path in self.erase if not _in_info(path)]
            info = [path for path in self.erase if _in_info(path)]
            for relative in content:
                venv.unlink(relative)
            # While RECORD still tells what belonged to it: nothing is left that nobody knows of.
            self._tidy(venv, [*content, *self.litter.entries], self.litter.directories)
            self._put(venv)
            self._tidy(venv, [path for path, dummy, dummy2 in self.put], [])
            for relative in sorted(info, key=_record_last):
                venv.unlink(relative)
            self._tidy(venv, info, self.infos)
            self._modes(venv, mend=True)
            venv.settle()

    def _put(self, venv: Tree) -> None:
        stores: dict[int, Tree] = {}
        try:
            for path, item, where in sorted(self.put, key=lambda one: (_in_info(one[0]), _record_last(one[0]))):
                store = stores.get(id(where))
                if store is None:
                    store = stores[id(where)] = Tree(where.path, os.dup(where.fd), 0o700)
                _captured.put_back(store, path, venv, path, item)
        finally:
            for store in stores.values():
                store.close()

    def _tidy(self, venv: Tree, changed: t.Sequence[str], directories: t.Sequence[str]) -> None:
        """Remove byte code of what was changed, and directories that are empty now."""
        _venv_litter.remove_bytecode(venv, changed)
        keep = set(self.dirs) | set(_distributions.sites(venv))
        _venv_litter.prune(venv, changed, directories, keep)

    def _modes(self, venv: Tree, mend: bool) -> list[str]:
        """Directories whose mode is not the captured one, after mending that if asked to."""
        wrong = []
        for name, mode in self.dirs.items():
            try:
                fd = venv.enter(name)
            except FileNotFoundError:
                continue
            now = os.fstat(fd).st_mode & 0o7777
            if now != mode and mend:
                os.fchmod(fd, mode)
            elif now != mode:
                wrong.append(f"{venv.name(name)} has mode {now:04o}, had {mode:04o}")
        return wrong

    def verify(self) -> list[str]:
        venv = Tree.open(self.path)
        if venv is None:
            return [f"{self.path} is gone"]
        left: list[str] = []
        with venv:
            registered = _distributions.by_name(_distributions.installed(venv))
            for name, target in sorted(self.targets.items()):
                versions = [one.version for one in registered.get(name, ())]
                if versions != ([target.version] if target.version is not None else []):
                    left.append(f"{name} is {' and '.join(versions) or 'absent'}, was {target.version or 'absent'}")
                left += self._left(venv, target.files, target.where)
            left += self._left(venv, self.loose, self.layers[0].where)
            left += self._modes(venv, mend=False)
            left += [
                f"{venv.name(path)} is still there"
                for path in [*self.erase, *self.litter.entries]
                if venv.lstat(path) is not None
            ]
        return left

    def _left(self, venv: Tree, files: t.Mapping[str, Item], where: PrivateDir) -> list[str]:
        left = []
        with Tree(where.path, os.dup(where.fd), 0o700) as store:
            for path, item in files.items():
                try:
                    why = _captured.difference(venv, path, item, store, path)
                except UnsafePath as error:
                    why = error.what
                if why:
                    left.append(f"{venv.name(path)} {why}")
        return left


def _listed(layer: Layer) -> list[dict[str, t.Any]]:
    return list(layer.spec.get("distributions") or [])


def _in_info(path: str) -> bool:
    return f"{_distributions.INFO}/" in path


def _record_last(path: str) -> tuple[bool, str]:
    return path.endswith(f"{_distributions.INFO}/RECORD"), path
