# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Find uv, or fetch it from the index into a directory of ours."""

from __future__ import annotations

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

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._installers.index import Index
    from ansible_collections.intellistream.sage.plugins.module_utils._installers.interpreter import Interpreter


class InstallerChoice(t.NamedTuple):
    """Which tool installs.

    :param name: C(uv) or C(pip).
    :param uv: path of uv; empty with pip.
    :param reason: why it is this one, when that is not what one would expect.
    :param fetch: uv is not there yet; it is to be fetched to I(uv).
    """

    name: str
    uv: str = ""
    reason: str = ""
    fetch: bool = False


def works(path: str) -> bool:
    """Whether I(path) is a uv that runs here."""
    if not os.access(path, os.X_OK):
        return False
    try:
        return command.run([path, "--version"], timeout=30).rc == 0
    except InstallerError:
        return False


def find(named: str | None, tools: str | None) -> str:
    """The path of uv; empty when there is none.

    :param named: what the user said; a path or a name on PATH.
    :param tools: directory a fetched uv is in.
    :raises InputError: I(named) does not work.
    """
    if named:
        path = shutil.which(os.path.expanduser(named))
        if path and works(path):
            return os.path.abspath(path)
        raise InputError(
            f"{named}, given as uv, is not there or does not run.",
            untouched="everything.",
            advice="Set `uv` to the path of a working uv on the host, or leave it out.",
        )
    places = [shutil.which("uv")]
    if tools:
        places.append(os.path.join(tools, "bin", "uv"))
    home = os.path.expanduser("~")
    places += [os.path.join(home, *parts, "uv") for parts in ((".local", "bin"), (".cargo", "bin"))]
    if sys.executable:
        places.append(os.path.join(os.path.dirname(sys.executable), "uv"))
    for place in places:
        if place and works(place):
            return os.path.abspath(place)
    return ""


def choose(installer: str, named: str | None, tools: str | None) -> InstallerChoice:
    """Decide between uv and pip without changing anything.

    :param installer: C(auto), C(uv) or C(pip).
    :param named: the uv that the user named, a path or a name on PATH.
    :param tools: directory that uv may be fetched to; None: it may not.
    :raises InputError: uv is demanded, is not there, and there is no place to fetch it to.
    """
    if installer == "pip":
        return InstallerChoice("pip")
    path = find(named, tools)
    if path:
        return InstallerChoice("uv", path)
    if tools:
        return InstallerChoice(
            "uv", os.path.join(tools, "bin", "uv"), reason="uv is not on this host, it is fetched", fetch=True
        )
    if installer == "uv":
        raise InputError(
            "uv is not on this host.",
            untouched="everything.",
            advice="Install uv, set `uv` to its path, set `tools` to a directory it may be fetched to, "
            "or use `installer: auto` or `pip`.",
        )
    return InstallerChoice("pip", reason="uv is not on this host")


def fetch(tools: str, python: Interpreter, index: Index, timeout: float) -> str:
    """Fetch uv from the index to C(<tools>/bin/uv) and return that path.

    It is put together beside I(tools) and renamed, so I(tools) holds a whole uv or none.

    :param python: has pip or ensurepip.
    :param timeout: seconds that one call of pip may take; 0 is no limit.
    :raises InstallerError: it cannot be had; nothing is left behind.
    """
    parent = os.path.dirname(os.path.abspath(tools))
    os.makedirs(parent, mode=0o700, exist_ok=True)
    staging = f"{os.path.abspath(tools)}.new-{os.getpid()}"
    try:
        os.mkdir(staging, 0o700)
        pip = _pip_argv(python, staging, timeout)
        settings = index.for_pip()
        command.checked(
            [*pip, "install", "--quiet", "--no-input", "--disable-pip-version-check", "--no-cache-dir"]
            + ["--no-compile", "--only-binary", ":all:", "--target", os.path.join(staging, "new"), *settings.arguments]
            + ["uv"],
            env=settings.env,
            timeout=timeout,
            untouched="everything; no uv was put anywhere.",
        )
        if not works(os.path.join(staging, "new", "bin", "uv")):
            raise InstallerError("The uv that the index offers does not run on this host.")
        if os.path.lexists(tools):
            os.rename(tools, os.path.join(staging, "old"))
        os.rename(os.path.join(staging, "new"), tools)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return os.path.join(tools, "bin", "uv")


def _pip_argv(python: Interpreter, staging: str, timeout: float) -> list[str]:
    if python.pip:
        return [python.executable, "-m", "pip"]
    if not python.ensurepip:
        raise InstallerError(f"{python.executable} has neither pip nor ensurepip to fetch uv with.")
    place = os.path.join(staging, "venv")
    command.checked([python.executable, "-m", "venv", place], timeout=timeout)
    return [os.path.join(place, "bin", "python"), "-m", "pip"]


def obtain(
    choice: InstallerChoice, installer: str, tools: str, python: Interpreter, index: Index, timeout: float
) -> InstallerChoice:
    """Make I(choice) true: fetch uv if it says so, and fall back to pip if that fails and I(installer) allows it.

    :param installer: C(auto) or C(uv), as the user set it.
    :param tools: directory to fetch uv to.
    :param timeout: seconds that one call of pip may take; 0 is no limit.
    :raises InstallerError: uv cannot be had, and the user wants no other.
    """
    if not choice.fetch:
        return choice
    try:
        uv = fetch(tools, python, index, timeout)
        return InstallerChoice("uv", uv, reason="uv was not on this host, it was fetched")
    except (SageError, OSError) as error:
        if installer == "uv":
            raise
        first = str(error).strip().splitlines()
        return InstallerChoice(
            "pip", reason=f"uv is not on this host and cannot be fetched: {first[0] if first else error}"
        )
