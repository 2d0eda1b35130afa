# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The ways back, one per kind of resource that is always there.

A module that goes back names this file, so that Ansible sends it to the host; what merely captures
carries none of it, since all that a module carries is read and packed in every run.
"""

from __future__ import annotations

import os
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import InputError

if t.TYPE_CHECKING:
    from contextlib import ExitStack

    from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.private import PrivateDir
    from ansible_collections.intellistream.sage.plugins.module_utils._kind.interface import How, Layer, Resource, Undo


def carry() -> None:
    """Do nothing: a module that calls this carries the ways back."""


def unpacked(state: PrivateDir, point: t.Mapping[str, t.Any], stack: ExitStack) -> PrivateDir:
    """The directory of a rollback point that was archived; C(stack) removes it."""
    from ansible_collections.intellistream.sage.plugins.module_utils._storage import archive

    return archive.opened(state, point, stack)


def files(layers: t.Sequence[Layer], how: How) -> Undo:
    """The way back to captured files."""
    from ansible_collections.intellistream.sage.plugins.module_utils._files.undo import FilesUndo

    return FilesUndo(layers, how)


def git(resource: Resource, layers: t.Sequence[Layer], how: How) -> Undo:
    """The way back to a captured work tree, or to its absence."""
    from ansible_collections.intellistream.sage.plugins.module_utils._git import undo

    if layers[0].manifest["exists"]:
        return undo.GitUndo(resource, layers, how)
    return undo.GitRemoval(resource, layers, how)


def venv(path: str, layers: t.Sequence[Layer], how: How) -> Undo:
    """The way back to a captured environment, or to its absence.

    :raises InputError: a rollback in between removed the environment as a whole.
    """
    from ansible_collections.intellistream.sage.plugins.module_utils._venv import undo_whole

    if layers[0].manifest.get("whole"):
        return undo_whole.VenvReturn(path, layers[0], how)
    for layer in layers if layers[0].manifest["existed"] else ():
        if layer.manifest.get("whole"):
            raise _removed_between(path, os.path.basename(os.path.dirname(layer.where.path)))
    if not all(layer.manifest["existed"] for layer in layers):
        return undo_whole.VenvRemoval(path, layers, how)
    from ansible_collections.intellistream.sage.plugins.module_utils._venv.undo import VenvUndo

    return VenvUndo(path, layers, how)


def _removed_between(path: str, point: str) -> InputError:
    return InputError(
        f"Between the target and now a rollback removed {path} as a whole.",
        untouched="everything.",
        advice=f"Roll back to {point} first, which brings it back; then to what you want.",
    )
