# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tells what a run executed, by module and by host, and what it took, into the file that SAGE_BENCH_COUNT names."""

from __future__ import annotations

DOCUMENTATION = """
name: count_modules
type: aggregate
short_description: Count module executions
description: Counts what connects to hosts, as the action plugins say, and lists all tasks that began.
"""

import json
import os
import time
import typing as t

from ansible.plugins.callback import CallbackBase
from ansible.plugins.loader import action_loader

# Nor do these, whose plugins do not say so, or that have none.
NO_ACTIONS = ("include_role", "include_tasks", "meta", "pause")


def on_host(action: str) -> bool:
    """Whether a task of this action connects to its host: its plugin says so where it does not."""
    if action.rpartition(".")[2] in NO_ACTIONS:
        return False
    plugin = action_loader.get(action, class_only=True)
    return plugin is None or getattr(plugin, "_requires_connection", True)


class CallbackModule(CallbackBase):  # type: ignore[misc]
    """Counts."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "count_modules"

    def __init__(self) -> None:
        super().__init__()
        self.counts: dict[str, int] = {}
        self.seconds: dict[str, float] = {}
        self.remote: dict[str, int] = {}
        self.tasks: list[str] = []
        self.begun = time.perf_counter()

    def _count(self, result: t.Any) -> None:
        name = result.task.action.rpartition(".")[2]
        if on_host(result.task.resolved_action or result.task.action):
            self.counts[name] = self.counts.get(name, 0) + 1
            self.seconds[name] = self.seconds.get(name, 0) + time.perf_counter() - self.begun
            if result.task.delegate_to != "localhost":
                self.remote[result.host.name] = self.remote.get(result.host.name, 0) + 1

    def v2_playbook_on_task_start(self, task: t.Any, is_conditional: bool) -> None:
        """The clock of the task, for one host; skipped ones begin as well."""
        self.tasks.append(task.name)
        self.begun = time.perf_counter()

    def v2_runner_on_ok(self, result: t.Any) -> None:
        """A module ran."""
        self._count(result)

    def v2_runner_on_failed(self, result: t.Any, ignore_errors: bool = False) -> None:
        """A module ran and failed."""
        self._count(result)

    def v2_playbook_on_stats(self, stats: t.Any) -> None:
        """Tell."""
        with open("/proc/self/status", encoding="ascii") as lines:
            memory = [line.split()[1] for line in lines if line.startswith("VmHWM:")]
        found = {
            "counts": self.counts,
            "tasks": self.tasks,
            "seconds": self.seconds,
            "remote": self.remote,
            "kilobytes": int(memory[0]),
        }
        with open(os.environ["SAGE_BENCH_COUNT"], "w", encoding="utf-8") as stream:
            json.dump(found, stream)
