"""What is on disk where a package of rpm says that its files are."""

from __future__ import annotations

import os
import stat
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._content import item
from ansible_collections.intellistream.sage.plugins.module_utils._content.item import (
    ABSENT,
    DIRECTORY,
    FILE,
    LINK,
    Item,
)

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.absolute import Directories
    from ansible_collections.intellistream.sage.plugins.module_utils._rpm import database

#: How a path gets into the saved package: with its content, as a ghost because it is gone or has another type,
#: or as the ghost that it is.
PACKED, GONE, GHOST = "packed", "gone", "ghost"


class Seen(t.NamedTuple):
    """A path of a package, and what is there.

    :ivar info: from lstat; None when nothing is there.
    :ivar link: the target of a link.
    """

    file: database.File
    info: os.stat_result | None
    link: str
    how: str


def look(directories: Directories, file: database.File) -> Seen:
    """What is there where a package has a path."""
    info = directories.lstat(file.path)
    link = directories.readlink(file.path) if info is not None and stat.S_ISLNK(info.st_mode) else ""
    if file.ghost:
        return Seen(file, info, link, GHOST)
    if info is None:
        return Seen(file, info, link, GONE)
    same = stat.S_IFMT(info.st_mode) == stat.S_IFMT(file.mode)
    # rpm leaves a link to a directory in a directory's place, and installs through it.
    through = stat.S_ISDIR(file.mode) and bool(link) and os.path.isdir(file.path)
    return Seen(file, info, link, PACKED if same or through else GONE)


def item_of(directories: Directories, path: str, info: os.stat_result | None, digest: str = "") -> Item | None:
    """A path as an item; None for devices, pipes and sockets.

    :param digest: of a file's content; without it the item of a file has none.
    """
    kind = item.kind_of(info)
    if info is None:
        return Item(ABSENT)
    if kind == LINK:
        return item.item_of(LINK, info, directories.readlink(path))
    if kind not in (FILE, DIRECTORY):
        return None
    fd = directories.open(path)
    try:
        return item.item_of(kind, info, digest)._replace(xattrs=item.xattrs_of(fd))
    finally:
        os.close(fd)
