# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The floors of the house: a folder of module_utils imports only what stands on a lower floor.

Wherever an import stands, it counts: at the top, in a function, in a branch, by name. Imports for type checkers
only are free.
scripts/floors.py has the table, docs/architecture.md shows it.
"""

from __future__ import annotations

import ast
import pathlib
import re
import typing as t

import pytest

from ansible_collections.intellistream.sage.scripts import floors

TOP = pathlib.Path(__file__).resolve().parents[2]
UTILS = TOP / "plugins" / "module_utils"
PACKAGE = "ansible_collections.intellistream.sage.plugins.module_utils"
# What _base/by_name.py imports.
BY_NAME = re.compile(r"_\w+\.\w+:\w+")
FLOOR = {folder: number for number, folders in enumerate(floors.FLOORS, start=1) for folder in folders}


def imported(source: str) -> list[str]:
    """What a file imports from module_utils at run time, as C(folder.module)."""
    names: list[str] = []

    def visit(node: ast.AST) -> None:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            for statement in node.orelse:
                visit(statement)
            return
        if isinstance(node, ast.ImportFrom) and f"{node.module}.".startswith(f"{PACKAGE}."):
            inside = str(node.module)[len(PACKAGE) + 1 :]
            names.extend([inside] if "." in inside else [f"{inside}.{alias.name}" for alias in node.names])
        elif isinstance(node, ast.Constant) and BY_NAME.fullmatch(str(node.value)):
            names.append(str(node.value).partition(":")[0])
        elif isinstance(node, ast.Import):
            names.extend(alias.name[len(PACKAGE) + 1 :] for alias in node.names if alias.name.startswith(f"{PACKAGE}."))
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(ast.parse(source))
    return names


def upward(module: str, source: str) -> list[str]:
    """The imports of a module, C(folder.module), that go to its own floor or above."""
    folder = module.partition(".")[0]
    return [
        f"{module} -> {other}"
        for other in imported(source)
        for other_folder in [other.partition(".")[0]]
        if other_folder != folder and FLOOR.get(other_folder, 99) >= FLOOR[folder]
    ]


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
    graph = {module: sorted(set(imported(source))) for module, source in modules().items()}
    assert circle(graph) == []


def test_what_is_imported_exists() -> None:
    known = modules()
    missing = [
        f"{module} -> {other}" for module, source in known.items() for other in imported(source) if other not in known
    ]
    assert not missing, "\n".join(missing)


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
