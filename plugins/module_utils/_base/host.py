"""Facts of the host that an installation rests on."""

from __future__ import annotations

import hashlib
import os
import typing as t


def facts() -> dict[str, str]:
    """Operating system (C(os), C(os_version)), C(architecture) and identity (C(machine)) of this machine.

    The machine id is hashed with the collection's name, as machine-id(5) asks: the raw id is
    confidential.
    """
    release = _os_release()
    return {
        "os": release.get("ID", "unknown"),
        "os_version": release.get("VERSION_ID", release.get("VERSION_CODENAME", "")),
        "architecture": os.uname().machine,
        "machine": _machine(),
    }


def _os_release() -> dict[str, str]:
    fields = {}
    for line in _read("/etc/os-release").splitlines():
        name, equals, text = line.partition("=")
        if equals:
            fields[name.strip()] = text.strip().strip("\"'")
    return fields


def _machine() -> str:
    identity = _read("/etc/machine-id").strip()
    return hashlib.sha256(f"intellistream.sage:{identity}".encode()).hexdigest()[:32] if identity else ""


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read()
    except OSError:
        return ""


def differences(recorded: t.Mapping[str, str], current: t.Mapping[str, str]) -> list[str]:
    """Why an installation recorded on one host does not simply continue on this one.

    :param recorded: M(facts) when the installation began; what is not in it is not compared.
    :param current: M(facts) of this host.
    :returns: reasons in words; empty when it does.
    """
    names = {"os": "operating system", "os_version": "operating system's version", "architecture": "architecture"}
    reasons = [
        f"the {label} changed from {recorded[name]} to {current[name]}"
        for name, label in names.items()
        if recorded.get(name) and recorded[name] != current[name]
    ]
    if recorded.get("machine") and current["machine"] and recorded["machine"] != current["machine"]:
        reasons.append("the state was recorded on another machine (its machine id differs)")
    return reasons
