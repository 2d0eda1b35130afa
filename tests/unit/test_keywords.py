# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""No keyword that a caller hands down weakens the role: docs/keywords.md. The integration target keywords plays it."""

from __future__ import annotations

import pathlib
import re
import typing as t

import pytest
import yaml

TOP = pathlib.Path(__file__).resolve().parents[2]
ROLE = TOP / "roles" / "sage"
PINNED: dict[str, t.Any] = {
    "ignore_errors": False,
    "ignore_unreachable": False,
    "timeout": 0,
    "throttle": 0,
    "run_once": False,
    "no_log": False,
    "delegate_to": "{{ omit }}",
}
# The phases of independent hosts may be stopped by it; the role refuses it where all hosts stand or fall together.
FATAL = {"any_errors_fatal": False}
# What the role itself wants of some tasks.
OWN: dict[str, list[t.Any]] = {
    "run_once": [True],
    "delegate_to": ["localhost", "{{ __sage_wheelhouse_host or inventory_hostname }}"],
    "timeout": ["{{ __sage_task_timeout }}"],
    # It handles a password.
    "no_log": [True],
    "any_errors_fatal": [False],
}
LISTS = ("pinned", "read once", "refused", "left to the caller")

Task = dict[str, t.Any]


def _load(path: pathlib.Path) -> list[Task]:
    tasks: list[Task] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return tasks


def _all(tasks: t.Iterable[Task]) -> t.Iterator[Task]:
    """Tasks and blocks, those inside of blocks included."""
    for task in tasks:
        yield task
        for part in ("block", "rescue", "always"):
            yield from _all(task.get(part, ()))


SPECS = yaml.safe_load((ROLE / "meta" / "argument_specs.yml").read_text(encoding="utf-8"))["argument_specs"]
ENTRIES = sorted(name.rpartition("/")[2] for name in SPECS)
# Tasks that send nothing to a host.
ON_THE_CONTROLLER = {
    f"ansible.builtin.{name}"
    for name in (
        "debug",
        "fail",
        "import_tasks",
        "include_role",
        "include_tasks",
        "meta",
        "pause",
        "set_fact",
        "set_stats",
    )
}
# Of each entry point its first task.
FIRST = "read_request.yml"
FILES = sorted((ROLE / "tasks").rglob("*.yml"))


@pytest.mark.parametrize("entry", ENTRIES)
def test_e10_each_entry_pins_what_a_caller_hands_down(entry: str) -> None:
    pins = PINNED if entry == "main.yml" else {**PINNED, **FATAL}
    first, *rest = _load(ROLE / "tasks" / entry)
    assert first["ansible.builtin.import_tasks"] == FIRST
    for task in [*_load(ROLE / "tasks" / FIRST), *rest]:
        assert {name: task.get(name, "not pinned") for name in pins} == pins, task["name"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROLE / "tasks")))
def test_e10_no_task_takes_a_pin_off(path: pathlib.Path) -> None:
    entries = [ROLE / "tasks" / entry for entry in [*ENTRIES, FIRST]]
    for task in _all(_load(path)):
        for name in {*PINNED, *FATAL} & task.keys():
            is_pin = path in entries and task[name] == PINNED.get(name)
            assert is_pin or task[name] in OWN.get(name, []), f"{task['name']} has {name}: {task[name]}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROLE / "tasks")))
def test_x2_x8_what_runs_on_a_host_is_of_this_collection(path: pathlib.Path) -> None:
    """Only its modules get their environment in private, and cannot make facts of what a host answers."""
    for task in _all(_load(path)):
        modules = [name for name in task if "." in name and name not in ON_THE_CONTROLLER]
        assert [name for name in modules if not name.startswith("intellistream.sage.")] == [], task["name"]


def test_e10_a_failed_undo_of_one_host_is_none_of_others() -> None:
    around = [
        task
        for task in _all(_load(ROLE / "tasks" / "install" / "phases.yml"))
        for inner in task.get("block", ())
        if inner.get("ansible.builtin.include_tasks") == "install/rescue.yml"
    ]
    assert [task.get("any_errors_fatal") for task in around] == [False]


def test_e22_a_task_timeout_does_not_cut_an_undo_off() -> None:
    undoing = [path for path in FILES if "intellistream.sage.sage_rollback:" in path.read_text(encoding="utf-8")]
    assert len(undoing) >= 7
    # What the timeout of a window is for, and nothing else.
    windowed = {"phases", "plan"}
    assert not [path for path in undoing if path.parent.name in windowed]
    stopped = [path for path in FILES for task in _all(_load(path)) if task.get("timeout", 0) != 0]
    assert stopped == [ROLE / "tasks" / "install" / "phases.yml"]
    assert stopped[0] not in undoing


def _documented() -> dict[str, str]:
    """Of each keyword in the table of docs/keywords.md, the list that it is in."""
    rows = re.findall(r"(?m)^\| \*([a-z ]+)\* \| (.+?) \|", (TOP / "docs" / "keywords.md").read_text(encoding="utf-8"))
    found: dict[str, str] = {}
    for name, keywords in rows:
        for keyword in re.findall(r"`(\w+)`", keywords):
            assert keyword not in found, keyword
            found[keyword] = name
    return found


def test_e10_the_page_has_what_is_pinned() -> None:
    documented = _documented()
    assert {name for name, of in documented.items() if of == "pinned"} == PINNED.keys()
    assert set(documented.values()) == set(LISTS)


def test_e10_the_page_has_every_keyword_of_this_ansible() -> None:
    pytest.importorskip("ansible.playbook.play", reason="needs ansible-core of a control node")
    from ansible.playbook.block import Block
    from ansible.playbook.play import Play
    from ansible.playbook.role.include import RoleInclude
    from ansible.playbook.task import Task as AnsibleTask

    tasks = set(AnsibleTask.fattributes)
    handed_down = tasks & {*Play.fattributes, *RoleInclude.fattributes, *Block.fattributes} - {"name"}
    plays = {"strategy", "serial", "max_fail_percentage"}
    assert plays <= set(Play.fattributes)
    assert _documented().keys() == handed_down | plays
