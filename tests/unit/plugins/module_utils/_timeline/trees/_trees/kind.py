# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The kind of a tree whose files are held by links in the root's farm."""

from __future__ import annotations

import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.by_name import ByName
from ansible_collections.intellistream.sage.plugins.module_utils._kind.interface import Kind

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._kind.interface import Resource, Spec

_RESOURCE: ByName[t.Callable[[str], Resource]] = ByName("_trees.resource:TreeResource")


class TreesKind(Kind):
    """Trees."""

    name = "tree"
    options = {"path": {"type": "path"}}
    farms = True
    no_script = "it is a test."

    def make(self, spec: Spec) -> Resource:
        return _RESOURCE.load()(self.path_of(spec))
