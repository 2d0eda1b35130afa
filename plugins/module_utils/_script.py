# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Keeps C(rollback.sh) in step with the rollback points."""

from __future__ import annotations

import hashlib
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils import _store, _targets
from ansible_collections.intellistream.sage.plugins.module_utils._errors import InputError, StoreError
from ansible_collections.intellistream.sage.plugins.module_utils._rollback_script import NAME, render

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._engine import Session
    from ansible_collections.intellistream.sage.plugins.module_utils._fs import PrivateDir
    from ansible_collections.intellistream.sage.plugins.module_utils._state import Installation


def refresh(session: Session, history: t.Sequence[Installation] | None = None) -> None:
    """Make the script take back the latest change that was captured.

    :param history: all installations; the current one is enough when it has a rollback point.
    """
    if session.where is None or not session.writes or session.installation is None:
        return
    try:
        chosen = _targets.resolve(history or [session.installation], "last")
        headers = _headers(session.where, chosen)
        if any(point.get("redo") for point in chosen.points):
            # Through a rollback that reached further back: rare, and for the module alone.
            raise StoreError("A rollback is in between.")
    except (InputError, StoreError, FileNotFoundError):
        # Pruned, archived or damaged: the module can tell more about that than a script.
        chosen, headers = _targets.Chosen([], session.installation.begun, session.installation.install_id), {}
    # The same points give the same script, so it is written only when they change.
    generation = hashlib.sha256(" ".join(point["point"] for point in chosen.points).encode()).hexdigest()
    target = {"tid": chosen.tid, "time": chosen.time, "generation": generation}
    script = render(session.path, session.path, target, chosen.points, headers)
    if session.where.read(NAME) != script:
        session.where.write(NAME, script)


def _headers(state: PrivateDir, chosen: _targets.Chosen) -> dict[tuple[str, int], dict[str, t.Any]]:
    found = {}
    for point in chosen.points:
        with _store.point_dir(state, point["install_id"], point["point"]) as where:
            for number, taken in enumerate(point["resources"]):
                found[point["point"], number] = _store.read_manifest(where, taken)
    return found
