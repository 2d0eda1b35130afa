"""Facts of the host that an installation rests on."""

from __future__ import annotations

import hashlib
import os
import re
import typing as t

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.plugin_utils._events import Environment

_MACHINE_ID = re.compile("[0-9a-f]{32}")


def facts() -> Environment:
    """Operating system (C(os), C(os_version)) and C(architecture) of this machine."""
    release = _os_release()
    return {
        "os": release.get("ID", "unknown"),
        "os_version": release.get("VERSION_ID", release.get("VERSION_CODENAME", "")),
        "architecture": os.uname().machine,
    }


def boot_id() -> str:
    """What tells one run of the system from the next; empty where that is not known."""
    return _read("/proc/sys/kernel/random/boot_id").strip()


def _os_release() -> dict[str, str]:
    fields = {}
    for line in _read("/etc/os-release").splitlines():
        name, equals, text = line.partition("=")
        if equals:
            fields[name.strip()] = text.strip().strip("\"'")
    return fields


def machine() -> str:
    """What tells this machine from others, 32 hexadecimal digits; empty where it has no machine id.

    The machine id is hashed with the collection's name, as machine-id(5) asks: the raw id is confidential. Images that
    were never started say C(uninitialized) there, which is none.
    """
    identity = _read("/etc/machine-id").strip()
    if not _MACHINE_ID.fullmatch(identity):
        return ""
    return hashlib.sha256(f"intellistream.sage:{identity}".encode()).hexdigest()[:32]


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read()
    except OSError:
        return ""


def differences(recorded: Environment, current: Environment) -> list[str]:
    """Why an installation recorded on one host does not simply continue on this one.

    :param recorded: M(facts) when the installation began; what is not in it is not compared.
    :param current: M(facts) of this host.
    :returns: reasons in words; empty when it does.
    """
    compared = (
        ("operating system", recorded.get("os"), current["os"]),
        ("operating system's version", recorded.get("os_version"), current["os_version"]),
        ("architecture", recorded.get("architecture"), current["architecture"]),
    )
    return [
        f"the {label} changed from {before} to {after}"
        for label, before, after in compared
        if before and before != after
    ]
