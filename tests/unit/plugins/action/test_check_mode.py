# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Check mode is asked of the task, wherever it was asked for, and a prediction undoes nothing."""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
import typing as t

import pytest

from ansible_collections.intellistream.sage.tests.unit.plugins.action.playing import TOP, play

ROLE = "intellistream.sage.sage"
LOOK: dict[str, t.Any] = {"intellistream.sage.sage_run_info": {}, "register": "run"}
SAY: dict[str, t.Any] = {"ansible.builtin.debug": {"msg": "{{ case }}: {{ run.check_mode }}"}}


def a_play(*tasks: dict[str, t.Any], **keywords: t.Any) -> dict[str, t.Any]:
    return {"hosts": "all", "gather_facts": False, "tasks": list(tasks), **keywords}


@pytest.mark.slow
@pytest.mark.parametrize("command_line", [False, True])
def test_e9_check_mode_is_asked_of_the_task(tmp_path: pathlib.Path, command_line: bool) -> None:
    plays = [
        a_play(LOOK, SAY, vars={"case": "nothing"}),
        a_play(LOOK, SAY, vars={"case": "play"}, check_mode=True),
        a_play(LOOK, SAY, vars={"case": "play off"}, check_mode=False),
        a_play({"block": [LOOK, SAY], "check_mode": True}, vars={"case": "block"}),
        a_play({**LOOK, "check_mode": True}, SAY, vars={"case": "task"}),
    ]
    played = play(tmp_path, plays, *(["--check"] if command_line else []))
    assert played.status == 0, played.output
    says = [line.partition("msg: ")[2].strip("'\"") for line in played.output.splitlines() if "msg: " in line]
    assert says == [f"nothing: {command_line}", "play: True", "play off: False", "block: True", "task: True"]


@pytest.mark.parametrize("folder", ["roles", "playbooks"])
def test_e9_nothing_trusts_the_command_line_alone(folder: str) -> None:
    paths = [path for path in (TOP / folder).rglob("*") if path.suffix in {".yml", ".j2"}]
    assert paths
    assert not [path for path in paths if "ansible_check_mode" in path.read_text()]


@pytest.mark.slow
def test_e9_a_prediction_that_fails_undoes_nothing(tmp_path: pathlib.Path) -> None:
    (tmp_path / "wheels").mkdir()
    wishes = {
        "sage_root": str(tmp_path / "root"),
        "sage_version": "0.3.2.99",
        "sage_no_index": True,
        "sage_find_links": [str(tmp_path / "wheels")],
    }
    install = {"ansible.builtin.include_role": {"name": ROLE}, "vars": wishes}
    played = play(tmp_path, [a_play(install, check_mode=True)])
    assert played.status == 2
    assert "SAGE would not be installed." in played.output
    assert "0.3.2.99" in played.output
    assert "rollback failed" not in played.output
    assert "Undo:  nothing, since this is check mode" in played.output
    assert not (tmp_path / "root").exists()


@pytest.mark.slow
def test_e9_what_a_clone_would_bring_is_said_not_to_be_foreseen(tmp_path: pathlib.Path) -> None:
    """There is no clone yet, and it was said to have no pyproject.toml."""
    repository = tmp_path / "repository"
    for arguments in (["init", "--quiet"], ["commit", "--quiet", "--allow-empty", "--message", "x"]):
        name = ["-c", "user.name=x", "-c", "user.email=x@x.example"]
        repository.mkdir(exist_ok=True)
        subprocess.run(["git", *name, *arguments], cwd=repository, check=True)
    wishes = {
        "sage_root": str(tmp_path / "root"),
        "sage_source": "git",
        "sage_repository": str(repository),
        "sage_no_index": True,
        "sage_find_links": [str(tmp_path)],
    }
    install: dict[str, t.Any] = {"ansible.builtin.include_role": {"name": ROLE}, "vars": wishes}
    played = play(tmp_path, [a_play(install)], "--check")
    assert played.status == 0, played.output
    said = " ".join(played.output.split())
    assert f"SAGE would be installed in {tmp_path}/root." in said
    assert f"{repository} at HEAD would be cloned into {tmp_path}/root/src." in said
    assert "What that changes among the distributions cannot be foreseen" in said
    assert "none would be changed" not in said
    assert not (tmp_path / "root").exists()


@pytest.mark.slow
def test_e9_a_predicted_rollback_reports_no_result(tmp_path: pathlib.Path) -> None:
    """The point is real and the rollback is not."""
    root = tmp_path / "root"
    root.mkdir()
    settings = root / "settings"
    settings.write_text("before")
    capture = {
        "intellistream.sage.sage_backup": {
            "root": str(root),
            "description": "before the change",
            "resources": [{"kind": "files", "paths": [str(settings)]}],
        },
        "register": "point",
    }
    change = {"ansible.builtin.copy": {"content": "after", "dest": str(settings), "mode": "0644"}}
    back: dict[str, t.Any] = {
        "ansible.builtin.include_role": {"name": ROLE, "tasks_from": "rollback.yml"},
        "vars": {
            "sage_root": str(root),
            "sage_assume_yes": True,
            "sage_rollback_to": "{{ point.rollback_point.id }}",
            "sage_rollback_force": True,
        },
    }
    played = play(tmp_path, [a_play(capture, change, {"block": [back], "check_mode": True})])
    assert played.status == 0, played.output
    assert "ROLLBACK to" in played.output
    assert "restored: " + str(settings) in played.output
    assert "RESULT" not in played.output
    assert settings.read_text() == "after"
    played = play(tmp_path, [a_play({**back, "vars": {**back["vars"], "sage_rollback_to": "last"}}, check_mode=False)])
    assert played.status == 0, played.output
    assert "RESULT" in played.output
    assert settings.read_text() == "before"


@pytest.mark.slow
def test_e27_what_is_there_already_is_not_said_to_be_finished_by_a_prediction(tmp_path: pathlib.Path) -> None:
    plan = {"distributions": [{"action": "keep"}], "installer": "pip", "known": True}
    told = {"phases": ["cleanup"], "plan": plan, "summary": True, "began": 1.5}
    tasks: list[dict[str, t.Any]] = [
        {"intellistream.sage.sage_outcome": told, "register": "outcome"},
        {"ansible.builtin.debug": {"msg": "{{ outcome.text }}"}},
    ]
    plays = [a_play(*tasks, check_mode=dry) for dry in (True, False)]
    played = play(tmp_path, plays)
    assert played.status == 0, played.output
    dry, real = [line for line in played.output.splitlines() if "Every distribution" in line]
    assert "none would be changed" in dry
    assert "finished" in real


@pytest.mark.slow
def test_e9_git_that_packages_would_bring_need_not_be_there(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    for directory in reversed(os.environ["PATH"].split(os.pathsep)):
        for program in pathlib.Path(directory).glob("*"):
            link = programs / program.name
            if program.name != "git" and os.access(program, os.X_OK):
                link.unlink(missing_ok=True)
                link.symlink_to(program)
    if shutil.which("git", path=os.pathsep.join(("/usr/local/sbin", "/usr/sbin", "/sbin"))):
        pytest.skip("git lies where Ansible looks whatever PATH says")
    monkeypatch.setenv("PATH", str(programs))

    def a_clone_of(repository: str, packages: list[str]) -> dict[str, t.Any]:
        request = {"checkpointing": False, "system_packages": packages, "repository_version": "main"}
        return a_play(
            {
                "ansible.builtin.include_role": {"name": ROLE, "tasks_from": "phases/submodule_sync.yml"},
                "vars": {
                    "__sage_request": request,
                    "__sage_run": {"check_mode": True},
                    "__sage_clone": str(tmp_path / "clone"),
                    "__sage_repository": repository,
                    "__sage_repository_login": "",
                },
            }
        )

    played = play(tmp_path, [a_clone_of("/a.git", ["git"]), a_clone_of("/b.git", [])], "--check")
    said = " ".join(played.output.split())
    assert "/a.git at main would be cloned into" in said, said
    assert "/b.git at main" not in said, said
    assert 'Failed to find required executable "git"' in said, said
    assert played.status == 2
