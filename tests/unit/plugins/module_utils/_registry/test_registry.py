# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The registry is the one place that names kinds."""

from __future__ import annotations

import ast
import pathlib
import re
import typing as t

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._base.by_name import ByName
from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import InputError
from ansible_collections.intellistream.sage.plugins.module_utils._registry import registry

UTILS = pathlib.Path(registry.__file__).parents[1]
# Those that a kind is made of, and the table.
OWN = {*(f"_{kind}" for kind in registry.KINDS), "_registry"}
# Installers work on environments, whether they are captured or not.
USERS = {"_installers"}


def kinds_named(source: str) -> list[str]:
    """The kinds that some code names: strings that are compared, passed on, returned, or listed as kinds.

    A string is no name of a kind where it is a key (C(facts["files"])), a part of a path, or a word of a command.
    """
    tree = ast.parse(source)
    other: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.Tuple, ast.List, ast.Set)) and not _only_kinds(node.elts):
            other.update(map(id, node.elts))
        elif isinstance(node, ast.Dict) and not _only_kinds(node.keys):
            other.update(map(id, node.keys))
        elif isinstance(node, ast.Subscript):
            other.add(id(node.slice))
        elif isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in ("get", "join"):
            other.update(map(id, node.args))
    return [
        str(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and node.value in registry.KINDS and id(node) not in other
    ]


def _only_kinds(nodes: t.Iterable[ast.expr | None]) -> bool:
    return all(isinstance(node, ast.Constant) and node.value in registry.KINDS for node in nodes)


def test_nothing_but_the_registry_and_the_kinds_themselves_names_a_kind() -> None:
    found = {
        f"{path.relative_to(UTILS)}: {kind}"
        for path in UTILS.rglob("*.py")
        if path.relative_to(UTILS).parts[0] not in OWN
        for kind in kinds_named(path.read_text())
    }
    assert found == set()


@pytest.mark.parametrize(
    "line",
    [
        'spec["kind"] == "files"',
        'kind in ("dpkg", "rpm")',
        '{"kind": "venv", "path": path}',
        'make("git", spec)',
        'def kind_here():\n    return "dpkg"',
        'BY_MANAGER = {"apt": "dpkg"}',
        'COMMANDS = {"dpkg": "apt-get install"}',
        'KIND = "rpm"',
        'def line(kind="venv"): ...',
    ],
)
def test_a_name_is_seen(line: str) -> None:
    assert kinds_named(line)


@pytest.mark.parametrize(
    "line",
    [
        'facts["files"] + facts.get("files", 0)',
        'os.path.join(root, "venv")',
        '[python, "-m", "venv", path]',
        '{"files": 1, "bytes": 2}',
        'run(["rpm", "-qf", path])',
    ],
)
def test_other_words_are_not(line: str) -> None:
    assert not kinds_named(line)


def test_the_engine_imports_no_kind() -> None:
    """Only the registry does, which also lists what Ansible is to send of each."""
    wrong = set()
    for path in UTILS.rglob("*.py"):
        folder, *_rest = path.relative_to(UTILS).parts
        if folder in OWN or folder in USERS:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom):
                named = {*str(node.module).split("."), *(alias.name for alias in node.names)}
                wrong |= {f"{path.relative_to(UTILS)}: {kind}" for kind in named & (OWN - {"_registry"})}
    assert wrong == set()


@pytest.mark.parametrize("path", ["here", "/a/../b", "/a\0b"])
@pytest.mark.parametrize("option", ["path", "link", "others"])
def test_every_path_of_a_kind_is_checked(monkeypatch: pytest.MonkeyPatch, option: str, path: str) -> None:
    options = {"link": {"type": "path"}, "others": {"type": "list", "elements": "path"}, "text": {"type": "str"}}
    kind = registry.find("git")
    assert kind is not None
    monkeypatch.setattr(type(kind), "options", {**kind.options, **options})
    spec = {"kind": "git", "path": "/w", "link": "/l", "others": ["/o"], "text": "../x"}
    registry.make(spec)
    with pytest.raises(InputError, match="'' is not an absolute path"):
        registry.make({**spec, "others": ["/o", ""]})
    with pytest.raises(InputError, match="is not an absolute path"):
        registry.make({**spec, option: ["/o", path] if option == "others" else path})


@pytest.mark.parametrize("name", registry.KINDS)
def test_a_kind_is_known_by_its_name(name: str) -> None:
    kind = registry.find(name)
    assert kind is not None
    assert kind.name == name
    assert set(kind.identity) <= set(kind.options)
    assert bool(kind.script) != bool(kind.by_hand({"changes": [{"name": "foo", "before": "1", "after": "2"}]}))


def test_an_alias_stands_for_the_kind_of_this_host(monkeypatch: pytest.MonkeyPatch) -> None:
    hosts = {"dpkg": False, "rpm": True}
    for name in hosts:
        kind = registry.find(name)
        assert kind is not None
        monkeypatch.setattr(type(kind), "here", lambda kind: hosts[kind.name])
    spec = {"kind": "packages", "packages": ["foo"]}
    assert registry.translated([spec, {"kind": "files"}]) == [{**spec, "kind": "rpm"}, {"kind": "files"}]
    hosts["dpkg"] = True
    assert registry.translated([spec])[0]["kind"] == "dpkg"
    hosts.update(dpkg=False, rpm=False)
    with pytest.raises(InputError, match="neither dpkg's nor rpm's packages"):
        registry.translated([spec])


def test_a_kind_that_is_not_carried_cannot_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry.KINDS, "gone", "_gone.resource:GoneKind")
    spec = {"kind": "gone", "path": "/x"}
    assert registry.find("gone") is None
    assert registry.make_if_carried(spec) is None
    assert registry.key(spec) == registry.key(dict(spec)) != registry.key({**spec, "path": "/y"})
    with pytest.raises(InputError, match="cannot be used here"):
        registry.make(spec)


def test_all_that_is_imported_by_name_is_there() -> None:
    names = {
        str(node.value)
        for path in UTILS.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and re.fullmatch(r"_\w+\.\w+:\w+", str(node.value))
    }
    assert len(names) >= 20
    for name in sorted(names):
        thing: ByName[object] = ByName(str(name))
        assert callable(thing.load()), name
