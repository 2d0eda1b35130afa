"""Find a Python interpreter for a new virtual environment."""

from __future__ import annotations

import os
import shutil
import sys
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import InputError, SageError
from ansible_collections.intellistream.sage.plugins.module_utils._base.versions import version_key
from ansible_collections.intellistream.sage.plugins.module_utils._installers import interpreter

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._installers.interpreter import Interpreter

_NEWEST_MINOR = 14  # of the versions that are looked for by name


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
    present: list[Interpreter] = []
    for path in candidates(minimum):
        try:
            present.append(interpreter.probe(path))
        except SageError:
            continue  # a pyenv shim without a version behind it, for instance
    suitable = [candidate for candidate in present if at_least(candidate.version, minimum)]
    if not suitable:
        versions = ", ".join(f"{candidate.executable} is {candidate.version}" for candidate in present)
        raise InputError(
            f"SAGE needs Python {minimum} or newer, and this host has: {versions or 'no Python 3 at all'}.",
            untouched="everything; no virtual environment was made.",
            advice=f"Install Python {minimum} or newer and name it with `sage_python` (the module's option `python`), "
            "for example /opt/python3.12/bin/python3.",
            found=[{"path": candidate.executable, "version": candidate.version} for candidate in present],
        )
    return max(suitable, key=lambda candidate: version_key(candidate.version))


def _named(python: str, minimum: str) -> Interpreter:
    name = f"python{python}" if python[:1].isdigit() else os.path.expanduser(python)
    path = shutil.which(name)
    if path is None:
        raise InputError(
            f"There is no interpreter {name} on this host.",
            untouched="everything.",
            advice="Set `sage_python` (the module's option `python`) to a path, a name on PATH, or auto.",
        )
    named = interpreter.probe(os.path.abspath(path))
    if not at_least(named.version, minimum):
        raise InputError(
            f"{path} is Python {named.version}, and SAGE needs {minimum} or newer.",
            untouched="everything.",
            advice="Set `sage_python` (the module's option `python`) to a newer interpreter, or to auto.",
            found=[{"path": path, "version": named.version}],
        )
    return named
