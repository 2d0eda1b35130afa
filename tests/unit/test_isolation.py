# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A Python of the host is run apart from the directory, the home and the settings of the user who runs it."""

from __future__ import annotations

import ast
import pathlib
import sys
import typing as t
import venv

import pytest

from ansible_collections.intellistream.sage.tests.unit.plugins.modules.running import run_module

ROOT = pathlib.Path(__file__).resolve().parents[2]
PARTS = ("foundation", "stream", "runtime", "serving", "cli")
# Their -c is their own.
NOT_PYTHON = {"/bin/sh", "apt-get", "at", "sh", "zstd"}


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


def test_x7_verification_sees_nothing_of_the_user(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
    [options] = [task["intellistream.sage.sage_verify"] for task in tasks if "intellistream.sage.sage_verify" in task]
    # As ansible-core has it, a list stays a list.
    commands = (
        templating.NativeEnvironment().from_string(repr(options["commands"])).render(__sage_venv=str(environment))
    )
    for name in ("HOME", "PYTHONPATH"):
        monkeypatch.setenv(name, str(home))
    monkeypatch.chdir(home)
    found = run_module(
        "sage_verify",
        root=str(tmp_path / "root"),
        record=False,
        venv=str(environment),
        imports=options["imports"],
        commands=commands,
    )
    assert found.get("output") == "core : ok /dev/null\n", found
    assert found["evidence"]["imports"] == [f"sage.{part}" for part in PARTS]
    assert not ran.exists()
