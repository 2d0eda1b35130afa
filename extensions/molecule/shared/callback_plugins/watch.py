# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Writes down what really ran on the hosts, and does something at a chosen moment of a run."""

from __future__ import annotations

DOCUMENTATION = r"""
name: watch
type: aggregate
short_description: Watch a run from inside, for the tests
version_added: 1.0.0
description:
  - Appends a line of JSON for everything that was executed, and runs a command before tasks of given names.
  - Callbacks are called in the order of things, so the command has ended when the task begins.
options:
  executions:
    description: The file for the lines.
    type: path
    required: true
    env:
      - name: SAGE_TEST_EXECUTIONS
  before:
    description: Shell commands by the name of the task before which they run, as JSON.
    type: str
    default: "{}"
    env:
      - name: SAGE_TEST_BEFORE
"""

import json
import subprocess
import time
import typing as t

from ansible.plugins.callback import CallbackBase

# Nothing of these reaches the host.
ON_THE_CONTROLLER = {
    f"ansible.builtin.{name}"
    for name in ("assert", "debug", "fail", "include_role", "include_tasks", "meta", "pause", "set_fact", "set_stats")
} | {f"intellistream.sage.{name}" for name in ("sage_outcome", "sage_request", "sage_run_info")}


class CallbackModule(CallbackBase):
    """See DOCUMENTATION."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "watch"
    CALLBACK_NEEDS_ENABLED = True

    def v2_playbook_on_start(self, playbook: t.Any) -> None:
        """Begin with an empty file."""
        with open(self.get_option("executions"), "w", encoding="utf-8"):
            pass

    def v2_playbook_on_task_start(self, task: t.Any, is_conditional: bool) -> None:
        """Do what is to be done before the task."""
        command = json.loads(self.get_option("before")).get(task.name)
        if command:
            subprocess.run(["/bin/sh", "-c", command], check=True)

    def _write(self, result: t.Any, status: str) -> None:
        action = result.task.resolved_action or result.task.action
        if action in ON_THE_CONTROLLER:
            return
        line = {
            "host": result.host.name,
            "task": result.task.name,
            "action": action,
            "status": status,
            "changed": bool(result.result.get("changed")),
            "time": round(time.time(), 1),
        }
        with open(self.get_option("executions"), "a", encoding="utf-8") as output:
            print(json.dumps(line), file=output)

    def v2_runner_on_ok(self, result: t.Any) -> None:
        """A task that ran."""
        self._write(result, "ok")

    def v2_runner_on_failed(self, result: t.Any, ignore_errors: bool = False) -> None:
        """A task that failed."""
        self._write(result, "failed")

    def v2_runner_on_unreachable(self, result: t.Any) -> None:
        """A task whose host could not be reached."""
        self._write(result, "unreachable")
