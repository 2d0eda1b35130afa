# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A fleet run is decided by the controller, as the user who started it, and no host is asked."""

from __future__ import annotations

from ansible_collections.intellistream.sage.plugins.modules.sage_decision import SPEC, carry_out
from ansible_collections.intellistream.sage.plugins.plugin_utils._action import Result, SageAction


class ActionModule(SageAction):
    """See the module of the same name.

    What become, connection and interpreter of the hosts are, or those of a C(localhost) in the inventory, is nothing
    to it: no module is sent anywhere.
    """

    spec = SPEC
    module = "sage_decision"
    _requires_connection = False

    def work(self, options: Result, task_vars: Result) -> Result:
        """What the state says."""
        return dict(carry_out(options, self.dry))
