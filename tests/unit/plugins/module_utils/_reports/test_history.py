# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which installation did what to which distributions."""

from __future__ import annotations

import os
import shutil
import sys
import typing as t

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._calls.backup import backup
from ansible_collections.intellistream.sage.plugins.module_utils._calls.rollback import rollback
from ansible_collections.intellistream.sage.plugins.module_utils._records.installation import PHASES
from ansible_collections.intellistream.sage.plugins.module_utils._reports.report import report
from ansible_collections.intellistream.sage.plugins.module_utils._undo.rollback import RollbackRequest
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils._reports.test_drift import Host
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils.sagehost import SageHost

if t.TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def host(tmp_path: Path) -> Host:
    one = Host(tmp_path)
    one.install("1", tinydep="1.0", Is_Age="0.1")
    one.install("2", tinydep="1.1", older="1.0", extra="3")
    return one


def _packages(host: Host) -> list[list[str]]:
    return [one["packages"] for one in report(host.engine, None, True)["transactions"]]


FIRST = ["[+] is-age 0.1", "[+] tinydep 1.0"]
SECOND = ["[+] extra 3", "[-] older 0.9", "[+] older 1.0", "[-] tinydep 1.0", "[+] tinydep 1.1"]


def test_nothing_was_installed(tmp_path: Path) -> None:
    told = report(Host(tmp_path).engine, None, True)
    assert (told["transactions"], told["installed_by"]) == ([], {})


def test_what_went_and_what_came_newest_first(host: Host) -> None:
    told = report(host.engine, None, True)
    newest, oldest = told["transactions"]
    assert (newest["packages"], oldest["packages"]) == (SECOND, FIRST)
    assert newest["tid"] > oldest["tid"]
    assert newest["time"] == told["installations"][-1]["begun"]
    (point,) = newest["rollback_points"]
    assert point["files"] > 0
    assert point["bytes"] > 0
    taken = {name: field for name, field in point.items() if name not in ("time", "files", "bytes")}
    assert taken == {
        "id": f"{newest['tid']}.1",
        "phase": "python_deps",
        "description": "before python_deps",
        "undone": None,
        "pruned": None,
        "redo": False,
        "damaged": False,
    }
    assert told["installed_by"] == {
        "extra": newest["tid"],
        "is-age": oldest["tid"],
        "older": newest["tid"],
        "tinydep": newest["tid"],
    }
    assert report(host.engine, None, False)["transactions"] == []


def test_what_was_rolled_back_is_listed_but_brought_nothing(host: Host) -> None:
    rollback(host.engine, RollbackRequest("last"), False)
    told = report(host.engine, None, True)
    back, newest, oldest = told["transactions"]
    assert (newest["status"], newest["changed"]) == ("rolled_back", True)
    assert (back["origin"], back["packages"]) == ("rollback", [])
    assert (newest["packages"], oldest["packages"]) == (SECOND, FIRST)
    assert newest["rollback_points"][0]["undone"]
    redo = [point["id"] for one in told["transactions"] for point in one["rollback_points"] if point["redo"]]
    assert len(redo) == 1
    assert told["installed_by"] == {"is-age": oldest["tid"], "tinydep": oldest["tid"]}
    rollback(host.engine, RollbackRequest(redo[0]), False)
    assert _packages(host) == [[], [], SECOND, FIRST]
    assert report(host.engine, None, True)["installed_by"]["extra"] == newest["tid"]


def test_several_points_of_one_installation_are_one_transaction(host: Host) -> None:
    for version in ("1.2", "1.3"):
        backup(host.engine, [host.spec(tinydep=version)], "verification", f"before {version}", False)
        host.venv.install("tinydep", version)
    assert _packages(host)[0][-2:] == ["[-] tinydep 1.0", "[+] tinydep 1.3"]


def test_what_comes_back_to_its_version_did_not_change(host: Host) -> None:
    backup(host.engine, [host.spec(tinydep="1.0")], "verification", "down", False)
    host.venv.install("tinydep", "1.0")
    assert _packages(host)[0] == SECOND[:-2]


def test_what_was_captured_by_hand_is_a_change_of_its_own(host: Host) -> None:
    backup(host.engine, [host.spec(tinydep="1.2")], None, "before I try 1.2", False)
    by_hand, newest, dummy = report(host.engine, None, True)["transactions"]
    assert newest["packages"] == SECOND
    assert (by_hand["origin"], by_hand["packages"]) == ("hand", ["[-] tinydep 1.1", "[+] tinydep 1.2"])


@pytest.mark.parametrize("damage", ["prune", "edit"])
def test_without_the_capture_only_what_came_is_known(host: Host, damage: str) -> None:
    store = os.path.join(host.engine.path, "store")
    for name in os.listdir(store):
        if name == "farm":
            continue
        if damage == "prune":
            shutil.rmtree(os.path.join(store, name))
            continue
        with open(os.path.join(store, name, f"{name}.1", "0.json"), "a") as stream:
            stream.write(" ")
    assert _packages(host) == [["[+] extra 3", "[+] older 1.0", "[+] tinydep 1.1"], FIRST]


def test_a_version_that_only_building_tells_comes_from_the_result(tmp_path: Path) -> None:
    one = Host(tmp_path)
    one.checkpoint(inputs={"python_deps": {}})
    plan = one.spec(isage="")
    one.checkpoint({"phase": "sage_packages", "status": "started", "capture": [plan]})
    assert _packages(one) == [["[+] isage"]]
    one.venv.install("isage", "0.3.dev1")
    for name in PHASES[:3]:
        one.checkpoint({"phase": name, "status": "completed"})
    one.checkpoint({"phase": "sage_packages", "status": "completed", "result": [plan]})
    assert _packages(one) == [["[+] isage 0.3.dev1"]]


def test_an_environment_that_is_made_anew(host: Host) -> None:
    host.checkpoint(inputs={"python_deps": {"version": "3"}})
    backup(host.engine, [{**host.spec(), "whole": True}], "environment_setup", "before the new one", False)
    host.venv.remove()
    host.venv.make()
    host.install("3", tinydep="1.1", isage="0.2")
    told = report(host.engine, None, True)
    assert told["transactions"][0]["packages"] == [
        "[-] extra 3",
        "[-] is-age 0.1",
        "[+] isage 0.2",
        "[-] older 1.0",
        "[-] pip 24.0",
    ]
    assert list(told["installed_by"]) == ["isage", "tinydep"]
    assert told["installed_by"]["tinydep"] == told["install_id"]


def _calls(work: t.Callable[[], object]) -> int:
    """How many calls of functions some work takes: no clock, so the same however busy the machine is."""
    count = 0

    def counted(_frame: object, event: str, _argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(counted)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.slow
def test_e23_what_a_listing_costs_grows_with_the_history_and_not_with_its_square(tmp_path: Path) -> None:
    host = SageHost(tmp_path).make()
    costs = []
    for version in range(24):
        # Each is undone, and brought back: what is recorded of that grows, too.
        host.install(str(version))
        rollback(host.engine, RollbackRequest("last"), False)
        if version % 8 == 7:
            costs.append(_calls(lambda: report(host.engine, None, history=True)))
    first, second = costs[1] - costs[0], costs[2] - costs[1]
    assert second < 1.03 * first
