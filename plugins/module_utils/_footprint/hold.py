"""Before a change: look at a tree, and hold the content of its files.

What is said of content is held, not hoped for: a file is linked only where all names of its inode are the tree's and
the farm's own, for whoever else has a name may write to it; all others are copied. So is what was written within the
granule of the look, and what people and programs write in place.
"""

from __future__ import annotations

import collections
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._footprint import farm as footprint_farm
from ansible_collections.intellistream.sage.plugins.module_utils._footprint import look as footprint_look
from ansible_collections.intellistream.sage.plugins.module_utils._footprint.table import FILE

if t.TYPE_CHECKING:
    import os

    from ansible_collections.intellistream.sage.plugins.module_utils._footprint.anchor import Anchor
    from ansible_collections.intellistream.sage.plugins.module_utils._footprint.farm import Farm
    from ansible_collections.intellistream.sage.plugins.module_utils._footprint.table import Table, TableRow


class HoldPolicy(t.NamedTuple):
    """What a kind of resource says of its trees.

    :ivar links: files may be linked at all.
    :ivar shared: a file may be linked although its inode has names outside of the tree, since these are ours as well.
    :ivar is_edited: path, row → whether such files are written in place, and so are copied.
    :ivar is_needed: path → whether a file is copied where it cannot be linked. What is not is only looked at, and named
        when the change has touched it.
    """

    links: bool = False
    shared: bool = False
    is_edited: t.Callable[[str, TableRow], bool] = lambda _path, _row: False
    is_needed: t.Callable[[str], bool] = lambda _path: True


class HoldPlan(t.NamedTuple):
    """What holding a tree will do.

    :ivar links: paths to link.
    :ivar copies: paths to copy.
    :ivar unheld: paths that are only looked at: they cannot be linked, and nobody needs them.
    :ivar bytes: of the copies, at most.
    """

    links: list[str]
    copies: list[str]
    unheld: list[str]
    bytes: int


def plan(table: Table, farm: Farm, policy: HoldPolicy, earlier: Table | None = None) -> tuple[Table, HoldPlan]:
    """What has to be done to hold all files of a table; changes nothing.

    :param earlier: the newest table that was held by this farm. What it has copied and nobody touched is held.
    :returns: the table, with hashes of what is held by copies already, and the rest.
    """
    linked = farm.names() if policy.links else set()
    names = collections.Counter(row.inode for row in table.rows.values() if row.type == FILE and row.links > 1)
    is_same_farm = earlier is not None and earlier.generation == farm.generation
    result = HoldPlan([], [], [], bytes=0)
    rows = dict(table.rows)
    size = 0
    for path, row in table.rows.items():
        if row.type != FILE:
            continue
        recorded = earlier.rows.get(path) if earlier is not None else None
        held = footprint_farm.link_name(row) in linked
        if held and row == recorded and is_same_farm and not table.is_racy(row):
            # It was linked, and nothing has moved its ctime since.
            continue
        if recorded is not None and recorded.hash and _vouched(row, recorded, table, earlier):
            candidate = row._replace(hash=recorded.hash)
            if farm.path(candidate, farm.generation) is not None:
                rows[path] = candidate
                continue
        foreign = row.links - (names[row.inode] or 1) - held
        linkable = policy.links and (policy.shared or foreign <= 0)
        is_edited = policy.is_edited(path, row)
        if linkable and not table.is_racy(row) and not is_edited:
            if not held:
                result.links.append(path)
            continue
        if not (linkable or is_edited or policy.is_needed(path)):
            result.unheld.append(path)
            continue
        result.copies.append(path)
        size += row.size
    return table._replace(rows=rows, generation=farm.generation), result._replace(bytes=size)


def _vouched(row: TableRow, recorded: TableRow, table: Table, earlier: Table | None) -> bool:
    """Whether the hash of an earlier row is that of a row: nothing can have written to it without moving its ctime."""
    if earlier is None or earlier.is_racy(recorded) or earlier.file_system != table.file_system:
        return False
    return (row.inode, row.size, row.mtime, row.ctime) == (
        recorded.inode,
        recorded.size,
        recorded.mtime,
        recorded.ctime,
    )


def hold(anchor: Anchor, table: Table, work: HoldPlan, farm: Farm, policy: HoldPolicy) -> Table:
    """Do what M(plan) found; synced by whoever records the table.

    What cannot be linked after all, such as another user's file, is copied where it is needed, and else added to
    C(work.unheld).

    :returns: the table as it is held: with the ctimes that links have brought, without what went meanwhile.
    :raises OSError: a file cannot be read, or there is no room.
    """
    rows = dict(table.rows)
    copies = list(work.copies)
    linked: dict[int, os.stat_result] = {}
    for path in work.links:
        try:
            info = farm.link(*anchor.at(path), rows[path])
        except (FileNotFoundError, NotADirectoryError):
            del rows[path]
            continue
        if info is not None:
            linked[info.st_ino] = info
        elif policy.is_needed(path):
            copies.append(path)
        else:
            work.unheld.append(path)
            _look_again(anchor, path, rows)
    for path in copies:
        try:
            directory, name = anchor.at(path)
            copied = farm.copy(directory, name)
        except (FileNotFoundError, NotADirectoryError):
            del rows[path]
            continue
        except OSError:
            # Something else has its name by now.
            if _look_again(anchor, path, rows) == FILE:
                raise
            continue
        row = footprint_look.row_of(copied.info, "", footprint_look.attributes_of(directory, name))
        rows[path] = row._replace(size=copied.size, hash=copied.digest)
    farm.note_size()
    # Under all names that an inode has here.
    for path, row in rows.items():
        if row.type == FILE and not row.hash and row.inode in linked:
            info = linked[row.inode]
            rows[path] = row._replace(ctime=info.st_ctime_ns, links=info.st_nlink)
    return table._replace(rows=rows)


def _look_again(anchor: Anchor, path: str, rows: dict[str, TableRow]) -> str:
    """Have a path among the rows as it is now; returns its type, empty where it went."""
    row = anchor.row(path)
    if row is None:
        del rows[path]
        return ""
    rows[path] = row
    return row.type


def unlinked(table: Table) -> t.Iterator[str]:
    """Files of a table whose content nobody hashed: held by a link, or not at all."""
    return (path for path, row in table.rows.items() if row.type == FILE and not row.hash)
