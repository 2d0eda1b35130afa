# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Drift: how what is on disk differs from what the record says.

The resume verdict asks the same, but has to be quick. Here every file of the recorded
distributions is read, one distribution at a time, and compared with its RECORD.
"""

from __future__ import annotations

import os
import stat
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import LedgerBroken, SageError
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.tree import Tree
from ansible_collections.intellistream.sage.plugins.module_utils._registry.registry import make
from ansible_collections.intellistream.sage.plugins.module_utils._reports.history import changes
from ansible_collections.intellistream.sage.plugins.module_utils._venv import distributions

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._records.installation import Installation
    from ansible_collections.intellistream.sage.plugins.module_utils._records.session import Session
    from ansible_collections.intellistream.sage.plugins.module_utils._venv.distributions import Distribution, Row

Line = dict[str, str]
# A distribution that was removed by hand would fill pages.
_MANY = 20


def drift(session: Session) -> list[Line]:
    """Every difference between the record and the host, sorted: mappings C(kind), C(path), C(what).

    What cannot be read is a line too; nothing is raised.
    """
    installation = session.effective()
    if installation is None:
        return []
    lines: list[Line] = []
    environments: dict[str, dict[str, str]] = {}
    for phase in installation.phases.values():
        for result in phase.result if phase.done else ():
            spec, facts = result["spec"], result["facts"]
            kind, path = str(spec["kind"]), str(spec.get("path") or "")
            if kind == "venv":
                known = facts.get("distributions") or {}
                environments.setdefault(path, {}).update({name: one["version"] for name, one in known.items()})
                # The content check names what is gone, file by file.
                plain = {name: {"version": one["version"]} for name, one in known.items()}
                facts = {**facts, "distributions": plain}
            lines += _guarded(kind, path, _compare, spec, facts)
    for point in installation.active_points:
        for settled in point.get("after") or ():
            if settled["spec"]["kind"] in ("dpkg", "rpm"):
                lines += _guarded(settled["spec"]["kind"], "", _compare, settled["spec"], settled["facts"])
    for path, versions in environments.items():
        lines += _guarded("venv", path, _environment, path, versions, _others(session, path))
    return sorted({tuple(line.values()): line for line in lines}.values(), key=lambda line: tuple(line.values()))


def _line(kind: str, path: str, what: str) -> Line:
    return {"kind": kind, "path": path, "what": what}


def _guarded(kind: str, path: str, compare: t.Callable[..., t.Iterable[Line]], *arguments: t.Any) -> list[Line]:
    lines: list[Line] = []
    try:
        lines += compare(*arguments)
    except SageError as error:
        lines.append(_line(kind, path, f"cannot be compared: {error.what}"))
    except (OSError, ValueError) as error:
        lines.append(_line(kind, path, f"cannot be compared: {error}"))
    return lines


def _compare(spec: dict[str, t.Any], facts: dict[str, t.Any]) -> t.Iterator[Line]:
    resource = make(spec["kind"], spec)
    for what in resource.differences(facts):
        yield _line(resource.kind, resource.path, what)
    if facts.get("dirty") is False and resource.observe().get("dirty"):
        yield _line(resource.kind, resource.path, "files in it were changed and not committed")


class Others(t.NamedTuple):
    """What the record says of distributions that no result names.

    :ivar known: distribution → version, empty where any will do.
    :ivar undone: distributions of changes that were rolled back; a rollback may be asked to leave some.
    """

    known: dict[str, str]
    undone: set[str]


def _others(session: Session, path: str) -> Others | None:
    """What else is to be in an environment; None when no capture of it can be read, so that nothing is known."""
    history: list[Installation] = []
    try:
        history = session.history()
    except LedgerBroken:
        history += [session.installation] if session.installation is not None else []
    announced: dict[str, str] = {}
    undone: set[str] = set()
    points = [point for one in history for point in one.points if not point.get("redo")]
    for point in reversed(points):
        for change in reversed(changes(None if point.get("undone") else session.where, point)):
            if change.path != path:
                continue
            if point.get("undone"):
                undone.update(change.wanted)
                continue
            announced.update(dict.fromkeys(change.wanted, ""))
            if change.whole:
                return Others(announced, undone)
            if change.before is not None:
                return Others({**change.before, **announced}, undone)
    return None


def _environment(path: str, versions: dict[str, str], others: Others | None) -> t.Iterator[Line]:
    venv = Tree.open(path)
    if venv is None:
        return
    with venv:
        registered = distributions.by_name(distributions.installed(venv))
        for name, version in sorted(versions.items()):
            for one in registered.get(name, ()):
                if one.version == version:
                    yield from _guarded("venv", venv.name(one.info), _content, venv, one)
        if others is not None:
            known = {**others.known, **dict.fromkeys(versions, "")}
            yield from _strangers(path, registered, others._replace(known=known))


def _strangers(path: str, registered: dict[str, list[Distribution]], others: Others) -> t.Iterator[Line]:
    from ansible_collections.intellistream.sage.plugins.module_utils._venv.undo_whole import SEEDS

    for name in sorted({*registered, *others.known} - SEEDS):
        now = " and ".join(one.version for one in registered.get(name, ()))
        was = others.known.get(name)
        if was is None:
            how = "is left of a change that was rolled back" if name in others.undone else "was added by somebody"
            yield _line("venv", path, f"{name} {now} {how}")
        elif was and now != was:
            yield _line("venv", path, f"{name} was {was}, is {now or 'gone'}")


def _content(venv: Tree, one: Distribution) -> t.Iterator[Line]:
    rows = distributions.record(venv, one.info, None, os.path.realpath(venv.path), strict=False)
    if rows is None:
        yield _line("venv", venv.name(f"{one.info}/RECORD"), f"is gone ({one.name} {one.version})")
        return
    found = 0
    for relative in sorted(rows):
        try:
            what = _difference(venv, relative, rows[relative])
        except (SageError, OSError) as error:
            what = f"cannot be read: {error.what if isinstance(error, SageError) else error.strerror}"
        found += bool(what)
        if what and found <= _MANY:
            yield _line("venv", venv.name(relative), f"{what} ({one.name} {one.version})")
    if found > _MANY:
        yield _line("venv", venv.name(one.info), f"{found - _MANY} more files of {one.name} {one.version} differ")


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
