# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Find Python interpreters and question them."""

from __future__ import annotations

import json
import os
import shutil
import sys
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base import command
from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import (
    InputError,
    InstallerError,
    SageError,
)
from ansible_collections.intellistream.sage.plugins.module_utils._base.names import version_key

_NEWEST_MINOR = 14  # of the versions that are looked for by name
_PROBE_SECONDS = 30
# Runs in the interpreter that is asked: any Python 3, nothing imported that Debian splits off.
_PROBE = """
import importlib.util as u, json, os, platform, sys
i = sys.implementation.version
v = '%d.%d.%d' % i[:3] + ('' if i[3] == 'final' else i[3][0] + str(i[4]))
print(json.dumps({
 'executable': sys.executable, 'base': os.path.realpath(getattr(sys, '_base_executable', '') or sys.executable),
 'version': platform.python_version(), 'pip': u.find_spec('pip') is not None,
 'ensurepip': u.find_spec('ensurepip') is not None and u.find_spec('venv') is not None,
 'markers': {
  'implementation_name': sys.implementation.name, 'implementation_version': v, 'os_name': os.name,
  'platform_machine': platform.machine(), 'platform_release': platform.release(),
  'platform_system': platform.system(), 'platform_version': platform.version(),
  'python_full_version': platform.python_version(),
  'platform_python_implementation': platform.python_implementation(),
  'python_version': '.'.join(platform.python_version_tuple()[:2]), 'sys_platform': sys.platform}}))
"""


class Interpreter(t.NamedTuple):
    """What an interpreter says about itself.

    :param executable: how it was called (a venv's C(bin/python), say).
    :param base: real path of the interpreter under it.
    :param version: such as C(3.11.2).
    :param pip: whether it has pip.
    :param ensurepip: whether it can put pip into a new venv.
    :param markers: the variables of environment markers (PEP 508).
    """

    executable: str
    base: str
    version: str
    pip: bool
    ensurepip: bool
    markers: dict[str, str]

    @property
    def minor(self) -> str:
        """C(3.11)"""
        return ".".join(self.version.split(".")[:2])


def probe(executable: str) -> Interpreter:
    """Ask an interpreter what it is.

    :param executable: a path, or a name on PATH.
    :raises InstallerError: it cannot be run, or is no Python 3.
    """
    outcome = command.checked([executable, "-I", "-"], stdin=_PROBE, timeout=_PROBE_SECONDS)
    try:
        answer = json.loads(outcome.stdout)
        # Its own idea of where it is: a shim (pyenv's, asdf's) leads elsewhere tomorrow.
        return Interpreter(**{**answer, "executable": answer["executable"] or executable})
    except (ValueError, TypeError) as error:
        raise InstallerError(f"{executable} does not answer like a Python interpreter: {error}") from error


def at_least(version: str, minimum: str) -> bool:
    """Whether I(version) is I(minimum) or newer; C(3.11) covers every 3.11."""
    # The release alone: 3.14.0rc1 is as good as 3.14 for somebody who put it there.
    return version_key(version)[1] >= version_key(minimum)[1]


def check_minimum(minimum: str) -> None:
    """:raises InputError: I(minimum) is not a version."""
    try:
        version_key(minimum)
    except ValueError:
        raise InputError(f"minimum is {minimum!r}, which is not a version such as 3.11.") from None


def candidates(minimum: str) -> list[str]:
    """Paths of the interpreters that are worth asking, each real file once: C(python3) first, then the newest.

    :param minimum: the oldest version that will do, such as C(3.11).
    """
    lowest = version_key(minimum)[1][1:2] or (0,)
    names = [f"python3.{minor}" for minor in range(_NEWEST_MINOR, min(lowest[0], _NEWEST_MINOR) - 1, -1)]
    paths = [shutil.which(name) for name in ["python3", *names]]
    # Ansible runs on this one, so it works, even where PATH does not lead to it.
    paths.append(sys.executable)
    seen: set[str] = set()
    result: list[str] = []
    for path in filter(None, paths):
        # A venv's python is a link to its base: they are one real file, but not one interpreter.
        real = os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(os.path.realpath(path)))
        if real not in seen:
            seen.add(real)
            result.append(path)
    return result


def find(python: str, minimum: str) -> Interpreter:
    """The interpreter for a new venv.

    :param python: C(auto) for the newest there is, else a name on PATH or a path.
    :param minimum: oldest version that will do.
    :raises InputError: there is none; says what was found.
    """
    check_minimum(minimum)
    if python != "auto":
        return _named(python, minimum)
    interpreters: list[Interpreter] = []
    for path in candidates(minimum):
        try:
            interpreters.append(probe(path))
        except SageError:
            continue  # a pyenv shim without a version behind it, for instance
    suitable = [interpreter for interpreter in interpreters if at_least(interpreter.version, minimum)]
    if not suitable:
        listed = (
            ", ".join(f"{interpreter.executable} is {interpreter.version}" for interpreter in interpreters)
            or "no Python 3 at all"
        )
        raise InputError(
            f"SAGE needs Python {minimum} or newer, and this host has: {listed}.",
            untouched="everything; no virtual environment was made.",
            advice=f"Install Python {minimum} or newer and name it with `sage_python` (the module's option `python`), "
            "for example /opt/python3.12/bin/python3.",
            found=[{"path": interpreter.executable, "version": interpreter.version} for interpreter in interpreters],
        )
    return max(suitable, key=lambda interpreter: version_key(interpreter.version))


def _named(python: str, minimum: str) -> Interpreter:
    name = f"python{python}" if python[:1].isdigit() else os.path.expanduser(python)
    path = shutil.which(name)
    if path is None:
        raise InputError(
            f"There is no interpreter {name} on this host.",
            untouched="everything.",
            advice="Set `sage_python` (the module's option `python`) to a path, a name on PATH, or auto.",
        )
    interpreter = probe(os.path.abspath(path))
    if not at_least(interpreter.version, minimum):
        raise InputError(
            f"{path} is Python {interpreter.version}, and SAGE needs {minimum} or newer.",
            untouched="everything.",
            advice="Set `sage_python` (the module's option `python`) to a newer interpreter, or to auto.",
            found=[{"path": path, "version": interpreter.version}],
        )
    return interpreter


def in_venv(path: str) -> str:
    """The interpreter of the venv at I(path)."""
    return os.path.join(path, "bin", "python")
