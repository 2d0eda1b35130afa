# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Make a virtual environment, whole or not at all."""

from __future__ import annotations

import os
import shutil
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base import command
from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import InputError, InstallerError
from ansible_collections.intellistream.sage.plugins.module_utils._installers import interpreter
from ansible_collections.intellistream.sage.plugins.module_utils._installers.find_uv import InstallerChoice

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._installers.interpreter import Interpreter

# Lies in a venv while it is being made. Paths are baked into a venv, so it cannot be made elsewhere
# and renamed; a run that finds this file knows that an earlier one was killed half-way.
UNFINISHED = ".sage-unfinished"


class ExistingVenv(t.NamedTuple):
    """What is at a venv's path.

    :param state: C(absent), C(unfinished), C(good) or C(unsuitable).
    :param python: its interpreter; None when it has none that works.
    :param reason: why it is unsuitable; empty otherwise.
    """

    state: str
    python: Interpreter | None = None
    reason: str = ""


def examine(path: str, minimum: str, python: Interpreter | None) -> ExistingVenv:
    """Find out what is at I(path).

    :param minimum: the oldest version of Python that will do, such as C(3.11).
    :param python: the interpreter it has to be of; None when any will do.
    :raises InputError: something that is not a venv is there.
    """
    try:
        names = os.listdir(path)
    except FileNotFoundError:
        return ExistingVenv("absent")
    except NotADirectoryError:
        names = [""]
    if not names:
        return ExistingVenv("absent")
    if UNFINISHED in names:
        return ExistingVenv("unfinished")
    if "pyvenv.cfg" not in names:
        raise InputError(
            f"{path} exists and is not a virtual environment.",
            untouched="everything, that directory included.",
            advice="Choose another path, or move away what is there.",
        )
    try:
        own = interpreter.probe(interpreter.in_venv(path))
    except InstallerError as error:
        return ExistingVenv("unsuitable", reason=f"its interpreter does not work: {error.what.strip().rstrip('.')}")
    if not interpreter.at_least(own.version, minimum):
        return ExistingVenv(
            "unsuitable", own, reason=f"it is of Python {own.version}, and {minimum} or newer is needed"
        )
    if python is not None and (own.base, own.version) != (python.base, python.version):
        if os.path.abspath(python.executable) != os.path.abspath(own.executable):
            return ExistingVenv(
                "unsuitable",
                own,
                reason=f"it is of {own.base} ({own.version}), not of {python.base} ({python.version})",
            )
    return ExistingVenv("good", own)


def check_possible(choice: InstallerChoice, python: Interpreter) -> None:
    """:raises InputError: pip has to make the venv and the interpreter lacks what that takes."""
    if choice.name == "pip" and not python.ensurepip:
        reason = f" ({choice.reason})" if choice.reason else ""
        raise InputError(
            f"{python.executable} cannot make a virtual environment with pip: its module ensurepip is missing.",
            untouched="everything; no virtual environment was made.",
            advice=f"On Debian and Ubuntu install the package python{python.minor}-venv, elsewhere the one that has "
            f"`ensurepip`; or use `installer: uv`, which does without{reason}.",
        )


def create(path: str, python: Interpreter, choice: InstallerChoice, timeout: float) -> Interpreter:
    """Make a venv of I(python) at I(path), which is absent, empty or unfinished.

    Directories above it are made 0755: what is private in them is the record, which sees to that itself.

    :param timeout: seconds that the tool may take; 0 is no limit.
    :returns: the interpreter of the new venv.
    :raises InstallerError: it cannot be made; what was made of it is gone again.
    """
    above = os.path.dirname(path)
    made: list[str] = []
    while not os.path.lexists(above):
        made.append(above)
        above = os.path.dirname(above)
    fresh = not os.path.lexists(path)
    try:
        for directory in reversed(made):
            os.mkdir(directory, 0o755)
        if fresh:
            os.mkdir(path)
        else:
            clear(path)
        with open(os.path.join(path, UNFINISHED), "x", encoding="utf-8"):
            pass
        if choice.name == "uv":
            argv = [choice.uv, "venv", "--quiet", "--no-config", "--no-project", "--no-cache", "--allow-existing"]
            argv += ["--no-python-downloads", "--python", python.executable, path]
        else:
            argv = [python.executable, "-m", "venv", path]
        command.checked(argv, timeout=timeout, untouched="everything; what was made of the venv was removed.")
        python_in_venv = interpreter.probe(interpreter.in_venv(path))
        if choice.name == "uv":
            # uv makes it when it first looks into the environment, even in a dry run, which is to write nothing.
            with open(os.path.join(path, ".lock"), "a", encoding="utf-8"):
                pass
        os.unlink(os.path.join(path, UNFINISHED))
    except BaseException:
        clear(path)
        for directory in ([path] if fresh else []) + made:
            try:
                os.rmdir(directory)
            except OSError:
                break
        raise
    return python_in_venv


def clear(path: str) -> None:
    """Remove everything in I(path), the marker of an unfinished venv last."""
    try:
        names = os.listdir(path)
    except FileNotFoundError:
        return
    for name in sorted(names, key=lambda name: name == UNFINISHED):
        below = os.path.join(path, name)
        if os.path.isdir(below) and not os.path.islink(below):
            shutil.rmtree(below)
        else:
            os.unlink(below)


def add_pip(python: Interpreter, timeout: float) -> None:
    """Put pip into a venv that was made without.

    :param python: the venv's.
    :param timeout: seconds that it may take; 0 is no limit.
    :raises InputError: the interpreter has no ensurepip.
    :raises InstallerError: ensurepip failed.
    """
    if not python.ensurepip:
        check_possible(InstallerChoice("pip"), python)
    command.checked(
        [python.executable, "-m", "ensurepip", "--default-pip"],
        timeout=timeout,
        advice="Use `installer: uv`, which needs no pip in the virtual environment.",
    )
