"""Captured content that is gone or hurt is made again, where the same content is at hand."""

from __future__ import annotations

import contextlib
import hashlib
import os
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import StoreError, UnsafePath
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.tree import Tree, digest_of
from ansible_collections.intellistream.sage.plugins.module_utils._footprint import point
from ansible_collections.intellistream.sage.plugins.module_utils._footprint.farm import Farm, Farms, name_for

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.private import PrivateDir
    from ansible_collections.intellistream.sage.plugins.module_utils._footprint.point import NeededFile
    from ansible_collections.intellistream.sage.plugins.module_utils._kind.interface import Layer


Sources = t.Callable[[], "t.Iterator[PrivateDir]"]


def mend(layer: Layer, sources: Sources, apply: bool) -> bool:
    """Make again what is gone or hurt of a capture; what is nowhere else stays as it is.

    :param sources: the root's farm, and the contents of other captures, one after the other.
    :param apply: do it; else only say whether it could be done.
    :returns: whether all of it is well then.
    :raises OSError: there is no room.
    """
    with contextlib.ExitStack() as stack:
        are_there, could_be = _mend_tables(layer, sources, apply)
        if not are_there:
            # Only they tell what else has to be.
            return could_be
        own = Farm(stack.enter_context(Tree.of(layer.where)))
        farms = [own]
        if layer.farm is not None and layer.manifest.get("farm"):
            farms.append(Farm(stack.enter_context(Tree.of(layer.farm))))
        is_well = True
        try:
            damaged = [
                file
                for file in point.needed(layer)
                if not point.is_sound(Farms(farms[:1] if file.settled else farms), file)
            ]
        except StoreError:
            # What the change has touched is known from that file alone.
            return False
        for file in damaged:
            is_well = _mend_file(file, farms, sources, apply) and is_well
        if apply and damaged:
            for farm in farms:
                farm.tree.flush()
        return is_well


def _mend_tables(layer: Layer, sources: Sources, apply: bool) -> tuple[bool, bool]:
    """Put tables back that a farm has another copy of; whether all are there now, and whether they would be."""
    are_there = could_be = True
    for number, (path, digest) in enumerate(layer.manifest["tables"].items()):
        name = f"{number}.{point.BEFORE}"
        if hashlib.sha256(point.table_content(layer.where, number) or b"").hexdigest() == digest:
            continue
        copies = (_content(source, name_for(point.NEWEST, path)) for source in sources())
        content = next((content for content in copies if hashlib.sha256(content).hexdigest() == digest), None)
        could_be = could_be and content is not None
        are_there = False
        if content is not None and apply:
            layer.where.write(name, content)
    return are_there or (apply and could_be), could_be


def _content(directory: PrivateDir, name: str) -> bytes:
    try:
        return directory.read(name) or b""
    except UnsafePath:
        return b""


def _mend_file(file: NeededFile, farms: t.Sequence[Farm], sources: Sources, apply: bool) -> bool:
    row = file.row
    if not row.hash:
        # Only the file itself has its content, if nobody has touched it.
        with point.anchor_of(file.top) as anchor:
            current = anchor.row(file.relative) if anchor is not None else None
            if (
                anchor is None
                or current is None
                or (current.inode, current.size, current.mtime) != (row.inode, row.size, row.mtime)
            ):
                return False
            if farms[-1].generation != file.generation:
                return False
            return not apply or farms[-1].link(*anchor.at(file.relative), row) is not None
    fd = _source(file, farms, sources)
    if fd is None:
        return False
    try:
        if apply:
            for farm in farms:
                farm.remove_copy(row.hash)
            return farms[0].copy_open(fd).digest == row.hash
        return True
    finally:
        os.close(fd)


def _source(file: NeededFile, farms: t.Iterable[Farm], sources: Sources) -> int | None:
    """An open file with the content of a row, at its beginning."""
    for farm in farms:
        path = farm.link_of(file.row, file.generation)
        for fd in (farm.open_copy(file.row.hash), farm.tree.open_file(path) if path is not None else None):
            if fd is not None and _is(fd, file.row.hash):
                return fd
    for source in sources():
        with Tree.of(source) as tree:
            fd = Farm(tree).open_copy(file.row.hash)
        if fd is not None and _is(fd, file.row.hash):
            return fd
    with point.anchor_of(file.top) as anchor:
        if anchor is None:
            return None
        try:
            fd = anchor.parent.open_file(anchor.relative(file.relative))
        except (OSError, UnsafePath):
            return None
        return fd if _is(fd, file.row.hash) else None


def _is(fd: int, digest: str) -> bool:
    """Whether an open file has a hash; else it is closed."""
    if digest_of(os.dup(fd)) != digest:
        os.close(fd)
        return False
    os.lseek(fd, 0, os.SEEK_SET)
    return True
