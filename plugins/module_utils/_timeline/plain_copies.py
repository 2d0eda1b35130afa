# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Plain copies for people: C(backups/requirements_<id>.txt) and C(backups/pyproject_<id>.toml).

They tell what was there before an installation; a rollback uses the store.
"""

from __future__ import annotations

import os
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._content.item import FILE
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.tree import Tree
from ansible_collections.intellistream.sage.plugins.module_utils._storage import store as storage_store

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.private import PrivateDir

BACKUPS = "backups"
PROJECT = "pyproject.toml"


def write(state: PrivateDir, install_id: str, point: PrivateDir, resources: t.Sequence[t.Mapping[str, t.Any]]) -> None:
    """Write what a rollback point tells of the time before an installation; its first point that does decides.

    :param resources: those of a C(captured) event.
    """
    requirements, project = f"requirements_{install_id}.txt", f"pyproject_{install_id}.toml"
    with state.child(BACKUPS, create=True) as backups:
        for number, taken in enumerate(resources):
            if taken["kind"] == "venv" and backups.read(requirements) is None:
                backups.write(requirements, _requirements(point, taken))
            elif taken["kind"] == "files" and backups.read(project) is None:
                content = _project(point, number, taken)
                if content is not None:
                    backups.write(project, content)


def _requirements(point: PrivateDir, taken: t.Mapping[str, t.Any]) -> bytes:
    manifest = storage_store.read_manifest(point, taken)
    if not manifest["existed"]:
        return b"# There was no environment.\n"
    lines = [f"{name}=={version}\n" for name, version in sorted(manifest["distributions"].items())]
    return "".join(lines).encode()


def _project(point: PrivateDir, number: int, taken: t.Mapping[str, t.Any]) -> bytes | None:
    manifest = storage_store.read_manifest(point, taken)
    with storage_store.items(point, number, manifest) as items, storage_store.content_dir(point, number) as where:
        for section in items.sections:
            item = next((item for path, item in items.read(section) if not path), None)
            if os.path.basename(section.name) == PROJECT and item is not None and item.kind == FILE:
                with Tree.of(where) as store:
                    return store.read(str(section.number))
    return None
