# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The shell of rollback.sh: each file says what it needs, a script has that and no more, and it gets to hosts."""

from __future__ import annotations

import base64
import pathlib
import re
import subprocess
import sys
import zipfile
import zlib

import pytest

from ansible_collections.intellistream.sage.plugins import module_utils
from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import StateError
from ansible_collections.intellistream.sage.plugins.module_utils._rollback_shell import sources
from ansible_collections.intellistream.sage.scripts.rollback_sh import every_part

FOLDER = pathlib.Path(sources.__file__).parent
NAMES = sorted(path.stem for path in FOLDER.glob("*.sh"))
DEFINED = re.compile(r"^(\w+)\(\) ", re.MULTILINE)
# Words that are no text in single quotes, no variable, and no file.
WORD = re.compile(r"(?<![$\w{])[a-z_]+(?![\w=])")
# What each script has, whatever it goes back with.
COMMON = {"settings", "answers", "names", "looking", "writing", "lease", "state", "run"}
PATHS = {"paths", "paths_judge", "paths_plan", "paths_work"}
LOADS = f"import sys; sys.path.insert(0, sys.argv[1])\nfrom {module_utils.__name__}._rollback_shell import sources\n"


def text(name: str) -> str:
    return (FOLDER / f"{name}.sh").read_text()


def by_function() -> dict[str, str]:
    """Name of a function → the file that has it."""
    return {function: name for name in NAMES for function in DEFINED.findall(text(name))}


def called(shell: str) -> set[str]:
    """The functions that are named in it, but in comments and in single quotes."""
    lines = [line for line in shell.splitlines() if not line.lstrip().startswith("#")]
    return set(WORD.findall(re.sub(r"'[^'\n]*'", "''", "\n".join(lines)))) & set(by_function())


def parts(script: bytes) -> set[str]:
    """The files that a script is made of."""
    return {by_function()[function] for function in DEFINED.findall(script.decode()) if function in by_function()} | {
        "settings"
    }


def archive(path: pathlib.Path, *endings: str) -> pathlib.Path:
    """All of module_utils with these endings as Ansible sends it: Python imports from the archive."""
    inside = module_utils.__name__.replace(".", "/")
    utils = FOLDER.parent
    with zipfile.ZipFile(path, "w") as sent:
        for depth in range(1, inside.count("/") + 2):
            sent.writestr("/".join([*inside.split("/")[:depth], "__init__.py"]), "")
        for folder in (folder for folder in utils.iterdir() if folder.is_dir()):
            sent.writestr(f"{inside}/{folder.name}/__init__.py", "")
        for ending in endings:
            for file in utils.rglob(f"*{ending}"):
                sent.writestr(f"{inside}/{file.relative_to(utils)}", file.read_bytes())
    return path


def run(sent: pathlib.Path, code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-I", "-c", LOADS + code, str(sent)], capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("name", NAMES)
def test_a_file_says_what_it_needs(name: str) -> None:
    header, dummy, dummy2 = text(name).partition("\n\n")
    assert header.startswith("# shellcheck shell=sh disable=")
    assert text(name).endswith(sources.source(name))
    needed = {by_function()[function] for function in called(text(name))} - {name}
    assert set(re.findall(r"(\w+)\.sh", header.replace("\n# ", " ").partition("Needs ")[2])) == needed


def test_no_function_is_defined_twice() -> None:
    functions = [function for name in NAMES for function in DEFINED.findall(text(name))]
    assert len(functions) == len(set(functions))


def test_every_file_is_for_something() -> None:
    assert parts(every_part()) == set(NAMES)


@pytest.mark.parametrize(
    ("kind", "interrupted", "needed"),
    [
        ("files", False, {*PATHS, "files"}),
        ("files", True, {*PATHS, "files", "paths_unsettled"}),
        ("git", False, {"removal", "git", "git_absent", "git_present"}),
        ("venv", False, {*PATHS, "removal", "venv", "venv_absent", "venv_present"}),
        ("", False, set()),
    ],
)
def test_a_script_has_what_it_needs_and_no_more(kind: str, interrupted: bool, needed: set[str]) -> None:
    script = every_part([kind], interrupted)
    assert parts(script) == COMMON | needed
    missing = called(script.decode()) - set(DEFINED.findall(script.decode()))
    assert missing <= {"unsettled_list"}, "only a change that was interrupted has that"
    assert "unsettled_list" not in missing or "unsettled=''\n" in script.decode()


def test_what_only_a_linter_needs_is_not_in_the_script() -> None:
    script = every_part().decode()
    assert script.count("# shellcheck shell=sh") == 0
    assert "Needs " not in script


def test_a_module_gets_them_from_the_controller(tmp_path: pathlib.Path) -> None:
    """Ansible sends nothing that is not Python."""
    sent = archive(tmp_path / "sent.zip", ".py")
    options = {sources.OPTION: sources.packed()}
    done = run(
        sent,
        f"options = {options!r}\nsources.receive(options)\nprint(options == {{}}, sources.everything() == "
        f"{sources.everything()!r}, sources.source('run') == {sources.source('run')!r})",
    )
    assert (done.stdout, done.stderr) == ("True True True\n", "")


def test_a_program_has_them_with_it(tmp_path: pathlib.Path) -> None:
    sent = archive(tmp_path / "sent.zip", ".py", ".sh")
    done = run(sent, f"sources.receive({{}})\nprint(sources.source('run') == {sources.source('run')!r})")
    assert (done.stdout, done.stderr) == ("True\n", "")


@pytest.mark.parametrize("option", [None, "", "no shell", base64.b64encode(zlib.compress(b"[")).decode()])
def test_a_module_without_them_says_so(tmp_path: pathlib.Path, option: str | None) -> None:
    """Before it does anything, whoever called it."""
    sent = archive(tmp_path / "sent.zip", ".py")
    done = run(sent, f"sources.receive({{{sources.OPTION!r}: {option!r}}})")
    assert done.returncode == 1
    assert "StateError: The shell that rollback.sh is made of " in done.stderr
    assert "Left as it was: everything. What to do: " in done.stderr


def test_no_script_is_written_with_a_part_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as one of a kind that the controller's collection does not have."""
    monkeypatch.setattr(sources, "_received", {"run.sh": text("run")})
    with pytest.raises(StateError, match=r"\(settings\.sh\) did not come with what runs here"):
        every_part()
