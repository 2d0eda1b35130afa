# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""sage_checkpoint as a fleet run calls it."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import InDoubt, InputError
from ansible_collections.intellistream.sage.plugins.module_utils._calls.checkpoint import (
    CheckpointRequest,
    checkpoint,
    deliver_decision,
)
from ansible_collections.intellistream.sage.plugins.module_utils._calls.rollback import rollback
from ansible_collections.intellistream.sage.plugins.module_utils._records.installation import PHASES
from ansible_collections.intellistream.sage.plugins.module_utils._undo.rollback import RollbackRequest as Rollback
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils.recorded import verified
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils.sagehost import SageHost
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils.tree import snapshot

if t.TYPE_CHECKING:
    import pathlib

FLEET = {"run": "r1", "decision_log": "p", "where": "deploy:/fleet"}
ENDED = [{"phase": name, "status": "completed"} for name in PHASES]
BEFORE_DEPS = [{"phase": name, "status": "completed"} for name in PHASES[:2]]


@pytest.fixture
def host(tmp_path: pathlib.Path) -> SageHost:
    made = SageHost(tmp_path).make()
    made.install("1")
    return made


def _call(host: SageHost, check_mode: bool = False, **values: t.Any) -> dict[str, t.Any]:
    if "decided" in values:
        return {**deliver_decision(host.engine, **values["decided"], check_mode=check_mode)}
    if values.get("transitions") == ENDED and not check_mode:
        with host.engine.reading() as session:
            running = session.required().status == "running"
        if running:
            verified(host.engine)
    request = CheckpointRequest(**{"inputs": None, "resume": True, "labels": {}, "transitions": [], **values})
    return {**checkpoint(host.engine, request, check_mode)}


def _again(host: SageHost, version: str = "2") -> dict[str, t.Any]:
    started = {"phase": "python_deps", "status": "started"}
    return _call(host, inputs={"python_deps": {"version": version}}, transitions=[started], recover=True)


def test_commit(host: SageHost) -> None:
    host.begin("2")
    told = _call(host, transitions=ENDED, prepare=FLEET)
    assert (told["changed"], told["fleet"]["state"], told["fleet"]["asks"]) == (True, "in_doubt", True)
    assert not _call(host, transitions=ENDED, prepare=FLEET)["changed"]
    # The next run changes nothing, and is told whom to ask.
    for version in ("2", "3"):
        told = _again(host, version)
        assert (told["changed"], told["resume"], told["fleet"]["where"]) == (False, None, "deploy:/fleet")
    with pytest.raises(InDoubt):
        _call(host, transitions=[{"phase": "cleanup", "status": "started"}])
    decided = {"run": "r1", "decision": "commit"}
    assert _call(host, True, decided=decided)["changed"]
    told = _call(host, decided=decided)
    assert (told["changed"], told["recover"], told["fleet"]["state"]) == (True, None, "committed")
    assert told["diff"]["after"]["status"] == "completed"
    assert not _call(host, decided=decided)["changed"]
    assert _again(host)["resume"]["state"] == "finished"


def test_abort(host: SageHost) -> None:
    was = snapshot(host.data)
    name = host.begin("2")
    _call(host, transitions=ENDED, prepare=FLEET)
    told = _call(host, decided={"run": "r1", "decision": "abort"})
    assert (told["changed"], told["recover"]) == (True, {"to": name})
    # Whoever comes next.
    told = _again(host)
    assert (told["changed"], told["recover"], told["resume"]) == (False, {"to": name}, None)
    with pytest.raises(InDoubt):
        _call(host, transitions=[{"phase": "cleanup", "status": "started"}])
    rollback(host.engine, Rollback(name), False)
    assert snapshot(host.data) == was
    assert _again(host)["resume"]["state"] == "outdated"


def test_a_host_where_nothing_was_to_do(host: SageHost) -> None:
    told = _call(host, transitions=ENDED, prepare=FLEET)
    assert (told["changed"], told["fleet"]) == (False, None)


def test_it_is_the_installation_that_is_meant(host: SageHost) -> None:
    name = host.begin("2")
    with pytest.raises(InputError, match="Another run began"):
        _call(host, transitions=ENDED, prepare={**FLEET, "install_id": "20010101_000000"})
    with host.engine.reading() as session:
        assert session.required().status == "running"
    assert _call(host, transitions=ENDED, prepare={**FLEET, "install_id": name})["fleet"]["asks"]


def test_nothing_is_wanted_but_what_has_to_be_taken_back(host: SageHost) -> None:
    name = host.begin("2")
    _call(host, transitions=ENDED, prepare=FLEET)
    assert _call(host, True, recover=True)["fleet"]["asks"]
    _call(host, decided={"run": "r1", "decision": "abort"})
    assert _call(host, True, recover=True)["recover"] == {"to": name}


def test_what_was_to_be_all_or_none_goes_back_whole(host: SageHost) -> None:
    was = snapshot(host.data)
    name = host.begin("2")
    _call(host, inputs={"python_deps": {"version": "2"}}, all_or_nothing=True)
    _call(host, transitions=[*BEFORE_DEPS, {"phase": "python_deps", "status": "completed"}])
    for inputs in ({"python_deps": {"version": "3"}}, None):
        told = _call(host, recover=True, inputs=inputs)
        assert (told["recover"], told["resume"]) == ({"to": name}, None)
    rollback(host.engine, Rollback(name), False)
    assert snapshot(host.data) == was
    assert _call(host, inputs={"python_deps": {"version": "3"}}, recover=True)["recover"] is None
