# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Named paths and all below them, looked at without following links."""

from __future__ import annotations

import os
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils import _captured
from ansible_collections.intellistream.sage.plugins.module_utils._captured import ABSENT, DIRECTORY, LINK
from ansible_collections.intellistream.sage.plugins.module_utils._tree import Tree


def parent(path: str) -> Tree | None:
    return Tree.open(os.path.dirname(path), follow=True)


def below(tree: Tree, path: str) -> t.Iterator[str]:
    base = os.path.basename(path)
    yield base
    info = tree.lstat(base)
    if info is not None and _captured.kind_of(info) == DIRECTORY:
        for relative, dummy in tree.walk(base):
            yield relative


def join(base: str, name: str) -> str:
    return f"{base}/{name}" if name else base


def briefs(path: str) -> dict[str, list[t.Any]]:
    """What is at a path and below, cheaply: relative name → what lstat tells."""
    tree = parent(path)
    if tree is None:
        return {"": [ABSENT]}
    with tree:
        return {relative.partition("/")[2]: _brief(os.path.join(tree.path, relative)) for relative in below(tree, path)}


def _brief(path: str) -> list[t.Any]:
    try:
        info = os.lstat(path)
    except OSError:
        return [ABSENT]
    if _captured.kind_of(info) == LINK:
        return [LINK, os.readlink(path)]
    if _captured.kind_of(info) == DIRECTORY:
        return [DIRECTORY]
    return [_captured.kind_of(info), info.st_size, info.st_mtime_ns]
