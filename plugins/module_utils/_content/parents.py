# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Absolute paths, each reached through its directory, which is opened without following others' links."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import UnsafePath
from ansible_collections.intellistream.sage.plugins.module_utils._content import item as content_item
from ansible_collections.intellistream.sage.plugins.module_utils._content import listing
from ansible_collections.intellistream.sage.plugins.module_utils._content.item import ABSENT, Item

if TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.tree import Tree


class Places:
    """Parent directories of absolute paths, each opened once, as a context manager."""

    def __init__(self) -> None:
        self._name = ""
        self._tree: Tree | None = None

    def __enter__(self) -> Places:
        return self

    def __exit__(self, *exc: object) -> None:
        if self._tree is not None:
            self._tree.close()
        self._name, self._tree = "", None

    def at(self, path: str) -> tuple[Tree | None, str]:
        """The directory that holds a path, None when there is none, and the path's name in it."""
        directory, dummy, name = path.rpartition("/")
        if directory != self._name or self._tree is None:
            self.__exit__()
            try:
                self._name, self._tree = directory, listing.parent(path)
            except UnsafePath:
                if os.path.isdir(directory):
                    raise
                # A file is where a directory was.
                self._name, self._tree = directory, None
        return self._tree, name

    def make(self, path: str) -> tuple[Tree, str]:
        """The same, with the directory made when it is missing."""
        tree, name = self.at(path)
        if tree is None:
            os.makedirs(os.path.dirname(path), 0o755, exist_ok=True)
            tree, name = self.at(path)
        if tree is None:
            raise FileNotFoundError(path)
        return tree, name


def difference(places: Places, path: str, item: Item) -> str:
    """How a path differs from an item; empty when it does not."""
    try:
        tree, name = places.at(path)
        if tree is None:
            return "is absent" if item.kind != ABSENT else ""
        return content_item.difference(tree, name, item)
    except UnsafePath:
        return "is behind a link of somebody else"


def remove(places: Places, path: str) -> None:
    """Take away what was not there; a directory only when it is empty."""
    tree, name = places.at(path)
    if tree is None:
        return
    try:
        tree.unlink(name)
    except (IsADirectoryError, PermissionError):
        tree.rmdir(name)
