"""The floors of plugins/module_utils: one table for the test that holds them and for the picture in the documentation.

floors.py          writes the picture and the table into docs/architecture.md, between its two marks
floors.py --check  says whether they are what the table says
"""

from __future__ import annotations

import pathlib
import sys

PAGE = pathlib.Path(__file__).resolve().parents[1] / "docs" / "architecture.md"
BEGIN, END = "<!-- floors: written by scripts/floors.py -->\n", "<!-- end of floors -->\n"

# From the ground up: a folder imports only what stands on a lower floor.
FLOORS: tuple[dict[str, str], ...] = (
    {"_base": "general helpers that know nothing of the project: errors, clock, commands, names, redaction"},
    {
        "_filesystem": "safe access: private directories, trees by descriptor, atomic and write-once files, the lock",
        "_kind": "the interface of a kind of resource: what it is, its undo, its lines in scripts and reports",
        "_maintenance": "a maintenance window: estimates, and whether a phase and its undo fit",
    },
    {
        "_content": "one captured path and the list of them: taken in, checked, put back, set aside",
        "_footprint": "what a change touched, by looking: tables of a tree",
    },
    {"_storage": "where captures lie, and archives of them", "_git": "the kind git"},
    {
        "_records": "the ledger, what it folds to, sessions on it; who may begin here",
        "_files": "the kind files",
        "_venv": "the kind venv",
        "_dpkg": "the kind dpkg",
        "_rpm": "the kind rpm",
    },
    {
        "_registry": "which kinds there are; what a module carries of them",
        "_fleet": "two-phase commit: the decision log and deciding, and a host's part in it",
        "_installers": "pip and uv: resolve, write lock files, install exactly what was resolved",
    },
    {
        "_timeline": "rollback points, targets, dates",
        "_plans": "one plan and its wheels for all hosts of a kind",
    },
    {"_rollback_shell": "rollback.sh: rendered, kept in step with the record"},
    {
        "_undo": "going back: plan, execute, verify, redo",
        "_pruning": "what is kept: policy, sizes, removing",
    },
    {"_deadman_switch": "the switch, its program, its mark; processes that a lost controller left"},
    {"_calls": "one file per call of a module: options, run, checkpoint, backup, rollback, verdict"},
    {
        "_reports": "what sage_checkpoint_info tells",
        "_hooks": "captures around apt and dnf outside Ansible",
    },
    {
        "_removal": "removing SAGE from a host: what goes, what stays, in which order",
        "_fsck": "what sage_check does: the record, its store and the host looked at and mended",
    },
)


def picture() -> str:
    """The floors as a Mermaid diagram, the top floor first, and as a table."""
    lines = ["```mermaid", "flowchart TB"]
    for number, folders in reversed(list(enumerate(FLOORS, start=1))):
        lines += [f'  subgraph floor{number}["{number}"]', "    direction LR"]
        lines += [f'    {folder}["{folder}"]' for folder in folders]
        lines += ["  end"]
    lines += [f"  floor{number} --> floor{number - 1}" for number in range(len(FLOORS), 1, -1)]
    lines += ["```", "", "| floor | folder | holds |", "|---|---|---|"]
    for number, folders in reversed(list(enumerate(FLOORS, start=1))):
        lines += [f"| {number} | `{folder}/` | {purpose} |" for folder, purpose in folders.items()]
    return "\n".join(lines) + "\n"


def page(text: str) -> str:
    """The page with the picture as it has to be."""
    before, begin, rest = text.partition(BEGIN)
    _old, end, after = rest.partition(END)
    if not begin or not end:
        sys.exit(f"{PAGE.name} has not both marks of the picture")
    return f"{before}{BEGIN}\n{picture()}\n{END}{after}"


def main() -> int:
    """Write the page, or compare it."""
    text = PAGE.read_text(encoding="utf-8")
    if sys.argv[1:] == ["--check"]:
        if page(text) != text:
            print(f"{PAGE.name} is behind: run scripts/floors.py")
            return 1
        return 0
    PAGE.write_text(page(text), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
