# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs a command at one moment of a run, and writes down what ran on the hosts."""

from __future__ import annotations

DOCUMENTATION = r"""
name: moment
type: aggregate
short_description: Do something at a moment of a run
version_added: 1.0.0
description:
  - For the tests.
options:
  moment:
    description: C(when), V(before) or V(after), C(task), C(host) and C(run), as JSON. After is when it has done it.
    type: str
    default: "{}"
    env:
      - name: FLEET_MOMENT
  log:
    description: The file that gets a line for each task on a host.
    type: path
    required: true
    env:
      - name: FLEET_LOG
"""

import json
import subprocess
import typing as t

from ansible.plugins.callback import CallbackBase


class CallbackModule(CallbackBase):
    """See DOCUMENTATION."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "moment"
    CALLBACK_NEEDS_ENABLED = True

    came = False

    def _come(self, when: str, task: str, host: str = "") -> None:
        moment = json.loads(self.get_option("moment"))
        if self.came or (moment.get("when"), moment.get("task")) != (when, task) or moment.get("host", host) != host:
            return
        self.came = True
        # Written first: the command may be the end of this very process.
        self._write({"came": moment})
        subprocess.run(["/bin/sh", "-ec", moment["run"]], check=True)

    def _write(self, line: dict[str, t.Any]) -> None:
        with open(self.get_option("log"), "a", encoding="utf-8") as log:
            log.write(json.dumps(line) + "\n")

    def v2_playbook_on_task_start(self, task: t.Any, is_conditional: bool) -> None:
        """Before a task."""
        self._come("before", task.name)

    def _done(self, result: t.Any, status: str) -> None:
        action = result.task.resolved_action or result.task.action
        self._write({"host": result.host.name, "task": result.task.name, "action": action, "status": status})
        self._come("after", result.task.name, result.host.name)

    def v2_runner_on_ok(self, result: t.Any) -> None:
        """A task that ran."""
        self._done(result, "ok")

    def v2_runner_on_failed(self, result: t.Any, ignore_errors: bool = False) -> None:
        """A task that failed."""
        self._done(result, "failed")

    def v2_runner_on_unreachable(self, result: t.Any) -> None:
        """A task whose host could not be reached."""
        self._done(result, "unreachable")
