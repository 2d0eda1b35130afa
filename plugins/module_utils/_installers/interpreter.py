"""What a Python interpreter says about itself."""

from __future__ import annotations

import json
import os
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base import command
from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import (
    InstallerError,
)
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.ownership import check_program

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
    :raises UnsafePath: this is root, and it is another user's program.
    """
    check_program(executable)
    outcome = command.checked([executable, "-I", "-"], stdin=_PROBE, timeout=_PROBE_SECONDS)
    try:
        answer = json.loads(outcome.stdout)
        # Its own idea of where it is: a shim (pyenv's, asdf's) leads elsewhere tomorrow.
        return Interpreter(**{**answer, "executable": answer["executable"] or executable})
    except (ValueError, TypeError) as error:
        raise InstallerError(f"{executable} does not answer like a Python interpreter: {error}") from error


def in_venv(path: str) -> str:
    """The interpreter of the venv at I(path)."""
    return os.path.join(path, "bin", "python")
