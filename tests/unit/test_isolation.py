# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A Python of the host is run apart from the directory, the home and the settings of the user who runs it."""

from __future__ import annotations

import ast
import os
import pathlib
import subprocess
import sys
import typing as t
import venv

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PARTS = ("foundation", "stream", "runtime", "serving", "cli")
# Their -c is their own.
NOT_PYTHON = {"/bin/sh", "apt-get", "sh", "zstd"}


def _commands(path: pathlib.Path) -> t.Iterator[list[str]]:
    """The lists in some code that start a Python with a module or a text: their strings, others empty."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.List):
            words = [str(part.value) if isinstance(part, ast.Constant) else "" for part in node.elts]
            if {"-c", "-m"} & {*words} and words[0] not in NOT_PYTHON:
                yield words


def test_x7_every_python_that_is_started_is_isolated() -> None:
    commands = [(path.name, words) for path in sorted((ROOT / "plugins").rglob("*.py")) for words in _commands(path)]
    assert len(commands) >= 12
    assert [(name, words) for name, words in commands if "-I" not in words] == []


def test_x7_verification_sees_nothing_of_the_user(tmp_path: pathlib.Path) -> None:
    """The role's own commands, in a home and a directory with a SAGE and a usercustomize of the user's."""
    yaml, templating = pytest.importorskip("yaml"), pytest.importorskip("jinja2.nativetypes")
    environment = tmp_path / "venv"
    venv.create(environment, symlinks=True)
    (site,) = (environment / "lib").glob("python3.*/site-packages")
    for part in PARTS:
        (site / "sage" / part).mkdir(parents=True)
        (site / "sage" / part / "__init__.py").touch()
    script = environment / "bin" / "sage"
    script.write_text(f"#!{environment}/bin/python\nimport os, sage.cli\nprint('core : ok', os.path.expanduser('~'))\n")
    home, ran = tmp_path / "home", tmp_path / "ran"
    trap = f"import pathlib\npathlib.Path({str(ran)!r}).touch()\nraise SystemExit('not the SAGE that was installed')\n"
    user_site = home / ".local" / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
    for directory in (user_site, home, home / "sage"):
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "usercustomize.py").write_text(trap)
        (directory / "sitecustomize.py").write_text(trap)
    (home / "sage" / "__init__.py").write_text(trap)

    tasks = yaml.safe_load((ROOT / "roles/sage/tasks/phases/verification.yml").read_text())
    settings = yaml.safe_load((ROOT / "roles/sage/vars/main.yml").read_text())
    commands = [task["ansible.builtin.command"] for task in tasks if "ansible.builtin.command" in task]
    outputs = []
    for options in commands:
        # As ansible-core has it, a list stays a list.
        argv = templating.NativeEnvironment().from_string(options["argv"])
        done = subprocess.run(
            argv.render(__sage_venv=str(environment), __sage_no_home=settings["__sage_no_home"]),
            cwd=options.get("chdir", home),
            env={**os.environ, "HOME": str(home), "PYTHONPATH": str(home)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        outputs.append(done.stdout)
    assert outputs == ["", "core : ok /dev/null\n"]
    assert not ran.exists()
