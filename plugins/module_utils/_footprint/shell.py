"""Paths that changes touched in C(rollback.sh): a list of them, and what reads it there.

It is the same three-way merge as M(_footprint.decide). The list tells what was at each path before the first change,
and what the last one left; its form stands in C(paths.sh). Of a change that was interrupted nobody knows what it
touched: the script finds that out by the table from before it.
"""

from __future__ import annotations

import os
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._footprint import decide, point
from ansible_collections.intellistream.sage.plugins.module_utils._footprint.table import DIRECTORY, escape
from ansible_collections.intellistream.sage.plugins.module_utils._kind.script import joined

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._footprint.decide import Touched
    from ansible_collections.intellistream.sage.plugins.module_utils._footprint.settle import Footprint
    from ansible_collections.intellistream.sage.plugins.module_utils._footprint.table import TableRow
    from ansible_collections.intellistream.sage.plugins.module_utils._kind.interface import Layer
    from ansible_collections.intellistream.sage.plugins.module_utils._kind.script import ScriptCapture

# No tool of the coreutils sets these.
_NEEDS_MODULE = ("user.", "trusted.", "system.posix_acl", "security.capability")
# Whose a path is that belongs to no distribution.
ITSELF, NOBODY, CODE = ".", "-", "~"

_SOURCES = ("paths", "paths_judge", "paths_plan", "paths_work")
_SOURCES_UNSETTLED = ("paths_unsettled",)

# Path of a top, path relative to it, what the changes did there → whose it is.
Owner = t.Callable[[str, str, "Touched"], str]


class ObservedTree(t.NamedTuple):
    """What a change did to one captured path.

    :ivar position: of the path in its capture.
    :ivar digest: SHA-256 of its table.
    :ivar began: when it was looked at for the table, nanoseconds since 1970.
    :ivar footprint: None where nobody looked when the change had ended.
    """

    path: str
    position: int
    digest: str
    began: int
    footprint: Footprint | None


def observed(layer: Layer) -> list[ObservedTree]:
    """What the script is told of one capture.

    :raises StoreError: what was noted is gone or was changed.
    """
    settled = (layer.after or {}).get("footprints") or {}
    digests = layer.manifest.get("tables") or {}
    if digests and set(digests) <= set(settled):
        return [
            ObservedTree(path, number, digests[path], footprint.before.began, footprint)
            for number, (path, footprint) in enumerate(point.touched(layer))
        ]
    return [
        ObservedTree(path, number, digests[path], point.began(layer, number, path), None)
        for number, path in enumerate(digests)
    ]


def sources(captures: t.Sequence[ScriptCapture]) -> tuple[str, ...]:
    """The parts of the script that read the list of these captures."""
    unsettled = any(each.footprint is None for capture in captures for each in capture.observed)
    return (*_SOURCES, *_SOURCES_UNSETTLED) if unsettled else _SOURCES


def variables(captures: t.Sequence[ScriptCapture], owner: Owner) -> dict[str, bytes]:
    """What the functions are told of captures, oldest first.

    :param owner: see P(Owner).
    """
    captured = [(capture, each) for capture in captures for each in capture.observed]
    paths = [each.path for dummy, each in captured]
    tops = [path for path in dict.fromkeys(paths) if not any(path.startswith(f"{other}/") for other in paths)]
    footprints: dict[str, list[Footprint]] = {top: [] for top in tops}
    unheld: dict[str, set[str]] = {top: set() for top in tops}
    unsettled: list[bytes] = []
    ended: set[str] = set()
    for capture, each in captured:
        top = next(name for name in tops if each.path == name or each.path.startswith(f"{name}/"))
        if each.footprint is not None and top not in ended:
            below = each.path[len(top) + 1 :]
            recorded = {path for footprint in footprints[top] for path in footprint.paths()}
            footprints[top].append(each.footprint.below(below))
            lost = {f"{below}/{path}".strip("/") for path in each.footprint.unheld}
            unheld[top] |= lost - recorded
        elif each.footprint is None:
            # What the table tells is older than what any later change found.
            ended.add(top)
            above = os.path.dirname(top)
            anchor = escape(above), escape(os.path.relpath(each.path, above))
            table = f"{each.position}.{point.BEFORE}", each.digest
            unsettled.append(b" ".join((b"%d" % capture.number, *map(str.encode, table), *anchor)))
    lines: list[bytes] = []
    for top in tops:
        lines += _listed(top, decide.merge(footprints[top]), unheld[top], owner, top not in ended)
    return {
        "tops": joined(map(escape, tops)),
        "since": b"%d" % _since([each for dummy, each in captured]),
        "unsettled": joined(unsettled),
        "list": joined(lines),
    }


def _since(captured: t.Sequence[ObservedTree]) -> int:
    """From when on nothing is of the changes that is not in the list, or in a table; nanoseconds since 1970."""
    begun = [each.began for each in captured if each.footprint is None]
    return min(begun) if begun else max((each.footprint.after.began for each in captured if each.footprint), default=0)


def _listed(
    top: str, touched: t.Mapping[str, Touched], unheld: t.Container[str], owner: Owner, settled: bool
) -> t.Iterator[bytes]:
    above, base = os.path.split(top)
    by_directory: dict[str, list[tuple[str, bytes]]] = {}
    for path, sides in touched.items():
        directory, dummy, name = (f"{base}/{path}" if path else base).rpartition("/")
        after = _words(sides.after) if settled else (b"?", b"-")
        if sides.between:
            # Whatever is there now, what somebody made between two changes was replaced.
            after = b"!", b"-"
        facts, content = _words(sides.before)
        words = (owner(top, path, sides).encode(), escape(name), facts, b"!" if path in unheld else content, *after)
        by_directory.setdefault(directory, []).append((name, b" ".join(words)))
        if any(row is not None and row.type == DIRECTORY for row in (sides.before, sides.after)):
            # What is in it is looked at, although nothing of that is in the list.
            by_directory.setdefault(f"{directory}/{name}".lstrip("/"), [])
    for directory in sorted(by_directory, key=lambda name: name.split("/")):
        yield b"@ %b %b" % (escape(above), escape(directory) if directory else b".")
        for dummy2, line in sorted(by_directory[directory]):
            yield line


def _words(row: TableRow | None) -> tuple[bytes, bytes]:
    """Facts and content of a row, as the list has them."""
    if row is None:
        return b"-", b"-"
    seconds, nanoseconds = divmod(abs(row.mtime), 10**9)
    sign = "-" if row.mtime < 0 else ""
    facts = f"{row.type}:{row.mode:o}:{row.uid}:{row.gid}:{row.size}:{sign}{seconds}.{nanoseconds:09d}"
    if any(name.startswith(_NEEDS_MODULE) for name in row.attributes.split(",")):
        facts += "+"
    return facts.encode(), row.hash.encode() or escape(row.target)
