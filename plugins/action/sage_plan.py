# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One host of a group resolves, the others wait for its answer."""

from __future__ import annotations

import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._installers import lock_request
from ansible_collections.intellistream.sage.plugins.module_utils._installers.index import Index
from ansible_collections.intellistream.sage.plugins.module_utils._plans import group_plan, host_group
from ansible_collections.intellistream.sage.plugins.modules.sage_plan import SPEC
from ansible_collections.intellistream.sage.plugins.plugin_utils._action import Result, SageAction, on_controller
from ansible_collections.intellistream.sage.plugins.plugin_utils._plans import Plans


class ActionModule(SageAction):
    """See the module of the same name.

    Hosts meet in a file lock rather than in variables: it works with every strategy, over batches and slices, costs
    the others nothing, and passes on by itself when the host that has it fails or is lost.
    """

    spec = SPEC
    module = "sage_plan"

    def work(self, options: Result, task_vars: Result) -> Result:
        """Find the plan of the host's group, or make it."""
        group = options["group"] or self.on_host({**options, "directory": None, "resolve": False}, task_vars)["group"]
        directory = on_controller(options["directory"]) if options["directory"] else None
        request = lock_request.request(group, options["requirements"], options["constraints"])
        plans = Plans(directory, self.run_directory, group, request, self.dry)
        result = {"changed": False, "group": group, "made": False}
        if not options["make"]:
            return {**result, "path": plans.find()}
        with plans.alone():
            before = plans.read()
            if plans.holds(before, options["refresh"]):
                return {**result, "path": plans.current}
            try:
                text = self._resolve(group, options, task_vars)
            except Exception as error:
                plans.failed(task_vars.get("inventory_hostname", "a host"), str(error))
                raise
            changed = plans.write(text)
            diff = {"before": before or "", "after": text, "before_header": plans.path, "after_header": plans.path}
            return {**result, "made": True, "changed": changed, "path": plans.current, "diff": diff}

    def _resolve(self, group: str, options: Result, task_vars: Result) -> str:
        if options["on_controller"]:
            return group_plan.resolve_elsewhere(
                {**options, "uv": None}, Index.from_options(options), host_group.parse(group)
            )
        result = self.on_host({**options, "directory": None, "resolve": True}, task_vars)
        return t.cast("str", result["lock"])
