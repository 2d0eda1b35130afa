# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The kinds of resources that are the system's packages: dpkg's and rpm's."""

from __future__ import annotations

import importlib.util
import os
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import InputError, NeedsLibrary
from ansible_collections.intellistream.sage.plugins.module_utils._registry.registry import register

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._kind.interface import Resource

# The kind that stands for the one this host uses.
ANY = "packages"
STATES = ("present", "latest", "absent")
_STATUS = "/var/lib/dpkg/status"
_RPM = ("/var/lib/rpm", "/usr/lib/sysimage/rpm")


def enable() -> None:
    """Make these kinds known to C(_registry/registry.py)."""
    register("dpkg", _dpkg)
    register("rpm", _rpm)


def kind_here() -> str:
    """C(dpkg) or C(rpm), whichever this host's packages are of.

    :raises InputError: neither.
    """
    # Debian has rpm as a package too, so dpkg is asked first.
    if os.path.isfile(_STATUS) and os.path.getsize(_STATUS) > 0:
        return "dpkg"
    if any(os.path.isdir(path) and os.listdir(path) for path in _RPM):
        return "rpm"
    raise InputError("This host has neither dpkg's nor rpm's packages.", untouched="everything.")


def translated(specs: t.Iterable[t.Mapping[str, t.Any]]) -> list[dict[str, t.Any]]:
    """The same specs, with this host's kind for C(packages)."""
    return [{**spec, "kind": kind_here() if spec["kind"] == ANY else spec["kind"]} for spec in specs]


def _dpkg(spec: t.Mapping[str, t.Any]) -> Resource:
    from ansible_collections.intellistream.sage.plugins.module_utils._dpkg.resource import DpkgResource

    return DpkgResource(*_wanted(spec))


def _rpm(spec: t.Mapping[str, t.Any]) -> Resource:
    if importlib.util.find_spec("rpm") is None:
        raise NeedsLibrary("rpm")
    from ansible_collections.intellistream.sage.plugins.module_utils._rpm.resource import RpmResource

    return RpmResource(*_wanted(spec))


def _wanted(spec: t.Mapping[str, t.Any]) -> tuple[list[str], str, list[dict[str, t.Any]]]:
    packages = [str(name) for name in spec.get("packages") or []]
    changes = [dict(one) for one in spec.get("changes") or []]
    if not packages and not changes:
        raise InputError(f"A resource of kind {spec['kind']} needs packages.", untouched="everything.")
    for name in packages:
        # It goes to a command line.
        if not name or name.startswith("-") or any(char.isspace() for char in name):
            raise InputError(f"{name!r} is no name of a package.", untouched="everything.")
    return packages, str(spec.get("state") or "present"), changes
