# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What apt and dnf tell their hooks of the run they are about to begin."""

from __future__ import annotations

import json
import typing as t
from urllib.parse import unquote

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import InputError

_ABSENT = "-"
_REMOVE = "**REMOVE**"
# Of a line: name, version, architecture, multi-arch; direction; the same three for what comes; what apt will do.
_FIELDS = 9


class Run(t.NamedTuple):
    """One run of a package manager.

    :ivar command: the command line it was started with.
    :ivar changes: what it is going to do, as in a resource's C(changes), with C(file): a package file that comes.
    :ivar elsewhere: it is about another system, such as a chroot.
    """

    command: str
    changes: list[dict[str, t.Any]]
    elsewhere: bool = False


def apt(text: str) -> Run:
    """What C(DPkg::Pre-Install-Pkgs) gets in version 3: settings, an empty line, a line for each step.

    :raises InputError: it is something else.
    """
    head, dummy, steps = text.partition("\n\n")
    version, dummy, settings = head.partition("\n")
    if version != "VERSION 3":
        raise InputError(f"apt said {version[:40]!r} instead of VERSION 3.", untouched="everything.")
    known = dict(line.partition("=")[::2] for line in settings.splitlines())
    changes: dict[tuple[str, str], dict[str, t.Any]] = {}
    for line in steps.splitlines():
        fields = line.split(" ", _FIELDS - 1)
        if len(fields) != _FIELDS:
            raise InputError(f"apt said {line!r}, which has no {_FIELDS} parts.", untouched="everything.")
        name, before, was, dummy, dummy, after, becomes, dummy, action = fields
        # A package is unpacked and configured in two steps; what is only configured is there already.
        arch = becomes if before == _ABSENT else was
        changes.setdefault(
            (name, arch),
            {
                "name": name,
                "arch": arch,
                "before": None if before == _ABSENT else before,
                "after": None if after == _ABSENT or action == _REMOVE else after,
                **({"file": action} if action.startswith("/") else {}),
            },
        )
    chroot = unquote(known.get("DPkg::Chroot-Directory", "")) or "/"
    elsewhere = bool(known.get("RootDir")) or chroot != "/" or (unquote(known.get("Dir", "")) or "/") != "/"
    command = unquote(known.get("CommandLine::AsString", "")) or "(not told)"
    return Run(command, list(changes.values()), elsewhere)


def dnf(text: str) -> Run:
    """What the plugin for dnf writes.

    :raises InputError: it is something else.
    """
    try:
        told = json.loads(text)
        return Run(str(told["command"]), [dict(one) for one in told["changes"]])
    except (ValueError, KeyError, TypeError) as error:
        raise InputError("The plugin for dnf said what cannot be read.", untouched="everything.") from error
