# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The kinds of resources; each is imported only when it is used."""

from __future__ import annotations

import os
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import InputError

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._kind.interface import Resource

_HERE = ("files", "venv", "git")
KINDS = (*_HERE, "dpkg", "rpm")
Factory = t.Callable[[t.Mapping[str, t.Any]], "Resource"]
_FACTORIES: dict[str, Factory] = {}


def register(kind: str, factory: Factory) -> None:
    """Make a kind known that not every module carries: Ansible sends all that a module imports to every host."""
    _FACTORIES[kind] = factory


def known(kind: str) -> bool:
    """Whether M(make) can make this kind here."""
    return kind in _HERE or kind in _FACTORIES


def make(kind: str, spec: t.Mapping[str, t.Any]) -> Resource:
    """The resource of C(kind) that C(spec) describes.

    :raises InputError: the kind is unknown, or the spec lacks what the kind needs.
    """
    for path in list(spec.get("paths") or []) + [spec.get("path") or "/"]:
        if not os.path.isabs(path) or "\0" in path or ".." in path.split("/"):
            raise InputError(f"{path!r} is not an absolute path without '..'.", untouched="everything.")
    if kind == "files":
        from ansible_collections.intellistream.sage.plugins.module_utils._files.resource import FilesResource

        return FilesResource(list(spec.get("paths") or ([spec["path"]] if spec.get("path") else [])))
    if kind not in KINDS:
        raise InputError(f"There is no resource of kind {kind!r}.", advice=f"Use one of {', '.join(KINDS)}.")
    if kind in _FACTORIES:
        return _FACTORIES[kind](spec)
    if not known(kind):
        raise InputError(
            f"A resource of kind {kind} cannot be used here.",
            untouched="everything.",
            advice="Capture it with intellistream.sage.sage_backup, and undo it with intellistream.sage.sage_rollback.",
        )
    if not spec.get("path"):
        raise InputError(f"A resource of kind {kind} needs a path.", untouched="everything.")
    path = os.path.normpath(str(spec["path"]))
    if kind == "venv":
        from ansible_collections.intellistream.sage.plugins.module_utils._venv.resource import VenvResource

        return VenvResource(path, [dict(item) for item in spec.get("distributions") or []], bool(spec.get("whole")))
    from ansible_collections.intellistream.sage.plugins.module_utils._git.resource import GitResource

    return GitResource(path)
