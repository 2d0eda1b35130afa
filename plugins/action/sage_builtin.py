# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A module of ansible-core, with what stands in front of each module of this collection."""

from __future__ import annotations

import base64
import pathlib
import typing as t

from ansible.plugins.action.normal import ActionModule as AnyModule

from ansible_collections.intellistream.sage.plugins.module_utils._base import heartbeat
from ansible_collections.intellistream.sage.plugins.modules.sage_builtin import SPEC
from ansible_collections.intellistream.sage.plugins.plugin_utils._action import (
    Result,
    SageAction,
    answered_otherwise,
)
from ansible_collections.intellistream.sage.plugins.plugin_utils._environment import PrivateEnvironment

# What a success of a module of ansible-core has, besides what it was called with, which those of all modules have.
_ANSWERS: dict[str, t.Callable[[Result], bool]] = {
    "command": lambda result: isinstance(result.get("rc"), int),
    "setup": lambda result: isinstance(result.get("ansible_facts"), dict),
    "stat": lambda result: isinstance(result.get("stat"), dict) and "exists" in result["stat"],
    "tempfile": lambda result: isinstance(result.get("path"), str),
}
# Whether a module tells what it was called with. Older versions of Ansible have no such switch: all their modules tell.
_TELL = "_ansible_inject_invocation"


# However the module ends, what it took is no silence of the run, as with the modules that know no record.
_BEAT_AT_END = pathlib.Path(heartbeat.__file__).read_bytes() + b"\nimport atexit\natexit.register(beat)\n"


class _Watched(PrivateEnvironment):
    """An action whose modules renew the lease of their run, and that believes no answer which is none of theirs.

    One action may call several modules.
    """

    def _first_lines(self) -> bytes:
        """Python that runs on the host before the module does."""
        lines = super()._first_lines()
        if not self._environment.get(heartbeat.RUN):
            return lines
        encoded = base64.b64encode(_BEAT_AT_END)
        return lines + b'import base64; exec(base64.b64decode("%s"), {"__name__": "heartbeat"})\n' % encoded

    def _update_module_args(self, module_name: str, module_args: Result, *others: t.Any, **named: t.Any) -> None:
        """What Ansible tells a module besides its options."""
        super()._update_module_args(module_name, module_args, *others, **named)
        if _TELL in module_args:
            module_args[_TELL] = True

    def _execute_module(self, module_name: str | None = None, *others: t.Any, **named: t.Any) -> Result:
        """Run a module on the host; its result, failed or not."""
        result: Result = super()._execute_module(module_name, *others, **named)
        module = (module_name or str(self._task.action)).rpartition(".")[2]
        is_answer = "invocation" in result and _ANSWERS.get(module, bool)(result)
        return result if result.get("failed") or is_answer else answered_otherwise(module)


class ActionModule(SageAction):
    """See the module of the same name."""

    spec = SPEC
    module = "sage_builtin"

    def work(self, options: Result, task_vars: Result) -> Result:
        """Have it done by the action plugin of that module, which Ansible would take itself."""
        name = f"ansible.builtin.{options['module']}"
        loader = self._shared_loader_obj.action_loader
        plugin = loader.get(name, class_only=True) if loader.has_plugin(name) else AnyModule
        private = type("PrivateAction", (_Watched, plugin), {})
        task = self._task.copy()
        task.action = name
        task.args = options["options"]
        action = private(
            task=task,
            connection=self._connection,
            play_context=self._play_context,
            loader=self._loader,
            templar=self._templar,
            shared_loader_obj=self._shared_loader_obj,
        )
        return t.cast("Result", action.run(task_vars=task_vars))
