# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a play gets of the role, and what people read at the end of a run, played with records that are finished."""

from __future__ import annotations

import json
import shutil
import subprocess
import typing as t

import pytest

from ansible_collections.intellistream.sage.tests.unit.plugins.action.playing import TOP, Played, play

if t.TYPE_CHECKING:
    import pathlib

ROLE = "intellistream.sage.sage"
INPUTS: dict[str, dict[str, t.Any]] = {
    "environment_setup": {"python": "auto"},
    "submodule_sync": {"source": "index"},
    "python_deps": {"mode": "standard", "version": "", "extras": [], "extra_packages": [], "lock": ""},
}
PHASES = ("environment_setup", "submodule_sync", "python_deps", "sage_packages", "verification", "cleanup")
HOSTS = ("good", "fine", "bad", "worse")
# Their recap fills what is looked at of the screen.
MANY = ("bad", "worse", *(f"good{number:02}" for number in range(18)))
SCREEN = 20


def _finished(root: str, clone: dict[str, str] | None = None, **sources: str) -> dict[str, t.Any]:
    """A play after which every host has a finished installation by its record.

    :param clone: where SAGE was cloned from, if it was.
    :param sources: where its distributions came from.
    """
    inputs = {**INPUTS, "python_deps": {**INPUTS["python_deps"], **sources}}
    inputs["submodule_sync"] = clone or inputs["submodule_sync"]
    completed = [{"phase": phase, "status": "completed"} for phase in PHASES]
    begun = [*completed[:4], {"phase": "verification", "status": "started"}]
    tasks = [
        {"intellistream.sage.sage_checkpoint": {"root": root, "inputs": inputs, "transitions": begun}},
        {"intellistream.sage.sage_verify": {"root": root, "commands": [{"argv": ["true"]}]}},
        {"intellistream.sage.sage_checkpoint": {"root": root, "transitions": completed[4:]}},
    ]
    return {"hosts": "all", "gather_facts": False, "tasks": tasks}


def _install(root: str, *after: dict[str, t.Any], **variables: t.Any) -> dict[str, t.Any]:
    """A play of the role, where hosts with a bad name ask for a Python that there is not."""
    python = "{{ '/bin/false' if inventory_hostname in ['bad', 'worse'] else 'auto' }}"
    wishes = {"sage_root": root, "sage_python": python, "sage_rollback_policy": "transaction", **variables}
    role = {"ansible.builtin.include_role": {"name": ROLE}, "vars": wishes}
    heard = {"name": "Hear of it", "listen": "intellistream.sage changed", "ansible.builtin.debug": {"msg": "HEARD"}}
    return {"hosts": "all", "gather_facts": False, "tasks": [role, *after], "handlers": [heard]}


def _closing(played: Played) -> list[str]:
    """The lines of the closing table."""
    lines = [line.strip() for line in played.output.splitlines()]
    begin = next(number for number, line in enumerate(lines) if line.startswith("INSTALLED"))
    end = next(number for number, line in enumerate(lines) if line.startswith("SAGE on"))
    return lines[begin : end + 1]


@pytest.mark.slow
def test_e16_who_failed_why_what_was_undone_and_what_is_next_once_at_the_end(tmp_path: pathlib.Path) -> None:
    # One that is finished serves for all that are to be.
    bad = "inventory_hostname in ['bad', 'worse']"
    root = f"{tmp_path}/{{{{ inventory_hostname if {bad} else 'done' }}}}"
    index = "https://me:s3cret@x/"
    plays = [{**_finished(root, index_url=index), "hosts": "good"}, _install(root)]
    command_line = ("-e", json.dumps({"sage_keep_days": 7, "sage_index_url": index, "other": 1}))
    played = play(tmp_path, plays, *command_line, hosts=HOSTS)
    assert played.status == 2, played.output
    lines = _closing(played)
    assert lines[0] == "INSTALLED ALREADY: 2 hosts"
    assert lines[-1] == "SAGE on 4 hosts: 2 failed, 2 installed already"
    assert "FAILED in environment_setup: bad, worse" in lines
    assert sum("bad" in line for line in lines) == 3, lines
    assert any("/bin/false" in line and line.startswith("why") for line in lines)
    assert "undone  nothing, since nothing had been changed" in lines
    again = next(line for line in lines if "ansible-playbook" in line)
    assert "-l bad,worse" in again
    assert "sage_keep_days" in again
    assert "s3cret" not in played.output
    assert any(line.startswith("The commands leave out") and "other, sage_index_url" in line for line in lines)
    # Nothing of an installation that is there already is told for each host.
    assert "nothing was left to do" not in played.output
    recap = played.output.partition("PLAY RECAP")[2]
    assert [f"failed={int(host in ('bad', 'worse'))}" in recap.partition(host)[2].splitlines()[0] for host in HOSTS]
    # With the callback it comes after the recap, and only there.
    plays = [_install(root, sage_index_url=index)]
    played = play(tmp_path, plays, hosts=MANY, ANSIBLE_CALLBACKS_ENABLED="intellistream.sage.sage_closing")
    assert played.output.count("FAILED in environment_setup") == 1
    recap = played.output.partition("PLAY RECAP")[2]
    assert recap.rstrip().endswith("SAGE on 20 hosts: 2 failed, 18 installed already")
    screen = "\n".join(played.output.rstrip().splitlines()[-SCREEN:])
    assert "FAILED in environment_setup: bad, worse" in screen
    assert "-l bad,worse" in screen


@pytest.mark.slow
def test_e25_a_play_gets_a_registered_result_and_no_fact(tmp_path: pathlib.Path) -> None:
    root = str(tmp_path / "{{ inventory_hostname }}")
    checks = {
        "ansible.builtin.assert": {
            "that": [
                "sage_result is not changed",
                "sage_result.status == 'unchanged'",
                "sage_result.install_id | length > 0",
                "sage_result.log is file",
                "'sage_result' not in ansible_facts",
            ]
        }
    }
    cached = {"ANSIBLE_CACHE_PLUGIN": "jsonfile", "ANSIBLE_CACHE_PLUGIN_CONNECTION": str(tmp_path / "facts")}
    # What is registered is no input and no fact where the role comes again, in this run or in the next one.
    for plays in ([_finished(root), _install(root, checks), _install(root, checks)], [_install(root, checks)]):
        played = play(tmp_path, plays, **cached)
        assert played.status == 0, played.output
        assert played.output.count("nothing was left to do") == sum("handlers" in part for part in plays)
        assert "HEARD" not in played.output
        assert "no variable of the role" not in played.output
    # In the rescue of a play the result of the host that failed is there as well.
    broken = _install(root, checks)
    said = {
        "ansible.builtin.debug": {"msg": "{{ sage_result.status }} {{ sage_result.phase }}: {{ sage_result.undone }}"}
    }
    broken["tasks"] = [{"block": broken["tasks"], "rescue": [said]}]
    played = play(tmp_path, [_finished(root), broken], hosts=("bad",))
    assert played.status == 0, played.output
    assert "failed environment_setup: nothing, since nothing had been changed" in played.output


@pytest.mark.slow
def test_a_rerun_of_a_finished_installation_is_few_tasks_and_one_call(tmp_path: pathlib.Path) -> None:
    """A nightly run over a fleet pays for each of them on every host; docs/benchmarks.md has the time."""
    root, count = str(tmp_path / "root"), tmp_path / "count.json"
    play(tmp_path, [_finished(root)])
    settings = {
        "ANSIBLE_CALLBACK_PLUGINS": str(TOP / "tests" / "benchmark" / "callbacks"),
        "ANSIBLE_CALLBACKS_ENABLED": "count_modules",
        "SAGE_BENCH_COUNT": str(count),
    }
    played = play(tmp_path, [_install(root)], **settings)
    assert played.status == 0, played.output
    assert "nothing was left to do" in played.output
    counted = json.loads(count.read_text())
    assert counted["counts"] == {"sage_resume_info": 1}
    # The one that includes the role, and of the role two that are skipped.
    assert len(counted["tasks"]) <= 8, counted["tasks"]


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("git"), reason="needs git")
def test_a_branch_is_looked_up_before_the_verdict(tmp_path: pathlib.Path) -> None:
    root, repository = str(tmp_path / "root"), str(tmp_path / "repository")

    def commit() -> str:
        git = ("git", "-C", repository, "-c", "user.name=t", "-c", "user.email=t@t")
        subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "another"], check=True)
        return subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()

    subprocess.run(["git", "init", "-q", "-b", "main", repository], check=True)
    source = {"source": "git", "repository": repository, "version": "main", "commit": commit()}
    wishes = {"sage_source": "git", "sage_repository": repository, "sage_repository_version": "main"}
    plays = [_finished(root, source), _install(root, **wishes)]
    played = play(tmp_path, plays)
    assert played.status == 0, played.output
    assert "nothing was left to do" in played.output
    commit()
    played = play(tmp_path, plays[1:], "--check")
    assert "nothing was left to do" not in played.output
    assert "phases | submodule_sync | Begin the phase" in played.output


@pytest.mark.slow
def test_e25_handlers_hear_that_sage_was_changed(tmp_path: pathlib.Path) -> None:
    record = {"install_id": "20251115_143000", "altered": True}
    for altered in (True, False):
        tell = {
            "intellistream.sage.sage_outcome": {
                "phases": ["cleanup"],
                "record": {**record, "altered": altered},
                "began": 1.5,
            },
            "register": "sage_result",
            "notify": "intellistream.sage changed",
        }
        played = play(tmp_path, [{**_install(str(tmp_path)), "tasks": [tell]}])
        assert played.status == 0, played.output
        assert ("HEARD" in played.output) is altered


@pytest.mark.slow
def test_s58_without_a_terminal_nothing_begins(tmp_path: pathlib.Path) -> None:
    played = play(tmp_path, [_install(str(tmp_path / "root"), sage_rollback_policy="ask")], hosts=("bad",))
    assert played.status == 2
    assert "there is no terminal to ask at" in " ".join(played.output.split())
    assert not (tmp_path / "root").exists()


@pytest.mark.slow
@pytest.mark.parametrize(("answer", "undone"), [("y", True), ("", False)])
def test_s58_a_person_is_asked_with_what_would_be_undone(tmp_path: pathlib.Path, answer: str, undone: bool) -> None:
    (tmp_path / "wheels").mkdir()
    # The environment is made, and there is nothing to install into it.
    wishes = {"sage_no_index": True, "sage_find_links": [str(tmp_path / "wheels")], "sage_rollback_policy": "ask"}
    played = play(
        tmp_path,
        [_install(str(tmp_path / "{{ inventory_hostname }}"), **wishes)],
        hosts=("good", "fine"),
        answer=answer,
    )
    assert played.status == 2, played.output
    text = " ".join(played.output.split())
    assert "SAGE was not installed on 2 hosts. A rollback would do this" in text
    assert "Roll back all of them? [y/N]" in text
    assert "FAILED in python_deps: good, fine" in text
    assert ("undone nothing, as answered" in text) is not undone
    for host in ("good", "fine"):
        record = json.loads((tmp_path / host / ".sage/checkpoints/install_progress.json").read_text())
        assert record["failed_phases"] == ["python_deps"]
        assert record["can_rollback"] is not undone
        # Another run need not wait.
        assert json.loads((tmp_path / host / ".sage/checkpoints/lease.json").read_text())["held"] is False
        assert (tmp_path / host / ".sage/venv").exists() is not undone


def test_e16_the_checkout_shows_the_table_at_the_end() -> None:
    assert "callbacks_enabled = intellistream.sage.sage_closing" in (TOP / "ansible.cfg").read_text()
