# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How many names of variables and parameters say nothing about what they hold.

Counted is every name that code binds, once in each scope: parameters; targets of assignments, ``for``, ``with``,
``except`` and ``:=``; fields of a class, and the attributes its methods give to ``self``, once per class. A function, a
class, a comprehension and a module are scopes. Not counted are ``self``, ``cls``, ``dummy`` and ``_``, which nobody
chose, and what ``import``, ``def`` and ``class`` bind: those name modules, functions and types.

Vague is a name that is one of these words, with or without underscores around it:

- pronouns, adverbs, verbs: one found there here now then known kept wanted why left told said taken gone given done
  have has got want wants again what how where when who whom whose which rest this that these those thing things stuff
  some both;
- what they turn into when nobody thinks: item items entry entries value values element elements obj tmp.

The rule of CONTRIBUTING.md: of all names in the folders under it, fewer than 2 % are vague. Under the rule are
``plugins/modules``, ``action``, ``plugin_utils``, ``filter`` and ``module_utils``, but not those of its folders that
``EXEMPT`` names: they are going to be rebuilt.

    python scripts/vague_names.py                  # the figures; ends with 1 when the rule is broken
    python scripts/vague_names.py --list FOLDER    # the places, for instance --list plugins/module_utils/_git
"""

from __future__ import annotations

import argparse
import ast
import collections
import functools
import pathlib
import re
import sys
import typing as t

ROOT = pathlib.Path(__file__).resolve().parents[1]
FOLDERS = ("plugins/modules", "plugins/action", "plugins/plugin_utils", "plugins/filter")
EXEMPT = ("_dpkg", "_rpm", "_content", "_storage")
NOT_CHOSEN = ("self", "cls", "dummy", "_")
LIMIT = 2.0  # percent


class Binding(t.NamedTuple):
    """A name that is bound in a scope.

    :ivar line: of the first place, from 1.
    """

    name: str
    line: int

    @property
    def vague(self) -> bool:
        """Whether the name is on the list."""
        return self.name.strip("_") in vague_words()


@functools.cache
def vague_words() -> frozenset[str]:
    """The two lists of the module's docstring."""
    lists = re.findall(r"^- [^:]+: ([^;.]+)[;.]$", __doc__, re.MULTILINE)
    return frozenset(word for words in lists for word in words.split())


class _Scopes(ast.NodeVisitor):
    """Collects what is bound, scope by scope."""

    def __init__(self) -> None:
        self.bindings: list[Binding] = []
        self._scopes: list[dict[str, int]] = []
        self._classes: list[dict[str, int]] = []

    def within(self, visit: t.Callable[[], None]) -> None:
        """Run I(visit) in a new scope."""
        self._scopes.append({})
        visit()
        self.bindings += [Binding(name, line) for name, line in self._scopes.pop().items()]

    def _bind(self, name: str, line: int) -> None:
        if name not in NOT_CHOSEN:
            self._scopes[-1].setdefault(name, line)

    def visit(self, node: ast.AST) -> None:
        """Take in the node and what is below it."""
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            self._function(node)
        elif isinstance(node, (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)):
            self._comprehension(node)
        else:
            super().visit(node)

    def visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Store):
            self._bind(node.id, node.lineno)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        to_self = isinstance(node.ctx, ast.Store) and isinstance(node.value, ast.Name) and node.value.id == "self"
        if to_self and self._classes:
            self._classes[-1].setdefault(node.attr, node.lineno)
        self.visit(node.value)

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> None:
        if node.name:
            self._bind(node.name, node.lineno)
        self.generic_visit(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        for expression in [*node.decorator_list, *node.bases]:
            self.visit(expression)

        def body() -> None:
            self._classes.append(self._scopes[-1])
            for statement in node.body:
                self.visit(statement)
            self._classes.pop()

        self.within(body)

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) -> None:
        arguments = node.args
        decorators = [] if isinstance(node, ast.Lambda) else node.decorator_list
        for expression in [*decorators, *arguments.defaults, *filter(None, arguments.kw_defaults)]:
            self.visit(expression)
        parameters = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
        parameters += filter(None, (arguments.vararg, arguments.kwarg))

        def body() -> None:
            for parameter in parameters:
                self._bind(parameter.arg, parameter.lineno)
            for statement in [node.body] if isinstance(node, ast.Lambda) else node.body:
                self.visit(statement)

        self.within(body)

    def _comprehension(self, node: ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp) -> None:
        first, *others = node.generators
        self.visit(first.iter)

        def body() -> None:
            for generator in (first, *others):
                if generator is not first:
                    self.visit(generator.iter)
                self.visit(generator.target)
                for condition in generator.ifs:
                    self.visit(condition)
            for expression in (node.key, node.value) if isinstance(node, ast.DictComp) else (node.elt,):
                self.visit(expression)

        self.within(body)


def bindings(source: str) -> list[Binding]:
    """All names that a module binds, in the order of their lines.

    :param source: Python.
    :raises SyntaxError: it is none.
    """
    tree, scopes = ast.parse(source), _Scopes()
    scopes.within(lambda: scopes.generic_visit(tree))
    return sorted(scopes.bindings, key=lambda binding: binding.line)


def folders() -> dict[str, bool]:
    """Every folder with modules below the root, and whether it is under the rule."""
    utils = ROOT / "plugins" / "module_utils"
    kinds = sorted(path.name for path in utils.iterdir() if path.is_dir() and any(path.glob("*.py")))
    under = {f"plugins/module_utils/{name}": name not in EXEMPT for name in kinds}
    if any(utils.glob("*.py")):
        under["plugins/module_utils"] = True
    return {**under, **dict.fromkeys((folder for folder in FOLDERS if (ROOT / folder).is_dir()), True)}


def places(folder: str) -> list[tuple[str, Binding]]:
    """The names bound in the modules of a folder, with the file they are in."""
    return [
        (path.relative_to(ROOT).as_posix(), binding)
        for path in sorted((ROOT / folder).glob("*.py"))
        for binding in bindings(path.read_text(encoding="utf-8"))
    ]


def main(arguments: t.Sequence[str] | None = None) -> int:
    """Print the figures, or the places; returns the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--list", metavar="FOLDER", help="name the places in a folder instead")
    options = parser.parse_args(arguments)
    if options.list:
        for path, binding in places(options.list.strip("/")):
            if binding.vague:
                print(f"{path}:{binding.line}: {binding.name}")
        return 0
    sums: dict[bool, collections.Counter[str]] = {True: collections.Counter(), False: collections.Counter()}
    for folder, under_the_rule in folders().items():
        names = [binding for dummy, binding in places(folder)]
        counted = {"all": len(names), "vague": sum(binding.vague for binding in names)}
        sums[under_the_rule].update(counted)
        print(_line(folder + ("" if under_the_rule else " (exempt)"), counted))
    print(_line("the folders under the rule", sums[True]))
    print(_line("all folders", sums[True] + sums[False]))
    return int(_share(sums[True]) >= LIMIT)


def _share(counted: t.Mapping[str, int]) -> float:
    return 100 * counted["vague"] / max(counted["all"], 1)


def _line(label: str, counted: t.Mapping[str, int]) -> str:
    return f"{label:48} {counted['vague']:5} of {counted['all']:5}  {_share(counted):5.1f} %"


if __name__ == "__main__":
    sys.exit(main())
