"""Taking named paths, and all below them, into a store: a table of each, and copies of the files by their hashes."""

from __future__ import annotations

import hashlib
import os
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import StoreError
from ansible_collections.intellistream.sage.plugins.module_utils._content import listing
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.tree import Tree
from ansible_collections.intellistream.sage.plugins.module_utils._footprint import hold, settle
from ansible_collections.intellistream.sage.plugins.module_utils._footprint import table as footprint_table
from ansible_collections.intellistream.sage.plugins.module_utils._footprint.farm import Farm
from ansible_collections.intellistream.sage.plugins.module_utils._footprint.place import Place
from ansible_collections.intellistream.sage.plugins.module_utils._footprint.settle import Footprint
from ansible_collections.intellistream.sage.plugins.module_utils._footprint.table import FILE, Table
from ansible_collections.intellistream.sage.plugins.module_utils._storage import store as storage_store

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.private import PrivateDir
    from ansible_collections.intellistream.sage.plugins.module_utils._kind.interface import Facts, Layer

# People edit these in place, so none is linked.
_POLICY = hold.HoldPolicy(links=False)


def look(path: str) -> Table:
    """A table of a path; an empty one where nothing is."""
    parent = listing.parent(path)
    if parent is None:
        return Table({})
    with parent:
        return Place(parent, os.path.basename(path)).look()


def need(paths: t.Sequence[str]) -> tuple[int, int]:
    """(files, bytes) that M(capture) would write."""
    rows = [row for path in paths for row in look(path).rows.values()]
    return len(rows), sum(row.size for row in rows)


def capture(paths: t.Sequence[str], where: PrivateDir) -> Facts:
    """Capture these paths; returns facts for the manifest.

    :raises CaptureError: one of them lies too deeply.
    :raises OSError: a file cannot be read.
    """
    facts: Facts = {"files": 0, "copies": 0, "bytes": 0, "tables": {}}
    with Tree.of(where) as store:
        farm = Farm(store)
        for number, path in enumerate(paths):
            table = _held(path, farm)
            files = [row for row in table.rows.values() if row.type == FILE]
            facts["files"] += len(table.rows)
            facts["copies"] += len(files)
            facts["bytes"] += sum(row.size for row in files)
            facts["tables"][path] = _write(where, f"{number}.before", footprint_table.write(table))
        storage_store.flush(store, [])
    return facts


def _held(path: str, farm: Farm) -> Table:
    parent = listing.parent(path)
    if parent is None:
        return Table({}, generation=farm.generation)
    with parent:
        place = Place(parent, os.path.basename(path))
        table, work = hold.plan(place.look(), farm, _POLICY)
        return hold.hold(place, table, work, farm)


def _write(where: PrivateDir, name: str, lines: t.Iterable[bytes]) -> str:
    """Write a file of the store, durably; returns its SHA-256 in hex."""
    content = b"".join(lines)
    where.write(name, content)
    return hashlib.sha256(content).hexdigest()


def _read(where: PrivateDir, name: str, digest: str) -> t.Iterator[bytes]:
    content = where.read(name)
    if content is None or hashlib.sha256(content).hexdigest() != digest:
        raise StoreError(
            f"{where.path}/{name} is {'gone' if content is None else 'not what was recorded'}.",
            untouched="everything.",
            advice="Restore the store from a copy, or roll back to another point.",
            file=f"{where.path}/{name}",
        )
    return iter(content.splitlines(keepends=True))


def tables(layer: Layer) -> t.Iterator[tuple[str, Table]]:
    """Each captured path and what was there.

    :raises StoreError: a table is gone or was changed.
    """
    for number, (path, digest) in enumerate(layer.manifest["tables"].items()):
        yield path, footprint_table.read(_read(layer.where, f"{number}.before", digest), f"{number}.before")


def settled(layer: Layer) -> Facts:
    """Look at what the change after a capture left, and note what it touched; returns what the ledger keeps of that."""
    digests = dict((layer.after or {}).get("footprints") or {})
    known = dict(touched(layer)) if digests else {}
    for number, (path, footprint) in enumerate(touched(layer._replace(after=None))):
        if path not in known or not known[path].is_like(footprint):
            digests[path] = _write(layer.where, f"{number}.footprint", settle.write(footprint))
    return {"footprints": digests}


def touched(layer: Layer) -> t.Iterator[tuple[str, Footprint]]:
    """Each captured path and what the change touched there: as it was settled, else by a look now.

    :raises StoreError: what was noted is gone or was changed.
    """
    known = (layer.after or {}).get("footprints") or {}
    with Tree.of(layer.where) as store:
        farm = Farm(store)
        for number, (path, before) in enumerate(tables(layer)):
            if path in known:
                name = f"{number}.footprint"
                yield path, settle.read(_read(layer.where, name, known[path]), name)
                continue
            parent = listing.parent(path)
            if parent is None:
                yield path, Footprint(before, before._replace(rows={}), {}, late=before)
                continue
            with parent:
                yield path, settle.settle(Place(parent, os.path.basename(path)), before, farm)._replace(late=before)


def lost(layer: Layer, thorough: bool) -> t.Iterator[str]:
    """What is gone or hurt of a capture's content.

    :param thorough: read all of it.
    """
    with Tree.of(layer.where) as store:
        farm = Farm(store)
        for path, table in tables(layer):
            for relative, row in table.rows.items():
                if row.type != FILE:
                    continue
                held = farm.path(row, table.generation)
                if held is None:
                    yield f"the captured content of {listing.join(path, relative)} is gone from {store.path}"
                elif thorough and store.digest(held) != row.hash:
                    yield f"{store.name(held)} is not what was captured of {listing.join(path, relative)}"


def requirements(layer: Layer) -> bytes | None:
    """What P(_kind.interface.PlainCopy) names: the captured requirements.txt, if there is one."""
    return _named(layer, "requirements.txt")


def project(layer: Layer) -> bytes | None:
    """What P(_kind.interface.PlainCopy) names: the captured pyproject.toml, if there is one."""
    return _named(layer, "pyproject.toml")


def _named(layer: Layer, name: str) -> bytes | None:
    with Tree.of(layer.where) as store:
        farm = Farm(store)
        for path, table in tables(layer):
            row = table.rows.get("")
            held = farm.path(row, table.generation) if row is not None and row.type == FILE else None
            if os.path.basename(path) == name and held is not None:
                return store.read(held)
    return None
