# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The controller's part of modules that write C(rollback.sh), or a program that does: what it is made of."""

from __future__ import annotations

import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._rollback_shell import sources
from ansible_collections.intellistream.sage.plugins.plugin_utils._state_action import StateAction

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.plugin_utils._action import Result


class ScriptAction(StateAction):
    """Send the shell along: Ansible sends nothing that is not Python."""

    def arguments(self, options: Result, task_vars: Result) -> Result:
        return {**super().arguments(options, task_vars), sources.OPTION: sources.packed()}
