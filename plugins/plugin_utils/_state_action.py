# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The controller's part of modules that write a record: the run's lease on the root."""

from __future__ import annotations

import time

from ansible.utils.display import Display

from ansible_collections.intellistream.sage.plugins.plugin_utils import _run
from ansible_collections.intellistream.sage.plugins.plugin_utils._action import Result, SageAction

# Seconds between two looks whether another run has ended.
_PAUSE = 2.0
_display = Display()


class StateAction(SageAction):
    """Tell the module which run it belongs to, and wait for other runs.

    Only the controller knows whether the process of another of its runs is alive: where the host refuses because of
    such a run, it is asked again with that knowledge, and where C(lease.wait) says so, until that run has ended.
    """

    returns = "head"

    def _execute(self, options: Result, task_vars: Result, in_background: int = 0) -> Result:
        # Without a word of the role each call is a matter of its own.
        terms = dict(options.get("lease") or {"brief": True})
        wait = float(terms.get("wait") or 0)
        # The name of the machine that it runs on, which two hosts may have in common.
        host = str(self._task.delegate_to or task_vars.get("inventory_hostname", ""))
        lease: Result = {**terms, "host": host, "dead": []}
        until = time.monotonic() + wait
        told = False
        while True:
            # Asked each time: this run may have been killed while it waited.
            result = super()._execute({**options, "lease": {**lease, **_run.this_run()}}, task_vars, in_background)
            error = result.get("error") or {}
            owner = error.get("lease") or {}
            if error.get("kind") != "Leased" or not error.get("waits"):
                return result
            if owner.get("run") not in lease["dead"] and _run.is_dead(owner):
                # At once: whoever ran it again after Ctrl-C does not wait.
                lease["dead"] = [*lease["dead"], owner["run"]]
                continue
            if time.monotonic() >= until:
                return result
            if not told:
                _display.display(f"{host}: waiting up to {wait:g} s. {error.get('what', '')}")
                told = True
            time.sleep(min(_PAUSE, max(until - time.monotonic(), 0.0)))
