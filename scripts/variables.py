"""Write the role's variables, as its argument specs describe them, into the tables of the READMEs.

variables.py            write the tables between the markers of README.md and README.zh-CN.md
variables.py --check    write nothing; exit with 1 and say so when a README is out of date

The Chinese descriptions are in docs/variables.zh.yml, each beside the English text it was made from: when that changes,
the translation has to be looked at again.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import re
import sys
from typing import Any, NamedTuple

import yaml

TOP = pathlib.Path(__file__).resolve().parent.parent
SPECS = TOP / "roles" / "sage" / "meta" / "argument_specs.yml"
CHINESE = TOP / "docs" / "variables.zh.yml"
BEGIN, END = "<!-- variables: begin (scripts/variables.py) -->", "<!-- variables: end -->"

# Ansible's semantic markup, O() V() P() RV() and the older C() M() E() I().
_MARKUP = re.compile(r"\b(?:O|V|P|RV|C|M|E|I)\(([^()]*)\)")


class Variable(NamedTuple):
    """One variable of the role."""

    name: str
    default: str
    choices: list[str]
    english: str


class Readme(NamedTuple):
    """A file with a table, and the words of its language."""

    path: pathlib.Path
    heading: tuple[str, str, str]
    one_of: str
    stop: str


READMES = (
    Readme(TOP / "README.md", ("Variable", "Default", "Meaning"), "One of {}.", " "),
    Readme(TOP / "README.zh-CN.md", ("变量", "默认值", "含义"), "可选:{}。", ""),
)


def variables(specs: dict[str, Any]) -> list[Variable]:
    """Every variable once, in the order of the specs."""
    found: dict[str, Variable] = {}
    for entry in specs["argument_specs"].values():
        for name, option in entry["options"].items():
            description = option["description"]
            text = " ".join([description] if isinstance(description, str) else description)
            default = option.get("default")
            shown = "" if default in (None, "") else default if isinstance(default, str) else json.dumps(default)
            found.setdefault(name, Variable(name, shown, option.get("choices", []), " ".join(text.split())))
    return list(found.values())


def translations(found: list[Variable], path: pathlib.Path) -> tuple[dict[str, str], list[str]]:
    """The Chinese descriptions, and what is wrong with them."""
    known: dict[str, dict[str, str]] = yaml.safe_load(path.read_text(encoding="utf-8"))
    wrong = [f"{path.name}: {name} is no variable" for name in known if name not in {one.name for one in found}]
    for one in found:
        translation = known.get(one.name)
        if translation is None:
            wrong.append(f"{path.name}: {one.name} is not translated")
        elif translation["en"] != one.english:
            wrong.append(f"{path.name}: {one.name} was translated from another text; it now reads: {one.english}")
    return {name: translation["zh"] for name, translation in known.items()}, wrong


def table(found: list[Variable], readme: Readme, texts: dict[str, str]) -> str:
    """The table in Markdown."""
    lines = ["| " + " | ".join(readme.heading) + " |", "|---|---|---|"]
    for one in found:
        text = texts.get(one.name, one.english)
        if one.choices:
            text += readme.stop + readme.one_of.format(", ".join(f"`{choice}`" for choice in one.choices))
        text = _MARKUP.sub(r"`\1`", text).replace("|", "\\|")
        default = f"`{one.default}`" if one.default else ""
        lines.append(f"| `{one.name}` | {default} | {text} |")
    return "\n".join(lines)


def replaced(old: str, new: str, name: str) -> str:
    """The text with another table between the markers."""
    if old.count(BEGIN) != 1 or old.count(END) != 1:
        sys.exit(f"{name}: needs exactly one {BEGIN} and one {END}")
    before, rest = old.split(BEGIN)
    return f"{before}{BEGIN}\n{new}\n{END}{rest.split(END)[1]}"


def main() -> int:
    """Write or check."""
    parser = argparse.ArgumentParser(description="Write the table of the role's variables into the READMEs.")
    parser.add_argument("--check", action="store_true", help="write nothing; fail when something is out of date")
    check = parser.parse_args().check
    found = variables(yaml.safe_load(SPECS.read_text(encoding="utf-8")))
    chinese, wrong = translations(found, CHINESE)
    for readme in READMES:
        old = readme.path.read_text(encoding="utf-8")
        texts = chinese if ".zh" in readme.path.name else {}
        new = replaced(old, table(found, readme, texts), readme.path.name)
        if new == old:
            continue
        if check:
            wrong.append(f"{readme.path.name}: its table of variables is out of date; run scripts/variables.py")
        else:
            readme.path.write_text(new, encoding="utf-8")
            print(f"wrote {readme.path.name}")
    for line in wrong:
        print(line, file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
