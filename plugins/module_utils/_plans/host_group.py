"""Which hosts may share a plan: those that the same wheels suit."""

from __future__ import annotations

import json
import re
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base import command
from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import InputError, InstallerError
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.ownership import check_program

# Runs in the interpreter that is asked. musl tells its version only through its loader.
_PROBE = """
import json, os, platform, subprocess, sys, sysconfig
machine, libc = platform.machine().lower(), ''
if sys.maxsize < 2**32:
    machine = {'x86_64': 'i686', 'amd64': 'i686', 'aarch64': 'armv7l', 'armv8l': 'armv7l'}.get(machine, machine)
if sys.platform == 'linux':
    try:
        libc = (os.confstr('CS_GNU_LIBC_VERSION') or '').replace(' ', '')
    except (AttributeError, OSError, ValueError):
        pass
    loader = '/lib/ld-musl-%s.so.1' % machine
    if not libc.startswith('glibc') and os.path.exists(loader):
        said = subprocess.run([loader], stderr=subprocess.PIPE).stderr.decode()
        libc = 'musl' + ''.join(said.partition('Version ')[2].split()[:1])
name = {'cpython': 'cp', 'pypy': 'pp'}.get(sys.implementation.name, sys.implementation.name)
python = '%s%d%d%s' % (name, *sys.version_info[:2], 't' if sysconfig.get_config_var('Py_GIL_DISABLED') else '')
print(json.dumps([sys.platform, machine, libc, python]))
"""
_PROBE_SECONDS = 30
LIBC = re.compile(r"^(glibc|musl)(\d+)[._](\d+)")
_NAME = re.compile(r"^([a-z0-9]+)-([a-z0-9_]+?)(?:-((?:glibc|musl)\d+_\d+))?-([a-z]+\d+t?)$")
_PYTHON = re.compile(r"^([a-z]+)(\d)(\d+)(t?)$")


class HostGroup(t.NamedTuple):
    """Hosts that any wheel suits alike.

    :ivar system: as Python's C(sys.platform).
    :ivar machine: C(x86_64), C(aarch64), ….
    :ivar libc: C(glibc2_36) or C(musl1_2); empty elsewhere than on Linux.
    :ivar python: C(cp311); C(cp313t) without the global lock.
    """

    system: str
    machine: str
    libc: str
    python: str

    @property
    def name(self) -> str:
        """The group in one word, fit for the name of a lock file (PEP 751 allows no dot in it)."""
        return "-".join(part for part in self if part)

    @property
    def minor(self) -> str:
        """C(3.11)"""
        dummy_name, major, minor, dummy = self.of_python()
        return f"{major}.{minor}"

    def of_python(self) -> tuple[str, int, int, str]:
        """Implementation, major, minor, and C(t) for one without the global lock."""
        match = _PYTHON.match(self.python)
        if not match:
            raise InputError(f"{self.python!r} does not name an interpreter such as cp311.")
        return match[1], int(match[2]), int(match[3]), match[4]


def of(executable: str) -> HostGroup:
    """The group of the host as the interpreter at I(executable) sees it.

    :raises InstallerError: it cannot be run.
    :raises UnsafePath: this is root, and it is another user's program.
    """
    check_program(executable)
    outcome = command.checked([executable, "-I", "-"], stdin=_PROBE, timeout=_PROBE_SECONDS)
    try:
        system, machine, libc, python = json.loads(outcome.stdout)
    except ValueError as error:
        raise InstallerError(f"{executable} does not answer like a Python interpreter: {error}") from error
    match = LIBC.match(libc)
    libc = f"{match[1]}{match[2]}_{match[3]}" if match else ""
    return HostGroup(system, re.sub(r"\W", "_", machine), libc=libc, python=python)


def parse(name: str) -> HostGroup:
    """The group that is called I(name).

    :raises InputError: no group is called like that.
    """
    match = _NAME.match(name)
    if not match:
        raise InputError(f"{name!r} is not the name of a group such as linux-x86_64-glibc2_36-cp311.")
    return HostGroup(match[1], match[2], libc=match[3] or "", python=match[4])
