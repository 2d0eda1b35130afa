# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is written on the controller is written by the controller, and the host is not asked."""

from __future__ import annotations

from ansible_collections.intellistream.sage.plugins.modules.sage_controller_file import SPEC, write
from ansible_collections.intellistream.sage.plugins.plugin_utils import _lock_check
from ansible_collections.intellistream.sage.plugins.plugin_utils._action import Result, SageAction


class ActionModule(SageAction):
    """See the module of the same name."""

    spec = SPEC
    module = "sage_controller_file"
    _requires_connection = False

    def work(self, options: Result, task_vars: Result) -> Result:
        """Write it."""
        if options["lock_file"]:
            _lock_check.check(options["content"], options["path"])
        return dict(write(options["path"], options["content"], self.dry))
