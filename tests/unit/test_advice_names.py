# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""K11: an error names what its reader can set: the role's variables, whose names of modules lack C(sage_)."""

from __future__ import annotations

import ast
import pathlib
import re
import typing as t

import pytest

TOP = pathlib.Path(__file__).parents[2]
PLUGINS = TOP / "plugins"
# Names of several words, and those that are marked. What is followed by = is an argument of a module in a command.
_WORD = re.compile(r"(?<![\w./\[<-])[a-z]+(?:_[a-z]+)+(?![\w(<\]=])")
_MARKED = re.compile(r"`([a-z_]+)`")

# Keywords of plays, which the role has variables for as well.
_OF_PLAYS = {"max_fail_percentage"}


def _messages(path: pathlib.Path) -> t.Iterator[tuple[int, str]]:
    """Line and text of what people may read: strings of several words that are no docstring."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef))
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            if " " in node.value and "\n" not in node.value:
                yield node.lineno, node.value


def _variables() -> set[str]:
    """The role's variables."""
    text = (TOP / "roles/sage/meta/argument_specs.yml").read_text(encoding="utf-8")
    return set(re.findall(r"^      (sage_\w+):", text, re.MULTILINE))


def _options() -> set[str]:
    """Options of modules that a user gives as a variable of the role."""
    return {name[len("sage_") :] for name in _variables()}


@pytest.mark.parametrize("folder", ["module_utils", "plugin_utils", "action"])
def test_k11_messages_name_variables_of_the_role(folder: str) -> None:
    """The advice for a full disk said repackage_dir, and the user's variable is sage_repackage_dir."""
    options = _options()
    assert "repackage_dir" in options
    wrong = [
        f"{path.relative_to(PLUGINS)}:{line}: {word} in {text!r}"
        for path in sorted((PLUGINS / folder).rglob("*.py"))
        for line, text in _messages(path)
        for word in [*_WORD.findall(text), *_MARKED.findall(text)]
        if word in options and f"sage_{word}" not in text and "the module" not in text.lower() and word not in _OF_PLAYS
    ]
    assert wrong == []


@pytest.mark.parametrize("folder", ["module_utils", "plugin_utils", "action"])
def test_k11_every_variable_that_a_message_names_is_there(folder: str) -> None:
    names = {
        *_variables(),
        *(path.stem for kind in ("modules", "filter", "callback") for path in (PLUGINS / kind).iterdir()),
        *(path.stem for path in (TOP / "playbooks").iterdir()),
    }
    wrong = [
        f"{path.relative_to(PLUGINS)}:{line}: {word} in {text!r}"
        for path in sorted((PLUGINS / folder).rglob("*.py"))
        for line, text in _messages(path)
        for word in re.findall(r"(?<![\w.{-])sage_[a-z_]+\b(?!\()", text)
        if word not in names
    ]
    assert wrong == []
