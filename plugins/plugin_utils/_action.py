# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The controller's part of every module."""

from __future__ import annotations

import typing as t

from ansible import constants
from ansible.utils.vars import merge_hash

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import SageError
from ansible_collections.intellistream.sage.plugins.module_utils._base.redact import redact
from ansible_collections.intellistream.sage.plugins.plugin_utils import _keywords
from ansible_collections.intellistream.sage.plugins.plugin_utils._environment import PrivateEnvironment

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._calls.run import ArgumentSpec

Result = dict[str, t.Any]
# By these names the result of any module changes the controller: variables, hosts and groups of the inventory, totals.
_STEERING = ("ansible_facts", "add_host", "add_group", "ansible_stats")
# What Ansible itself adds to a result, and what people read of it. What modules return besides has no credentials.
_SHOWN = ("msg", "error", "exception", "invocation", "module_stdout", "module_stderr")


class ModuleFailed(Exception):
    """The part that runs on the host failed.

    :ivar result: what it said.
    """

    def __init__(self, result: Result) -> None:
        error = result.get("error") or {}
        super().__init__(str(error.get("what") or result.get("msg", "the module failed without a word")))
        self.result = result


class SageAction(PrivateEnvironment):
    """What stands on the controller in front of each module, and all that passes between the two.

    A plugin that only names its module passes the task on, as Ansible does where there is no plugin. One that has a
    part of its own gives C(spec) and M(work). Whatever is to hold for all modules belongs in here: M(arguments) is
    what a module is told, M(conclude) is what becomes of its result.

    :cvar module: name of the module.
    :cvar spec: its options, where the controller reads them too; the module does otherwise.
    :cvar returns: a value that all its successes have, and nothing else that answers in its place; empty if M(work)
        looks for itself.
    """

    _supports_check_mode = True
    _supports_diff = True
    module: t.ClassVar[str]
    spec: t.ClassVar[ArgumentSpec | None] = None
    returns: t.ClassVar[str] = ""

    @property
    def _supports_async(self) -> bool:
        """In the background runs what is on the host alone."""
        return self.spec is None

    def work(self, options: Result, task_vars: Result) -> Result:
        """The controller's own part, where C(spec) is given.

        :param options: checked, with their defaults.
        :returns: the result of the task.
        :raises SageError: the task fails with it.
        """
        raise NotImplementedError

    def arguments(self, options: Result, task_vars: Result) -> Result:
        """What the module is told.

        :param options: those of the task, or what M(work) hands on.
        """
        return options

    def conclude(self, result: Result, task_vars: Result) -> Result:
        """What the task returns: what people are shown, without credentials, also where a module broke down.

        No module of the collection returns facts, which would outrank what the user set, nor hosts or groups, which may
        be others: those that came are a host's.
        """
        result = {name: content for name, content in result.items() if name not in _STEERING}
        return {**result, **{name: redact(result[name]) for name in _SHOWN if name in result}}

    def run(self, tmp: str | None = None, task_vars: Result | None = None) -> Result:
        """Called by Ansible."""
        before = super().run(tmp, task_vars)
        variables = task_vars or {}
        try:
            # What the role does by modules of ansible-core, such as bringing a login, it does in a dry run, too.
            if self.module not in ("sage_request", "sage_builtin"):
                _keywords.refuse_another(self._task, self._play_context, variables)
            if self.spec is None:
                result = self._pass_on(before, variables)
            else:
                dummy, options = self.validate_argument_spec(argument_spec=self.spec.options, **self.spec.rules)
                result = self.work(options, variables)
        except ModuleFailed as error:
            result = error.result
        except SageError as error:
            result = {"failed": True, "msg": str(error), "error": error.as_dict()}
        return self.conclude(result, variables)

    def _pass_on(self, before: Result, task_vars: Result) -> Result:
        """The module with the options of the task, in the background if the task says so."""
        result: Result = merge_hash(before, self._execute(dict(self._task.args), task_vars, self._task.async_val))
        if not self._task.async_val:
            self._remove_tmp_path(self.shell.tmpdir)
        return result

    def _execute(self, options: Result, task_vars: Result, in_background: int = 0) -> Result:
        """Run the module on the host; its result, failed or not."""
        result: Result = self._execute_module(
            module_name=f"intellistream.sage.{self.module}",
            module_args=self.arguments(options, task_vars),
            task_vars=task_vars,
            wrap_async=in_background,
        )
        # Ansible takes any mapping for a success.
        if self.returns in ("", *result) or result.get("failed") or in_background:
            return result
        return answered_otherwise(self.module)

    @property
    def run_directory(self) -> str:
        """A directory on the controller that goes when this run of Ansible ends; all hosts share it."""
        return str(constants.DEFAULT_LOCAL_TMP)

    @property
    def shell(self) -> t.Any:
        """What knows the host's shell; Ansible's own actions reach it in the same way."""
        return self._connection._shell  # noqa: SLF001

    @property
    def dry(self) -> bool:
        """Whether this is check mode, asked of the task: C(--check) is only one way to it."""
        return bool(self._task.check_mode)

    def on_host(self, options: Result, task_vars: Result) -> Result:
        """Run the module on the host, as a part of M(work).

        :raises ModuleFailed: with its result.
        """
        result = self._execute(options, task_vars)
        if result.get("failed"):
            raise ModuleFailed(result)
        return result


def answered_otherwise(module: str) -> Result:
    """The result in place of an answer that is no success of this module, nor a failure."""
    return {
        "failed": True,
        "msg": f"The host's answer is none that {module} gives: whether anything was changed is not known. "
        "What to do: look at what runs as Python on this host (ansible_python_interpreter), then run again.",
    }
