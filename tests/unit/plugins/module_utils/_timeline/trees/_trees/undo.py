# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The way back for trees."""

from __future__ import annotations

import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._files.undo import FilesUndo

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._kind.interface import Facts


class TreeUndo(FilesUndo):
    """As for named files."""

    def redo(self) -> Facts | None:
        return {"kind": "tree", "path": self._way.tops[0].path} if self.touches() else None
