"""What of a package no package file can hold: copied at its full path below C(extra/<key>/).

Configuration files as they are, with everything; what lies beside them; dpkg's own files about the
package where dpkg would write others.
"""

from __future__ import annotations

import os
import re
import stat
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import CaptureError, UnsafePath
from ansible_collections.intellistream.sage.plugins.module_utils._content import item, listing
from ansible_collections.intellistream.sage.plugins.module_utils._content.item import ABSENT, DIRECTORY, FILE, LINK
from ansible_collections.intellistream.sage.plugins.module_utils._dpkg.database import LEFTOVERS
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.absolute import changed_meanwhile

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._content.item import Item
    from ansible_collections.intellistream.sage.plugins.module_utils._dpkg.disk import Disk
    from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.tree import Tree

EXTRA = "extra"
# What dpkg removes with a configuration file when it purges: foo~, #foo#, foo.~1~ and its own.
_NUMBERED = re.compile(r"\.~\d+~")


def leftovers(disk: Disk, conffiles: t.Iterable[str]) -> list[str]:
    """What lies beside configuration files.

    :param conffiles: where they really are.
    """
    directories: dict[str, set[str]] = {}
    for path in conffiles:
        directory, dummy, name = path.rpartition("/")
        directories.setdefault(directory, set()).add(name)
    return [
        f"{directory}/{one}"
        for directory, names in directories.items()
        for one in disk.names(directory)
        if one not in names and any(_beside(one, name) for name in names)
    ]


def _beside(one: str, name: str) -> bool:
    if one == f"#{name}#":
        return True
    rest = one[len(name) :] if one.startswith(name) else ""
    return rest in LEFTOVERS or bool(_NUMBERED.fullmatch(rest))


def keep(path: str, store: Tree, at: str) -> Item | None:
    """Copy one file, link or directory (without what is in it) to C(at) in the store.

    :returns: its item, of kind V(absent) when nothing is there.
    :raises CaptureError: it is something else.
    """
    try:
        tree = listing.parent(path)
    except UnsafePath as error:
        raise CaptureError(
            f"{path} cannot be captured: {error.what.rstrip('.')}.",
            untouched="everything.",
            advice="Put back the directory that belongs there.",
            path=path,
        ) from error
    if tree is None:
        return None
    with tree:
        name = os.path.basename(path)
        info = tree.lstat(name)
        kind = item.kind_of(info)
        if info is None or kind == ABSENT:
            return None
        if kind == FILE:
            info, digest, xattrs = item.copy(tree, name, store, at)
            if _seen(tree.lstat(name)) != _seen(info):
                raise changed_meanwhile(path)
            return item.item_of(FILE, info, digest)._replace(xattrs=xattrs)
        if kind == LINK:
            return item.item_of(LINK, info, os.readlink(name, dir_fd=tree.fd))
        if kind == DIRECTORY:
            return item.item_of(DIRECTORY, info, "")._replace(xattrs=item.xattrs_of(tree.enter(name)))
    raise CaptureError(
        f"{path} is a device, pipe or socket and cannot be captured.",
        untouched="everything.",
        advice="Put back the file that belongs there.",
        path=path,
    )


def _seen(info: os.stat_result | None) -> tuple[int, ...]:
    return () if info is None else (info.st_ino, info.st_size, info.st_mtime_ns, stat.S_IMODE(info.st_mode))
