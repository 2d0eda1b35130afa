"""After a change: look again. The difference of two looks is what the change touched, whoever touched it.

What was replaced is hashed now, and what came as well, so that from here on content decides and no time stamp does.
"""

from __future__ import annotations

import typing as t
from types import MappingProxyType

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import StoreError
from ansible_collections.intellistream.sage.plugins.module_utils._footprint import table as footprint_table
from ansible_collections.intellistream.sage.plugins.module_utils._footprint.farm import link_name
from ansible_collections.intellistream.sage.plugins.module_utils._footprint.table import (
    DIRECTORY,
    FILE,
    Table,
    same_metadata,
    untouched,
)

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._footprint.anchor import Anchor
    from ansible_collections.intellistream.sage.plugins.module_utils._footprint.farm import Farm
    from ansible_collections.intellistream.sage.plugins.module_utils._footprint.table import TableRow


class Footprint(t.NamedTuple):
    """What a change touched.

    :ivar before: rows of paths as they were, where something was there.
    :ivar after: rows of the same paths as the change left them, where something is there. A path is in one or both.
    :ivar unheld: files of P(before) whose content is lost, and how that came, for people.
    :ivar renewed: files of P(before) that were written to before the change took them away, by whoever had them open:
        what is held, and what P(before) says of them, is their last content.
    :ivar elsewhere: paths where another mount or subvolume begins than before, and directories that could not be looked
        at: of these and what is below nothing is said.
    :ivar late: where nobody looked when the change had ended, and this is a look made long after it: all that was
        captured, since any of it may have been touched. Not recorded.
    :ivar within: where in the tree what was captured begins. Not recorded.
    :ivar claims: of P(late): path → whether the change may have touched it at all; None for everything. Not recorded.
    """

    before: Table
    after: Table
    unheld: dict[str, str]
    renewed: tuple[str, ...] = ()
    elsewhere: tuple[str, ...] = ()
    late: Table | None = None
    within: str = ""
    claims: t.Callable[[str], bool] | None = None

    def is_empty(self) -> bool:
        """Whether nothing was touched but directories' times: what was made was removed again."""
        return all(
            path in self.after.rows and untouched(self.after.rows[path], row) and row.type == DIRECTORY
            for path, row in self.before.rows.items()
        ) and all(path in self.before.rows for path in self.after.rows)

    def is_like(self, other: Footprint) -> bool:
        """Whether another look found the same."""
        return (self.before.rows, self.after.rows, *self[2:5]) == (other.before.rows, other.after.rows, *other[2:5])

    def covers(self, path: str) -> bool:
        """Whether a path is part of what was captured for the change."""
        if self.claims is not None and not self.claims(path):
            return False
        return not self.within or path == self.within or path.startswith(f"{self.within}/")

    def below(self, directory: str) -> Footprint:
        """The same, by paths relative to a directory further up.

        :param directory: relative to that one.
        """
        return self._replace(
            before=moved(self.before, directory),
            after=moved(self.after, directory),
            late=moved(self.late, directory) if self.late is not None else None,
            within=directory,
        )

    def paths(self) -> list[str]:
        """All touched paths, a directory before what is in it."""
        return sorted({*self.before.rows, *self.after.rows}, key=lambda path: path.split("/") if path else [])


def moved(table: Table, directory: str) -> Table:
    """A table whose paths are relative to a directory further up."""
    if not directory:
        return table
    rows = {f"{directory}/{path}" if path else directory: row for path, row in table.rows.items()}
    return table._replace(rows=rows)


def settle(
    anchor: Anchor,
    before: Table,
    farm: Farm,
    copied: t.Mapping[str, str] = MappingProxyType({}),
    seen: Table | None = None,
) -> Footprint:
    """Look at what a change left.

    :param before: as it was held.
    :param copied: what was copied before it was written in place, see M(_footprint.keeper.copied).
    :param seen: a look that somebody made a moment ago. What was touched since then is not the change's, and if that
        is in the way, there is another look.
    """
    before = with_copies(before, copied)
    after = seen if seen is not None else anchor.look(before)
    elsewhere = tuple(sorted({*before.boundaries} ^ {*after.boundaries} | {*before.unseen, *after.unseen}))
    touched_before: dict[str, TableRow] = {}
    touched_after: dict[str, TableRow] = {}
    unheld: dict[str, str] = {}
    renewed: list[str] = []
    linked = farm.names() if before.generation == farm.generation else set()
    for path in [*before.rows, *(path for path in after.rows if path not in before.rows)]:
        if elsewhere and any(not top or path == top or path.startswith(f"{top}/") for top in elsewhere):
            continue
        was, is_now = before.rows.get(path), after.rows.get(path)
        if was is not None and was == is_now and not before.is_racy(was):
            # The look found the row as it was, its ctime included.
            continue
        if _is_untouched(anchor, path, was, is_now, before, farm, linked):
            continue
        if was is not None:
            in_place = is_now is not None and is_now.inode == was.inode
            is_linked = was.type == FILE and not was.hash and before.generation == farm.generation
            newest = farm.newest(was) if is_linked and not in_place else None
            if newest is not None and newest != was:
                renewed.append(path)
                was = newest
            touched_before[path] = was
            try:
                if was.type == FILE:
                    touched_before[path] = was._replace(hash=farm.digest(was, before.generation))
            except StoreError:
                unheld[path] = "was written in place" if in_place else "was not held"
        if is_now is not None:
            touched_after[path] = is_now._replace(hash=anchor.digest(path)) if is_now.type == FILE else is_now
            if seen is not None and anchor.row(path) != is_now:
                # The hash would be of what somebody wrote by now.
                return settle(anchor, before, farm, copied)
        if before.generation != farm.generation and _is_the_same(touched_before.get(path), touched_after.get(path)):
            # Tree and farm were copied elsewhere: only content tells.
            del touched_before[path], touched_after[path]
    return Footprint(
        before._replace(rows=touched_before),
        after._replace(rows=touched_after),
        unheld,
        tuple(renewed),
        elsewhere,
    )


def _is_the_same(was: TableRow | None, is_now: TableRow | None) -> bool:
    """Whether a file has the same content, time and metadata, under whatever inode."""
    if was is None or is_now is None or was.type != FILE or not was.hash:
        return False
    return same_metadata(was, is_now) and (was.hash, was.mtime) == (is_now.hash, is_now.mtime)


def with_copies(before: Table, copied: t.Mapping[str, str]) -> Table:
    """A table with the hashes of files that were copied before somebody wrote to them."""
    if not copied:
        return before
    rows = {
        path: row._replace(hash=copied.get(link_name(row), "")) if row.type == FILE and not row.hash else row
        for path, row in before.rows.items()
    }
    return before._replace(rows=rows)


def _is_untouched(
    anchor: Anchor,
    path: str,
    was: TableRow | None,
    is_now: TableRow | None,
    before: Table,
    farm: Farm,
    linked: t.Container[str],
) -> bool:
    """Whether a path is as it was held.

    Only a link that lives makes an inode a name. What is held as a copy is the same if its ctime tells so, which nobody
    can set, else by its hash. Of what is not held the ctime alone tells.
    """
    if was is None or is_now is None or was.type != FILE:
        # That something was made in a directory and removed again shows in its time alone.
        return untouched(is_now, was) and (
            was is None or is_now is None or was.mtime == is_now.mtime or was.type != DIRECTORY
        )
    if not same_metadata(is_now, was) or is_now.size != was.size or is_now.mtime != was.mtime:
        return False
    is_linked = before.generation == farm.generation and (link_name(was) in linked or farm.holds_inode(was))
    if is_now.inode == was.inode and not was.hash and is_linked:
        return True
    if (is_now.inode, is_now.ctime) == (was.inode, was.ctime) and not before.is_racy(was):
        return True
    return bool(was.hash) and anchor.digest(path) == was.hash


def write(footprint: Footprint) -> t.Iterator[bytes]:
    """The lines of a footprint's file: two tables, and what else is known."""
    yield from footprint_table.write(footprint.before)
    yield from footprint_table.write(footprint.after)
    for path, reason in footprint.unheld.items():
        yield b"unheld %s %s\n" % (footprint_table.escape(reason), footprint_table.escape(path))
    for word, paths in ((b"renewed", footprint.renewed), (b"elsewhere", footprint.elsewhere)):
        for path in paths:
            yield b"%s %s\n" % (word, footprint_table.escape(path))


def read(lines: t.Iterable[bytes], name: str) -> Footprint:
    """A footprint from its file, whose hash was checked.

    :raises StoreError: it is none.
    """
    iterator = iter(lines)
    before, after = footprint_table.read(iterator, name), footprint_table.read(iterator, name)
    unheld: dict[str, str] = {}
    others: dict[bytes, list[str]] = {b"renewed": [], b"elsewhere": []}
    for line in iterator:
        words = line.split()
        path = footprint_table.unescape(words[-1])
        if words[0] == b"unheld":
            unheld[path] = footprint_table.unescape(words[1])
        else:
            others[words[0]].append(path)
    return Footprint(before, after, unheld, tuple(others[b"renewed"]), tuple(others[b"elsewhere"]))
