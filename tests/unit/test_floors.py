# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The floors of the house: a folder of module_utils imports only what stands on a lower floor.

Wherever an import stands, it counts: at the top, in a function, in a branch, relative, by name. Imports for type
checkers only are free. What a host does not have, and what cannot be read where it stands, is refused.
scripts/floors.py has the table, docs/architecture.md shows it.
"""

from __future__ import annotations

import ast
import functools
import pathlib
import re
import typing as t

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._registry import registry
from ansible_collections.intellistream.sage.scripts import floors

TOP = pathlib.Path(__file__).resolve().parents[2]
UTILS = TOP / "plugins" / "module_utils"
COLLECTION = "ansible_collections.intellistream.sage"
PACKAGE = f"{COLLECTION}.plugins.module_utils"
FOR_TYPES = ("TYPE_CHECKING", "t.TYPE_CHECKING", "typing.TYPE_CHECKING")
# What _base/by_name.py imports.
BY_NAME = re.compile(r"_\w+\.\w+:\w+")
# Where the registry's table, or a kind that it leads to, says what is imported by name.
FROM_A_KIND = {
    "_kind.packages": "self.resource",
    "_registry.registry": "KINDS[name]",
    "_removal.plan": "kind.removal",
    "_reports.drift": "kind.drift if kind is not None else _PLAIN",
    "_rollback_shell.script": "kind.script",
    "_timeline.points": "copy.content",
}
FLOOR = {folder: number for number, folders in enumerate(floors.FLOORS, start=1) for folder in folders}


class _Imports(ast.NodeVisitor):
    """Collects what P(imported) returns."""

    def __init__(self, module: str) -> None:
        self.module = module
        self.names: list[str] = []

    def add(self, name: str) -> None:
        if f"{name}.".startswith(f"{PACKAGE}."):
            self.names.append(".".join(name[len(PACKAGE) + 1 :].split(".")[:2]))
        elif f"{name}.".startswith(f"{COLLECTION}."):
            self.names.append(name[len(COLLECTION) + 1 :])

    def visit_If(self, node: ast.If) -> None:
        # Spelling out each condition would take seconds.
        if not (isinstance(node.test, (ast.Name, ast.Attribute)) and ast.unparse(node.test) in FOR_TYPES):
            self.generic_visit(node)
            return
        for statement in node.orelse:
            self.visit(statement)

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self.add(alias.name)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        origin = _absolute(node, self.module)
        for alias in node.names:
            self.add(f"{origin}.{alias.name}")
            # By another name, its calls would not be seen.
            if alias.asname and alias.name in ("ByName", "import_module"):
                self.names.append(ast.unparse(node))

    def visit_Call(self, node: ast.Call) -> None:
        if _imports_module(node.func) and _elsewhere(node):
            return
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if called == "ByName" and not self._readable(node):
            self.names.append(ast.unparse(node))
        self.generic_visit(node)

    def _readable(self, node: ast.Call) -> bool:
        """Whether the target of a call of C(ByName) is a literal, which is seen as such, or one of a kind's."""
        target = node.args[0] if len(node.args) == 1 else ast.Constant(None)
        literal = isinstance(target, ast.Constant) and BY_NAME.fullmatch(str(target.value))
        return bool(literal) or ast.unparse(target) == FROM_A_KIND.get(self.module)

    def visit_Constant(self, node: ast.Constant) -> None:
        if BY_NAME.fullmatch(str(node.value)):
            self.names.append(str(node.value).partition(":")[0])

    def generic_visit(self, node: ast.AST) -> None:
        if _imports_module(node) and self.module != "_base.by_name":
            self.names.append(ast.unparse(node))
        super().generic_visit(node)


@functools.cache
def imported(source: str, module: str) -> list[str]:
    """What a module imports from this collection at run time.

    :param module: C(folder.module).
    :returns: C(folder.module) of module_utils. Of the rest of the collection, which no host has, the name with its dots
        from C(plugins) on; of an import whose target cannot be read, its code.
    """
    imports = _Imports(module)
    imports.visit(ast.parse(source))
    return imports.names


def _absolute(node: ast.ImportFrom, module: str) -> str:
    """From where a C(from) import takes its names, for relative ones, too."""
    if not node.level:
        return str(node.module)
    parts = [*PACKAGE.split("."), *module.split(".")][: -node.level]
    return ".".join([*parts, *([node.module] if node.module else [])])


def _imports_module(node: ast.AST) -> bool:
    return (isinstance(node, ast.Attribute) and node.attr == "import_module") or (
        isinstance(node, ast.Name) and node.id in ("import_module", "__import__")
    )


def _elsewhere(node: ast.Call) -> bool:
    """Whether the module that a call imports can be read, and is none of this collection: a package manager's."""
    target = node.args[0] if node.args else None
    return (
        isinstance(target, ast.Constant)
        and isinstance(target.value, str)
        and not target.value.startswith((".", "ansible_collections"))
    )


def upward(module: str, source: str) -> list[str]:
    """The imports of a module, C(folder.module), that go to its own floor or above, or nobody can say where."""
    folder = module.partition(".")[0]
    return [
        f"{module} -> {other}"
        for other in imported(source, module)
        for other_folder in [other.partition(".")[0]]
        if other_folder != folder and FLOOR.get(other_folder, 99) >= FLOOR[folder]
    ]


@functools.cache
def modules() -> dict[str, str]:
    """All modules, C(folder.module), with their sources."""
    return {".".join(path.relative_to(UTILS).with_suffix("").parts): path.read_text() for path in UTILS.rglob("*.py")}


def circle(graph: t.Mapping[str, t.Iterable[str]]) -> list[str]:
    """One circle of a graph, its first node again at the end; empty when there is none."""
    done: set[str] = set()
    path: list[str] = []

    def visit(node: str) -> list[str]:
        if node in path:
            return [*path[path.index(node) :], node]
        if node in done:
            return []
        path.append(node)
        for other in graph.get(node, ()):
            ring = visit(other)
            if ring:
                return ring
        done.add(path.pop())
        return []

    return next((ring for ring in map(visit, graph) if ring), [])


def test_every_folder_has_a_floor() -> None:
    assert {path.name for path in UTILS.iterdir() if path.name != "__pycache__"} == set(FLOOR)


def test_nothing_imports_from_its_own_floor_or_above() -> None:
    wrong = [arrow for module, source in modules().items() for arrow in upward(module, source)]
    assert not wrong, "\n".join(sorted(wrong))


def test_no_circle_inside_a_folder() -> None:
    graph = {module: sorted(set(imported(source, module))) for module, source in modules().items()}
    assert circle(graph) == []


def test_what_is_imported_exists() -> None:
    known = modules()
    missing = [
        f"{module} -> {other}"
        for module, source in known.items()
        for other in imported(source, module)
        if other not in known
    ]
    assert not missing, "\n".join(missing)


@pytest.mark.parametrize("name", registry.KINDS)
def test_what_a_kind_says_is_imported_by_name_is_a_literal_of_its_own(name: str) -> None:
    """So the test of the floors has seen it, though not where it is loaded."""
    assert f'    "{name}": "{registry.KINDS[name]}",\n' in modules()["_registry.registry"]
    kind = registry.find(name)
    assert kind is not None
    copies = [copy.content for copy in kind.plain_copies]
    targets = [kind.drift, kind.script, getattr(kind, "resource", ""), *copies]
    source = modules()[registry.KINDS[name].partition(":")[0]] + modules()["_kind.interface"]
    literals = {str(node.value) for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Constant)}
    assert all(target in literals and BY_NAME.fullmatch(target) for target in targets if target)


@pytest.mark.parametrize(
    "line",
    [
        "from {0}._undo import rollback",
        "from {0}._undo.rollback import go_back",
        "import {0}._undo.rollback",
        "def late():\n    from {0}._undo.rollback import go_back",
        "import typing as t\nif t.TYPE_CHECKING:\n    pass\nelse:\n    from {0}._undo import rollback",
        "from {0}._records import session",
        "UNDO: ByName[Undo] = ByName('_undo.rollback:go_back')",
        "UNDO = by_name.ByName('_undo.rollback:go_back')",
        "UNDO = ByName('_undo.' + 'rollback:go_back')",
        "UNDO = ByName(f'_{{folder}}.rollback:go_back')",
        "UNDO = ByName(kind.undo)",
        "UNDO = ByName(name='_undo.rollback' + ':go_back')",
        "from {0}._base.by_name import ByName as Late",
        "import typing as t\nif not t.TYPE_CHECKING:\n    from {0}._undo import rollback",
        "import typing as t\nif t.TYPE_CHECKING or late:\n    from {0}._undo import rollback",
        "from .._undo import rollback",
        "from .._undo.rollback import go_back",
        "from .. import _undo",
        "from {0} import _undo",
        "from ...plugin_utils import _events",
        "import importlib\nimportlib.import_module('{0}._undo.rollback')",
        "import importlib\nimportlib.import_module('.._undo.rollback', __package__)",
        "import importlib\nimportlib.import_module(name)",
        "import importlib\nload = importlib.import_module",
        "from importlib import import_module\nimport_module(name)",
        "from importlib import import_module as load",
        "__import__('{0}._undo.rollback')",
        "from ansible_collections.intellistream.sage.plugins.plugin_utils._events import Point",
        "from ansible_collections.intellistream.sage.plugins.modules import sage_venv",
        "from ansible_collections.intellistream.sage.plugins import module_utils",
        "import ansible_collections.intellistream.sage.plugins.modules.sage_venv",
    ],
)
def test_an_import_that_runs_up_is_seen(line: str) -> None:
    assert upward("_storage.store", line.format(PACKAGE))


@pytest.mark.parametrize(
    "line",
    [
        "from {0}._base import errors",
        "from {0}._storage import archive",
        "import typing as t\nif t.TYPE_CHECKING:\n    from {0}._undo import rollback",
        "import typing as t\nif t.TYPE_CHECKING:\n    from {0}.plugin_utils import _events",
        "from .._base import errors",
        "from . import archive",
        "import importlib\nrpm = importlib.import_module('rpm')",
        "ITEM: ByName[Item] = ByName('_content.item:Item')",
    ],
)
def test_an_import_that_runs_down_is_none(line: str) -> None:
    assert not upward("_storage.store", line.format(PACKAGE))


def test_a_circle_is_seen() -> None:
    assert circle({"a": ["b"], "b": ["c"], "c": ["b"]}) == ["b", "c", "b"]


def test_the_picture_is_that_of_the_table() -> None:
    text = floors.PAGE.read_text(encoding="utf-8")
    assert floors.page(text) == text, "run scripts/floors.py"


@pytest.mark.parametrize("page", sorted(path.name for path in (TOP / "docs").glob("*.md")))
def test_files_that_the_documentation_names_are_there(page: str) -> None:
    named = set(re.findall(r"`(_[a-z_]+/[a-z_]+\.(?:py|sh))`", (TOP / "docs" / page).read_text(encoding="utf-8")))
    assert not {name for name in named if not (UTILS / name).is_file()}
