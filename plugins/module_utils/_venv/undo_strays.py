"""What a killed installer leaves in a virtual environment, and what an undo leaves empty."""

from __future__ import annotations

import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._venv import distributions

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.tree import Tree
    from ansible_collections.intellistream.sage.plugins.module_utils._venv.distributions import Distribution

_CACHE = "__pycache__"


class Litter(t.NamedTuple):
    """What belongs to nobody and came after the capture.

    :ivar entries: files, and whole directories that pip renamed to C(~name).
    :ivar directories: directories that may be empty once the entries are gone.
    """

    entries: list[str]
    directories: list[str]


def find(venv: Tree, others: t.Sequence[Distribution], known: set[str], since: int) -> Litter:
    """What no RECORD explains and changed since the capture ended.

    :param others: distributions that stay; what they list is theirs.
    :param known: paths that are explained already.
    :param since: nanoseconds, on the clock of the file system.
    """
    owned = known | distributions.owned_by(venv, others)
    entries: list[str] = []
    directories: list[str] = []

    def look(directory: str, top: bool) -> None:
        for name, is_directory in venv.listing(directory):
            path = f"{directory}/{name}"
            if name == _CACHE or path in owned or distributions.is_bytecode(path):
                continue
            info = venv.lstat(path)
            recent = info is not None and info.st_ctime_ns >= since
            if top and name.startswith("~"):
                if recent:
                    entries.append(path)
            elif is_directory:
                look(path, False)
                if recent:
                    directories.append(path)
            elif recent:
                entries.append(path)

    for place in [*distributions.sites(venv), "bin"]:
        look(place, True)
    return Litter(entries, directories)


def remove_bytecode(venv: Tree, changed: t.Iterable[str]) -> None:
    """Remove what the interpreter compiled from sources that are gone or replaced, and caches that are empty then."""
    stems: dict[str, set[str]] = {}
    for path in changed:
        if path.endswith((".py", ".pyc")):
            directory, dummy, name = path.rpartition("/")
            stems.setdefault(directory, set()).add(name.rpartition(".")[0])
    for directory, names in stems.items():
        cache = f"{directory}/{_CACHE}"
        if venv.lstat(cache) is None:
            continue
        for name, is_directory in venv.listing(cache):
            if not is_directory and name.split(".", 1)[0] in names and name.endswith((".pyc", ".pyo")):
                venv.unlink(f"{cache}/{name}")
        venv.rmdir(cache)


def prune(venv: Tree, changed: t.Iterable[str], also: t.Iterable[str], keep: set[str]) -> None:
    """Remove directories that became empty, except those that were there before."""
    touched = set(also)
    for path in changed:
        directory = path.rpartition("/")[0]
        while directory and directory not in touched:
            touched.add(directory)
            directory = directory.rpartition("/")[0]
    for directory in sorted(touched, key=lambda name: (-name.count("/"), name)):
        venv.rmdir(f"{directory}/{_CACHE}")
        if directory not in keep and directory != "bin":
            venv.rmdir(directory)
