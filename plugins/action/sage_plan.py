# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One host of a group resolves, the others wait for its answer."""

from __future__ import annotations

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import InstallerError
from ansible_collections.intellistream.sage.plugins.module_utils._installers import lock_request
from ansible_collections.intellistream.sage.plugins.module_utils._installers.index import Index, pip_settings
from ansible_collections.intellistream.sage.plugins.module_utils._plans import group_plan, host_group
from ansible_collections.intellistream.sage.plugins.modules.sage_plan import SPEC
from ansible_collections.intellistream.sage.plugins.plugin_utils import _plan_check
from ansible_collections.intellistream.sage.plugins.plugin_utils._action import Result, SageAction
from ansible_collections.intellistream.sage.plugins.plugin_utils._cell import cell
from ansible_collections.intellistream.sage.plugins.plugin_utils._index_pages import IndexPages
from ansible_collections.intellistream.sage.plugins.plugin_utils._inputs import on_controller
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
        # What a host calls its group is the name of a file here.
        group = host_group.parse(str(group)).name
        directory = on_controller(options["directory"]) if options["directory"] else None
        request = lock_request.request(group, options["requirements"], options["constraints"])
        plans = Plans(directory, self.run_directory, group, request, self.dry)
        host = str(task_vars.get("inventory_hostname", "a host"))
        result: Result = {"changed": False, "group": group, "made": False, "shared": True}
        if not options["make"]:
            return {**result, "path": plans.find()}
        with plans.alone():
            before = plans.read()
            if plans.holds(before, options["refresh"]):
                return {**result, "path": plans.current}
            text, reason = "", plans.why_not_shared()
            if not reason:
                try:
                    text = self._resolve(group, options, task_vars)
                    checked, words = self._check(text, request, options)
                except _plan_check.Unverified as error:
                    reason = str(error)
                    plans.not_shared(reason)
                except Exception as error:
                    plans.failed(host, str(error))
                    raise
            if not reason:
                changed = plans.write(checked)
                diff = {
                    "before": before or "",
                    "after": checked,
                    "before_header": plans.path,
                    "after_header": plans.path,
                }
                told = f"The plan of {group} is that of {cell(host)}; {words}."
                self._display.display(told)
                return {**result, "made": True, "changed": changed, "path": plans.current, "diff": diff, "msg": told}
        return {**result, **self._alone(plans, host, text, reason, options, task_vars)}

    def _check(self, text: str, request: str, options: Result) -> tuple[str, str]:
        """The plan as others may have it, and who vouches for it.

        :raises InstallerError: the host has answered something else.
        :raises Unverified: nobody vouches for it.
        """
        if options["on_controller"]:
            return text, "the controller made it"
        if not options["verify"]:
            return text, "nobody has looked at it, since it is trusted"
        pages = IndexPages(Index.from_options({**options, "ca_certificate": None}), pip_settings())
        places = [*options["find_links"], options["wheelhouse"], options["directory"]]
        on_here = [on_controller(place) for place in places if place and "://" not in place]
        return _plan_check.check(text, request, options["requirements"], pages, on_here)

    def _alone(self, plans: Plans, host: str, text: str, reason: str, options: Result, task_vars: Result) -> Result:
        """The plan of a host that does not share it.

        :param text: its plan, where it was asked before.
        :param reason: why nobody else gets it.
        :raises InstallerError: it was asked for a plan for others, and for nothing else.
        """
        told = f"The plan of {cell(host)} is not shared: {cell(reason, 400)}."
        advice = "Give a lock file or a wheelhouse with these files on the controller, or set sage_share_plan: trusted."
        if options["refresh"]:
            raise InstallerError(told, untouched="the lock files.", advice=advice)
        text = text or self._resolve(plans.group, options, task_vars)
        path = plans.keep_for(host, text)
        return {"shared": False, "made": True, "path": path, "msg": told, "warnings": [f"{told} {advice}"]}

    def _resolve(self, group: str, options: Result, task_vars: Result) -> str:
        if options["on_controller"]:
            return group_plan.resolve_elsewhere(
                {**options, "uv": None}, Index.from_options(options), host_group.parse(group)
            )
        result = self.on_host({**options, "directory": None, "resolve": True}, task_vars)
        return result["lock"] if isinstance(result.get("lock"), str) else ""
