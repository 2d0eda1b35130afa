# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether what a host answered is a lock file, before the controller keeps it as one (X10)."""

from __future__ import annotations

import re

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import InstallerError, SageError
from ansible_collections.intellistream.sage.plugins.module_utils._installers import lockfile
from ansible_collections.intellistream.sage.plugins.plugin_utils import _plan_check
from ansible_collections.intellistream.sage.plugins.plugin_utils._cell import cell

# A line of a requirements file as this collection and uv write it: a pin, or a directory of the host. Never an option:
# pip would follow one to another index.
_PIN = re.compile(
    r"[A-Za-z0-9][\w.-]*(?:\[[\w,. -]*\])?(?:==[^\s;@]+(?: *;.*)?| @ file:///\S+)|-e (?:file://)?/\S+", re.ASCII
)
_HASH = re.compile(r"\w+:[0-9a-f]+", re.ASCII)


def check(text: str, path: str) -> None:
    """Refuse what is no lock file.

    :param text: what a host answered.
    :param path: of the file to be written; its extension says which form it has to be.
    :raises InstallerError: it is none; a line says why.
    """
    if len(text) > _plan_check.MOST:
        raise _none(f"it has {len(text)} characters, and no lock file has more than {_plan_check.MOST}")
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.isprintable():
            raise _none(f"line {number} has characters that cannot be shown")
    if lockfile.form_of(path) == "pylock":
        _check_pylock(text)
        return
    for line in re.sub(r" *\\\n *", " ", text).split("\n"):
        pin, *hashes = line.strip().split(" --hash=")
        if pin and not pin.startswith("#") and not (_PIN.fullmatch(pin) and all(map(_HASH.fullmatch, hashes))):
            raise _none(f"the line {cell(line)} is no pin")


def _check_pylock(text: str) -> None:
    try:
        document = _plan_check.parsed(text)
        packages = document.get("packages", [])
        whole = str(document.get("lock-version")).startswith("1.") and isinstance(packages, list)
        for package in packages if whole else []:
            whole = whole and isinstance(package, dict) and isinstance(package.get("name"), str)
    except (SageError, _plan_check.Unverified) as error:
        raise _none("it is not TOML") from error
    if not whole:
        raise _none("it has no lock-version 1, or packages without a name")


def _none(problem: str) -> InstallerError:
    return InstallerError(
        f"What this host answered is not the lock file that it was asked for: {problem}.",
        untouched="the lock file on the controller.",
        advice="Find out what answers on this host.",
    )
