# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""All of it is known on the controller, so the host is not asked."""

from __future__ import annotations

import functools

from ansible_collections.intellistream.sage.plugins.modules.sage_outcome import SPEC
from ansible_collections.intellistream.sage.plugins.plugin_utils._action import Result, SageAction
from ansible_collections.intellistream.sage.plugins.plugin_utils._command_line import command_for
from ansible_collections.intellistream.sage.plugins.plugin_utils._outcome import outcome
from ansible_collections.intellistream.sage.plugins.plugin_utils._summary import summary


class ActionModule(SageAction):
    """See the module of the same name."""

    spec = SPEC
    module = "sage_outcome"
    _requires_connection = False

    def work(self, options: Result, task_vars: Result) -> Result:
        """What became of it."""
        if options["known"].get("began") == options["began"]:
            return dict(options["known"])
        result = outcome(options, self.dry)
        text = options["text"]
        if options["summary"]:
            text = summary(options, result, self.dry, functools.partial(_take_back, options, task_vars))
        return {
            **result._asdict(),
            "began": options["began"],
            "check_mode": self.dry,
            "message": result.message,
            "text": text,
        }


def _take_back(options: Result, task_vars: Result, install_id: str) -> str:
    """The command line that rolls the installation of this host back."""
    return command_for(
        "intellistream.sage.rollback_sage",
        {
            "sage_root": options["root"],
            "sage_checkpoint_dir": options["checkpoint_dir"],
            "sage_rollback_to": install_id,
        },
        task_vars["inventory_hostname"],
        task_vars["ansible_inventory_sources"],
    )
