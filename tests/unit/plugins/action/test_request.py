# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What people see of their variables, before any host is asked."""

from __future__ import annotations

import re
import sys
import typing as t

import pytest
import yaml

from ansible_collections.intellistream.sage.tests.unit.plugins.action.playing import TOP, play

if t.TYPE_CHECKING:
    import pathlib

ROLE = {"role": "intellistream.sage.sage"}
# Nothing listens there, and nothing is asked.
NOWHERE = {"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": 1}


def _play(**keywords: t.Any) -> dict[str, t.Any]:
    return {"hosts": "all", "gather_facts": False, **keywords}


@pytest.mark.slow
def test_e12_wrong_values_are_a_line_each_and_no_host_is_asked(tmp_path: pathlib.Path) -> None:
    wrong = ["-e", "sage_verison=1", "-e", "sage_keep_days=many", "-e", "sage_install_mode=fulll"]
    # Whatever the caller hands down.
    plays = [_play(vars={**NOWHERE, "sage_version": "{{ nowhere }}"}, ignore_errors=True, roles=[ROLE])]
    played = play(tmp_path, plays, *wrong)
    assert played.status == 2
    assert "unreachable=0" in played.output
    told = played.output.partition("fatal: [host]")[2].partition("PLAY RECAP")[0]
    lines = [line.strip() for line in told.splitlines() if line.strip()]
    assert lines[1:3] == ["changed: false", "msg: |-"]
    assert lines[3:6] == [
        "sage_install_mode must be one of standard, full, dev, not 'fulll'.",
        lines[4],
        "sage_keep_days must be a whole number, not 'many'.",
    ]
    assert re.fullmatch(r"sage_version cannot be computed: .*'nowhere' is undefined.*", lines[4])
    assert lines[6:] == ["sage_verison is no variable of this role; did you mean sage_version?", "Nothing was changed."]


@pytest.mark.slow
@pytest.mark.parametrize("result_format", ["yaml", "json"])
def test_e16_a_wrong_value_of_many_hosts_is_told_once(tmp_path: pathlib.Path, result_format: str) -> None:
    """Twenty hosts with one wrong value were 136 lines."""
    names = [f"host{number}" for number in range(1, 9)]
    # Another value is wrong on the last one.
    inventory = tmp_path / "hosts"
    odd = "sage_install_mode=fulll"
    interpreter = f"ansible_connection=local ansible_python_interpreter={sys.executable}"
    inventory.write_text("\n".join([*(f"{name} {interpreter}" for name in names), f"other {interpreter} {odd}"]))
    plays = [_play(roles=[ROLE])]
    settings = {"ANSIBLE_CALLBACK_RESULT_FORMAT": result_format}
    played = play(tmp_path, plays, "-e", "sage_keep_days=many", hosts=inventory, **settings)
    assert played.status == 2
    results = played.output.partition("PLAY RECAP")[0].split("fatal: ")[1:]
    told = {text[1:].partition("]")[0]: text.partition("[ERROR]")[0] for text in results}
    assert sorted(told) == sorted([*names, "other"])
    problem = "sage_keep_days must be a whole number, not 'many'."
    (first,) = [name for name in names if problem in told[name]]
    for name in names:
        assert name == first or f"The same as for {first}. Nothing was changed." in told[name], told[name]
    assert "sage_install_mode must be one of" in told["other"]
    assert problem in told["other"]
    # Of several that are wrong, in Ansible's own line about errors.
    assert played.output.count("[ERROR]: Task failed: ") == 2, played.output


ENTRIES = {"rollback": "sage_rollback_force", "status": "sage_status_format", "clean": "sage_keep_days"}


@pytest.mark.slow
def test_e16_a_wrong_value_is_one_line_however_an_entry_point_is_named(tmp_path: pathlib.Path) -> None:
    """With the extension of the file, Ansible's own check of arguments came first, and showed all of them."""
    names = [(f"{entry}{extension}", name) for entry, name in ENTRIES.items() for extension in ("", ".yml")]
    tasks = [
        {
            "block": [
                {
                    "ansible.builtin.include_role": {"name": "intellistream.sage.sage", "tasks_from": entry},
                    "vars": {name: "oddly"},
                }
            ],
            "rescue": [{"ansible.builtin.debug": {"msg": "{{ ansible_failed_result.msg.split('\n') }}"}}],
        }
        for entry, name in names
    ]
    played = play(tmp_path, [_play(vars=NOWHERE, tasks=tasks)])
    assert played.status == 0, played.output
    assert "Validating arguments" not in played.output
    for name in ENTRIES.values():
        assert len(re.findall(rf"(?m)^ *- {name} must be .*'oddly'\.$", played.output)) == 2, played.output


@pytest.mark.slow
def test_x2_facts_decide_nothing(tmp_path: pathlib.Path) -> None:
    """Facts outrank the inventory. A host that has some is refused; what comes later changes nothing."""
    request = {"intellistream.sage.sage_request": {}, "register": "__sage_request"}
    facts = {"ansible.builtin.set_fact": {"sage_root": "/from/a/host", "__sage_answer": "y", "cacheable": True}}
    show = {"ansible.builtin.debug": {"msg": "root is {{ __sage_request.root }}"}}
    secret = "https://user:s3cret@index.example/"
    tasks = [request, facts, show, {**request, "ignore_errors": True}]
    options = ["-vvv", "-e", f"sage_index_url={secret}", "-e", "sage_team=blue"]
    played = play(tmp_path, [_play(vars={"sage_root": "/from/me", **NOWHERE}, tasks=tasks)], *options)
    assert played.status == 0, played.output
    assert "root is /from/me" in played.output
    assert "The facts of this host hold __sage_answer, sage_root, which would overrule what you set." in played.output
    assert "sage_team: no variable of the role" in played.output
    assert "s3cret" not in played.output


@pytest.mark.slow
@pytest.mark.parametrize(
    ("given", "batches"),
    [("sage_serial=1,50%", [1, 2, 1]), ("sage_serial=50%", [2, 2]), ('{"sage_serial": [3]}', [3, 1]), ("x=1", [4])],
)
def test_e11_the_play_comes_in_the_batches_that_were_asked_for(
    tmp_path: pathlib.Path, given: str, batches: list[int]
) -> None:
    playbook = yaml.safe_load((TOP / "playbooks" / "install_sage.yml").read_text())
    plays = [{**playbook[0], "roles": [], "tasks": [{"ansible.builtin.debug": {"msg": "here"}}]}]
    played = play(tmp_path, plays, "-e", given, hosts=["a", "b", "c", "d"])
    assert played.status == 0, played.output
    assert [part.count("=> \n") for part in played.output.partition("PLAY RECAP")[0].split("TASK [")[1:]] == batches


@pytest.mark.slow
def test_e11_nonsense_is_refused_before_the_play(tmp_path: pathlib.Path) -> None:
    playbook = yaml.safe_load((TOP / "playbooks" / "install_sage.yml").read_text())
    played = play(tmp_path, playbook, "-e", "sage_serial=some")
    assert played.status != 0
    assert "sage_serial must be numbers of hosts from 1 on" in played.output
    assert "TASK" not in played.output
