# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The link in C(rollback.sh)."""

from __future__ import annotations

import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._kind.script import (
    Script,
    ScriptCapture,
    ScriptLines,
    escape,
)


class ToyScript(Script):
    """The oldest capture decides."""

    def lines(self, captures: t.Sequence[ScriptCapture]) -> ScriptLines:
        return ScriptLines({"release": escape(captures[0].manifest["release"])}, ("toy",))
