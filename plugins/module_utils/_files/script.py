"""Named paths in C(rollback.sh): what is touched, as a list."""

from __future__ import annotations

import os
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._content import listing
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.tree import Tree
from ansible_collections.intellistream.sage.plugins.module_utils._footprint import point, shell
from ansible_collections.intellistream.sage.plugins.module_utils._footprint.farm import Farm
from ansible_collections.intellistream.sage.plugins.module_utils._kind.script import (
    Script,
    ScriptCapture,
    ScriptLines,
    escape,
    joined,
)

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._footprint.table import TableRow
    from ansible_collections.intellistream.sage.plugins.module_utils._kind.interface import Layer

_FUNCTIONS = r"""# --- Files, links and directories ---

files_check() { paths_check; }
files_plan() { paths_plan; }
files_execute() { paths_execute; }
files_verify() { paths_verify; }

"""


class _TouchedPath(t.NamedTuple):
    """One path that a change touched, or may have.

    :ivar held: where its content is, relative to the content of the capture; empty for none.
    """

    path: str
    before: TableRow | None
    after: TableRow | None
    held: str


class _Observed(t.NamedTuple):
    """What a change did to one captured path.

    :ivar settled: somebody looked when it had ended; else all that was captured is in P(paths).
    """

    top: str
    paths: list[_TouchedPath]
    settled: bool


class FilesScript(Script):
    """Named files, links and directories."""

    functions = _FUNCTIONS

    def observed(self, layer: Layer) -> list[_Observed]:
        settled = set((layer.after or {}).get("footprints") or ())
        found: list[_Observed] = []
        with Tree.of(layer.where) as store:
            farm = Farm(store)
            tables = dict(point.tables(layer))
            for path, footprint in point.touched(layer):
                before = footprint.before if path in settled else tables[path]
                after = footprint.after.rows if path in settled else {}
                # Where nobody looked, all that was captured may have been touched; what was not there may have come.
                names = footprint.paths() if path in settled else list(before.rows) or [""]
                touched = [
                    _TouchedPath(
                        listing.join(path, name),
                        before.rows.get(name),
                        after.get(name),
                        _held(farm, before.rows.get(name), before.generation),
                    )
                    for name in names
                ]
                found.append(_Observed(path, touched, path in settled))
        return found

    def lines(self, captures: t.Sequence[ScriptCapture]) -> ScriptLines:
        paths = [each.top for capture_ in captures for each in capture_.observed]
        tops = [path for path in dict.fromkeys(paths) if not any(path.startswith(f"{other}/") for other in paths)]
        touched: dict[str, tuple[_TouchedPath, str]] = {}
        unsettled: set[str] = set()
        late: set[str] = set()
        for capture_ in captures:
            for each in capture_.observed:
                (unsettled.discard if each.settled else unsettled.add)(each.top)
                for path in each.paths:
                    if path.path not in touched and any(_covers(top, path.path) for top in late):
                        # An older capture tells that it was not there.
                        touched[path.path] = path._replace(before=None, held=""), ""
                    first, content = touched.get(path.path, (path, f"{capture_.content}/{path.held}"))
                    touched[path.path] = first._replace(after=path.after), content
                late.update(() if each.settled else (each.top,))
        lines: list[bytes] = []
        for path in sorted(touched, key=lambda name: name.split("/")):
            one, content = touched[path]
            top = next(name for name in tops if _covers(name, path))
            settled = not any(_covers(name, path) for name in unsettled)
            lines.append(shell.line(top, path, content if one.held else "", one.before, one.after, settled))
        attributed = [escape(path) for path, (one, dummy) in touched.items() if shell.needs_module(one.before)]
        return ScriptLines(
            {
                "tops": joined(map(escape, tops)),
                "unsettled": joined(map(escape, sorted(unsettled))),
                "attributed": joined(attributed) + b"\n",
                "aside": os.fsencode(f"{captures[-1].content}/aside"),
                "touched": joined(lines),
            }
        )


def _covers(top: str, path: str) -> bool:
    return path == top or path.startswith(f"{top}/")


def _held(farm: Farm, row: TableRow | None, generation: str) -> str:
    return (farm.path(row, generation) or "") if row is not None and row.type == "f" else ""
