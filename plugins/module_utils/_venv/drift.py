"""Drift of environments: every file of the recorded distributions is read, and compared with its RECORD."""

from __future__ import annotations

import os
import stat
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import SageError
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.tree import Tree
from ansible_collections.intellistream.sage.plugins.module_utils._kind.drift import (
    DriftLine,
    OtherVersions,
    Recorded,
    differences,
    guarded,
)
from ansible_collections.intellistream.sage.plugins.module_utils._venv import distributions

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._venv.distributions import Distribution, Row

# A distribution that was removed by hand would fill pages.
_MANY = 20


def compare(recorded: Recorded) -> list[DriftLine]:
    """A P(_kind.drift.Drift)."""
    lines: list[DriftLine] = []
    environments: dict[str, dict[str, str]] = {}
    for spec, facts in recorded.results:
        path = str(spec.get("path") or "")
        versions = {name: known["version"] for name, known in (facts.get("distributions") or {}).items()}
        environments.setdefault(path, {}).update(versions)
        # The content check names what is gone, file by file.
        plain = {name: {"version": version} for name, version in versions.items()}
        lines += guarded(path, differences, recorded, spec, {**facts, "distributions": plain})
    for path, versions in environments.items():
        lines += guarded(path, _environment, path, versions, recorded.others(path))
    return lines


def _environment(path: str, versions: dict[str, str], others: OtherVersions | None) -> t.Iterator[DriftLine]:
    venv = Tree.open(path)
    if venv is None:
        return
    with venv:
        registered = distributions.by_name(distributions.installed(venv))
        for name, version in sorted(versions.items()):
            for distribution in registered.get(name, ()):
                if distribution.version == version:
                    yield from guarded(venv.name(distribution.info), _content, venv, distribution)
        if others is not None:
            known = {**others.expected, **dict.fromkeys(versions, "")}
            yield from _strangers(path, registered, others._replace(expected=known))


def _strangers(path: str, registered: dict[str, list[Distribution]], others: OtherVersions) -> t.Iterator[DriftLine]:
    for name in sorted({*registered, *others.expected} - distributions.SEEDS):
        now = " and ".join(distribution.version for distribution in registered.get(name, ()))
        was = others.expected.get(name)
        if was is None:
            how = "is left of a change that was rolled back" if name in others.undone else "was added by somebody"
            yield DriftLine(path, f"{name} {now} {how}")
        elif was and now != was:
            yield DriftLine(path, f"{name} was {was}, is {now or 'gone'}")


def _content(venv: Tree, distribution: Distribution) -> t.Iterator[DriftLine]:
    label = f"{distribution.name} {distribution.version}"
    rows = distributions.record(venv, distribution.info, None, os.path.realpath(venv.path), strict=False)
    if rows is None:
        yield DriftLine(venv.name(f"{distribution.info}/RECORD"), f"is gone ({label})")
        return
    count = 0
    for relative in sorted(rows):
        try:
            what = _difference(venv, relative, rows[relative])
        except (SageError, OSError) as error:
            what = f"cannot be read: {error.what if isinstance(error, SageError) else error.strerror}"
        count += bool(what)
        if what and count <= _MANY:
            yield DriftLine(venv.name(relative), f"{what} ({label})")
    if count > _MANY:
        yield DriftLine(venv.name(distribution.info), f"{count - _MANY} more files of {label} differ")


def _difference(venv: Tree, relative: str, row: Row) -> str:
    info = venv.lstat(relative)
    if info is None:
        return "is gone"
    if not row.digests:
        return ""
    if not stat.S_ISREG(info.st_mode):
        return "is no regular file any more"
    # Several digests: RECORD has a second, wrong line for this file; one that is right is enough.
    wrong_size = row.digest and row.size >= 0 and info.st_size != row.size
    return "was edited" if wrong_size or venv.digest(relative) not in row.digests else ""
