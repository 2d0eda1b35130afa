# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A host that answers anything, against every playbook, judged from outside.

It cannot make the controller write anywhere else, decide about a run of others, or show the other host otherwise than
it is. SAGE_TEST_HOSTILE=100 plays so many rounds of each; one round of it is a number, SAGE_TEST_HOSTILE_FROM.
"""

from __future__ import annotations

import hashlib
import json
import os
import pathlib
import re
import sys
import typing as t

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._fleet.decide import open_run
from ansible_collections.intellistream.sage.tests.unit.plugins.action.playing import TOP, Played, play

HOSTILE = pathlib.Path(__file__).with_name("hostile_host.py")
ROUNDS = int(os.environ.get("SAGE_TEST_HOSTILE", "1"))
FIRST = int(os.environ.get("SAGE_TEST_HOSTILE_FROM", "0"))
KINDS = ("plausible", "odd", "garbage")
# What the runs themselves keep.
OWN = ("ansible_collections", "home", "tmp", "roots", "fleet", "locks", "playbook.json", "hosts.json", "status")
PLAYBOOKS: dict[str, dict[str, t.Any]] = {
    "status_sage": {"sage_status_rollbacks": True},
    "rollback_sage": {"sage_assume_yes": True, "sage_fleet_policy": "atomic"},
    "clean_sage": {},
    "remove_sage": {"sage_assume_yes": True},
    "check_sage": {},
    "finish_sage": {},
    "lock_sage": {"sage_no_index": True},
    "install_sage": {"sage_fleet_policy": "atomic", "sage_no_index": True},
}


def _sight(top: pathlib.Path) -> dict[str, str]:
    """All files but those that runs keep, by their content."""
    return {
        str(path.relative_to(top)): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        for path in sorted(top.rglob("*"))
        if path.relative_to(top).parts[0] not in OWN
    }


class World:
    """A controller, a good host with a point to go back to, and one that is hostile and comes first."""

    def __init__(self, top: pathlib.Path) -> None:
        self.top = top
        self.outside = top / "outside"
        self.file = top / "roots" / "file"
        for directory in (self.outside, self.file.parent, top / "tmp", top / "locks"):
            directory.mkdir()
        (self.outside / "secret").write_text("secret")
        self.file.write_text("before")
        self.interpreter = self.file.with_name("python")
        self.interpreter.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{HOSTILE}"\n')
        self.interpreter.chmod(0o755)
        opened = open_run(str(top / "fleet"), "known", False, ["good"])
        self.decision_log = str(opened["decision_log"])
        backup = {"root": f"{top}/roots/good", "resources": [{"kind": "files", "paths": [str(self.file)]}]}
        tasks = [{"intellistream.sage.sage_backup": backup}]
        played = play(top, [{"hosts": "all", "gather_facts": False, "tasks": tasks}])
        assert played.status == 0, played.output
        self.file.write_text("after")

    def play(self, playbook: str, seed: int, kind: str) -> Played:
        """One round."""
        plays = [{"ansible.builtin.import_playbook": str(TOP / f"playbooks/{playbook}.yml")}]
        variables = {"sage_lock_dir": f"{self.top}/locks"} if playbook == "lock_sage" else {}
        return self.play_these(plays, seed, kind, **variables, **PLAYBOOKS[playbook])

    def play_these(self, plays: list[dict[str, t.Any]], seed: int, kind: str, **variables: t.Any) -> Played:
        """Plays over both hosts."""
        hosts: dict[str, t.Any] = {
            "evil": {"ansible_python_interpreter": str(self.interpreter)},
            "good": {"ansible_python_interpreter": sys.executable},
        }
        common = {
            "ansible_connection": "local",
            "sage_root": f"{self.top}/roots/{{{{ inventory_hostname }}}}",
            "sage_fleet_dir": f"{self.top}/fleet",
            "sage_lock_dir": "",
            "sage_find_links": [f"{self.top}/locks"],
            "sage_status_file": f"{self.top}/status",
            **variables,
        }
        inventory = self.top / "hosts.json"
        inventory.write_text(json.dumps({"all": {"hosts": hosts, "vars": common}}))
        settings = {
            "seed": seed,
            "kind": kind,
            "outside": str(self.outside),
            "runs": ["known", "never"],
            "decision_log": self.decision_log,
        }
        return play(
            self.top,
            plays,
            hosts=inventory,
            HOSTILE=json.dumps(settings),
            ANSIBLE_PIPELINING="true",
            TMPDIR=str(self.top / "tmp"),
        )

    def judge(self, playbook: str, kind: str, played: Played) -> None:
        """What no host may bring about."""
        decided = {path.stem for path in (self.top / "fleet").glob("*.json")}
        opened = {path.name[1:].rsplit(".", 2)[0] for path in (self.top / "fleet").glob(".*.opened")}
        assert decided <= opened - {"known"}
        assert not [path for path in (self.top / "fleet").glob("*.json") if '"commit"' in path.read_text()]
        assert not list((self.top / "locks").glob("*.toml")), "no plan of a host is written"
        # Nobody forges a line of the other host: there is one, and it says what it is.
        rows = re.findall(r"^\s*- 'good .*|^\s+good  .*", played.output, re.MULTILINE)
        assert all("9.9.9" not in row for row in rows), played.output
        if playbook == "status_sage":
            lines = (self.top / "status").read_text().split("\n")
            assert [line.split()[:3] for line in lines if line.startswith("good ")] == [["good", "-", "none"]]
            assert all(line.isprintable() for line in lines)
            assert lines[3].startswith("2 hosts: ")
        if kind == "garbage" and playbook != "status_sage":
            assert played.status != 0, played.output
        if playbook in ("rollback_sage", "install_sage"):
            # All or none, and the hostile one was never prepared.
            assert self.file.read_text() == "after"
        elif playbook in ("clean_sage", "finish_sage"):
            assert re.search(r"^good +: .*unreachable=0 +failed=0", played.output, re.MULTILINE), played.output


@pytest.mark.slow
@pytest.mark.parametrize("number", range(FIRST, FIRST + ROUNDS))
@pytest.mark.parametrize("playbook", list(PLAYBOOKS))
def test_x9_a_hostile_host(tmp_path: pathlib.Path, playbook: str, number: int) -> None:
    world = World(tmp_path)
    # Each playbook begins with another kind of answers.
    kind = KINDS[(number + list(PLAYBOOKS).index(playbook)) % len(KINDS)]
    before = _sight(tmp_path)
    played = world.play(playbook, number, kind)
    assert "Traceback" not in played.output, played.output
    assert _sight(tmp_path) == before
    world.judge(playbook, kind, played)


# By module of ansible-core, as the role uses it; what it runs on the host, in the order in which that is asked.
BUILTIN_OPTIONS: dict[str, tuple[dict[str, t.Any], str]] = {
    "command": ({"argv": ["true"]}, "command"),
    "copy": ({"content": "x", "dest": "/nowhere/at/all"}, "stat"),
    "file": ({"path": "/nowhere/at/all", "state": "absent"}, "file"),
    "git": ({"repo": "/nowhere.git", "dest": "/nowhere/at/all"}, "git"),
    "package": ({"name": "nothing", "use": "apt"}, "apt"),
    "tempfile": ({"state": "directory"}, "tempfile"),
}


@pytest.mark.slow
@pytest.mark.parametrize("answer", [{}, {"changed": False, "rc": None, "stat": {}, "path": [], "invocation": {}}])
def test_x9_an_answer_of_no_module_is_no_success(tmp_path: pathlib.Path, answer: dict[str, t.Any]) -> None:
    """To Ansible any mapping is one: the table said that the host did not answer, and the play that all was well."""
    interpreter = tmp_path / "python"
    interpreter.write_text(f"#!/bin/sh\ncat >/dev/null\necho '{json.dumps(answer)}'\n")
    interpreter.chmod(0o755)
    asked: dict[str, dict[str, t.Any]] = {
        "sage_checkpoint_info": {"intellistream.sage.sage_checkpoint_info": {"root": str(tmp_path / "root")}}
    }
    for name, (options, module) in BUILTIN_OPTIONS.items():
        asked[module] = {"intellistream.sage.sage_builtin": {"module": name, "options": options}}
    if answer:
        # That is all that these tell for certain.
        asked = {module: task for module, task in asked.items() if module not in ("file", "git", "apt")}
    tasks = [{**task, "ignore_errors": True} for task in asked.values()]
    common = {"ansible_connection": "local", "ansible_python_interpreter": str(interpreter)}
    (tmp_path / "hosts.json").write_text(json.dumps({"all": {"hosts": {"host": {}}, "vars": common}}))
    played = play(
        tmp_path,
        [{"hosts": "all", "gather_facts": False, "tasks": tasks}],
        hosts=tmp_path / "hosts.json",
        ANSIBLE_PIPELINING="true",
    )
    assert re.findall(r"ERROR.*answer is none that (\w+) gives", played.output) == list(asked), played.output
    assert re.search(rf"ok={len(asked)} .* ignored={len(asked)}", played.output), played.output


@pytest.mark.slow
def test_x2_an_answer_is_never_a_variable(tmp_path: pathlib.Path) -> None:
    """Of no module: what the host says of hosts, facts and totals changes neither its variables nor those of others."""
    world = World(tmp_path)
    ours: list[dict[str, t.Any]] = [
        {"intellistream.sage.sage_builtin": {"module": name, "options": BUILTIN_OPTIONS[name][0]}}
        for name in ("file", "command", "tempfile")
    ]
    ours += [{"intellistream.sage.sage_checkpoint_info": {"root": str(tmp_path / "roots" / "x")}}]
    for task in ours:
        task.update({"failed_when": False, "changed_when": False, "check_mode": False})
    names = "hostvars | dict2items | map(attribute='value') | map('list') | flatten"
    steering = "['sage_assume_yes', '__sage_vote', '__sage_window_end']"
    look = {"ansible.builtin.assert": {"that": f"{names} | intersect({steering}) | length == 0"}}
    looks = [look, {"ansible.builtin.assert": {"that": "groups['known'] is not defined"}}]
    # Those of a play are looked up when it begins.
    plays = [{"hosts": "all", "gather_facts": False, "tasks": tasks} for tasks in (ours, looks)]
    played = world.play_these(plays, 0, "steering")
    assert played.status == 0, played.output


@pytest.mark.slow
def test_x2_facts_of_a_refused_host_are_nothing_to_others(tmp_path: pathlib.Path) -> None:
    """It is refused, and what its facts say of the window does not end that of the other host."""
    world = World(tmp_path)
    gather = {"ansible.builtin.setup": {"gather_subset": "!all"}, "ignore_errors": True}
    role = {"ansible.builtin.include_role": {"name": "intellistream.sage.sage"}}
    plays = [{"hosts": "all", "gather_facts": False, "tasks": [gather, role]}]
    played = world.play_these(plays, 0, "steering", sage_no_index=True, sage_window="2h")
    assert "The facts of this host hold" in played.output
    assert re.search(r"\b7\d\d\d s are left of the window", played.output), played.output
