"""What the store really occupies, by rollback point.

A captured file is often a hard link to the installed one. Removing it frees nothing then, and so it counts
nothing. Each file counts once, however many names it has in the store. What a point and the farm have is the point's;
what the farm alone has is no point's, serves the next capture, and is not counted.
"""

from __future__ import annotations

import os
import stat
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.sizes import on_disk
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.tree import Tree
from ansible_collections.intellistream.sage.plugins.module_utils._storage import contents
from ansible_collections.intellistream.sage.plugins.module_utils._timeline.unsettled import waiting

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.private import PrivateDir
    from ansible_collections.intellistream.sage.plugins.module_utils._records.installation import Change

STRAY = ""
# No point's name has a slash at its beginning.
FARM = "/farm"

Names = dict[tuple[str, str], str]


def unpacked(point: str) -> str:
    """What a point's directory is called in a M(Usage.total) when its archive is there too."""
    return f"{point}/"


class Usage:
    """What the store holds.

    :ivar aside: rollback points with something that a rollback put aside.
    :ivar alone: rollback points that no file of is linked elsewhere, and that an archive can hold.
    :ivar strays: (installation, name) of what belongs to no rollback point, or only to one that was pruned.
    :ivar doubled: rollback points that are there both as a directory and as an archive.
    """

    def __init__(self) -> None:
        self.aside: set[str] = set()
        self.alone: set[str] = set()
        self.strays: list[tuple[str, str]] = []
        self.doubled: list[str] = []
        self._own: dict[str, int] = {}
        # inode → (links that were not found yet, bytes, owners); there may be very many, of very few owners.
        self._linked: dict[int, tuple[int, int, tuple[str, ...]]] = {}
        self._owners: dict[tuple[str, ...], tuple[str, ...]] = {}

    def total(self, without: t.Collection[str] = ()) -> int:
        """Bytes that are occupied once C(without) these points, and without strays."""
        excluded = {STRAY, FARM, *without, *map(unpacked, without)}
        total = sum(size for owner, size in self._own.items() if owner not in excluded)
        for outside, size, owners in self._linked.values():
            if not outside and any(owner not in excluded for owner in owners):
                total += size
        return total

    def occupied(self) -> int:
        """Bytes that are occupied now."""
        own = sum(size for owner, size in self._own.items() if owner != FARM)
        linked = (size for outside, size, owners in self._linked.values() if not outside and owners != (FARM,))
        return own + sum(linked)

    def of(self, point: str) -> int:
        """Bytes that only this point occupies."""
        return self._own.get(point, 0) + sum(
            size for outside, size, owners in self._linked.values() if not outside and {*owners} - {FARM} == {point}
        )

    def add(self, owner: str, info: os.stat_result) -> None:
        """Count one file or directory."""
        size = on_disk(info)
        if stat.S_ISDIR(info.st_mode) or info.st_nlink == 1:
            self._own[owner] = self._own.get(owner, 0) + size
            return
        key = info.st_dev << 64 | info.st_ino
        outside, dummy, owners = self._linked.get(key, (info.st_nlink, size, ()))
        if owner not in owners:
            owners = (*owners, owner)
        self._linked[key] = (outside - 1, size, self._owners.setdefault(owners, owners))

    def finish(self, plain: set[str]) -> None:
        """Once all is counted: C(alone) are those of C(plain) that share no file."""
        shared = {
            owner
            for outside, dummy, owners in self._linked.values()
            if outside or len({*owners} - {FARM}) > 1
            for owner in owners
        }
        self.alone = plain - shared - self.aside


def measure(state: PrivateDir, history: t.Sequence[Change]) -> Usage:
    """Look at everything in the store; nothing is followed or changed.

    :raises OSError: it cannot be read.
    :raises UnsafePath: a directory was replaced by a link meanwhile.
    """
    usage = Usage()
    try:
        store = contents.opened(state)
    except FileNotFoundError:
        return usage
    names = _names(history)
    points = [point for change in history for point in change.points]
    archived = {point["point"] for point in points if point.get("archive")}
    # Of these the farm has the content.
    unsettled = {point["point"] for point in points if waiting(point)}
    plain: set[str] = set()
    with store, Tree.of(store) as tree:
        for install_id in filter(tree.is_directory, contents.install_ids(store)):
            for name, is_directory in tree.listing(install_id):
                path = f"{install_id}/{name}"
                owner = names.get((install_id, name), STRAY)
                if owner == STRAY:
                    usage.strays.append((install_id, name))
                elif is_directory and owner in archived:
                    usage.doubled.append(owner)
                    owner = unpacked(owner)
                _add(tree, path, owner, usage)
                if is_directory and _scan(tree, path, owner, usage) and owner:
                    plain.add(owner)
        for path, dummy in tree.walk(contents.FARM):
            _add(tree, path, FARM, usage)
    usage.finish(plain - unsettled)
    return usage


def _names(history: t.Sequence[Change]) -> Names:
    """(installation, name in the store) → rollback point, of all that may lie there."""
    names: Names = {}
    for change in history:
        for point in change.points:
            if point.get("pruned"):
                continue
            names[point["install_id"], point["point"]] = point["point"]
            if point.get("archive"):
                names[point["install_id"], point["archive"]["name"]] = point["point"]
    return names


def _scan(tree: Tree, point: str, owner: str, usage: Usage) -> bool:
    """Count what is below a point's directory; whether it is nothing but files and directories."""
    plain = True
    for path, is_directory in tree.walk(point):
        is_file = stat.S_ISREG(_add(tree, path, owner, usage))
        # <installation>/<point>/<resource>/aside
        if is_directory and path.count("/") == 3 and path.endswith("/aside"):
            usage.aside.add(owner.rstrip("/"))
        plain = plain and (is_directory or is_file)
    return plain


def _add(tree: Tree, path: str, owner: str, usage: Usage) -> int:
    """Count one file or directory, and return its mode."""
    fd, name = tree.parent(path)
    info = os.lstat(name, dir_fd=fd)
    usage.add(owner, info)
    return info.st_mode
