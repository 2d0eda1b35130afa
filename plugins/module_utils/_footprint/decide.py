"""The way back, path by path: before the change, as the change left it, now. Nothing is touched here.

It is a three-way merge. What is as it was needs nothing; what is as the change left it goes back; what somebody changed
since is a conflict, unless nobody owns it: a log, a data file of a service goes on living. Conflicts are decided by
group, for half of somebody's upgrade must be neither kept nor undone.
"""

from __future__ import annotations

import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._footprint.table import (
    DIRECTORY,
    FILE,
    Table,
    is_racy,
    same_metadata,
)

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._footprint.anchor import Anchor
    from ansible_collections.intellistream.sage.plugins.module_utils._footprint.farm import Farms
    from ansible_collections.intellistream.sage.plugins.module_utils._footprint.settle import Footprint
    from ansible_collections.intellistream.sage.plugins.module_utils._footprint.table import TableRow

# Names of an undo's own in a tree, of a fixed length, so that they fit where the name that they stand for does.
STAGED = ".intellistream-sage.undo"
COPYING = ".intellistream-sage.copy"
# What becomes of a path.
RESTORE, REMOVE = "restore", "remove"


class Touched(t.NamedTuple):
    """One path that changes touched.

    :ivar before: as it was before the first of them; None where nothing was.
    :ivar after: as the last of them left it; None where it left nothing.
    :ivar generation: of the link that may hold the content of P(before).
    :ivar settled: when the last of them was looked at, nanoseconds since 1970.
    :ivar late: P(after) is what was there when somebody looked for the first time, long after the change.
    :ivar between: somebody changed it between two of them, which the later one then replaced.
    """

    before: TableRow | None
    after: TableRow | None
    generation: str
    settled: int = 0
    between: bool = False
    late: bool = False


class PathStep(t.NamedTuple):
    """What becomes of one path.

    :ivar action: C(restore) or C(remove).
    :ivar touched: what is known of the path.
    :ivar now: what is there; None where nothing is.
    """

    path: str
    action: str
    touched: Touched
    now: TableRow | None


class Decision(t.NamedTuple):
    """A computed way back.

    :ivar steps: what is to be done, sorted by path.
    :ivar conflicts: paths that somebody changed since, and paths of the same groups.
    :ivar living: paths that nobody owns and that were written to since: left alone.
    :ivar lost: paths whose content from before is not held: P(check) refuses their steps.
    :ivar strays: what nobody owns in directories that go: kept aside.
    :ivar disputed: of P(conflicts) those that somebody changed since.
    """

    steps: list[PathStep]
    conflicts: list[str]
    living: list[str]
    lost: list[str]
    strays: list[str]
    disputed: t.Sequence[str] = ()


Groups = t.Callable[[str], t.Iterable[str]]


def merge(footprints: t.Sequence[Footprint]) -> dict[str, Touched]:
    """What several changes touched as if they were one.

    :param footprints: oldest first.
    """
    merged: dict[str, Touched] = {}
    for footprint in footprints:
        for path in footprint.paths():
            before, after = footprint.before.rows.get(path), footprint.after.rows.get(path)
            recorded = merged.get(path)
            if recorded is not None and recorded.late:
                # Nobody looked at once, so that nobody knows who did what in between.
                merged[path] = recorded._replace(
                    after=after, settled=footprint.after.began, late=footprint.late is not None
                )
            elif recorded is None:
                merged[path] = Touched(
                    before, after, footprint.before.generation, footprint.after.began, late=footprint.late is not None
                )
            else:
                between = recorded.between or not _same_content(before, recorded.after)
                merged[path] = recorded._replace(
                    after=after, settled=footprint.after.began, between=between, late=footprint.late is not None
                )
    for path in list(merged):
        for footprint in footprints:
            if path in footprint.before.rows or path in footprint.after.rows:
                break
            if footprint.late is not None and footprint.covers(path):
                # What looks untouched now may have been touched, and put back by a later change or an undo.
                row = footprint.late.rows.get(path)
                merged[path] = merged[path]._replace(before=row, generation=footprint.before.generation, between=False)
                break
    return merged


def decide(
    anchor: Anchor,
    touched: t.Mapping[str, Touched],
    current: Table,
    farms: Farms,
    groups: Groups,
    *,
    force: bool = False,
    begun: t.Container[str] = (),
    is_ours: t.Callable[[str, TableRow | None], bool] | None = None,
) -> Decision:
    """Decide what becomes of every path that changes touched.

    :param current: a look at the tree.
    :param groups: path → the groups that own it, before, after or now; none where nobody does.
    :param force: conflicts go back as well; what is there is then kept aside.
    :param begun: paths at which a way back was at work that was killed: what it leaves half done is nobody's change.
    :param is_ours: path, what is there now → whether a killed way back to another state may have put that there.
    """
    steps: list[PathStep] = []
    disputed: set[str] = set()
    living: list[str] = []
    lost: list[str] = []
    for path in sorted(touched):
        sides, row = touched[path], current.rows.get(path)
        if is_as_before(anchor, path, row, sides, farms) or _is_theirs(row, sides):
            continue
        step = PathStep(path, RESTORE if sides.before is not None else REMOVE, sides, row)
        half_done = path in begun and _is_half_done(anchor, path, row, sides)
        half_done = half_done or (is_ours is not None and is_ours(path, row))
        # Who gave a file its content from before has nothing to lose but its time.
        is_given_back = row is not None and sides.before is not None and _has_content(anchor, path, row, sides.before)
        if not half_done and not is_given_back and (sides.between or not _is_as_left(anchor, path, row, sides)):
            is_owned = any(True for _group in groups(path))
            if not is_owned and not _is_directory_of_changes(row, sides):
                living.append(path)
                continue
            disputed.update((path,) if is_owned else ())
        if sides.before is not None and sides.before.type == FILE and not farms.holds(sides.before, sides.generation):
            lost.append(path)
        steps.append(step)
    conflicts = _spread(disputed, [step.path for step in steps], groups)
    strays: list[str] = []
    for path in _in_the_way(current, steps):
        if begun and path.rpartition("/")[2] in (STAGED, COPYING):
            # A killed way back left it: the next one clears it away before anything else.
            continue
        owned = any(True for _group in groups(path))
        (conflicts.add if owned else strays.append)(path)
        disputed.update((path,) if owned else ())
        steps.append(PathStep(path, REMOVE, Touched(None, current.rows[path], ""), current.rows[path]))
    if not force:
        steps = [step for step in steps if step.path not in conflicts]
    return Decision(sorted(steps), sorted(conflicts), living, lost, strays, sorted(disputed))


def _is_theirs(row: TableRow | None, sides: Touched) -> bool:
    """Whether a directory differs only by what others did to it: of its own metadata the changes touched nothing."""
    before, after = sides.before, sides.after
    if row is None or before is None or after is None or not row.type == before.type == after.type == DIRECTORY:
        return False
    return same_metadata(before, after)


def _is_directory_of_changes(row: TableRow | None, sides: Touched) -> bool:
    """Whether a directory came with the changes: who gave it another mode has nothing in it to lose by that.

    What others put into it is a stray, and is kept.
    """
    after = sides.after
    return (
        row is not None
        and row.type == DIRECTORY
        and sides.before is None
        and after is not None
        and after.type == DIRECTORY
    )


def _in_the_way(current: Table, steps: t.Sequence[PathStep]) -> list[str]:
    """What others put into directories that go, or that become something else."""
    going = {step.path for step in steps if step.action == REMOVE}
    directories = {
        step.path
        for step in steps
        if step.now is not None
        and step.now.type == DIRECTORY
        and (step.touched.before is None or step.touched.before.type != DIRECTORY)
    }
    strays: list[str] = []
    # A directory comes before what is in it.
    for path, row in current.rows.items():
        if path and path.rpartition("/")[0] in directories and path not in going:
            strays.append(path)
            if row.type == DIRECTORY:
                directories.add(path)
    return strays


def is_as_before(anchor: Anchor, path: str, row: TableRow | None, sides: Touched, farms: Farms) -> bool:
    """Whether a path is as it was before the changes: the very inode that is held, or the same in all that tells."""
    before = sides.before
    if row is None or before is None:
        return row is before
    if not same_metadata(row, before):
        return False
    if before.type != FILE:
        return before.type == DIRECTORY or row.mtime == before.mtime
    if (row.size, row.mtime) != (before.size, before.mtime):
        return False
    if not before.hash:
        return row.inode == before.inode and farms.holds_inode(before)
    return anchor.digest(path) == before.hash


def _has_content(anchor: Anchor, path: str, row: TableRow, side: TableRow) -> bool:
    """Whether a file is what a row says, but for its times."""
    if row.type != FILE or not side.hash or row.size != side.size or not same_metadata(row, side):
        return False
    return anchor.digest(path) == side.hash


def _is_as_left(anchor: Anchor, path: str, row: TableRow | None, sides: Touched) -> bool:
    """Whether nobody touched a path since the change."""
    after = sides.after
    if row is None or after is None:
        return row is after
    if not same_metadata(row, after):
        return False
    if row.type != FILE:
        # What is in a directory has rows of its own.
        return True
    unmoved = (row.inode, row.size, row.mtime, row.ctime) == (after.inode, after.size, after.mtime, after.ctime)
    # Content decides before any time does.
    return (unmoved and not is_racy(after, sides.settled)) or (
        row.size == after.size and anchor.digest(path) == after.hash
    )


def _is_half_done(anchor: Anchor, path: str, row: TableRow | None, sides: Touched) -> bool:
    """Whether a killed way back may have left a path like this: taken away, made, or with other metadata."""
    if row is None:
        return True
    if row.type == DIRECTORY:
        return sides.before is not None and sides.before.type == DIRECTORY
    digest = anchor.digest(path) if row.type == FILE else ""
    return any(
        (side.type, side.target, side.size, side.hash) == (row.type, row.target, row.size, digest)
        for side in (sides.before, sides.after)
        if side is not None
    )


def _same_content(first: TableRow | None, second: TableRow | None) -> bool:
    if first is None or second is None:
        return first is second
    if first.type == second.type == DIRECTORY:
        return True
    return same_metadata(first, second) and first.hash == second.hash


def _spread(disputed: set[str], paths: t.Sequence[str], groups: Groups) -> set[str]:
    """Disputed paths, and all that belong to groups of theirs, groups that share a path being one."""
    parent: dict[str, str] = {}

    def find(group: str) -> str:
        while parent.setdefault(group, group) != group:
            group = parent[group]
        return group

    members: dict[str, list[str]] = {}
    for path in paths:
        owners = list(groups(path))
        members[path] = owners
        for owner in owners[1:]:
            parent[find(owner)] = find(owners[0])
    roots = {find(owner) for path in disputed for owner in members.get(path, ())}
    return disputed | {path for path, owners in members.items() if any(find(owner) in roots for owner in owners)}


def check(steps: t.Iterable[PathStep], farms: Farms) -> None:
    """Check all held content that steps will use.

    :raises StoreError: some is gone, or not what was captured; nothing was changed.
    """
    for step in steps:
        before = step.touched.before
        if before is not None and before.type == FILE:
            farms.digest(before, step.touched.generation)
