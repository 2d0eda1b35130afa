# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The program that apt and dnf start before they change packages, and once they have.

It runs on the host alone, without Ansible: M(_hooks.make_program) makes one file of it.
"""

from __future__ import annotations

import os
import sys
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import SageError
from ansible_collections.intellistream.sage.plugins.module_utils._calls import backup
from ansible_collections.intellistream.sage.plugins.module_utils._hooks import input as hooks_input
from ansible_collections.intellistream.sage.plugins.module_utils._records.session import Engine
from ansible_collections.intellistream.sage.plugins.module_utils._registry.carry_undos import carry
from ansible_collections.intellistream.sage.plugins.module_utils._registry.packages import enable

# Set to V(off), a run is not captured: an undo does that for its own.
SWITCH = "SAGE_CAPTURE"
KINDS = {"apt": "dpkg", "dnf": "rpm"}
_READERS = {"apt": hooks_input.apt, "dnf": hooks_input.dnf}


def main(settings: dict[str, t.Any], arguments: list[str]) -> int:
    """C(MANAGER before) captures what standard input tells of; C(MANAGER after) records what the run has left.

    :param settings: P(Engine)'s parameters, and C(strict).
    :returns: the exit status; 0 lets the package manager go on.
    """
    if os.environ.get(SWITCH) == "off":
        return 0
    manager, moment = arguments
    # Packages are named in bytes that need not be text here.
    text = sys.stdin.buffer.read().decode("utf-8", "surrogateescape") if moment == "before" else ""
    strict = bool(settings.pop("strict"))
    enable()
    carry()
    try:
        if moment == "before":
            said = before(Engine(**settings), manager, _READERS[manager](text))
        else:
            said = after(Engine(**settings), manager)
    except (SageError, OSError) as error:
        what = f"sage: {error}" if isinstance(error, SageError) else f"sage: The operating system refused: {error}."
        if moment == "after":
            _say(what)
            return 0
        _say(f"{what}\n{_consequence(manager, strict)}")
        return 1 if strict else 0
    if said:
        sys.stdout.write(f"sage: {said}\n")
    return 0


def before(engine: Engine, manager: str, run: hooks_input.Run) -> str:
    """Make a rollback point of what a run is going to replace; returns what to tell people.

    :raises SageError: it could not be captured.
    """
    if run.elsewhere or not run.changes:
        return ""
    kind = KINDS[manager]
    if _captured(engine, kind, run.changes):
        return ""
    specs = [{"kind": kind, "changes": run.changes}]
    point = backup.backup(engine, specs, None, f"{manager}: {run.command}", False)["rollback_point"]
    return f"What this run replaces is kept as rollback point {point['id']}."


def after(engine: Engine, manager: str) -> str:
    """Record what the run that was captured last has left.

    :raises ChangeFailed: the package manager's own record shows that it did not succeed.
    """
    with engine.reading() as session:
        points = session.installation.active_points if session.installation is not None else []
        name = ""
        if points and str(points[-1].get("description")).startswith(f"{manager}: ") and points[-1].get("after") is None:
            name = points[-1]["point"]
    if name:
        backup.settled(engine, name, False)
    return ""


def _captured(engine: Engine, kind: str, changes: t.Sequence[t.Mapping[str, t.Any]]) -> bool:
    """A playbook has captured the very same just now, for instance by M(intellistream.sage.sage_backup)."""
    with engine.reading() as session:
        points = session.installation.active_points if session.installation is not None else []
        if not points or points[-1].get("after") is not None or session.where is None:
            return False
        taken = [one for one in points[-1].get("resources") or [] if one["kind"] == kind]
        known = {_key(change) for one in taken for change in one.get("changes") or []}
        if not {_key(change) for change in changes} <= known:
            return False
        return backup.still_holds(session.where, points[-1])


def _key(change: t.Mapping[str, t.Any]) -> tuple[t.Any, ...]:
    return (change["name"], change.get("before"), change.get("after"))


def _consequence(manager: str, strict: bool) -> str:
    if not strict:
        return f"sage: {manager} goes on; this run cannot be rolled back."
    return f"sage: Nothing was changed. To let {manager} go on without a rollback point, run it with {SWITCH}=off."


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
