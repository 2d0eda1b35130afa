"""What packages of rpm that are to come overwrite although it is not of a package they replace.

rpm keeps a copy of such a file only when it is configuration. A file of nobody's is gone, and with the package goes the
new one; a directory of nobody's goes with it when it is empty. So they are captured like what packages own, where the
lists of files of what is to come are known; where they are not, that is said.
"""

from __future__ import annotations

import stat
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._content import item as content_item
from ansible_collections.intellistream.sage.plugins.module_utils._content.item import DIRECTORY, FILE
from ansible_collections.intellistream.sage.plugins.module_utils._rpm import capture as rpm_capture
from ansible_collections.intellistream.sage.plugins.module_utils._rpm import database

if t.TYPE_CHECKING:
    import os

    from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.absolute import Directories
    from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.tree import Tree
    from ansible_collections.intellistream.sage.plugins.module_utils._kind.interface import Facts
    from ansible_collections.intellistream.sage.plugins.plugin_utils._structures import ItemWriter

#: The section of what is kept of it, and the directory with that.
OVERWRITTEN = "overwritten"

#: The paths of what is to come, by the key of its package; None where they are not known.
Incoming = t.Mapping[str, t.Optional[t.Sequence[str]]]


class Look(t.NamedTuple):
    """What is in the way.

    :ivar there: path → from lstat.
    :ivar shared: path → key and state of it, of each package that has it, too.
    :ivar unkept: key of what is to come → what of it cannot be promised, for people.
    """

    there: dict[str, os.stat_result]
    shared: dict[str, list[tuple[str, int]]]
    unkept: dict[str, list[str]]

    @property
    def need(self) -> tuple[int, int]:
        """(files, bytes) that keeping it writes."""
        sizes = [info.st_size for info in self.there.values() if stat.S_ISREG(info.st_mode)]
        return len(sizes), sum(sizes)

    @property
    def leftovers(self) -> t.Iterator[str]:
        """Where rpm may put what it brings, or what was there."""
        for path, info in self.there.items():
            if stat.S_ISREG(info.st_mode):
                yield from (path + ending for ending in database.LEFTOVERS)


def files_in(package: str) -> tuple[str, ...] | None:
    """The paths that a package file has; None when it cannot be read."""
    rpm = database.rpm_module()
    try:
        with open(package, "rb") as stream:
            return tuple(database.transaction_set().hdrFromFdno(stream.fileno())["FILENAMES"] or ())
    except (OSError, rpm.error):
        return None


def look(ts: t.Any, incoming: Incoming, own: t.Container[str], directories: Directories) -> Look:
    """Find what is in the way of what is to come.

    :param own: paths of the packages that are replaced or removed, which are captured with them.
    """
    found = Look({}, {}, {})
    for key, paths in incoming.items():
        if paths is None:
            found.unkept[key] = ["which files it brings was not known, so what they overwrite was not kept"]
        for path in paths or ():
            if path not in own and path not in found.there:
                _look(ts, key, path, directories, found)
    return found


def _look(ts: t.Any, key: str, path: str, directories: Directories, found: Look) -> None:
    info = directories.lstat(path)
    if info is None:
        return
    owners = database.owners(ts, path)
    kind = content_item.kind_of(info)
    if kind == DIRECTORY:
        if not owners:
            found.there[path] = info
        return
    why = rpm_capture.unkept(info)
    if why:
        found.unkept.setdefault(key, []).append(f"{path}, which it overwrites, {why}")
        return
    found.there[path] = info
    if owners:
        found.shared[path] = [(one.key, database.state_of(ts, one, path)) for one in owners]
    for ending in database.LEFTOVERS if kind == FILE else ():
        leftover = directories.lstat(path + ending)
        if leftover is not None and not rpm_capture.unkept(leftover):
            found.there[path + ending] = leftover


def capture(one: Look, directories: Directories, store: Tree, items: ItemWriter) -> tuple[Facts, list[str], int]:
    """Keep it; returns C(overwritten), C(shared) and C(unkept) of the facts, what was written, and its size."""
    kept = {
        path: rpm_capture.aside(directories, path, info, store, f"{OVERWRITTEN}/{number}")
        for number, (path, info) in enumerate(sorted(one.there.items()))
    }
    items.section(OVERWRITTEN)
    for at, item in kept.values():
        if at:
            items.add(at, item)
    facts = {path: [at, list(item)] for path, (at, item) in kept.items()}
    written = [at for at, dummy in kept.values() if at]
    shared = {path: [list(pair) for pair in pairs] for path, pairs in one.shared.items()}
    return (
        {"overwritten": facts, "shared": shared, "unkept": one.unkept},
        written,
        sum(item.size for at, item in kept.values() if at),
    )
