"""Packages of rpm that an undo never erases: the system, this interpreter or the running kernel needs them."""

from __future__ import annotations

import os
import sys
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._rpm.database import (
    installonly_names,
    named,
    owners,
    package_of,
)

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._rpm.database import Package

_PROTECTED_DIRS = ("/etc/dnf/protected.d", "/etc/yum/protected.d")
_PROTECTED = ("rpm", "dnf", "dnf5", "yum", "systemd", "glibc", "setup", "filesystem", "bash")
_PYTHON = (
    "python3",
    "python3-libs",
    "platform-python",
    "python3-rpm",
    "python3-dnf",
    "python3-libdnf",
    "python3-hawkey",
)


def protected(ts: t.Any) -> dict[str, str]:
    """Keys of what must never be erased, with the reason."""
    found: dict[str, str] = {}
    for name in (*_PROTECTED, *_PYTHON, *_configured()):
        for package in named(ts, name):
            found.setdefault(package.key, "the system needs it")
    for path in dict.fromkeys((sys.executable, os.path.realpath(sys.executable), *_init())):
        for package in owners(ts, path):
            found.setdefault(package.key, f"{path} belongs to it, which is running")
    for package in _running_kernel(ts):
        found.setdefault(package.key, "it belongs to the running kernel")
    return found


def _configured() -> list[str]:
    """The names in dnf's and yum's lists of protected packages."""
    names: list[str] = []
    for directory in _PROTECTED_DIRS:
        try:
            files = sorted(os.listdir(directory))
        except OSError:
            continue
        for file in files:
            if file.endswith(".conf"):
                with open(os.path.join(directory, file), encoding="utf-8", errors="surrogateescape") as stream:
                    names += [line.strip() for line in stream if line.strip() and not line.startswith("#")]
    return names


def _init() -> list[str]:
    """The program that runs as init; in some containers nobody may know."""
    try:
        return [os.readlink("/proc/1/exe")]
    except OSError:
        return []


def _running_kernel(ts: t.Any) -> list[Package]:
    release = os.uname().release
    names = installonly_names()
    found = [package_of(header, names) for header in ts.dbMatch("providename", "kernel-uname-r")]
    found += [package_of(header, names) for header in ts.dbMatch("providename", "kernel-core-uname-r")]
    running = [package for package in found if f"{package.evr.rpartition(':')[2]}.{package.arch}" == release]
    for path in (f"/boot/vmlinuz-{release}", f"/lib/modules/{release}", f"/usr/lib/modules/{release}"):
        running += owners(ts, path)
    return running
