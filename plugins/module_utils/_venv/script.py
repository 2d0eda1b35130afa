"""Virtual environments in C(rollback.sh): what changes touched, as a list, by distributions."""

from __future__ import annotations

import os
import re
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.names import canonical
from ansible_collections.intellistream.sage.plugins.module_utils._footprint import shell
from ansible_collections.intellistream.sage.plugins.module_utils._footprint.table import DIRECTORY
from ansible_collections.intellistream.sage.plugins.module_utils._kind.script import (
    Script,
    ScriptCapture,
    ScriptLines,
    ScriptRefusal,
    escape,
    joined,
)
from ansible_collections.intellistream.sage.plugins.module_utils._venv import settled
from ansible_collections.intellistream.sage.plugins.module_utils._venv.owners import source_of

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._footprint.decide import Touched
    from ansible_collections.intellistream.sage.plugins.module_utils._footprint.shell import ObservedTree
    from ansible_collections.intellistream.sage.plugins.module_utils._kind.interface import Layer, Spec

# What belongs to the environment itself.
_OWN = re.compile(
    r"(pyvenv\.cfg|pip\.conf|\.lock|\.gitignore|CACHEDIR\.TAG|lib64|bin/(de)?activate.*|bin/python[\d.]*)$"
)


class _Owned(t.NamedTuple):
    """What a change did to an environment, and who owns the paths.

    :ivar owners: path → the distributions that list it, before the change or after it.
    """

    touched: ObservedTree
    owners: dict[str, set[str]]


class VenvScript(Script):
    """A virtual environment."""

    def observed(self, layer: Layer) -> list[_Owned]:
        return [_owned(layer, each) for each in shell.observed(layer)]

    def lines(self, captures: t.Sequence[ScriptCapture]) -> ScriptLines | ScriptRefusal | str:
        if any(capture.manifest.get("whole") for capture in captures):
            # The one that was moved works nowhere but at its old path.
            return ScriptRefusal(
                "the environment was moved to where it is, made anew here, and cannot be brought back by a script."
            )
        absent = [number for number, capture in enumerate(captures) if not capture.manifest["existed"]]
        if absent:
            return _removal(captures, made_again=bool(absent[0]))
        owners: dict[str, set[str]] = {}
        for capture in captures:
            for each in capture.observed:
                for path, names in each.owners.items():
                    owners.setdefault(path, set()).update(names)
        joint = _joint(owners.values())

        def owner(_top: str, path: str, sides: Touched) -> str:
            if source_of(path):
                return shell.CODE
            if owners.get(path):
                return joint[min(owners[path])]
            if _OWN.match(path) and DIRECTORY not in [row.type for row in (sides.before, sides.after) if row]:
                return shell.ITSELF
            return shell.NOBODY

        plain = [capture._replace(observed=[each.touched for each in capture.observed]) for capture in captures]
        planned = {name for capture in captures for name in _pins(capture.spec)}
        partly = b"1" if any(capture.manifest.get("partly") for capture in captures) else b""
        return ScriptLines(
            {
                "partly": partly,
                "planned": joined(map(escape, sorted(planned))),
                **shell.variables(plain, owner),
            },
            (*shell.sources(plain), "venv", "venv_present"),
        )


def _owned(layer: Layer, touched: ObservedTree) -> _Owned:
    footprint = touched.footprint
    if footprint is None:
        return _Owned(touched, {})
    # Byte code whose content is not held is made again by whoever needs it.
    rows = footprint.before.rows.items()
    before = {path: row for path, row in rows if path not in footprint.unheld or not source_of(path)}
    footprint = footprint._replace(before=footprint.before._replace(rows=before))
    return _Owned(touched._replace(footprint=footprint), settled.owners(layer))


def _joint(groups: t.Iterable[set[str]]) -> dict[str, str]:
    """Distribution → the name of all that it shares a path with, however indirectly."""
    together: dict[str, set[str]] = {}
    for group in groups:
        merged = set(group).union(*(together.get(name, ()) for name in group))
        for name in merged:
            together[name] = merged
    return {name: "+".join(sorted(merged)) for name, merged in together.items()}


def _removal(captures: t.Sequence[ScriptCapture], made_again: bool) -> ScriptLines:
    path = os.path.normpath(captures[0].path)
    same = [
        spec
        for capture in captures
        for spec in capture.specs
        if spec["kind"] == captures[-1].spec["kind"] and os.path.normpath(spec["path"]) == path
    ]
    brought = {name for spec in same for name in _pins(spec)}
    return ScriptLines(
        {
            "recreated": b"1" if made_again else b"",
            "brought": b" ".join(map(escape, sorted(brought))),
        },
        ("removal", "venv", "venv_absent"),
    )


def _pins(spec: Spec) -> dict[str, str]:
    return {
        canonical(str(distribution["name"])): str(distribution.get("version") or "")
        for distribution in spec.get("distributions") or []
    }
