# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""See to it that there is a virtual environment, and a tool to install into it with."""

from __future__ import annotations

import os
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import InputError
from ansible_collections.intellistream.sage.plugins.module_utils._installers import create_venv, find_uv, interpreter

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._installers.create_venv import ExistingVenv
    from ansible_collections.intellistream.sage.plugins.module_utils._installers.find_uv import InstallerChoice
    from ansible_collections.intellistream.sage.plugins.module_utils._installers.index import Index
    from ansible_collections.intellistream.sage.plugins.module_utils._installers.interpreter import Interpreter

Options = t.Mapping[str, t.Any]


class EnsuredVenv(t.NamedTuple):
    """A virtual environment that is, or in check mode would be, as it was asked for.

    :ivar path: absolute.
    :ivar existing: what was there before.
    :ivar python: its interpreter; in check mode the one it would be made of.
    :ivar choice: the tool to install with.
    :ivar actions: what was, or would be, done, for people.
    """

    path: str
    existing: ExistingVenv
    python: Interpreter
    choice: InstallerChoice
    actions: list[str]

    def result(self) -> dict[str, t.Any]:
        """The module's result, with a diff."""
        before = {"state": self.existing.state, "python": self.existing.python and self.existing.python.version}
        after = {"state": "good", "python": self.python.version}
        return {
            "changed": bool(self.actions),
            "actions": self.actions,
            "created": self.existing.state != "good",
            "python": interpreter.in_venv(self.path),
            "version": self.python.version,
            "base": self.python.base,
            "installer": self.choice.name,
            "uv": self.choice.uv,
            "reason": self.choice.reason,
            "diff": {
                "before": "".join(f"{key}: {text}\n" for key, text in before.items()),
                "after": "".join(f"{key}: {text}\n" for key, text in after.items())
                + "".join(f"# {action}\n" for action in self.actions),
            },
        }


def ensure(options: Options, index: Index, *, check_mode: bool) -> EnsuredVenv:
    """Look, decide, and (outside check mode) do what was decided.

    :param options: of the module: C(path), C(python), C(minimum), C(recreate), and those of the tool.
    :param index: where uv is fetched from when it has to be.
    :raises InputError: the environment may not be made anew, no interpreter will do, or the tool is not there.
    :raises InstallerError: the tool failed; what was made of the environment is gone again.
    """
    path, minimum = os.path.abspath(options["path"]), options["minimum"]
    interpreter.check_minimum(minimum)
    demanded = interpreter.find(options["python"], minimum) if options["python"] != "auto" else None
    existing = create_venv.examine(path, minimum, demanded)
    if existing.state == "unsuitable" and not options["recreate"]:
        raise InputError(
            f"The virtual environment {path} will not do: {existing.reason}.",
            untouched="everything, the environment included.",
            advice="Set `recreate: true` (of the role: sage_recreate_venv) to make it anew, choose another path, "
            "or bring back its interpreter.",
        )
    choice = find_uv.choose(options["installer"], options["uv"], options["tools"])
    actions: list[str] = []
    if existing.state == "good" and existing.python is not None:
        python = existing.python
        choice = _with_uv(choice, options, python, index, actions, check_mode)
        if choice.name == "pip" and not python.pip:
            actions.append(f"put pip into {path}")
            _add_pip(choice, options, python, check_mode)
        return EnsuredVenv(path, existing, python=python, choice=choice, actions=actions)
    python = demanded or interpreter.find("auto", minimum)
    create_venv.check_possible(choice, python)
    choice = _with_uv(choice, options, python, index, actions, check_mode)
    create_venv.check_possible(choice, python)
    anew = "" if existing.state == "absent" else " anew"
    actions.append(
        f"make the virtual environment {path}{anew} of {python.executable} ({python.version}) with {choice.name}"
    )
    if not check_mode:
        created = create_venv.create(path, python, choice, options["timeout"])
        python = python._replace(version=created.version, base=created.base)
    return EnsuredVenv(path, existing, python=python, choice=choice, actions=actions)


def _with_uv(
    choice: InstallerChoice,
    options: Options,
    python: Interpreter,
    index: Index,
    actions: list[str],
    check_mode: bool,
) -> InstallerChoice:
    """Fetch uv if I(choice) says so, and note that in I(actions); returns the tool that there is then."""
    if not choice.fetch:
        return choice
    if not check_mode:
        choice = find_uv.obtain(choice, options["installer"], options["tools"], python, index, options["timeout"])
    if choice.name == "uv":
        actions.append(f"fetch uv to {choice.uv}")
    return choice


def _add_pip(choice: InstallerChoice, options: Options, python: Interpreter, check_mode: bool) -> None:
    if not check_mode:
        create_venv.add_pip(python, options["timeout"])
    elif not python.ensurepip:
        create_venv.check_possible(choice, python)
