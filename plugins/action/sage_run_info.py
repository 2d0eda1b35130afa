# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The task knows its keywords, so the host is not asked."""

from __future__ import annotations

from ansible_collections.intellistream.sage.plugins.modules.sage_run_info import SPEC
from ansible_collections.intellistream.sage.plugins.plugin_utils import _keywords
from ansible_collections.intellistream.sage.plugins.plugin_utils._action import Result, SageAction


class ActionModule(SageAction):
    """See the module of the same name."""

    spec = SPEC
    module = "sage_run_info"
    _requires_connection = False

    def work(self, options: Result, task_vars: Result) -> Result:
        """What the task says of itself."""
        _keywords.refuse(
            self._task,
            len(task_vars["ansible_play_hosts_all"]),
            barrier=options["barrier"],
            all_or_nothing=options["all_or_nothing"],
        )
        return {"changed": False, "check_mode": self.dry}
