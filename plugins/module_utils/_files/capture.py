"""Taking named paths, and all below them, into a store: a table of each, and copies of the files by their hashes."""

from __future__ import annotations

import os
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.sizes import Sizes
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.tree import Tree
from ansible_collections.intellistream.sage.plugins.module_utils._footprint import hold, point
from ansible_collections.intellistream.sage.plugins.module_utils._footprint import table as footprint_table
from ansible_collections.intellistream.sage.plugins.module_utils._footprint.farm import Farm
from ansible_collections.intellistream.sage.plugins.module_utils._footprint.table import FILE, Table
from ansible_collections.intellistream.sage.plugins.module_utils._storage import store as storage_store

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.private import PrivateDir
    from ansible_collections.intellistream.sage.plugins.module_utils._kind.interface import Facts, Layer

# People edit these in place, so none is linked.
_POLICY = hold.HoldPolicy(links=False)


def need(paths: t.Sequence[str]) -> tuple[int, int]:
    """(files, bytes) that M(capture) would write."""
    tables, sizes = [point.look(path) for path in paths], Sizes()
    size = sum(footprint_table.size_of(table, table.rows.values(), sizes) for table in tables)
    return sum(len(table.rows) for table in tables), size


def capture(paths: t.Sequence[str], directory: PrivateDir) -> Facts:
    """Capture these paths; returns facts for the manifest.

    :raises CaptureError: one of them lies too deeply.
    :raises OSError: a file cannot be read.
    """
    facts: Facts = {"files": 0, "copies": 0, "bytes": 0, "tables": {}}
    with Tree.of(directory) as store:
        farm, sizes = Farm(store), Sizes()
        for number, path in enumerate(paths):
            table = _held(path, farm)
            files = [row for row in table.rows.values() if row.type == FILE]
            facts["files"] += len(table.rows)
            facts["copies"] += len(files)
            facts["bytes"] += footprint_table.size_of(table, files, sizes)
            facts["tables"][path] = point.write_table(directory, number, table)
        storage_store.flush(store, [])
    return facts


def _held(path: str, farm: Farm) -> Table:
    with point.anchor_of(path) as anchor:
        if anchor is None:
            return Table({}, generation=farm.generation)
        table, work = hold.plan(anchor.look(), farm, _POLICY)
        return hold.hold(anchor, table, work, farm, _POLICY)


def requirements(layer: Layer) -> bytes | None:
    """What P(_kind.interface.PlainCopy) names: the captured requirements.txt, if there is one."""
    return _named(layer, "requirements.txt")


def project(layer: Layer) -> bytes | None:
    """What P(_kind.interface.PlainCopy) names: the captured pyproject.toml, if there is one."""
    return _named(layer, "pyproject.toml")


def _named(layer: Layer, name: str) -> bytes | None:
    with Tree.of(layer.where) as store:
        farm = Farm(store)
        for path, table in point.tables(layer):
            row = table.rows.get("")
            held = farm.path(row, table.generation) if row is not None and row.type == FILE else None
            if os.path.basename(path) == name and held is not None:
                return store.read(held)
    return None
