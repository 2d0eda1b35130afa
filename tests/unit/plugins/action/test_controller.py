# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is the controller's work is done there, whatever the targets are."""

from __future__ import annotations

import json
import typing as t

import pytest

from ansible_collections.intellistream.sage.tests.unit.plugins.action.playing import TOP, play

if t.TYPE_CHECKING:
    import pathlib


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
