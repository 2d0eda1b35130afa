# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Package files that are about to be installed and are on this host already: what their scripts may change."""

from __future__ import annotations

import os
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils import _command, _dpkg_scripts
from ansible_collections.intellistream.sage.plugins.module_utils._errors import InstallerError

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._dpkg_plan import Change

# Where apt keeps what it has downloaded.
_ARCHIVES = "/var/cache/apt/archives"


def reasons(changes: t.Iterable[Change], packages: t.Iterable[str]) -> tuple[dict[str, list[str]], list[str]]:
    """Why installing these may not be undone exactly: key → reasons.

    :param packages: what was asked for; full paths of package files among them are looked at.
    :returns: these, and the keys of packages whose scripts cannot be known before they are downloaded.
    """
    files = _named(path for path in packages if path.startswith("/"))
    found: dict[str, list[str]] = {}
    unknown = []
    for change in changes:
        if change.after is None:
            continue
        path = files.get((change.name, change.after)) or _downloaded(change)
        if path is None:
            unknown.append(change.key)
            continue
        why = _dpkg_scripts.reasons(_scripts(path))
        if why:
            found[change.key] = why
    return found, unknown


def _named(paths: t.Iterable[str]) -> dict[tuple[str, str], str]:
    found = {}
    for path in paths:
        said = _said("--show", "--showformat=${Package} ${Version}", path).split()
        if len(said) == 2:
            found[said[0], said[1]] = path
    return found


def _downloaded(change: Change) -> str | None:
    version = (change.after or "").replace(":", "%3a")
    for arch in (change.arch, "all"):
        path = os.path.join(_ARCHIVES, f"{change.name}_{version}_{arch}.deb")
        if os.path.isfile(path):
            return path
    return None


def _scripts(path: str) -> dict[str, str]:
    found = {name: _said("--info", path, name) for name in _dpkg_scripts.SCRIPTS}
    return {name: text for name, text in found.items() if text}


def _said(*arguments: str) -> str:
    """What dpkg-deb prints; nothing when it fails, which it does for a script that is not there."""
    try:
        outcome = _command.run(["dpkg-deb", *arguments], timeout=60)
    except InstallerError:
        return ""
    return outcome.stdout if outcome.rc == 0 else ""
