# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs a command at a chosen moment of a run: before a task, or when the first host has done it."""

from __future__ import annotations

DOCUMENTATION = r"""
name: strike
type: aggregate
short_description: Do something at a moment of a run, for the tests
version_added: 1.0.0
description:
  - Callbacks are called in the order of things, so the command has ended when the run goes on.
  - Each moment comes once.
options:
  strikes:
    description: A list of mappings C(when) (before or after), C(task), C(run), and C(host) for after, as JSON.
    type: str
    default: "[]"
    env:
      - name: SAGE_TEST_STRIKES
  log:
    description: The file that gets a line for each moment that came, and for each task on a host.
    type: path
    required: true
    env:
      - name: SAGE_TEST_LOG
"""

import json
import subprocess
import typing as t

from ansible.plugins.callback import CallbackBase


class CallbackModule(CallbackBase):
    """See DOCUMENTATION."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "strike"
    CALLBACK_NEEDS_ENABLED = True

    left: list[dict[str, str]] | None = None

    def _write(self, line: dict[str, t.Any]) -> None:
        with open(self.get_option("log"), "a", encoding="utf-8") as log:
            log.write(json.dumps(line) + "\n")

    def _moment(self, when: str, task: str, host: str = "") -> None:
        if self.left is None:
            self.left = json.loads(self.get_option("strikes"))
        for strike in list(self.left):
            if (strike["when"], strike["task"]) == (when, task) and strike.get("host") in (None, host):
                self.left.remove(strike)
                # Written first: the command may be the end of this very process.
                self._write({"strike": strike})
                done = subprocess.run(["/bin/sh", "-ec", strike["run"]], check=False, capture_output=True, text=True)
                if done.returncode:
                    # An exception would be a warning in the output, and no more.
                    self._write({"failed": f"{strike['run']}: {done.returncode} {done.stdout}{done.stderr}"})

    def v2_playbook_on_task_start(self, task: t.Any, is_conditional: bool) -> None:
        """Before a task."""
        self._moment("before", task.name)

    v2_playbook_on_handler_task_start = v2_playbook_on_cleanup_task_start = v2_playbook_on_task_start

    def _done(self, result: t.Any, status: str) -> None:
        self._write({"host": result.host.name, "task": result.task.name, "status": status})
        self._moment("after", result.task.name, result.host.name)

    def v2_runner_on_ok(self, result: t.Any) -> None:
        """A task that ran."""
        self._done(result, "ok")

    def v2_runner_on_failed(self, result: t.Any, ignore_errors: bool = False) -> None:
        """A task that failed."""
        self._done(result, "failed")

    def v2_runner_on_unreachable(self, result: t.Any) -> None:
        """A task whose host could not be reached."""
        self._done(result, "unreachable")
