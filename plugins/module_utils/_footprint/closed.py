"""Directories that whoever rolls back may not write to: their own are opened for the way back, and closed again.

A user may take the right to write from a directory of their own, and give it back; nobody else's directory is opened.
"""

from __future__ import annotations

import os
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import RollbackError
from ansible_collections.intellistream.sage.plugins.module_utils._footprint import metadata
from ansible_collections.intellistream.sage.plugins.module_utils._footprint import table as footprint_table
from ansible_collections.intellistream.sage.plugins.module_utils._footprint.table import DIRECTORY, Table

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.tree import Tree
    from ansible_collections.intellistream.sage.plugins.module_utils._footprint.anchor import Anchor
    from ansible_collections.intellistream.sage.plugins.module_utils._footprint.decide import PathStep
    from ansible_collections.intellistream.sage.plugins.module_utils._footprint.table import TableRow

# A table of the directories as they were before they were opened.
_OPENED = "opened"
_STAGED = ".opened"
_WRITE = 0o300
_MANY = 3


def _closed(anchor: Anchor, steps: t.Iterable[PathStep], current: Table) -> t.Iterator[tuple[str, TableRow]]:
    """Directories in which steps make or remove something, and this user may not."""
    for directory in sorted({step.path.rpartition("/")[0] for step in steps if step.path}):
        row = current.rows.get(directory)
        if row is None or row.type != DIRECTORY:
            continue
        parent, name = anchor.at(directory)
        if not os.access(name, os.W_OK | os.X_OK, dir_fd=parent, effective_ids=True, follow_symlinks=False):
            yield directory, row


def check(anchor: Anchor, steps: t.Iterable[PathStep], current: Table) -> None:
    """Refuse a way back that ends at a directory of somebody else's.

    :param current: the look by which the steps were decided.
    :raises RollbackError: there is one; nothing was changed.
    """
    barred = [anchor.full(path) for path, row in _closed(anchor, steps, current) if row.uid != os.geteuid()]
    if barred:
        more = f" and {len(barred) - _MANY} more" if len(barred) > _MANY else ""
        raise RollbackError(
            f"This user may not write to {', '.join(barred[:_MANY])}{more}, where something has to be put back.",
            untouched="everything.",
            advice="Roll back as the user that made the change there, or as root.",
            paths=barred,
        )


def as_closed(current: Table, stage: Tree) -> Table:
    """A look as it would be, had no killed way back opened anything."""
    rows = {
        path: current.rows[path]._replace(mode=row.mode)
        for path, row in _opened(stage).items()
        if path in current.rows and current.rows[path].inode == row.inode
    }
    return current._replace(rows={**current.rows, **rows}) if rows else current


def open_own(anchor: Anchor, steps: t.Iterable[PathStep], current: Table, stage: Tree) -> None:
    """Give this user the right to write to their own directories that steps need, and write down what they were.

    :param stage: of the way back; P(close_again) reads there what to close.
    """
    if os.geteuid() == 0:
        # Nothing bars it.
        return
    opened = dict(_opened(stage))
    own = {path: row for path, row in _closed(anchor, steps, current) if row.uid == os.geteuid()}
    if not own:
        return
    # What a killed run opened was like that before it, not as it is now.
    rows = {**own, **opened}
    fd = os.open(_STAGED, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=stage.fd)
    with os.fdopen(fd, "wb") as stream:
        stream.writelines(footprint_table.write(Table(rows)))
        stream.flush()
        os.fsync(fd)
    os.rename(_STAGED, _OPENED, src_dir_fd=stage.fd, dst_dir_fd=stage.fd)
    for path, row in own.items():
        metadata.apply_to(*anchor.at(path), row._replace(mode=row.mode | _WRITE), row.inode)


def close_again(anchor: Anchor, stage: Tree, passed_over: t.Container[str]) -> None:
    """Give directories that were opened their mode back.

    :param passed_over: those that a step gives their mode, or takes away.
    """
    for path, row in _opened(stage).items():
        if path in passed_over:
            continue
        current = anchor.row(path)
        if current is not None and current.inode == row.inode:
            metadata.apply_to(*anchor.at(path), current._replace(mode=row.mode), row.inode)
    stage.unlink(_OPENED)


def _opened(stage: Tree) -> dict[str, TableRow]:
    try:
        stream = os.fdopen(stage.open_file(_OPENED), "rb")
    except FileNotFoundError:
        return {}
    with stream:
        return footprint_table.read(stream, stage.name(_OPENED)).rows
