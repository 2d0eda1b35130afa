"""What is registered in a virtual environment, read from C(*.dist-info) without importing anything."""

from __future__ import annotations

import binascii
import os
import re
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import UnsafePath
from ansible_collections.intellistream.sage.plugins.module_utils._base.names import canonical
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.tree import Tree, parts

INFO = ".dist-info"
# What venv, virtualenv and uv put into a new environment by themselves.
SEEDS = frozenset(("pip", "setuptools", "wheel"))
_PYTHON = re.compile(r"(?:python|pypy)3\.\d+t?$")
_IN_USE = re.compile(r"/((?:python|pypy)3\.\d+t?)$")
_REGISTERED = re.compile(r"(lib(?:64)?/(?:python|pypy)3\.\d+t?/site-packages)/([^/~-][^/-]*)(?:-([^/]*))?\.dist-info$")
_TOP = re.compile(rb'^"?([^/,"\r\n]+)', re.MULTILINE)
_URL_SAFE = bytes.maketrans(b"-_", b"+/")
_NOT_TOP = (b"..", b"__pycache__")


class Distribution(t.NamedTuple):
    """One registered distribution.

    :ivar name: canonical name.
    :ivar version: as its directory spells it.
    :ivar info: its C(.dist-info), relative to the environment.
    """

    name: str
    version: str
    info: str

    @property
    def site(self) -> str:
        """The site-packages it is in, relative to the environment."""
        return os.path.dirname(self.info)


class Row(t.NamedTuple):
    """One path of a RECORD.

    :ivar sums: all SHA-256 that RECORD names for this path, as it spells them.
    :ivar size: bytes, or -1 when RECORD does not say.
    """

    sums: tuple[str, ...]
    size: int

    @property
    def digest(self) -> str:
        """SHA-256 in hex; empty when RECORD has none that can be read, or several that differ."""
        return _hex(self.sums[0]) if len(self.sums) == 1 else ""

    @property
    def digests(self) -> list[str]:
        """All that RECORD names, in hex."""
        return [digest for digest in map(_hex, self.sums) if digest]


def sites(venv: Tree) -> list[str]:
    """The site-packages directories, relative to the environment; links like C(lib64) left out."""
    return [
        f"{lib}/{python}/site-packages"
        for lib, is_directory in venv.listing("")
        if is_directory and lib in ("lib", "lib64")
        for python, below in venv.listing(lib)
        if below and _PYTHON.match(python) and ("site-packages", True) in venv.listing(f"{lib}/{python}")
    ]


def importable(venv: Tree) -> list[Distribution]:
    """The registered distributions that the interpreter in use looks for, as far as its name tells its version.

    After an upgrade of the operating system what was installed for another version lies there, and is nobody's.
    """
    match = _IN_USE.search(os.path.realpath(venv.name("bin/python")))
    directory = f"/{match[1]}/" if match is not None else "/"
    return [distribution for distribution in installed(venv) if directory in distribution.info]


def installed(venv: Tree) -> list[Distribution]:
    """All registered distributions, also several of one name (an interrupted upgrade leaves them)."""
    results = []
    for site in sites(venv):
        for name, is_directory in venv.listing(site):
            # pip renames what it removes to ~ame: neither registered nor to be read.
            if is_directory and name.endswith(INFO) and not name.startswith("~"):
                project, dummy, version = name[: -len(INFO)].partition("-")
                results.append(Distribution(canonical(project), version, f"{site}/{name}"))
    return results


def in_paths(paths: t.Iterable[str]) -> list[Distribution]:
    """All that paths of an environment, relative to it, register; as M(installed) finds them."""
    infos = (path for path in paths if path.endswith(INFO))
    matches = filter(None, map(_REGISTERED.match, infos))
    return [Distribution(canonical(match[2]), match[3] or "", match[0]) for match in matches]


def by_name(distributions: t.Iterable[Distribution]) -> dict[str, list[Distribution]]:
    """Distributions grouped by name."""
    grouped: dict[str, list[Distribution]] = {}
    for distribution in distributions:
        grouped.setdefault(distribution.name, []).append(distribution)
    return grouped


def raw_record(venv: Tree, info: str) -> bytes | None:
    """RECORD as it is, or None when there is none."""
    try:
        return venv.read(f"{info}/RECORD")
    except FileNotFoundError:
        return None


def readable_record(venv: Tree, info: str) -> bytes:
    """RECORD as it is; empty where there is none, whatever is in its place.

    :raises OSError: it cannot be read: nobody knows whose files are then.
    """
    try:
        return raw_record(venv, info) or b""
    except (UnsafePath, NotADirectoryError):
        return b""


def is_bytecode(path: str) -> bool:
    """A file the interpreter makes by itself. Compiled files outside a cache are what some wheels consist of."""
    return "/__pycache__/" in path


class Outside(ValueError):
    """A RECORD names a path outside the environment."""


def record(
    venv: Tree, info: str, data: bytes | None = None, prefix: str = "", strict: bool = True
) -> dict[str, Row] | None:
    """Path relative to the environment → row; byte code left out; None without a RECORD.

    :param prefix: the environment's real path, for absolute paths in RECORD.
    :param strict: false passes over paths outside instead of raising.
    :raises Outside: a path lies outside the environment.
    """
    if data is None:
        data = raw_record(venv, info)
    if data is None:
        return None
    site = os.path.dirname(info)
    rows: dict[str, Row] = {}
    for path, checksum, length in _lines(os.fsdecode(data)):
        # What ends with a slash is a directory: that some wheels list, and pip keeps.
        if not path or "__pycache__/" in path or "\0" in path or path.endswith("/"):
            continue
        if path[0] not in "./" and "/." not in path and "//" not in path:
            relative = f"{site}/{path}"
        else:
            try:
                relative = _relative(path, site, prefix)
            except Outside:
                if strict:
                    raise
                continue
        row = Row((checksum[7:],) if checksum[:7] == "sha256=" else (), int(length) if length.isdigit() else -1)
        twice = rows.setdefault(relative, row)
        if twice is not row and row.sums != twice.sums:
            rows[relative] = Row((*twice.sums, *row.sums), -1)
    return rows


def _lines(text: str) -> t.Iterable[t.Sequence[str]]:
    """The three fields of each line."""
    if '"' not in text:
        # Nothing is quoted, so nothing needs a parser.
        results = [line.split(",") for line in text.splitlines()]
        return [fields if len(fields) == 3 else [*fields, "", "", ""][:3] for fields in results]
    import csv

    return [[*fields, "", "", ""][:3] for fields in csv.reader(text.splitlines())]


def _relative(path: str, site: str, prefix: str) -> str:
    if path.startswith("/"):
        if not prefix or not path.startswith(f"{prefix}/"):
            raise Outside(path)
        relative = path[len(prefix) + 1 :]
    else:
        relative = f"{site}/{path}"
    if "/." in relative or "//" in relative or "/" not in relative:
        relative = os.path.normpath(relative)
    if relative.startswith(("../", "/")) or relative in ("..", "."):
        raise Outside(path)
    parts(relative)
    return relative


def _hex(text: str) -> str:
    try:
        return binascii.a2b_base64(text.encode().translate(_URL_SAFE) + b"==").hex()
    except (binascii.Error, UnicodeEncodeError):
        return ""


def top_names(data: bytes) -> set[str]:
    """The first components of the paths in a RECORD that belong to the distribution's content."""
    names = {name for name in _TOP.findall(data) if name not in _NOT_TOP and not name.endswith(b".dist-info")}
    return {os.fsdecode(name) for name in names}


def as_recorded(path: str, site: str) -> bytes:
    """A path as RECORDs of a site-packages spell it."""
    return os.fsencode(path[len(site) + 1 :] if path.startswith(f"{site}/") else os.path.relpath(path, site))
