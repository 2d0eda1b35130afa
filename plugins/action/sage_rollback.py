# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The controller's part of sage_rollback: what every module has, the run's lease, and the shell of rollback.sh."""

from __future__ import annotations

from ansible_collections.intellistream.sage.plugins.plugin_utils._script_action import ScriptAction


class ActionModule(ScriptAction):
    """See the module of the same name."""

    module = "sage_rollback"
