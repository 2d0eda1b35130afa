# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tells what a run cost the controller, and what it did on each host, into the file that SAGE_BENCH_SCALE names."""

from __future__ import annotations

DOCUMENTATION = """
name: scale
type: aggregate
short_description: What a run costs
description: Executions on each host, those on the controller apart, and the memory of the process of the playbook.
"""

import json
import os
import typing as t

from ansible.plugins.callback import CallbackBase

# Nothing of these is executed anywhere but in a worker of the controller.
CONTROLLER = (
    "assert",
    "debug",
    "fail",
    "include_role",
    "include_tasks",
    "meta",
    "pause",
    "set_fact",
    "set_stats",
    "validate_argument_spec",
)


class CallbackModule(CallbackBase):  # type: ignore[misc]
    """Counts."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "scale"

    def __init__(self) -> None:
        super().__init__()
        self.remote: dict[str, int] = {}
        self.local: dict[str, int] = {}

    def _count(self, result: t.Any) -> None:
        if result.task.action.rpartition(".")[2] in CONTROLLER:
            return
        counts = self.local if result.task.delegate_to == "localhost" else self.remote
        counts[result.host.name] = counts.get(result.host.name, 0) + 1

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
        found = {"remote": self.remote, "local": self.local, "kilobytes": int(memory[0])}
        with open(os.environ["SAGE_BENCH_SCALE"], "w", encoding="utf-8") as stream:
            json.dump(found, stream)
