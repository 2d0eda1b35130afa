"""Captured files on their way back from the store."""

from __future__ import annotations

import os
import stat
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._content.item import (
    DIRECTORY,
    LINK,
    Item,
    apply_metadata,
    copy,
    kind_of,
    link,
)
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.tree import unsafe

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.tree import Tree

TEMPORARY = ".sage-undo.tmp"


def put_back(store: Tree, at: str, target: Tree, relative: str, item: Item) -> None:
    """Make C(relative) what was captured; safe to repeat.

    What is linked is put in place at once, anything else under a temporary name that is then renamed.
    """
    if item.kind == DIRECTORY:
        _put_directory(target, relative, item)
    elif not (item.shared and _put_link(store, at, target, relative, item)):
        _put_copy(store, at, target, relative, item)


def _put_link(store: Tree, at: str, target: Tree, relative: str, item: Item) -> bool:
    kept = store.lstat(at)
    if kept is None:
        return False
    try:
        linked = link(store, at, target, relative)
    except FileExistsError:
        there = target.lstat(relative)
        _refuse_directory(target, relative, there)
        linked = there is not None and os.path.samestat(kept, there)
        if not linked:
            # Ten times cheaper than a rename over it; an undo that is interrupted here finds the file missing.
            target.unlink(relative)
            linked = link(store, at, target, relative)
    if linked and _looks(kept) != (item.mode, item.mtime, item.uid, item.gid):
        _dress_path(target, relative, item)
    return linked


def _put_copy(store: Tree, at: str, target: Tree, relative: str, item: Item) -> None:
    directory = relative.rpartition("/")[0]
    target.enter(directory, make=True)
    _refuse_directory(target, relative, target.lstat(relative))
    # One name for every attempt: what an interrupted one left is replaced by the next.
    temporary = f"{directory}/{TEMPORARY}".lstrip("/")
    target.unlink(temporary)
    if item.kind == LINK:
        fd, name = target.parent(temporary)
        os.symlink(item.value, name, dir_fd=fd)
        try:
            os.chown(name, item.uid, item.gid, dir_fd=fd, follow_symlinks=False)
        except PermissionError:
            pass
        os.utime(name, ns=(item.mtime, item.mtime), dir_fd=fd, follow_symlinks=False)
    else:
        copy(store, at, target, temporary)
        _dress_path(target, temporary, item, sync=True)
    fd, name = target.parent(temporary)
    os.rename(name, relative.rpartition("/")[2], src_dir_fd=fd, dst_dir_fd=fd)


def _refuse_directory(target: Tree, relative: str, there: os.stat_result | None) -> None:
    if kind_of(there) == DIRECTORY:
        raise unsafe(target.name(relative), "a directory is where a file was")


def _looks(info: os.stat_result) -> tuple[int, ...]:
    return stat.S_IMODE(info.st_mode), info.st_mtime_ns, info.st_uid, info.st_gid


def _dress_path(target: Tree, relative: str, item: Item, sync: bool = False) -> None:
    fd = target.open_file(relative)
    try:
        apply_metadata(fd, item)
        if sync:
            os.fsync(fd)
    finally:
        os.close(fd)


def _put_directory(target: Tree, relative: str, item: Item) -> None:
    there = target.lstat(relative)
    if there is not None and not stat.S_ISDIR(there.st_mode):
        target.unlink(relative)
    fd = target.enter(relative, make=True)
    apply_metadata(fd, item)
