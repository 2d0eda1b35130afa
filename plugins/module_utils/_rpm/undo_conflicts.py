"""Configuration of packages that somebody edited since the change: neither as captured nor as the change left it."""

from __future__ import annotations

import hashlib
import os
import stat
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import UnsafePath
from ansible_collections.intellistream.sage.plugins.module_utils._content.item import ABSENT, FILE, LINK, Item, kind_of
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.absolute import ParentDirectories
from ansible_collections.intellistream.sage.plugins.module_utils._rpm import database

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._kind.interface import Layer
    from ansible_collections.intellistream.sage.plugins.module_utils._rpm.undo_goals import Goal

# Numbers of hash algorithms in headers, as OpenPGP has them.
_ALGORITHMS = {0: "md5", 1: "md5", 2: "sha1", 8: "sha256", 9: "sha384", 10: "sha512", 11: "sha224"}
_CHUNK = 1 << 20


def configuration(header: t.Any) -> dict[str, str]:
    """The configuration files of an installed package, with the pristine digest of each, or the target of a link."""
    return {file.path: file.digest or file.link for file in database.files_of(header) if file.config and not file.ghost}


def edited(
    goal: Goal, headers: t.Sequence[t.Any], left: t.Mapping[str, t.Sequence[t.Any]], known: bool
) -> t.Iterator[str]:
    """Configuration files of a package that are neither as captured nor as the change left them.

    :param headers: of the versions that are installed now.
    :param left: of configuration files once the change had ended, where somebody looked; path → item.
    :param known: the change ran to its end, and no undo of it was begun.
    """
    captured = {path: Item(*item) for path, item in (goal.facts or {}).get("config", {}).items()}
    brought = pristine(headers, {path for header in headers for path in configuration(header)})
    with ParentDirectories() as parents:
        for path in sorted({*captured, *brought}):
            # Without knowing how the change ended, only what somebody looked at can be told from it.
            if known or path in left:
                if theirs(parents, path, captured.get(path), left.get(path), brought.get(path, ()), goal.layer.time):
                    yield path


Pristine = t.Iterable[tuple[str, str]]


def pristine(headers: t.Iterable[t.Any], paths: t.Container[str]) -> dict[str, set[tuple[str, str]]]:
    """For each of these paths that the headers have, how they brought it: (algorithm, digest or target of a link)."""
    found: dict[str, set[tuple[str, str]]] = {}
    for header in headers:
        algorithm = _ALGORITHMS.get(int(header["FILEDIGESTALGO"] or 0), "sha256")
        for file in database.files_of(header):
            if file.path in paths and not file.ghost:
                found.setdefault(file.path, set()).add((algorithm, file.digest or file.link))
    return found


def theirs(
    parents: ParentDirectories,
    path: str,
    captured: Item | None,
    left: t.Sequence[t.Any] | None,
    brought: Pristine,
    since: float,
) -> bool:
    """Whether a path is neither as it was captured nor as the change left it.

    :param left: as it was once the change had ended, where somebody looked.
    :param brought: what packages have there, from M(pristine).
    :param since: the time of the capture.
    """
    found = found_at(parents, path)
    if found is None or found.kind == ABSENT:
        # Bringing it back overwrites nothing.
        return False
    if captured is not None and _same(found, captured):
        return False
    if left is not None:
        return not _same(found, Item(*left))
    if was_packed(found, since):
        return False
    return not any(_digest(parents, path, name) == digest for name, digest in brought)


def left_of(layers: t.Sequence[Layer]) -> dict[str, t.Sequence[t.Any]]:
    """What the newest change of each configuration file left of it, where somebody looked."""
    found: dict[str, t.Sequence[t.Any]] = {}
    for layer in layers:
        found.update((layer.after or {}).get("config") or {})
    return found


def foreign(paths: t.Iterable[str], owned: t.Container[str]) -> t.Iterator[str]:
    """What has to make room for files and directories of the captured package, and is no package's."""
    for top in paths:
        if not os.path.isdir(top) and top not in owned:
            yield f"{top} is where a directory of a package was"
        for directory, below, names in os.walk(top):
            for path in (f"{directory}/{name}" for name in [*names, *below]):
                if path not in owned and (path.rpartition("/")[2] in names or not os.listdir(path)):
                    yield f"{path} is where a file of a package was"


def _same(one: Item, other: Item) -> bool:
    return (one.kind, one.value, one.mode, one.uid, one.gid) == (
        other.kind,
        other.value,
        other.mode if other.kind != LINK else one.mode,
        other.uid,
        other.gid,
    )


def found_at(parents: ParentDirectories, path: str) -> Item | None:
    """What is there; None when it is neither a file nor a link."""

    try:
        tree, name = parents.at(path)
        info = tree.lstat(name) if tree is not None else None
        if info is None or tree is None:
            return Item(ABSENT)
        kind = kind_of(info)
        owner = (info.st_size, info.st_mtime_ns, stat.S_IMODE(info.st_mode), info.st_uid, info.st_gid)
        if kind == LINK:
            return Item(LINK, os.readlink(name, dir_fd=tree.fd), *owner)
        return Item(FILE, tree.digest(name), *owner) if kind == FILE else None
    except UnsafePath:
        return None


def was_packed(found: Item, since: float) -> bool:
    """Whether a file or link of other content than captured has a time from before the capture: from a package, as
    of a change that was killed before rpm knew of it. Whoever edits a file since gives it a later one.
    """
    return found.kind in (FILE, LINK) and found.mtime < since * 1e9


def _digest(parents: ParentDirectories, path: str, algorithm: str) -> str:

    tree, name = parents.at(path)
    info = tree.lstat(name) if tree is not None else None
    if tree is None or kind_of(info) != FILE:
        return os.readlink(name, dir_fd=tree.fd) if tree is not None and kind_of(info) == LINK else ""
    # What rpm compares with, no matter of security.
    sha = hashlib.new(algorithm, usedforsecurity=False)
    with os.fdopen(tree.open_file(name), "rb") as stream:
        for data in iter(lambda: stream.read(_CHUNK), b""):
            sha.update(data)
    return sha.hexdigest()
