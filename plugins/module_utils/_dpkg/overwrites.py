"""What a change of packages takes from others: files that are nobody's, and files of packages that stay.

dpkg overwrites the former without a word and removes them with the package that brought others; the latter it
takes out of their package's list when the new one C(Replaces) it.
"""

from __future__ import annotations

import os
import stat
import typing as t

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._dpkg.database import Database, Package
    from ansible_collections.intellistream.sage.plugins.module_utils._dpkg.incoming import Incoming
    from ansible_collections.intellistream.sage.plugins.module_utils._dpkg.plan import PlannedChange

_DIRECTORY = "d"


class Taken(t.NamedTuple):
    """What a change takes.

    :ivar packages: that lose files and do not change otherwise.
    :ivar paths: real paths of what is nobody's; directories too, since dpkg removes those that get empty.
    :ivar impossible: reasons why some of it cannot be captured.
    """

    packages: list[Package]
    paths: list[str]
    impossible: list[str]


class _Names:
    """Paths by which a file can be told from others, whatever links its directory is named through."""

    def __init__(self) -> None:
        self._directories: dict[str, str] = {}

    def real(self, path: str) -> str:
        directory, dummy, name = path.rpartition("/")
        if directory not in self._directories:
            self._directories[directory] = os.path.realpath(directory or "/").rstrip("/")
        return f"{self._directories[directory]}/{name}"


def find(
    database: Database, changes: t.Iterable[PlannedChange], captured: t.Sequence[Package], incoming: Incoming
) -> Taken:
    """What these changes take, as far as their package files are at hand.

    :param captured: what is captured as a whole anyway.
    """
    names = _Names()
    coming = _coming(database, changes, incoming, names)
    if not coming:
        return Taken([], [], [])
    known = {package.key for package in captured}
    for package in captured:
        for real in _owned(database, package, names):
            coming.pop(real, None)
    found: dict[str, Package] = {}
    for package in database.packages.values():
        if package.key in known:
            continue
        for real in _owned(database, package, names):
            kind, name = coming.pop(real, ("", ""))
            # Directories belong to many, and so do files to the instances of a package.
            if kind not in ("", _DIRECTORY) and package.name != name and not _directory(real):
                together = database.named(package.name) if package.shared else [package]
                found.update((one.key, one) for one in together)
    paths, impossible = [], []
    for real in sorted(coming):
        info = _lstat(real)
        if info is not None and any(test(info.st_mode) for test in (stat.S_ISREG, stat.S_ISLNK, stat.S_ISDIR)):
            paths.append(real)
        elif info is not None:
            impossible.append(f"{coming[real][1]}: it overwrites {real}, a device, pipe or socket")
    return Taken(list(found.values()), paths, impossible)


def _coming(
    database: Database, changes: t.Iterable[PlannedChange], incoming: Incoming, names: _Names
) -> dict[str, tuple[str, str]]:
    """Real path → kind and package of all that comes."""
    found = {}
    for change in changes:
        diverted = {one.path: one.to for one in database.diversions() if one.by != change.name}
        for kind, path in incoming.listed(change.key):
            found[names.real(diverted.get(path, path))] = (kind, change.name)
    return found


def _directory(path: str) -> bool:
    info = _lstat(path)
    return info is not None and stat.S_ISDIR(info.st_mode)


def _owned(database: Database, package: Package, names: _Names) -> t.Iterator[str]:
    diverted = database.diverted(package)
    for path in database.paths(package):
        yield names.real(diverted.get(path, path) if diverted else path)


def owners(database: Database, paths: t.Collection[str]) -> dict[str, set[str]]:
    """Real path → names of the packages that have it, by whatever name they know it."""
    names = _Names()
    found: dict[str, set[str]] = {}
    for package in database.packages.values():
        for real in _owned(database, package, names):
            if real in paths:
                found.setdefault(real, set()).add(package.name)
    return found


def size(paths: t.Iterable[str]) -> tuple[int, int]:
    """(files, bytes) that a capture of these takes."""
    found = [info.st_size for info in map(_lstat, paths) if info is not None and stat.S_ISREG(info.st_mode)]
    return len(found), sum(found)


def _lstat(path: str) -> os.stat_result | None:
    try:
        return os.lstat(path)
    except OSError:
        return None
