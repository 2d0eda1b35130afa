# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the collection's action plugins have in common."""

from __future__ import annotations

import os
import typing as t

from ansible import constants
from ansible.plugins.action import ActionBase

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import SageError

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._calls.run import ArgumentSpec

Result = dict[str, t.Any]


class ModuleFailed(Exception):
    """The part that runs on the host failed.

    :ivar result: what it said.
    """

    def __init__(self, result: Result) -> None:
        error = result.get("error") or {}
        super().__init__(str(error.get("what") or result.get("msg", "the module failed without a word")))
        self.result = result


class SageAction(ActionBase):  # type: ignore[misc]
    """An action that is half of a module: the half on the controller.

    :cvar spec: the options, which both halves share.
    :cvar module: name of the half on the host.
    """

    _supports_check_mode = True
    _supports_diff = True
    spec: t.ClassVar[ArgumentSpec]
    module: t.ClassVar[str]

    def work(self, options: Result, task_vars: Result) -> Result:
        """Do it; returns the result."""
        raise NotImplementedError

    def run(self, tmp: str | None = None, task_vars: Result | None = None) -> Result:
        """Called by Ansible."""
        super().run(tmp, task_vars)
        dummy, options = self.validate_argument_spec(argument_spec=self.spec.options, **self.spec.rules)
        try:
            return self.work(options, task_vars or {})
        except ModuleFailed as error:
            return error.result
        except SageError as error:
            return {"failed": True, "msg": str(error), "error": error.as_dict()}

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
        """Whether this is check mode."""
        return bool(self._task.check_mode)

    def on_host(self, options: Result, task_vars: Result) -> Result:
        """Run the module on the host.

        :raises ModuleFailed: with its result.
        """
        result: Result = self._execute_module(
            module_name=f"intellistream.sage.{self.module}", module_args=options, task_vars=task_vars
        )
        if result.get("failed"):
            raise ModuleFailed(result)
        return result


def on_controller(path: str) -> str:
    """The absolute path of a place on the controller."""
    return os.path.realpath(os.path.expanduser(path))
