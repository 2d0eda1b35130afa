"""Tables of settled captures share what they have in common, so that a point costs what differs in it.

Such a table lies in parts, each named by its SHA-256. The rows themselves say where one ends, so that a change of a few
of them leaves all other parts as they are: these are further names of the parts of the table before. A point needs
nothing but itself all the same. The farm has names of the newest parts of each tree, where the next table finds them.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import typing as t
import zlib

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import UnsafePath
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.private import write_new
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.tree import Tree
from ansible_collections.intellistream.sage.plugins.module_utils._footprint.farm import CANNOT_LINK, name_for
from ansible_collections.intellistream.sage.plugins.module_utils._footprint.point import BEFORE, PARTS

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.private import PrivateDir
    from ansible_collections.intellistream.sage.plugins.module_utils._kind.interface import Layer

# Of a farm: a directory for each tree.
SHARED = "parts-"
# Smaller tables are not worth it.
_SMALL = 1 << 16
# A part ends at one row of so many, as its path says.
_ROWS = 512


def share_tables(layer: Layer) -> None:
    """Have a capture that is settled, and on record as such, share what its tables have in common with newer ones.

    :raises OSError: the disk refused.
    """
    recorded = (layer.after or {}).get("footprints") or {}
    for number, (path, digest) in enumerate((layer.manifest.get("tables") or {}).items()):
        if path in recorded and layer.farm is not None:
            _share(layer.where, number, digest, layer.farm, path)


def _share(directory: PrivateDir, number: int, digest: str, farm: PrivateDir, path: str) -> None:
    """Keep one table in parts. Killed anywhere it is whole, or in parts, or both; what is damaged stays as it is."""
    whole = directory.read(f"{number}.{BEFORE}")
    if whole is None or len(whole) < _SMALL or hashlib.sha256(whole).hexdigest() != digest:
        return
    top = name_for(SHARED, path)
    digests: list[str] = []
    with Tree.of(directory) as own, Tree.of(farm) as shared:
        for part in _cut(whole):
            digests.append(hashlib.sha256(part).hexdigest())
            _place(own, shared, f"{top}/{digests[-1]}", part)
        newest = {*digests}
        for name, dummy in shared.listing(top):
            if name not in newest:
                shared.unlink(f"{top}/{name}")
        own.flush()
    directory.write(f"{number}.{PARTS}", "".join(f"{each}\n" for each in digests).encode())
    directory.remove(f"{number}.{BEFORE}")


def forget(farm: Tree, useful: t.Container[str]) -> None:
    """Remove from a farm the parts of trees that are not captured any more.

    :param useful: names of directories that stay.
    """
    for name, is_directory in farm.listing(""):
        if is_directory and name.startswith(SHARED) and name not in useful:
            shutil.rmtree(f"/proc/self/fd/{farm.fd}/{name}")


def _cut(table: bytes) -> t.Iterator[bytes]:
    """The parts of a table: its first line, for each look has one of its own, then some rows each."""
    lines = table.splitlines(keepends=True)
    yield lines[0]
    begin = 1
    for position, line in enumerate(lines[1:], 2):
        if zlib.crc32(line[line.rfind(b" ", 0, -1) :]) % _ROWS == 0:
            yield b"".join(lines[begin:position])
            begin = position
    yield b"".join(lines[begin:])


def _place(own: Tree, shared: Tree, path: str, part: bytes) -> None:
    """Give a capture a part: another name of what the farm has, else a new file, which the farm gets a name of."""
    name = path.rpartition("/")[2]
    own_path = f"{PARTS}/{name}"
    if _has(own, own_path, part):
        return
    own.unlink(own_path)
    own_fd = own.parent(own_path, make=True)[0]
    shared_fd = shared.parent(path, make=True)[0]
    is_shared = _has(shared, path, part)
    if is_shared and _link(shared_fd, own_fd, name):
        return
    write_new(name, part, dir_fd=own_fd)
    if not is_shared:
        shared.unlink(path)
    _link(own_fd, shared_fd, name)


def _has(tree: Tree, path: str, part: bytes) -> bool:
    try:
        return tree.read(path) == part
    except (FileNotFoundError, UnsafePath):
        return False


def _link(from_fd: int, to_fd: int, name: str) -> bool:
    try:
        os.link(name, name, src_dir_fd=from_fd, dst_dir_fd=to_fd, follow_symlinks=False)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in CANNOT_LINK:
            raise
        return False
    return True
