"""What others have put into a virtual environment: installed, edited, or simply laid there.

Whatever takes an environment away as a whole asks here first: a rollback to before it, its removal with SAGE, and the
making anew of one that cannot be used any more.
"""

from __future__ import annotations

import os
import re
import stat
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import SageError
from ansible_collections.intellistream.sage.plugins.module_utils._base.fork import split_over_two_processes
from ansible_collections.intellistream.sage.plugins.module_utils._base.versions import same_version
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.tree import Tree
from ansible_collections.intellistream.sage.plugins.module_utils._venv import distributions
from ansible_collections.intellistream.sage.plugins.module_utils._venv.distributions import SEEDS, Distribution

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._venv.distributions import Row

# Distribution → versions that installations brought; an empty one stands for any.
Brought = t.Mapping[str, t.Sequence[str]]

# What venv, virtualenv, uv, and this collection make in an environment besides distributions.
_OWN = frozenset(("pyvenv.cfg", ".gitignore", ".lock", "CACHEDIR.TAG", "lib64", ".sage-unfinished"))
_OWN_IN_SITE = frozenset(("_virtualenv.py", "_virtualenv.pth"))
_OWN_IN_BIN = re.compile(r"(de)?activate(_this)?(\.\w+)?|pydoc\.bat|(python|pypy)[\d.]*t?|𝜋thon", re.IGNORECASE)
_OWN_DIRECTORIES = frozenset(("bin", "include", "lib", "lib64", "share", "etc"))
_BYTECODE = "__pycache__"
# Of what an undo has under way, see M(_footprint.decide).
_UNDER_WAY = ".intellistream-sage."


class OthersDistribution(t.NamedTuple):
    """A distribution that no installation brought.

    :ivar instead_of: versions of it that one brought; empty where none did.
    """

    distribution: Distribution
    instead_of: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Its name and version."""
        return f"{self.distribution.name} {self.distribution.version}"


class OthersPath(t.NamedTuple):
    """A file that neither a distribution nor the environment itself explains, or a directory of nothing else.

    :ivar path: relative to the environment.
    :ivar files: how many are below a directory; None for what is no directory.
    """

    path: str
    files: int | None = None

    @property
    def description(self) -> str:
        """What it is, for people."""
        if not self.files:
            return "a file" if self.files is None else "an empty directory"
        return f"a directory with {self.files} file{'' if self.files == 1 else 's'}"


class EditedFile(t.NamedTuple):
    """A file of a distribution that is not what was installed.

    :ivar path: relative to the environment.
    :ivar changed_ns: when it was changed last, nanoseconds since 1970.
    """

    path: str
    changed_ns: int


class OthersContent(t.NamedTuple):
    """All that others have put into an environment.

    :ivar distributions: that they installed.
    :ivar edited: files that they edited, of whatever distribution.
    :ivar paths: the rest.
    """

    distributions: list[OthersDistribution]
    edited: list[EditedFile]
    paths: list[OthersPath]


def find(venv: Tree, brought: Brought | None) -> OthersContent:
    """Look at an environment; nothing is changed.

    :param brought: by installations; None where nobody knows: then no distribution is said to be somebody's.
    """
    result = OthersContent([], [], [])
    owned: set[str] = set()
    for distribution in distributions.installed(venv):
        if brought is not None and distribution.name not in SEEDS:
            versions = brought.get(distribution.name, ())
            if not any(not version or same_version(distribution.version, version) for version in versions):
                result.distributions.append(OthersDistribution(distribution, tuple(sorted({*versions}))))
        result.edited.extend(_edited(venv, distribution, owned))
    result.paths.extend(_unexplained(venv, owned))
    return result


def lost(path: str) -> list[str]:
    """What of others goes with an environment that is made anew, distributions left out, for people.

    :param path: of the environment.
    """
    venv = Tree.open(path)
    if venv is None:
        return []
    with venv:
        others = find(venv, None)
        edited = [f"{each.path} (edited since it was installed)" for each in others.edited]
        return [*edited, *(f"{each.path} ({each.description})" for each in others.paths)]


def _edited(venv: Tree, distribution: Distribution, owned: set[str]) -> t.Iterator[EditedFile]:
    """Files of a distribution whose content is not what its RECORD says; all that it lists is added to C(owned)."""
    owned.add(distribution.info)
    try:
        record = venv.lstat(f"{distribution.info}/RECORD")
        rows = distributions.record(venv, distribution.info, prefix=os.path.realpath(venv.path), strict=False)
    except (SageError, OSError, ValueError):
        # Somebody's odd file bars nothing; what it lists is told as nobody's.
        return
    if record is None or rows is None:
        return
    owned.update(rows)
    for path, changed_ns in _suspects(venv, rows, record.st_mtime_ns):
        if venv.digest(path) not in rows[path].digests:
            yield EditedFile(path, changed_ns)


def _suspects(venv: Tree, rows: t.Mapping[str, Row], installed_ns: int) -> t.Iterator[tuple[str, int]]:
    """Files that do not look as RECORD says, with the time of their last change."""
    for path in split_over_two_processes(lambda part: _unlike(venv, part, installed_ns), list(rows.items())):
        info = venv.lstat(path)
        if info is not None:
            yield path, info.st_ctime_ns


def _unlike(venv: Tree, rows: t.Iterable[tuple[str, Row]], installed_ns: int) -> list[str]:
    last, position, results = "", -1, []
    for path, row in rows:
        if not row.sums:
            continue
        directory, dummy, name = path.rpartition("/")
        try:
            if directory != last or position < 0:
                position, last = venv.enter(directory), directory
            info = os.lstat(name, dir_fd=position)
        except (FileNotFoundError, NotADirectoryError):
            position = -1
            continue
        as_recorded = len(row.sums) == 1 and info.st_size == row.size and info.st_mtime_ns <= installed_ns
        if stat.S_ISREG(info.st_mode) and not as_recorded:
            results.append(path)
    return results


def _unexplained(venv: Tree, owned: set[str]) -> list[OthersPath]:
    """Files that nothing explains; a directory in which nothing else is stands for all that is below."""
    sites = distributions.sites(venv)
    infos = {path for path in owned if path.endswith(distributions.INFO)}
    explained = {*sites, *_OWN_DIRECTORIES}
    for path in [*owned, *sites]:
        directory = os.path.dirname(path)
        while directory and directory not in explained:
            explained.add(directory)
            directory = os.path.dirname(directory)
    results: list[OthersPath] = []

    def visit(directory: str) -> None:
        for name, is_directory in venv.listing(directory):
            path = f"{directory}/{name}" if directory else name
            if path in infos or _is_own(path, name, directory, sites, owned):
                continue
            if not is_directory:
                results.append(OthersPath(path))
            elif path in explained:
                visit(path)
            else:
                count, has_bytecode = _count(venv, path)
                # What an upgrade drops leaves byte code, and empty packages, behind.
                if count or not (has_bytecode or directory.startswith(tuple(sites)) or _is_headers(path)):
                    results.append(OthersPath(path, count))

    visit("")
    return results


def _is_own(path: str, name: str, directory: str, sites: t.Sequence[str], owned: t.Container[str]) -> bool:
    if path in owned or path in _OWN or name == _BYTECODE or name.startswith(_UNDER_WAY):
        return True
    if directory in sites:
        # pip calls what it is about to remove ~ame.
        return name in _OWN_IN_SITE or name.startswith("~")
    return directory == "bin" and _OWN_IN_BIN.fullmatch(name) is not None


def _is_headers(path: str) -> bool:
    return path.startswith("include/")


def _count(venv: Tree, directory: str) -> tuple[int, bool]:
    """How many files are below a directory, byte code left out, and whether there is such."""
    count, has_bytecode = 0, False
    for path, is_directory in venv.walk(directory):
        if f"/{_BYTECODE}/" in f"/{path}/":
            has_bytecode = True
        elif not is_directory:
            count += 1
    return count, has_bytecode
