# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Names use the words of the glossary.

The glossary is the table under "Words" in docs/architecture.md. Its third column has words not to be used for a term:
none of them may be a part of the name of a file, a class, an option or a task. A term that contains such a word, like
"write-once", may be used as a whole. Besides, no two classes have the same name: a class is found by searching for it.

The folders of scripts/vague_names.py that are going to be rebuilt are left out.

    python scripts/words.py        # names that break a rule, one a line; ends with 1 when there are any
"""

from __future__ import annotations

import ast
import functools
import pathlib
import re
import sys
import typing as t

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[1]
GLOSSARY = ROOT / "docs" / "architecture.md"
EXEMPT = ("_dpkg", "_rpm", "_content", "_storage")
# Written in C where that is installed: ten times as fast.
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
# Classes that Ansible looks for by these names.
SHARED_CLASSES = ("ActionModule", "FilterModule", "ModuleDocFragment")
# Names that a user types and that stay, with the reason. (what it is, its name): why
ALLOWED: dict[tuple[str, str], str] = {}


class Term(t.NamedTuple):
    """A row of the glossary.

    :ivar names: the term, and other forms of it, in lower case.
    :ivar instead_of: words that are not used for it, in lower case.
    """

    names: tuple[str, ...]
    instead_of: tuple[str, ...]


class Name(t.NamedTuple):
    """A name that somebody chose.

    :ivar kind: C(file), C(class), C(option) or C(task).
    :ivar name: as it is written.
    :ivar place: where, for people.
    """

    kind: str
    name: str
    place: str

    @property
    def words(self) -> str:
        """The words it is made of, in lower case, with blanks around each."""
        apart = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", self.name)
        return f" {' '.join(re.findall(r'[a-z0-9]+', apart.lower()))} "


def glossary(text: str) -> list[Term]:
    """The terms of the table under "Words".

    :param text: of docs/architecture.md.
    :raises ValueError: there is no such table, or a row has not three columns.
    """
    section = re.search(r"(?ms)^## Words$(.*?)(?=^## |\Z)", text)
    rows = re.findall(r"(?m)^\|(.*)\|$", section[1]) if section else []
    terms = []
    for row in rows[2:]:
        columns = [column.strip() for column in row.split("|")]
        if len(columns) != 3:
            raise ValueError(f"not three columns: {row}")
        plain = [re.sub(r"[`()]", "", column).lower() for column in (columns[0], columns[2])]
        names, instead_of = ([word.strip() for word in column.split(",") if word.strip()] for column in plain)
        terms.append(Term(tuple(names), tuple(instead_of)))
    if not terms:
        raise ValueError('there is no table under "## Words"')
    return terms


@functools.cache
def files() -> list[Name]:
    """Names of files and folders that hold code or tasks."""
    paths = [
        path.relative_to(ROOT)
        for folder in ("plugins", "roles/sage/tasks", "playbooks", "scripts")
        for path in sorted((ROOT / folder).rglob("*"))
        if path.suffix in (".py", ".sh", ".yml") and not {"__pycache__", *EXEMPT} & set(path.parts)
    ]
    return [Name("file", "/".join(path.with_suffix("").parts[1:]), str(path)) for path in paths]


@functools.cache
def classes(*, exempt: bool = False) -> list[Name]:
    """Classes in the folders under the rule, or in those that are exempt from it."""
    return [
        Name("class", node.name, f"{path.relative_to(ROOT)}:{node.lineno}")
        for path in sorted((ROOT / "plugins").rglob("*.py"))
        if bool(set(EXEMPT) & set(path.parts)) is exempt
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef)
    ]


@functools.cache
def options() -> list[Name]:
    """Options of modules, suboptions and those that modules share too, and of the role."""
    names = []
    plugins = ROOT / "plugins"
    for path in sorted([*plugins.glob("doc_fragments/*.py"), *plugins.glob("modules/*.py")]):
        # A fragment is a class, and each of its constants a documentation.
        for text in re.findall(r'(?ms)^ *[A-Z]+ = r"""(\n.*?)"""', path.read_text(encoding="utf-8")):
            documented = _read_yaml(text)
            if isinstance(documented, dict) and "options" in documented:
                names += [Name("option", name, str(path.relative_to(ROOT))) for name in _options(documented["options"])]
    specs = ROOT / "roles" / "sage" / "meta" / "argument_specs.yml"
    for entry_point in _read_yaml(specs.read_text(encoding="utf-8"))["argument_specs"].values():
        documented = entry_point.get("options")
        names += [Name("option", name, str(specs.relative_to(ROOT))) for name in _options(documented)]
    return names


def _read_yaml(text: str) -> t.Any:
    return yaml.load(text, LOADER)  # noqa: S506 # a safe one


def _options(documented: t.Mapping[str, t.Any] | None) -> t.Iterator[str]:
    for name, option in (documented or {}).items():
        yield name
        yield from _options(option.get("suboptions") or option.get("options"))


@functools.cache
def tasks() -> list[Name]:
    """Names of tasks and plays."""
    names = []
    for path in [*sorted((ROOT / "roles/sage/tasks").rglob("*.yml")), *sorted((ROOT / "playbooks").glob("*.yml"))]:
        lines = enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        for number, line in lines:
            match = re.match(r"\s*-?\s*name: (.+)$", line)
            if match and not re.match(r"[a-z_]+(\.[a-z_]+)+$", match[1]):
                names.append(Name("task", match[1].strip("'\""), f"{path.relative_to(ROOT)}:{number}"))
    return names


def problems(terms: t.Iterable[Term], names: t.Iterable[Name]) -> list[str]:
    """What breaks the rules, for people."""
    lines = []
    spelt = [(term, [f" {' '.join(re.findall(r'[a-z0-9]+', standard))} " for standard in term.names]) for term in terms]
    for name in names:
        words_of_name = name.words
        for term, standards in spelt:
            words = words_of_name
            for standard in standards:
                words = words.replace(standard, " ")
            lines += [
                f"{name.place}: the {name.kind} {name.name!r} says {word!r}; the glossary says {term.names[0]!r}"
                for word in term.instead_of
                if f" {word} " in words and (name.kind, name.name) not in ALLOWED
            ]
    return lines


def shared_names(names: t.Sequence[Name], exempt: t.Iterable[Name] = ()) -> list[str]:
    """Classes that have the name of another, for people.

    :param exempt: classes that may share a name with each other, but not with I(names).
    """
    first = {name.name: name for name in exempt}
    return [
        f"{name.place}: there is another class {name.name} at {first[name.name].place}"
        for name in names
        if name.kind == "class" and name.name not in SHARED_CLASSES and name is not first.setdefault(name.name, name)
    ]


def check() -> list[str]:
    """Everything in this checkout that breaks a rule, for people."""
    names = [*files(), *classes(), *options(), *tasks()]
    return problems(glossary(GLOSSARY.read_text(encoding="utf-8")), names) + shared_names(names, classes(exempt=True))


if __name__ == "__main__":
    broken = check()
    sys.stdout.write("".join(f"{line}\n" for line in broken))
    sys.exit(bool(broken))
