# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What hooks are told, and the one file they are; that they work is shown in tests/system."""

from __future__ import annotations

import ast
import functools
import hashlib
import io
import json
import pathlib
import subprocess
import sys
import zipfile
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._base import zipapp
from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import InputError, StateError
from ansible_collections.intellistream.sage.plugins.module_utils._hooks import files, places, program
from ansible_collections.intellistream.sage.plugins.module_utils._rollback_shell import sources as script_sources

if TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.plugin_utils._structures import HookSettings

HEAD = "VERSION 3\nAPT::Architecture=amd64\nDir=/\nCommandLine::AsString=apt-get%20install%20foo\n\n"
SETTINGS: HookSettings = {
    "root": "/opt/sage",
    "checkpoint_dir": None,
    "lock_timeout": 60,
    "repackage_dir": None,
    "strict": False,
}


def change(name: str, arch: str, before: str | None, after: str | None) -> dict[str, Any]:
    return {"name": name, "arch": arch, "before": before, "after": after}


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("foo 1 all none < 2 all none /var/cache/apt/archives/foo_2_all.deb", change("foo", "all", "1", "2")),
        ("foo 1 all none < 2 all none /a path/foo 2.deb", change("foo", "all", "1", "2")),
        ("goo - - none < 1 amd64 same /x/goo_1.deb", change("goo", "amd64", None, "1")),
        ("old 1:1~rc1 all none > - - none **REMOVE**", change("old", "all", "1:1~rc1", None)),
        ("foo 2 all none > 1 all none /x/foo_1.deb", change("foo", "all", "2", "1")),
        ("foo 1 all none = 1 all none /x/foo_1.deb", change("foo", "all", "1", "1")),
        ("foo 1 all none < 2 amd64 none /x/foo_2.deb", change("foo", "all", "1", "2")),
        ("foo 1 i386 same < 2 i386 same /x/foo_2.deb", change("foo", "i386", "1", "2")),
    ],
)
def test_a_line_of_apt(line: str, wanted: dict[str, Any]) -> None:
    run = program.read_apt(f"{HEAD}{line}\n")
    file = line.split(" ", 8)[8]
    if wanted["after"] is not None:
        wanted = {**wanted, "file": file}
    assert (run.command, run.changes, run.elsewhere) == ("apt-get install foo", [wanted], False)


def test_each_package_is_told_once() -> None:
    """It is unpacked, then configured; two architectures are two packages."""
    lines = [
        "foo 1 amd64 same < 2 amd64 same /x/foo_2_amd64.deb",
        "foo 1 i386 same < 2 i386 same /x/foo_2_i386.deb",
        "foo 1 amd64 same < 2 amd64 same **CONFIGURE**",
        "foo 1 i386 same < 2 i386 same **CONFIGURE**",
    ]
    run = program.read_apt(HEAD + "\n".join(lines) + "\n")
    assert run.changes == [
        {**change("foo", arch, "1", "2"), "file": f"/x/foo_2_{arch}.deb"} for arch in ("amd64", "i386")
    ]


@pytest.mark.parametrize(
    "text", ["", "VERSION 2\n\n", "Dir=/\n\n", f"{HEAD}foo 1 all < 2 all /x/foo.deb\n", f"{HEAD}/x/foo.deb\n"]
)
def test_what_apt_never_said(text: str) -> None:
    with pytest.raises(InputError):
        program.read_apt(text)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"command": "x"}', '{"command": "x", "changes": [1]}'])
def test_what_the_plugin_never_said(text: str) -> None:
    with pytest.raises(InputError):
        program.read_dnf(text)


def test_what_the_plugin_says() -> None:
    changes = [change("foo", "noarch", "1-1", "1:2-1")]
    run = program.read_dnf(json.dumps({"command": "dnf upgrade", "changes": changes}))
    assert (run.command, run.changes, run.elsewhere) == ("dnf upgrade", changes, False)


@functools.cache
def program_file() -> bytes:
    return files.build_program(SETTINGS)


def sources(program: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(program)) as content:
        return {name: content.read(name) for name in content.namelist()}


def test_the_program_is_always_the_same() -> None:
    built = program_file()
    assert built.startswith(b"#!/usr/bin/python3 -I\nPK")
    assert files.build_program(SETTINGS) == built
    assert files.build_program({**SETTINGS, "strict": True}) != built


def test_the_program_needs_nothing_but_the_standard_library() -> None:
    """Nor what it does not need: no installer, no module."""
    found = sources(program_file())
    names = {"/".join(pathlib.PurePath(name).with_suffix("").parts[-2:]) for name in found}
    carried = {"_records/session", "_timeline/points", "_dpkg/resource", "_dpkg/undo", "_rpm/resource", "_rpm/undo"}
    assert {*carried, "_registry/carry_undos"} <= names
    assert {f"_rollback_shell/{file}" for file in script_sources.everything()} <= {
        "/".join(pathlib.PurePath(name).parts[-2:]) for name in found
    }
    assert not {"_calls/run", "_calls/respawn", "_hooks/install", "_installers/find_uv", "_installers/plan"} & names
    for name, text in found.items():
        if name.endswith(".sh"):
            continue
        for node in ast.walk(ast.parse(text)):
            modules = []
            if isinstance(node, ast.ImportFrom):
                modules = [node.module or ""]
            elif isinstance(node, ast.Import):
                modules = [alias.name for alias in node.names]
            assert not [one for one in modules if one.split(".")[0] == "ansible"], name


def test_the_program_is_the_same_from_what_ansible_sends(tmp_path: pathlib.Path) -> None:
    """A module's files come in an archive, which Python imports from."""
    utils = pathlib.Path(files.__file__).parents[1]
    inside = "ansible_collections/intellistream/sage/plugins/module_utils"
    with zipfile.ZipFile(tmp_path / "sent.zip", "w") as sent:
        for depth in range(1, inside.count("/") + 2):
            sent.writestr("/".join([*inside.split("/")[:depth], "__init__.py"]), "")
        for folder in (path for path in utils.iterdir() if path.is_dir()):
            sent.writestr(f"{inside}/{folder.name}/__init__.py", "")
        for path in utils.rglob("*.py"):
            sent.writestr(f"{inside}/{path.relative_to(utils)}", path.read_bytes())
    code = (
        "import hashlib, sys; sys.path.insert(0, sys.argv[1])\n"
        "from ansible_collections.intellistream.sage.plugins.module_utils._rollback_shell import sources\n"
        f"sources.receive({{sources.OPTION: {script_sources.packed()!r}}})\n"
        "from ansible_collections.intellistream.sage.plugins.module_utils._hooks import files\n"
        f"print(hashlib.sha256(files.build_program({SETTINGS!r})).hexdigest())"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", code, str(tmp_path / "sent.zip")], check=True, capture_output=True, text=True
    )
    built = program_file()
    assert done.stdout.strip() == hashlib.sha256(built).hexdigest()


def test_what_was_not_sent_is_named() -> None:
    sent = {"_a.b": b"from ansible_collections.intellistream.sage.plugins.module_utils._c.d import e\n"}
    with pytest.raises(StateError, match=r"needs _c\.d, which"):
        zipapp.closure("_a.b", sent.get)


@pytest.mark.parametrize("strict", [False, True])
def test_the_plugin_is_python(strict: bool) -> None:
    text = files.DNF_PLUGIN.format(program=json.dumps("/opt/sage/.sage/hook.pyz"), strict=strict, mark="0a1b2c3d")
    tree = ast.parse(text)
    values = {
        node.targets[0].id: ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
    assert values == {"PROGRAM": "/opt/sage/.sage/hook.pyz", "STRICT": strict}


@pytest.mark.parametrize("root", ["/a b", "/a;b", "/a'b", '/a"b', "/a$b", "/a\nb", "/ä"])
def test_a_root_that_a_shell_or_apt_would_misread(root: str) -> None:
    with pytest.raises(InputError):
        places.program_path(root)


def test_a_usual_root() -> None:
    assert places.program_path("/opt//sage_2/") == "/opt/sage_2/.sage/hook.pyz"
