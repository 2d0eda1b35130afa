# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The controller's part of sage_checkpoint_info: what every module has, and which runs are dead."""

from __future__ import annotations

from ansible_collections.intellistream.sage.plugins.plugin_utils._state_action import StateAction


class ActionModule(StateAction):
    """See the module of the same name."""

    module = "sage_checkpoint_info"
