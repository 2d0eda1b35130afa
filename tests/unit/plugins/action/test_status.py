# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""status_sage.yml, as people run it."""

from __future__ import annotations

import json
import typing as t

import pytest

from ansible_collections.intellistream.sage.tests.unit.plugins.action.playing import TOP, play

if t.TYPE_CHECKING:
    import pathlib

FORGED = "no route\nb     9.9.9  completed  -  nothing to do\x1b[2J"


@pytest.mark.slow
def test_e17_x9_the_status_of_hosts_of_which_one_failed(tmp_path: pathlib.Path) -> None:
    root = str(tmp_path / "{{ inventory_hostname }}")
    failing = {
        "intellistream.sage.sage_checkpoint": {
            "root": root,
            "inputs": {},
            "transitions": [
                {"phase": "environment_setup", "status": "started"},
                {"phase": "environment_setup", "status": "failed", "data": {"message": FORGED}},
            ],
        },
        "when": "inventory_hostname == 'a'",
    }
    played = play(tmp_path, [{"hosts": "all", "gather_facts": False, "tasks": [failing]}], hosts=("a", "b"))
    assert played.status == 0, played.output
    status = {"ansible.builtin.import_playbook": str(TOP / "playbooks/status_sage.yml")}

    def ask(**variables: t.Any) -> str:
        variables = {"sage_root": root, "sage_status_file": str(tmp_path / "status"), **variables}
        played = play(tmp_path, [status], "-e", json.dumps(variables), hosts=("a", "b"))
        assert played.status == 0, played.output
        return (tmp_path / "status").read_text()

    lines = ask().splitlines()
    assert [line.split()[:3] for line in lines[:3]] == [
        ["HOST", "SAGE", "STATUS"],
        ["a", "-", "failed"],
        ["b", "-", "none"],
    ]
    assert "environment_setup: b 9.9.9 completed - nothing to do\\x1b[2J (no route)" in lines[1]
    assert lines[3:] == ["2 hosts: 1 failed, 1 none"]
    lines = ask(sage_status_only="failed,doubt,drift").splitlines()
    assert [line.split()[0] for line in lines[:2]] == ["HOST", "a"]
    assert lines[2:] == ["2 hosts: 1 failed, 1 none; 1 shown"]
    data = json.loads(ask(sage_status_only=["failed"], sage_status_format="json"))
    assert list(data) == ["a"]
    assert data["a"]["summary"]["status"] == "failed"
    assert data["a"]["phases"]["environment_setup"]["data"] == {"message": FORGED}
