# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which hosts may share a plan, and which wheels run on them."""

from __future__ import annotations

import json
import re
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base import command
from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import InputError, InstallerError

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
_LIBC = re.compile(r"^(glibc|musl)(\d+)[._](\d+)")
_NAME = re.compile(r"^([a-z0-9]+)-([a-z0-9_]+?)(?:-((?:glibc|musl)\d+_\d+))?-([a-z]+\d+t?)$")
_PYTHON = re.compile(r"^([a-z]+)(\d)(\d+)(t?)$")
# What names of wheels said before they named the version of glibc.
_OLD_MANYLINUX = {"manylinux1": (2, 5), "manylinux2010": (2, 12), "manylinux2014": (2, 17)}


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
    """
    outcome = command.checked([executable, "-I", "-"], stdin=_PROBE, timeout=_PROBE_SECONDS)
    try:
        system, machine, libc, python = json.loads(outcome.stdout)
    except ValueError as error:
        raise InstallerError(f"{executable} does not answer like a Python interpreter: {error}") from error
    match = _LIBC.match(libc)
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


class WheelRank(t.NamedTuple):
    """How well a wheel suits; the greatest is best.

    :ivar platform: 0 for any, 2 for the C library's, 3 for the machine's own; then the version of the C library.
    :ivar python: 0 for any Python 3, 1 to 3 the closer it is; then the minor version.
    :ivar build: number and rest of its build tag.
    """

    platform: tuple[int, int, int]
    python: tuple[int, int]
    build: tuple[int, str]


def rank(filename: str, group: HostGroup) -> WheelRank | None:
    """How well a wheel suits the hosts of a group; None: it does not run there.

    :param filename: as wheels are named (PEP 427).
    """
    if not filename.endswith(".whl"):
        return None
    parts = filename[: -len(".whl")].split("-")
    if len(parts) not in (5, 6):
        return None
    build = re.match(r"(\d*)(.*)", parts[2] if len(parts) == 6 else "")
    platforms = [
        rank_of_platform
        for rank_of_platform in (_platform(tag, group) for tag in parts[-1].split("."))
        if rank_of_platform
    ]
    pythons = [
        rank_of_python
        for tag in parts[-3].split(".")
        for abi in parts[-2].split(".")
        if (rank_of_python := _python(tag, abi, group))
    ]
    if not platforms or not pythons or not build:
        return None
    return WheelRank(max(platforms), max(pythons), build=(int(build[1] or -1), build[2]))


def _platform(tag: str, group: HostGroup) -> tuple[int, int, int] | None:
    if tag == "any":
        return (0, 0, 0)
    if group.system != "linux":
        return None
    if tag == f"linux_{group.machine}":
        return (3, 0, 0)
    family, dummy, architecture = tag.partition("_")
    libc = _LIBC.match(group.libc)
    if not libc:
        return None
    version = (int(libc[2]), int(libc[3]))
    if family in _OLD_MANYLINUX and architecture == group.machine:
        needed, kind = _OLD_MANYLINUX[family], "glibc"
    else:
        match = re.match(r"^(many|musl)linux_(\d+)_(\d+)_(.+)$", tag)
        if not match or match[4] != group.machine:
            return None
        needed, kind = (int(match[2]), int(match[3])), "glibc" if match[1] == "many" else "musl"
    return (2, *needed) if kind == libc[1] and needed[0] == version[0] and needed <= version else None


def _python(tag: str, abi: str, group: HostGroup) -> tuple[int, int] | None:
    name, major, minor, free = group.of_python()
    match = re.match(r"^([a-z]+)(\d)(\d*)$", tag)
    if not match or int(match[2]) != major:
        return None
    of = int(match[3]) if match[3] else None
    if match[1] == "py":
        fits = abi == "none" and (of is None or of <= minor)
        return (0, of or 0) if fits else None
    if match[1] != name:
        return None
    if abi == "abi3" and name == "cp" and not free:
        return (2, of) if of is not None and of <= minor else None
    if of is not None and of != minor:
        return None
    if abi == "none":
        return (1, minor)
    own = abi == f"cp{major}{minor}{free}" if name == "cp" else abi.startswith(group.python)
    return (3, minor) if own and of == minor else None
