# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The controller's part of modules that write a record, or judge one: the run's lease on the root."""

from __future__ import annotations

import time
import typing as t

from ansible.utils.display import Display

from ansible_collections.intellistream.sage.plugins.plugin_utils import _run
from ansible_collections.intellistream.sage.plugins.plugin_utils._action import Result, SageAction
from ansible_collections.intellistream.sage.plugins.plugin_utils._cell import mapping

# Seconds between two looks whether another run has ended.
_PAUSE = 2.0
# Seconds in which a run that takes the leases of all its hosts has them, or has given back those that it had.
_TAKES = 60.0
# Dead runs, one after the other, that a call hears of; a host that names more is not believed.
_DEAD = 8
_display = Display()


class StateAction(SageAction):
    """Tell the module which run it belongs to, and wait for other runs.

    Only the controller knows whether the process of another of its runs is alive: where the host refuses because of
    such a run, or tells that it is at work, it is asked again with that knowledge, and where it refuses and
    C(lease.wait) says so, until that run has ended.
    """

    returns = "head"

    def _execute(self, options: Result, task_vars: Result, in_background: int = 0) -> Result:
        # Without a word of the role each call is a matter of its own.
        terms = dict(options.get("lease") or {"brief": True})
        wait = float(terms.get("wait") or 0)
        one_of_many = terms.pop("one_of_many", False)
        # The name of the machine that it runs on, which two hosts may have in common.
        host = str(self._task.delegate_to or task_vars.get("inventory_hostname", ""))
        lease: Result = {**terms, "host": host, "dead": []}
        begun = time.monotonic()
        told = False
        while True:
            # Asked each time: this run may have been killed while it waited.
            result = super()._execute({**options, "lease": {**lease, **_run.this_run()}}, task_vars, in_background)
            error = result.get("error") or {}
            refused = error.get("kind") == "Leased" and error.get("waits")
            # What only looks tells of the run, and is not refused.
            owner = mapping(error.get("lease") if refused else result.get("at_work"))
            is_new = owner and owner.get("run") not in lease["dead"] and len(lease["dead"]) < _DEAD
            if is_new and _run.is_dead(owner):
                # At once: whoever ran it again after Ctrl-C does not wait.
                lease["dead"] = [*lease["dead"], owner["run"]]
                continue
            if not refused:
                return result
            until = begun + (_patience(_run.this_run()["run"], owner) if one_of_many else wait)
            if time.monotonic() >= until:
                return result
            if not told:
                _display.display(f"{host}: waiting up to {until - begun:.0f} s. {error.get('what', '')}")
                told = True
            time.sleep(min(_PAUSE, max(until - time.monotonic(), 0.0)))


def _patience(run: str, owner: t.Mapping[str, t.Any]) -> float:
    """How long a run waits that has the leases of other hosts already.

    Two that come at once, and have some hosts in common, may each have got what the other one needs. Then the one with
    the greater id gives way at once, and the other one waits for that: one of them goes on. For a run that is at work
    nobody waits like this, whatever the user says: others may need what is held meanwhile, even that run's next one.
    The leases are given back, and it is waited for without any.

    :param run: the id of this run.
    :param owner: of the lease that it needs.
    """
    on_its_way = float(owner.get("age") or 0) <= _TAKES
    return _TAKES if on_its_way and run < str(owner.get("run", "")) else 0.0
