# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import sys
import typing as t

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._installers import interpreter
from ansible_collections.intellistream.sage.plugins.module_utils._installers import inventory as installers_inventory
from ansible_collections.intellistream.sage.plugins.module_utils._installers.inventory import Installed, is_exact
from ansible_collections.intellistream.sage.plugins.module_utils._installers.requirement import Pin

if t.TYPE_CHECKING:
    import pathlib

PYTHON = interpreter.probe(sys.executable)


class Environment:
    """An environment of nothing but metadata; calling it registers a distribution."""

    def __init__(self, path: pathlib.Path) -> None:
        self.path = str(path)
        self.site = path / "lib" / "python3.11" / "site-packages"

    def __call__(self, name: str, version: str, requires: t.Sequence[str] = (), origin: object = None) -> None:
        info = self.site / f"{name}-{version}.dist-info"
        info.mkdir(parents=True)
        lines = ["Metadata-Version: 2.1", f"Name: {name}", *(f"Requires-Dist: {one}" for one in requires)]
        (info / "METADATA").write_text("\n".join(lines) + "\n\nRequires-Dist: not-me\n")
        if origin is not None:
            (info / "direct_url.json").write_text(origin if isinstance(origin, str) else json.dumps(origin))


@pytest.fixture
def venv(tmp_path: pathlib.Path) -> Environment:
    return Environment(tmp_path)


def test_read(venv: Environment) -> None:
    assert installers_inventory.read("/nowhere") == {}
    venv("Some_Thing", "1.0")
    venv("local", "2.0", origin={"url": "file:///a%20b", "dir_info": {"editable": True}})
    venv("archive", "1", origin={"url": "https://x/y.whl", "archive_info": {}})
    venv("broken", "1", origin="{")
    venv("odd", "1", origin="[1]")
    venv("twice", "1")
    venv("twice", "2")
    found = installers_inventory.read(venv.path)
    assert {name: have[1:2] + have[3:6] for name, have in found.items()} == {
        "some-thing": ("1.0", False, None, False),
        "local": ("2.0", False, "/a b", True),
        "archive": ("1", False, None, False),
        "broken": ("1", False, None, False),
        "odd": ("1", False, None, False),
        "twice": (found["twice"].version, True, None, False),
    }


@pytest.mark.parametrize(
    ("pin", "have", "expected"),
    [
        (Pin("a", "1.0"), None, False),
        (Pin("a", "1.0"), Installed("a", "1.0.0", ""), True),
        (Pin("a", "1.0"), Installed("a", "1.1", ""), False),
        (Pin("a", "1.0"), Installed("a", "1.0", "", twice=True), False),
        (Pin("a", "1.0"), Installed("a", "1.0", "", source="/x"), False),
        (Pin("a", "1.0", path="/x"), Installed("a", "1.0", ""), False),
        (Pin("a", "1.0", path="/x"), Installed("a", "1.0", "", source="/x"), False),
        (Pin("a", "1.0", path="/x", editable=True), Installed("a", "1.0", "", source="/x", editable=True), True),
        (Pin("a", None, path="/x", editable=True), Installed("a", "1.0", "", source="/x", editable=True), True),
        (Pin("a", "2.0", path="/x", editable=True), Installed("a", "1.0", "", source="/x", editable=True), False),
        (Pin("a", "1.0", path="/y", editable=True), Installed("a", "1.0", "", source="/x", editable=True), False),
        (Pin("a", "1.0", path="/x", editable=True), Installed("a", "1.0", "", source="/x"), False),
    ],
)
def test_is_exact(monkeypatch: pytest.MonkeyPatch, pin: Pin, have: Installed | None, expected: bool) -> None:
    monkeypatch.setattr(installers_inventory, "is_whole", lambda have: not have.twice)
    assert is_exact(pin, have) is expected


def test_is_whole(venv: Environment, tmp_path: pathlib.Path) -> None:
    venv("a", "1")
    have = installers_inventory.read(venv.path)["a"]
    assert not installers_inventory.is_whole(have), "without RECORD"
    site = tmp_path / "lib" / "python3.11" / "site-packages"
    (site / "a-1.dist-info" / "RECORD").write_text(
        'a-1.dist-info/RECORD,,\n"b,c.py",,\n__pycache__/d.cpython-311.pyc,,\n'
    )
    assert not installers_inventory.is_whole(have), "without one of its files"
    (site / "b,c.py").write_text("")
    assert installers_inventory.is_whole(have)
    assert not installers_inventory.is_whole(have._replace(twice=True))


def test_closure(venv: Environment) -> None:
    venv("isage", "1", ["Dep.One>=1", "never ; python_version < '3'", "more ; extra == 'full'", "odd ; nonsense ~ 1"])
    venv("dep_one", "1", ["isage", "deep[x]"])
    venv("deep", "1", ["deepest ; extra == 'x'", "missing"])
    for name in ("deepest", "never", "more", "odd", "unrelated", "not_me"):
        venv(name, "1")
    inventory = installers_inventory.read(venv.path)
    plain = ["deep", "deepest", "dep-one", "isage"]
    assert sorted(installers_inventory.closure(["isage"], inventory, PYTHON, {})) == plain
    assert sorted(installers_inventory.closure(["isage", "isage[full]"], inventory, PYTHON, {})) == [*plain, "more"]
    new = {"isage": Pin("isage", "2", requires=("unrelated", "new")), "new": Pin("new", "1")}
    assert sorted(installers_inventory.closure(["isage"], inventory, PYTHON, new)) == ["isage", "new", "unrelated"]
    # uv does not tell what the new version needs.
    assert sorted(installers_inventory.closure(["isage"], inventory, PYTHON, {"isage": Pin("isage", "2")})) == plain
