"""What a killed installer leaves in a virtual environment, and what an undo leaves empty."""

from __future__ import annotations

import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._venv import distributions

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.tree import Tree
    from ansible_collections.intellistream.sage.plugins.module_utils._venv.distributions import Distribution

_CACHE = "__pycache__"
_BYTECODE = (".pyc", ".pyo")


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
            if not is_directory and name.split(".", 1)[0] in names and name.endswith(_BYTECODE):
                venv.unlink(f"{cache}/{name}")
        venv.rmdir(cache)


def directories(changed: t.Iterable[str], also: t.Iterable[str]) -> list[str]:
    """Those above what changed, and others, deepest first."""
    touched = set(also)
    for path in changed:
        directory = path.rpartition("/")[0]
        while directory and directory not in touched:
            touched.add(directory)
            directory = directory.rpartition("/")[0]
    return sorted(touched, key=lambda name: (-name.count("/"), name))


def prune(venv: Tree, touched: t.Iterable[str], keep: t.Container[str]) -> None:
    """Remove directories in which nothing is left but byte code whose sources are gone, except some.

    :param touched: deepest first.
    """
    for directory in touched:
        cache = f"{directory}/{_CACHE}"
        venv.rmdir(cache)
        if directory in keep or venv.rmdir(directory) or not _is_empty(venv, directory):
            continue
        for name, dummy in venv.listing(cache):
            venv.unlink(f"{cache}/{name}")
        venv.rmdir(cache)
        venv.rmdir(directory)


def empty(venv: Tree, touched: t.Iterable[str], keep: t.Container[str]) -> list[str]:
    """What M(prune) would remove."""
    return [directory for directory in touched if directory not in keep and _is_empty(venv, directory)]


def _is_empty(venv: Tree, directory: str) -> bool:
    """Whether a directory is there, and nothing but byte code in it."""
    cache = f"{directory}/{_CACHE}"
    return (
        venv.is_directory(directory)
        and all(name == _CACHE for name, dummy in venv.listing(directory))
        and not any(is_directory or not name.endswith(_BYTECODE) for name, is_directory in venv.listing(cache))
    )
