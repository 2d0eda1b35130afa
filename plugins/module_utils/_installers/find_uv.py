"""Find uv, and decide between it and pip."""

from __future__ import annotations

import os
import shutil
import sys
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base import command
from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import (
    InputError,
    InstallerError,
    UnsafePath,
)
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.ownership import check_program


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
        check_program(path)
        return command.run([path, "--version"], timeout=30).rc == 0
    except (InstallerError, UnsafePath):
        return False


def find(named: str | None, tools: str | None) -> str:
    """The path of uv; empty when there is none.

    :param named: what the user said; a path or a name on PATH.
    :param tools: directory a fetched uv is in.
    :raises InputError: I(named) does not work.
    :raises UnsafePath: this is root, and I(named) is another user's.
    """
    if named:
        path = shutil.which(os.path.expanduser(named))
        if path:
            check_program(path)
        if path and works(path):
            return os.path.abspath(path)
        raise InputError(
            f"{named} was given as uv, but does not exist or does not run.",
            untouched="everything.",
            advice="Set `sage_uv` (the module's option `uv`) to the path of a working uv on the host, or leave it out.",
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
            advice="Install uv on the host, set `sage_uv` (the module's option `uv`) to its path, or set "
            "`sage_installer` (the module's option `installer`) to pip.",
        )
    return InstallerChoice("pip", reason="uv is not on this host")
