"""The content of installed distributions, compared with what their RECORDs say of it."""

from __future__ import annotations

import os
import stat
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import SageError
from ansible_collections.intellistream.sage.plugins.module_utils._base.fork import split_over_two_processes
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.tree import digest_of
from ansible_collections.intellistream.sage.plugins.module_utils._venv import distributions
from ansible_collections.intellistream.sage.plugins.module_utils._venv.damage import (
    EDITED,
    GONE,
    MODE,
    ODD,
    UNHASHED,
    FileDifference,
    is_barred,
)

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.tree import Tree
    from ansible_collections.intellistream.sage.plugins.module_utils._venv.distributions import Distribution, Row


# RECORD and its signatures, which cannot have a hash in it.
_NEVER_HASHED = ("RECORD", "RECORD.jws", "RECORD.p7s")

# Inode, size, mtime and ctime of a file when its content was hashed, and that hash.
Earlier = tuple[int, int, int, int, str]
# Path → what vouches for its content, as long as all of that is the same.
Vouched = t.Mapping[str, Earlier]
# Path → SHA-256 in hex of what comes from the archive against its own RECORD; empty where that is no file.
Published = t.Mapping[str, str]


def differences(
    venv: Tree,
    installed: t.Sequence[Distribution],
    vouched: Vouched | None = None,
    published: Published | None = None,
) -> list[list[FileDifference]]:
    """What differs of each distribution, in their order. Every file is read, many by two processes.

    What a row without a hash names is no damage, see M(_venv.damage). Paths outside of the environment, and what is no
    file and has no hash, are passed over.

    :param vouched: what need not be read again.
    :param published: what is as it has to be although RECORD says otherwise.
    """
    earlier = vouched or {}
    wrong_record = published or {}
    prefix = os.path.realpath(venv.path)
    differing: list[list[FileDifference]] = [[] for _each in installed]
    rows: list[tuple[int, str, Row]] = []
    for number, distribution in enumerate(installed):
        record_path = f"{distribution.info}/RECORD"
        try:
            recorded = distributions.record(venv, distribution.info, None, prefix, strict=False)
        except (SageError, OSError, ValueError) as error:
            differing[number].append(FileDifference(record_path, _unreadable(error)))
            continue
        if recorded is None:
            differing[number].append(FileDifference(record_path, GONE))
        else:
            rows += [(number, path, recorded[path]) for path in sorted(recorded)]
    linked = {number for number, distribution in enumerate(installed) if _is_linked(venv, distribution)}

    def compare(part: t.Sequence[tuple[int, str, Row]]) -> list[str]:
        return [_difference(venv, path, row, earlier.get(path), number in linked) for number, path, row in part]

    texts = split_over_two_processes(compare, rows, lambda numbered: max(numbered[2].size, 0))
    different = [(number, path, text) for (number, path, _row), text in zip(rows, texts) if text]
    shared = _others_content(venv, {path for _number, path, text in different if text == EDITED})
    for number, path, text in different:
        if path not in shared and (path not in wrong_record or wrong_record[path] != content(venv, path)):
            differing[number].append(FileDifference(path, text))
    return differing


def content(venv: Tree, path: str) -> str:
    """The SHA-256 of a file in hex; empty where there is none.

    :raises OSError: it cannot be read.
    :raises UnsafePath: a directory above it is a link.
    """
    info = venv.lstat(path)
    return venv.digest(path) if info is not None and stat.S_ISREG(info.st_mode) else ""


def _is_linked(venv: Tree, distribution: Distribution) -> bool:
    """Whether it consists of links: uv can be told to link to its cache. A link among files is somebody's own."""
    try:
        infos = [venv.lstat(f"{distribution.info}/{name}") for name in ("METADATA", "WHEEL")]
    except (SageError, OSError):
        return False
    return all(info is not None and stat.S_ISLNK(info.st_mode) for info in infos)


def _difference(venv: Tree, path: str, row: Row, earlier: Earlier | None, linked: bool) -> str:
    try:
        info = venv.lstat(path)
        if info is None:
            return GONE
        if not row.digests:
            plain = stat.S_ISREG(info.st_mode) and path.rpartition("/")[2] not in _NEVER_HASHED
            return UNHASHED if plain else ""
        if stat.S_ISLNK(info.st_mode):
            return "" if linked and _linked_digest(venv, path, row) in row.digests else ODD
        if not stat.S_ISREG(info.st_mode):
            return ODD
        if is_barred(venv, path, info):
            return MODE
        current = (info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns)
        if earlier is not None and current == earlier[:4] and earlier[4] in row.digests:
            return ""
        # Several digests: RECORD has a second, wrong line for this file; one that is right is enough.
        if row.digest and row.size >= 0 and info.st_size != row.size:
            return EDITED
        return "" if venv.digest(path) in row.digests else EDITED
    except FileNotFoundError:
        return GONE
    except (SageError, OSError) as error:
        return _unreadable(error)


def _linked_digest(venv: Tree, path: str, row: Row) -> str:
    """The digest of what a link leads to. Empty when it cannot be the content."""
    directory, name = venv.parent(path)
    info = os.stat(name, dir_fd=directory)
    if not stat.S_ISREG(info.st_mode) or info.st_size != row.size:
        return ""
    return digest_of(os.open(name, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory))


def _unreadable(error: Exception) -> str:
    reason = error.what if isinstance(error, SageError) else getattr(error, "strerror", None) or error
    return f"cannot be read: {reason}"


def _others_content(venv: Tree, paths: set[str]) -> set[str]:
    """Of these paths those that have the content another distribution lists there, which was installed later."""
    others: set[str] = set()
    if not paths:
        return others
    digests: dict[str, list[set[str]]] = {path: [] for path in paths}
    for distribution in distributions.installed(venv):
        try:
            recorded = distributions.record(venv, distribution.info, None, venv.path, strict=False) or {}
        except (SageError, OSError, ValueError):
            continue
        for path in recorded.keys() & paths:
            digests[path].append(set(recorded[path].digests))
    for path, listed in digests.items():
        if len(listed) > 1 and venv.digest(path) in set().union(*listed):
            others.add(path)
    return others
