# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is the controller's work is done there, whatever the targets are."""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import tempfile
import typing as t

import pytest

from ansible_collections.intellistream.sage.tests.unit.plugins.action.playing import TOP, play


def _playbook(name: str) -> list[dict[str, t.Any]]:
    return [{"ansible.builtin.import_playbook": str(TOP / f"playbooks/{name}.yml")}]


@pytest.mark.slow
def test_e13_the_question_has_its_table_where_results_are_not_shown(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "file"
    file.write_text("before")
    root = str(tmp_path / "root")
    point = {"intellistream.sage.sage_backup": {"root": root, "resources": [{"kind": "files", "paths": [str(file)]}]}}
    played = play(tmp_path, [{"hosts": "all", "gather_facts": False, "tasks": [point]}])
    assert played.status == 0, played.output
    file.write_text("after")
    variables = ("-e", json.dumps({"sage_root": root}))
    played = play(tmp_path, _playbook("rollback_sage"), *variables, answer="n", ANSIBLE_DISPLAY_OK_HOSTS="false")
    assert played.status != 0
    assert "ROLLBACK to last" in played.output.partition("Roll back host? [y/N]")[0], played.output
    assert file.read_text() == "after"
    played = play(tmp_path, _playbook("rollback_sage"), *variables, answer="y")
    assert played.status == 0, played.output
    assert played.output.count("ROLLBACK to last") == 1
    assert file.read_text() == "before"


BECOMING = {
    "ansible_become": True,
    "ansible_become_method": "ansible.builtin.su",
    "ansible_become_user": "nobody",
    "ansible_become_flags": "-s /bin/sh",
}
ODD_HOSTS: dict[str, dict[str, t.Any]] = {
    "become for all": BECOMING,
    "localhost is remote": {"ansible_connection": "ansible.builtin.ssh", "ansible_host": "192.0.2.1"},
    "an interpreter of the hosts": {"ansible_python_interpreter": "/nowhere/bin/python9"},
}


@pytest.mark.slow
@pytest.mark.parametrize("case", list(ODD_HOSTS))
def test_e13_decisions_and_reports_are_the_controllers(tmp_path: pathlib.Path, case: str) -> None:
    """No variable of a host counts, also not those of a localhost in the inventory."""
    inventory = tmp_path / "hosts.json"
    variables = ODD_HOSTS[case]
    inventory.write_text(
        json.dumps({"all": {"hosts": {"host": variables, "localhost": {**variables, "ansible_port": 1}}}})
    )
    fleet = tmp_path / "fleet"
    decision = {"fleet_dir": str(fleet), "run": "r1", "hosts": "{{ ansible_play_hosts_all }}"}
    tasks = [
        {"intellistream.sage.sage_decision": {**decision, "state": "opened"}, "register": "opened"},
        {
            "intellistream.sage.sage_decision": {
                **decision,
                "state": "finished",
                "decision_log": "{{ opened.decision_log }}",
            },
            "register": "decided",
            "run_once": True,
        },
        {"intellistream.sage.sage_controller_file": {"path": "report", "content": "{{ decided.decision }}"}},
    ]
    played = play(tmp_path, [{"hosts": "all", "gather_facts": False, "tasks": tasks}], hosts=inventory)
    assert played.status == 0, played.output
    assert (tmp_path / "report").read_text() == "abort"
    assert {path.stat().st_uid for path in (tmp_path / "report", *fleet.iterdir())} == {os.getuid()}


@pytest.fixture
def of_nobody() -> t.Iterator[pathlib.Path]:
    """A directory of another user, below none that is private."""
    path = pathlib.Path(tempfile.mkdtemp())
    shutil.chown(path, "nobody")
    yield path
    shutil.rmtree(path)


@pytest.mark.slow
@pytest.mark.skipif(os.getuid() != 0, reason="needs root, to become another user")
def test_e13_all_or_none_with_become_for_all(tmp_path: pathlib.Path, of_nobody: pathlib.Path) -> None:
    """Hosts work as another user, who cannot write the decision log; localhost is one of the inventory's."""
    inventory = tmp_path / "hosts.json"
    host = {**BECOMING, "ansible_connection": "local", "ansible_python_interpreter": "/usr/bin/python3"}
    inventory.write_text(
        json.dumps(
            {
                "all": {
                    "children": {
                        "fleet": {"hosts": {"h1": {**host, "sage_root": f"{of_nobody}/h1"}}},
                        "others": {"hosts": {"localhost": {"ansible_port": 1}}},
                    },
                    "vars": {"ansible_become": True},
                }
            }
        )
    )
    # Without an index it fails in its first phases, which is decided on the controller.
    variables = {
        "sage_hosts": "fleet",
        "sage_fleet_policy": "atomic",
        "sage_fleet_dir": str(tmp_path / "fleet"),
        "sage_no_index": True,
        "sage_find_links": [str(tmp_path)],
        "ansible_remote_tmp": f"{of_nobody}/tmp",
    }
    played = play(tmp_path, _playbook("install_sage"), "-e", json.dumps(variables), hosts=inventory)
    assert played.status == 2, played.output
    (decided,) = (path for path in (tmp_path / "fleet").iterdir() if path.suffix == ".json")
    assert json.loads(decided.read_text())["decision"] == "abort"
    assert decided.stat().st_uid == os.getuid()
    assert "SAGE was not installed" in played.output
