"""What of a farm is needed: what the newest table of each tree names, and the tables of points that rely on the farm.

All else is what changes have replaced, which points have by now, or what a killed capture left.
"""

from __future__ import annotations

import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import StoreError
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.tree import Tree
from ansible_collections.intellistream.sage.plugins.module_utils._footprint import keeper, point, table_parts
from ansible_collections.intellistream.sage.plugins.module_utils._footprint import table as footprint_table
from ansible_collections.intellistream.sage.plugins.module_utils._footprint.farm import Farm, name_for

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.private import PrivateDir
    from ansible_collections.intellistream.sage.plugins.module_utils._footprint.table import Table


def collect(directory: PrivateDir, points: t.Iterable[PrivateDir], paths: t.Iterable[str] | None = None) -> int:
    """Remove from a farm what nobody needs; nothing else may be at work on it.

    :param points: directories of the rollback points whose content lies in it.
    :param paths: of the trees whose newest tables are still of use; None for all.
    :returns: how many names went.
    :raises OSError: the disk refused.
    :raises StoreError: a table of a point cannot be read, so that nobody knows what is needed; nothing went.
    """
    with Tree.of(directory) as tree:
        newest = [name for name, dummy in tree.listing("") if name.startswith(point.NEWEST)]
        useful = newest if paths is None else [name_for(point.NEWEST, path) for path in paths]
        tables: list[Table] = []
        for each in points:
            with Tree.of(each) as content:
                tables += _tables(content)
        for name in newest:
            try:
                if name in useful:
                    tables.append(_without(_read(tree, name), tree, name.replace(point.NEWEST, point.REPLACED)))
                    continue
            except StoreError:
                # It spares work, and a power cut may have emptied it.
                pass
            tree.unlink(name)
        table_parts.forget(tree, {name.replace(point.NEWEST, table_parts.SHARED) for name in useful})
        farm = Farm(tree)
        # What a keeper copies it notes afterwards.
        removed = farm.collect(tables, None if keeper.is_at_work(farm) else keeper.all_copied(farm))
        farm.note_collected()
        return removed


def _without(table: Table, tree: Tree, name: str) -> Table:
    """A table without what a change has replaced since, which its point has."""
    try:
        replaced = _read(tree, name).rows
    except (FileNotFoundError, StoreError):
        return table
    return table._replace(rows={path: row for path, row in table.rows.items() if path not in replaced})


def _tables(content: Tree) -> t.Iterator[Table]:
    """All tables of a rollback point; C(<resource>/<path>.before)."""
    for number, is_directory in content.listing(""):
        for name, dummy in content.listing(number) if is_directory else ():
            if name.endswith(f".{point.BEFORE}"):
                yield _read(content, f"{number}/{name}")


def _read(tree: Tree, name: str) -> Table:
    return footprint_table.read(iter(tree.read(name).splitlines(keepends=True)), tree.name(name))
