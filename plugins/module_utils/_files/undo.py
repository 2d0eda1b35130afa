"""The way back for named paths: the oldest capture of each one wins."""

from __future__ import annotations

import os
import shutil
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import UnsafePath
from ansible_collections.intellistream.sage.plugins.module_utils._content import item as content_item
from ansible_collections.intellistream.sage.plugins.module_utils._content import listing
from ansible_collections.intellistream.sage.plugins.module_utils._content.aside import ASIDE, keep_aside
from ansible_collections.intellistream.sage.plugins.module_utils._content.item import (
    ABSENT,
    DIRECTORY,
    FILE,
    Item,
)
from ansible_collections.intellistream.sage.plugins.module_utils._content.put_back import TEMPORARY, put_back
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.tree import Tree
from ansible_collections.intellistream.sage.plugins.module_utils._kind.undo import Undo, UndoOptions

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.private import PrivateDir
    from ansible_collections.intellistream.sage.plugins.module_utils._kind.interface import Facts, Layer


class _Wanted(t.NamedTuple):
    path: str
    items: dict[str, Item]
    where: PrivateDir
    at: str


class _Left:
    """What the newest change of each path left, where somebody looked."""

    def __init__(self) -> None:
        # The newest last: the last that a path lies in tells of it.
        self._looks: list[tuple[str, t.Mapping[str, t.Any] | None]] = []

    def replace(self, path: str, briefs: t.Mapping[str, t.Any] | None) -> None:
        """A newer change captured a path: what older ones left there, and below, says nothing any more.

        :param briefs: what it left, by M(listing.briefs); None where nobody looked.
        """
        self._looks = [look for look in self._looks if not _within(look[0], path)]
        self._looks.append((path, briefs))

    def at(self, path: str) -> t.Any:
        """The brief of a path; None where nobody looked."""
        for top, briefs in reversed(self._looks):
            if _within(path, top):
                return briefs.get(path[len(top) + 1 :], [ABSENT]) if briefs is not None else None
        return None

    def names(self, path: str) -> list[str]:
        """Names relative to a path of all that was left there."""
        full = [listing.join(top, name) for top, briefs in self._looks for name in briefs or ()]
        return [name[len(path) + 1 :] for name in full if _within(name, path)]


def _within(path: str, directory: str) -> bool:
    """Whether a path is a directory, or lies below it."""
    return path == directory or path.startswith(f"{directory}/")


class FilesUndo(Undo):
    """The way back for paths: the oldest capture of each one wins.

    :param layers: oldest first.
    """

    def __init__(self, layers: t.Sequence[Layer], how: UndoOptions) -> None:
        super().__init__()
        self._resumed = how.resumed
        # What an interrupted undo may have brought back, full path → briefs.
        self._brought: dict[str, list[list[t.Any]]] = {}
        chosen: list[_Wanted] = []
        left = _Left()
        for layer in layers:
            for section in layer.items.sections if layer.items is not None else ():
                path = section.name
                left.replace(path, (layer.after or {}).get("paths", {}).get(path))
                for name, each in layer.items.read(section) if how.resumed and layer.items is not None else ():
                    self._brought.setdefault(listing.join(path, name), []).append(listing.brief_of(each))
                # Inside something an older capture holds: that one decides.
                if any(_within(path, old.path) for old in chosen):
                    continue
                items = dict(layer.items.read(section)) if layer.items is not None else {}
                if how.erase_after is not None and layer.time <= how.erase_after and items[""].kind == ABSENT:
                    self.kept += [path] if os.path.lexists(path) else []
                    continue
                chosen.append(_Wanted(path, items, layer.where, str(section.number)))
        # Newest first: what an older capture holds inside a newer one's directory comes after it.
        self._wanted = chosen[::-1]
        self._theirs: set[str] = set()
        self._aside: dict[str, PrivateDir] = {}
        for wanted in self._wanted:
            self._judge(wanted, left, layers[-1].where)
            for full, why in self._differences(wanted, trust=True):
                item = wanted.items.get(full[len(wanted.path) + 1 :])
                self.plan["remove" if item is None or item.kind == ABSENT else "restore"].append(f"{full} ({why})")

    def _judge(self, wanted: _Wanted, left: _Left, where: PrivateDir) -> None:
        """Tell what the change did from what somebody did since, by three sides: captured, left, found now."""
        now = listing.briefs(wanted.path)
        for name in sorted({*wanted.items, *left.names(wanted.path), *now}):
            full, found = listing.join(wanted.path, name), now.get(name, [ABSENT])
            captured, after = listing.brief_of(wanted.items.get(name)), left.at(full)
            if after is None or self._not_ours(wanted, full):
                continue
            if self._resumed and (found[0] == captured[0] == DIRECTORY or found in self._brought.get(full, ())):
                # An interrupted undo had made it, made it writable, or put it there.
                continue
            if found in (after, captured) or os.path.basename(name).startswith((TEMPORARY, ASIDE)):
                continue
            if after == captured and not self._goes(wanted, name):
                # The change did not touch it, so there is nothing to take back.
                self._theirs.add(full)
                continue
            if self._resumed and found[0] == ABSENT:
                # An interrupted undo had removed it, and not put anything in its place yet.
                continue
            self.conflicts.append(f"{full} was changed by somebody")
            self._aside[full] = where

    def _goes(self, wanted: _Wanted, name: str) -> bool:
        """Whether a directory that it is in will be removed."""
        while name:
            name = name.rpartition("/")[0]
            item = wanted.items.get(name)
            if listing.join(wanted.path, name) in self._theirs:
                return False
            if item is None or item.kind != DIRECTORY:
                return True
        return False

    def redo(self) -> Facts | None:
        return {"kind": "files", "paths": [one.path for one in self._wanted]} if self.touches() else None

    def _not_ours(self, wanted: _Wanted, full: str) -> bool:
        """Whether this path is not for this capture to decide: another one's, or somebody's own."""
        if full in self._theirs:
            return True
        following = self._wanted[self._wanted.index(wanted) + 1 :]
        return any(_within(full, other.path) for other in following)

    def _differences(self, wanted: _Wanted, trust: bool) -> list[tuple[str, str]]:
        found: list[tuple[str, str]] = []
        base = os.path.basename(wanted.path)
        tree = listing.parent(wanted.path)
        if tree is None:
            missing = [name for name, item in wanted.items.items() if item.kind != ABSENT]
            return [(listing.join(wanted.path, name), "is absent") for name in missing]
        with tree, Tree.of(wanted.where) as store:
            for name, item in wanted.items.items():
                full = listing.join(wanted.path, name)
                if self._not_ours(wanted, full):
                    continue
                try:
                    trusted = store if trust else None
                    why = content_item.difference(
                        tree, listing.join(base, name), item, trusted, listing.join(wanted.at, name)
                    )
                except UnsafePath:
                    # A link took the place of a directory; the undo removes the link.
                    why = "is behind a link"
                if why:
                    found.append((full, why))
            for relative in listing.below(tree, wanted.path):
                name = relative.partition("/")[2]
                full = listing.join(wanted.path, name)
                if name and name not in wanted.items and not self._not_ours(wanted, full):
                    found.append((full, "is new"))
        return found

    def check(self) -> None:
        for wanted in self._wanted:
            with Tree.of(wanted.where) as store:
                for name, item in wanted.items.items():
                    if item.kind == FILE:
                        content_item.verify(store, listing.join(wanted.at, name), item)

    def execute(self) -> None:
        for full, where in self._aside.items():
            keep_aside(full, where)
        for wanted in self._wanted:
            self._execute(wanted)

    def _execute(self, wanted: _Wanted) -> None:
        base = os.path.basename(wanted.path)
        absent = wanted.items[""].kind == ABSENT
        if not absent:
            os.makedirs(os.path.dirname(wanted.path), exist_ok=True)
        tree = listing.parent(wanted.path)
        if tree is None:
            return
        with tree, Tree.of(wanted.where) as store:
            # What an interrupted undo left.
            _clear(tree, f"{ASIDE}-{base}")
            tree.unlink(TEMPORARY)
            for relative in list(listing.below(tree, wanted.path)):
                name = relative.partition("/")[2]
                item = wanted.items.get(name)
                there = content_item.kind_of(tree.lstat(relative))
                if self._not_ours(wanted, listing.join(wanted.path, name)) or there == ABSENT:
                    continue
                if item is None or item.kind == ABSENT or (item.kind != there and DIRECTORY in (item.kind, there)):
                    # Out of sight in one step, then deleted: never half of a tree under its name.
                    tree.forget()
                    aside = f"{ASIDE}-{base}"
                    fd, old = tree.parent(relative)
                    os.rename(old, aside, src_dir_fd=fd, dst_dir_fd=tree.fd)
                    _clear(tree, aside)
            tree.forget()
            ordered = sorted(wanted.items)
            for name in ordered:
                item, relative = wanted.items[name], listing.join(base, name)
                if item.kind != ABSENT and not self._not_ours(wanted, listing.join(wanted.path, name)):
                    if content_item.difference(tree, relative, item, store, listing.join(wanted.at, name)):
                        # Writable until it is filled.
                        writable = item._replace(mode=item.mode | 0o700) if item.kind == DIRECTORY else item
                        put_back(store, listing.join(wanted.at, name), tree, relative, writable)
            for name in ordered[::-1]:
                # A directory's time and mode last: filling it changes the one and may need the other.
                if wanted.items[name].kind == DIRECTORY:
                    put_back(store, "", tree, listing.join(base, name), wanted.items[name])
            tree.flush()

    def verify(self) -> list[str]:
        return [f"{path} {why}" for wanted in self._wanted for path, why in self._differences(wanted, trust=False)]


def _clear(tree: Tree, name: str) -> None:
    tree.forget()
    info = tree.lstat(name)
    if info is None:
        return
    if content_item.kind_of(info) == DIRECTORY:
        # Through the descriptor: rmtree follows no link below, and this none above.
        shutil.rmtree(f"/proc/self/fd/{tree.fd}/{name}")
    else:
        tree.unlink(name)
