# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The task knows its keywords, so the host is not asked."""

from __future__ import annotations

import datetime as dt
import os
import time

from ansible.errors import AnsiblePromptNoninteractive
from ansible.utils.display import Display

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import InputError
from ansible_collections.intellistream.sage.plugins.modules.sage_run_info import SPEC
from ansible_collections.intellistream.sage.plugins.plugin_utils import _keywords, _moments
from ansible_collections.intellistream.sage.plugins.plugin_utils._action import Result, SageAction


class ActionModule(SageAction):
    """See the module of the same name."""

    spec = SPEC
    module = "sage_run_info"
    _requires_connection = False

    def work(self, options: Result, task_vars: Result) -> Result:
        """What the task says of itself."""
        lockstep = _keywords.refuse(
            self._task,
            len(task_vars["ansible_play_hosts_all"]),
            barrier=options["barrier"],
            all_or_nothing=options["all_or_nothing"],
        )
        if options["asks"] and not self.dry and not _terminal():
            raise InputError(
                "Somebody is to be asked in this run (sage_rollback_policy=ask), and there is no terminal to ask at.",
                untouched="everything; no host was asked.",
                advice="Start it at a terminal, or set sage_rollback_policy to checkpoint, transaction or none.",
            )
        result: Result = {"changed": False, "check_mode": self.dry, "lockstep": lockstep, "began": time.time()}
        length = _window(options["window"], options["deadline"])
        if length is not None:
            play = self._task.get_play()._uuid  # noqa: SLF001
            mark = os.path.join(self.run_directory, f"sage-window-{play}")
            result["window_end"] = _moments.window_end(mark, length)
        return result


def _window(duration: str, deadline: str) -> float | None:
    """For how many seconds there is a window from now on; None where there is none."""
    current = dt.datetime.now(dt.timezone.utc).astimezone()
    try:
        lengths = [_moments.seconds(duration)] if duration else []
        lengths += [_moments.seconds_until(deadline, current)] if deadline else []
    except ValueError as error:
        raise InputError(f"{error}.", untouched="everything; no host was asked.") from error
    return min(lengths, default=None)


def _terminal() -> bool:
    """Whether Ansible itself could ask a question now."""
    try:
        Display().prompt_until("", seconds=0)
    except AnsiblePromptNoninteractive:
        return False
    return True
