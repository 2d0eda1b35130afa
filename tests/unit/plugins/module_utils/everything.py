# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A host on which everything happens that a ledger can tell of, by the calls that modules make."""

from __future__ import annotations

import time
import typing as t
from unittest import mock

from ansible_collections.intellistream.sage.plugins.module_utils._calls.backup import backup
from ansible_collections.intellistream.sage.plugins.module_utils._calls.checkpoint import (
    CheckpointRequest,
    checkpoint,
    deliver_decision,
)
from ansible_collections.intellistream.sage.plugins.module_utils._calls.rollback import prepare_rollback, rollback
from ansible_collections.intellistream.sage.plugins.module_utils._deadman_switch import mark, program
from ansible_collections.intellistream.sage.plugins.module_utils._files.resource import FilesResource
from ansible_collections.intellistream.sage.plugins.module_utils._maintenance.check import TimeBudget
from ansible_collections.intellistream.sage.plugins.module_utils._records.installation import PHASES
from ansible_collections.intellistream.sage.plugins.module_utils._records.session import Engine
from ansible_collections.intellistream.sage.plugins.module_utils._undo.rollback import (
    RollbackRequest,
)
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils.sagehost import SageHost

if t.TYPE_CHECKING:
    import pathlib

    from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.private import PrivateDir
    from ansible_collections.intellistream.sage.plugins.module_utils._records.ledger import LedgerLine
    from ansible_collections.intellistream.sage.plugins.module_utils._records.session import Session
    from ansible_collections.intellistream.sage.plugins.plugin_utils._events import (
        Event,
        Evidence,
        PackageChange,
        Transition,
    )
    from ansible_collections.intellistream.sage.plugins.plugin_utils._structures import ItemWriter

_LOG = "0123456789abcdef0123456789abcdef"
# Only root can capture packages of the system, and where there are none of them, nobody.
_CHANGES: list[PackageChange] = [
    {"name": "foo", "arch": "amd64", "before": "1", "after": "2", "file": "/var/cache/foo_2_amd64.deb"},
    {"name": "new", "arch": "amd64", "before": None, "after": "1", "file": None},
    {"key": "bar.x86_64", "name": "bar", "arch": "x86_64", "before": "1-1", "after": None, "optional": True},
]
# What is of a machine, and for whoever reads the record only something that is there.
_NEUTRAL: dict[str, t.Any] = {
    "environment": {"os": "debian", "os_version": "12", "architecture": "x86_64"},
    "machine": "",
    "facts": {"exists": True},
}


def play(path: pathlib.Path) -> list[LedgerLine]:
    """Let it all happen below a directory; returns the ledger."""
    host = SageHost(path).make()
    _first(host)
    _capture_packages(host)
    second = host.begin("2")
    # Something else is wanted before it is finished.
    host.install("3")
    _back(host, "last")
    with host.engine.reading() as session:
        [rolled_back] = [change for change in session.history() if change.origin == "rollback"]
    redo = rolled_back.points[-1]["point"]
    assert second < redo
    _back(host, redo)
    host.install("4")
    host.clean(archive=True, uncompressed=0)
    host.clean(installations=2)
    _fleet(host)
    _switches(host)
    _move(host)
    with host.engine.reading() as session:
        return session.lines()


def plain(entries: t.Iterable[LedgerLine], path: pathlib.Path) -> list[tuple[str, t.Any, str, str]]:
    """Install id, events, time and thread of each line, with nothing of this machine in them."""

    def clean(part: t.Any) -> t.Any:
        if isinstance(part, str):
            return part.replace(str(path), "/srv")
        if isinstance(part, list):
            return [clean(each) for each in part]
        if isinstance(part, dict):
            return {clean(name): _NEUTRAL[name] if name in _NEUTRAL else clean(inner) for name, inner in part.items()}
        return part

    return [(entry.install_id, clean(entry.events), entry.time, entry.thread) for entry in entries]


def _call(host: SageHost, *transitions: Transition, **values: t.Any) -> dict[str, t.Any]:
    if "decided" in values:
        return {**deliver_decision(host.engine, **values["decided"], check_mode=False)}
    request = CheckpointRequest(
        inputs=values.pop("inputs", None),
        resume=True,
        labels=values.pop("labels", {}),
        transitions=list(transitions),
        **values,
    )
    return {**checkpoint(host.engine, request, False)}


def _capture_packages(host: SageHost) -> None:
    """What a capture of packages records, told by one of a file."""
    capture = FilesResource.capture

    def with_changes(
        resource: FilesResource, where: PrivateDir, items: ItemWriter, farm: PrivateDir | None = None
    ) -> dict[str, t.Any]:
        facts = capture(resource, where, items)
        return {**facts, "changes": _CHANGES, "inexact": ["foo: its scripts are run"]}

    with mock.patch.object(FilesResource, "capture", with_changes):
        backup(host.engine, [{"kind": "files", "paths": [str(host.file)]}], None, "packages", False)


def _first(host: SageHost) -> None:
    """An installation with all that one can be given."""
    files = {"kind": "files", "paths": [str(host.file)]}
    _call(
        host,
        {"phase": "python_deps", "status": "started", "data": {"plan": 1}, "capture": [files]},
        inputs={"python_deps": {"version": "1"}},
        labels={"install_mode": "dev", "environment_name": "venv", "python_path": "/usr/bin/python3"},
        window=TimeBudget(5_000.0, time.monotonic(), {}),
        all_or_nothing=True,
    )
    host.change("1")
    venv = {"kind": "venv", "path": str(host.venv.path)}
    _call(host, {"phase": "python_deps", "status": "failed", "data": "no disk"})
    earlier: list[Transition] = [{"phase": name, "status": "completed"} for name in PHASES[:2]]
    _call(host, *earlier)
    _call(host, {"phase": "python_deps", "status": "completed", "result": [venv]})
    host.end()


def _verify(host: SageHost) -> None:
    """What sage_verify records once it has looked."""
    evidence: Evidence = {
        "resources": [f"venv {host.venv.path}"],
        "versions": {"pack": "1"},
        "files": 3,
        "imports": ["pack"],
        "commands": [{"argv": ["pack", "check"], "output": "0" * 64}],
        "table": {"path": str(host.venv.path), "sha256": "0" * 64},
        "unverified": ["1 file of pack 1 has no hash in RECORD: lib/python3.11/site-packages/pack/data.txt"],
        "cut": {"lib/python3.11/site-packages/pack-1.dist-info/RECORD": "0" * 64},
        "wrong_records": {"lib/python3.11/site-packages/pack/data.txt": ""},
    }
    with host.engine.session() as session:
        session.add(t.cast("Event", {"event": "verified", **evidence}))
        session.commit()


def _back(host: SageHost, to: str) -> None:
    rollback(host.engine, RollbackRequest(to), False)


def _fleet(host: SageHost) -> None:
    """A fleet that installs, and one that goes back."""
    host.begin("5")
    _verify(host)
    ended: list[Transition] = [{"phase": name, "status": "completed"} for name in PHASES]
    _call(host, *ended, prepare={"run": "r1", "decision_log": _LOG, "where": "deploy:/fleet"})
    _call(host, decided={"run": "r1", "decision": "commit"})
    prepare_rollback(
        host.engine, RollbackRequest("last"), {"run": "r2", "decision_log": _LOG, "where": "deploy:/fleet"}, False
    )
    _call(host, decided={"run": "r2", "decision": "commit"})
    _back(host, "last")


def _switches(host: SageHost) -> None:
    """A switch that fires on a host that is prepared, and one that finds nothing to take back."""
    host.begin("6")
    _verify(host)
    ended: list[Transition] = [{"phase": name, "status": "completed"} for name in PHASES]
    _call(host, *ended, prepare={"run": "r3", "decision_log": _LOG, "where": "deploy:/fleet"})
    _fire(host)
    _call(host, decided={"run": "r3", "decision": "abort"})
    _call(host, {"phase": "python_deps", "status": "started"}, inputs={"python_deps": {"version": "7"}})
    _fire(host)


def _move(host: SageHost) -> None:
    """The root gets another name."""
    (host.path / "root").rename(host.path / "moved")
    host.engine = Engine(str(host.path / "moved"))
    backup(host.engine, [{"kind": "files", "paths": [str(host.file)]}], None, "moved", False)


def _fire(host: SageHost) -> None:
    with host.engine.session() as session:
        _arm(session)
    assert program.fire(host.engine, "token")


def _arm(session: Session) -> None:
    armed = mark.make(session.required().install_id, "token", 100.0)
    assert session.where is not None
    mark.write(session.where, armed._replace(due=armed.due - 101, method="process", handle="0"))
