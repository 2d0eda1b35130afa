# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Keywords that break a run are refused on the controller, wherever they stand, and others are not."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.intellistream.sage.tests.unit.plugins.action.playing import play

if t.TYPE_CHECKING:
    import pathlib

RUN_INFO = "intellistream.sage.sage_run_info"
# Keywords of the play, options, what the refusal names.
PLAYS: list[tuple[dict[str, t.Any], dict[str, bool], str]] = [
    ({}, {"barrier": True, "all_or_nothing": True}, ""),
    ({"strategy": "free"}, {}, ""),
    ({"strategy": "free"}, {"barrier": True}, "strategy"),
    ({"strategy": "{{ 'host' ~ '_pinned' }}"}, {"all_or_nothing": True}, "strategy"),
    ({"strategy": "ansible.builtin.free"}, {"all_or_nothing": True}, "strategy"),
    ({"strategy": "ansible.builtin.linear"}, {"all_or_nothing": True}, ""),
    ({"strategy": "debug"}, {"all_or_nothing": True}, ""),
    ({"strategy": "ansible.builtin.debug"}, {"all_or_nothing": True}, ""),
    ({"max_fail_percentage": 0}, {"barrier": True}, ""),
    ({"max_fail_percentage": 99}, {"all_or_nothing": True}, "max_fail_percentage"),
    ({"max_fail_percentage": 100}, {"all_or_nothing": True}, ""),
    ({"any_errors_fatal": True}, {"barrier": True}, ""),
    ({"any_errors_fatal": True}, {"all_or_nothing": True}, "any_errors_fatal"),
]


@pytest.mark.slow
def test_e10_keywords_of_a_play_that_break_a_run_are_refused(tmp_path: pathlib.Path) -> None:
    # Without a way to the host: nobody asks it.
    plays = [
        {
            "hosts": "all",
            "gather_facts": False,
            "vars": {"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": 1},
            **keywords,
            "tasks": [
                {RUN_INFO: options, "register": "run", "failed_when": False},
                {"ansible.builtin.debug": {"msg": f"case {number}: {{{{ run.error.problems | default('well') }}}}"}},
            ],
        }
        for number, (keywords, options, dummy) in enumerate(PLAYS)
    ]
    played = play(tmp_path, plays, hosts=["a", "b"])
    assert played.status == 0, played.output
    for number, (keywords, options, named) in enumerate(PLAYS):
        said = [line for line in played.output.split("TASK") if f"case {number}: " in line]
        assert said, played.output
        assert (named in said[0]) if named else ("well" in said[0]), (keywords, options, said)


@pytest.mark.slow
@pytest.mark.parametrize("level", ["play", "block", "task"])
def test_e10_a_role_for_the_first_host_only_is_refused(tmp_path: pathlib.Path, level: str) -> None:
    once = {"run_once": True}
    include = {"ansible.builtin.include_role": {"name": "intellistream.sage.sage"}, **(once if level == "task" else {})}
    tasks = [{"block": [include], **once}] if level == "block" else [include]
    plays = [{"hosts": "all", "gather_facts": False, "tasks": tasks, **(once if level == "play" else {})}]
    played = play(tmp_path, plays, "-e", f"sage_root={tmp_path}/root", hosts=["a", "b"])
    assert played.status == 2, played.output
    assert "run_once includes the role for the first host only" in played.output
    assert not (tmp_path / "root").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("keyword", "problem"),
    [
        (
            {"become": "{{ __sage_run is defined }}", "become_user": "nobody"},
            "become: True, become_method: sudo, become_user: nobody",
        ),
        ({"become": True, "become_user": "{{ 'nobody' if __sage_run is defined else 'root' }}"}, "become_user: nobody"),
        ({"check_mode": "{{ __sage_run is not defined }}"}, "check_mode: false"),
    ],
    ids=["become", "become_user", "check_mode"],
)
def test_e10_what_was_read_once_is_the_same_for_all_tasks(
    tmp_path: pathlib.Path, keyword: dict[str, t.Any], problem: str
) -> None:
    """A template that comes to something else while the role runs: half of it would be done as somebody else."""
    # What `apply` says is computed once, by Ansible.
    block = {"block": [{"ansible.builtin.include_role": {"name": "intellistream.sage.sage"}}], **keyword}
    plays = [{"hosts": "all", "gather_facts": False, "tasks": [block]}]
    options = ("-e", f"sage_root={tmp_path}/root", "-e", "sage_no_index=true", "-e", f"sage_find_links={tmp_path}")
    played = play(tmp_path, plays, *options)
    assert played.status == 2, played.output
    assert f"This task has {problem}, and the first task of the role had" in played.output
    assert not (tmp_path / "root").exists()
