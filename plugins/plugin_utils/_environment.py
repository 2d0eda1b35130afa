# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The environment of a task, for a module on a host, without showing it to everybody there."""

from __future__ import annotations

import base64
import dataclasses
import functools
import json
import re
import typing as t

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

# What a program reads as it starts, and what an undo finds a stray process by. These names and no others: keys of
# services begin alike, SAGE_CHAT_API_KEY as well as LD_SDK_KEY.
_AT_START = re.compile(
    r"PYTHON[A-Z0-9]*|LANG|LANGUAGE|LC_[A-Z]+|LD_(LIBRARY_PATH|PRELOAD|AUDIT|BIND_NOW|DEBUG)"
    r"|SAGE_(RUN|INSTALLATION|LEASE_FILE)"
)
# What every module that Ansible packs begins with; nothing that runs may come before it.
_BEGINNING = b"from __future__ import annotations\n"


class PrivateEnvironment(ActionBase):  # type: ignore[misc]
    """An action whose modules get their environment inside of what is sent to the host.

    Ansible would put it into a command line, which every user of the host can read, and which C(-vvv) shows. What is
    sent goes through a pipe, or lies in a directory of the user's own.
    """

    def _compute_environment_string(self, raw_environment_out: dict[str, t.Any] | None = None) -> str:
        """Of the task's environment, what may stand in a command line."""
        variables = {name: text for name, text in self._environment.items() if _AT_START.fullmatch(name)}
        if raw_environment_out is not None:
            raw_environment_out.clear()
            raw_environment_out.update(variables)
        return str(self._connection._shell.env_prefix(**variables))  # noqa: SLF001

    @functools.cached_property
    def _environment(self) -> dict[str, str]:
        """The environment that the task has from the keyword, of all levels. Ansible asks for it twice a call."""
        variables: dict[str, t.Any] = {}
        super()._compute_environment_string(variables)
        for name in variables:
            if not re.fullmatch(r"[^=\0]+", str(name)):
                raise AnsibleActionFail(f"{name!r} cannot be the name of an environment variable.")
        return {str(name): str(text) for name, text in variables.items()}

    def _configure_module(self, *arguments: t.Any, **named: t.Any) -> t.Any:
        """The module as it is sent, which does what is to be done before anything else."""
        built, *others = super()._configure_module(*arguments, **named)
        first_lines = self._first_lines()
        if first_lines:
            before, beginning, after = built.b_module_data.partition(_BEGINNING)
            if built.module_style != "new" or not beginning:
                raise AnsibleActionFail(
                    "This module is not written in Python: it cannot get its environment in private."
                )
            built = dataclasses.replace(built, b_module_data=before + beginning + first_lines + after)
        return (built, *others)

    def _first_lines(self) -> bytes:
        """Python that runs on the host before the module does: it sets the rest of the environment."""
        variables = {name: text for name, text in self._environment.items() if not _AT_START.fullmatch(name)}
        if not variables:
            return b""
        encoded = base64.b64encode(json.dumps(variables).encode())
        return b'import base64, json, os; os.environ.update(json.loads(base64.b64decode("%s")))\n' % encoded
