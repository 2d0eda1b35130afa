# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What Ansible sends to a host with each module: all that is imported, wherever the import stands."""

from __future__ import annotations

import ast
import pathlib

import pytest

PLUGINS = pathlib.Path(__file__).resolve().parents[4] / "plugins"
UTILS = "ansible_collections.intellistream.sage.plugins.module_utils"
GOES_BACK = {"_registry/carry_undos", "_files/undo", "_git/undo", "_venv/undo", "_venv/undo_whole", "_storage/archive"}
CAPTURES = {"_registry/carry_captures", "_files/capture", "_git/capture", "_venv/capture"}


def _named(path: pathlib.Path) -> set[str]:
    """The helpers that a file imports, as Ansible finds them."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(f"{UTILS}."):
            inside = str(node.module)[len(UTILS) + 1 :].replace(".", "/")
            found |= {inside} if "/" in inside else {f"{inside}/{alias.name}" for alias in node.names}
    return found


def carried(module: str) -> set[str]:
    """All helpers that a module carries."""
    found: set[str] = set()
    todo = _named(PLUGINS / "modules" / f"{module}.py")
    while todo:
        name = todo.pop()
        if name not in found:
            found.add(name)
            todo |= _named(PLUGINS / "module_utils" / f"{name}.py")
    return found


def test_the_one_call_of_a_rerun_only_looks() -> None:
    found = carried("sage_resume_info")
    assert (
        found
        & {
            *GOES_BACK,
            *CAPTURES,
            "_records/session",
            "_storage/store",
            "_timeline/points",
            "_undo/rollback",
            "_timeline/dates",
        }
        == set()
    )
    assert len(found) <= 30


@pytest.mark.parametrize("module", ["sage_venv", "sage_resolve", "sage_install", "sage_plan", "sage_wheelhouse"])
def test_what_installs_carries_no_record(module: str) -> None:
    assert not [name for name in carried(module) if name.startswith(("_records/", "_timeline/", "_undo/"))]


def test_what_records_carries_no_undo() -> None:
    found = carried("sage_checkpoint")
    assert (
        found & {*GOES_BACK, "_undo/rollback", "_undo/redo", "_pruning/prune", "_pruning/policy", "_timeline/dates"}
        == set()
    )
    assert found >= CAPTURES
    assert len(found) <= 64


@pytest.mark.parametrize("module", ["sage_backup", "sage_rollback", "sage_retention", "sage_deadman", "sage_hook"])
def test_what_captures_or_releases_carries_what_that_needs(module: str) -> None:
    assert carried(module) >= CAPTURES


@pytest.mark.parametrize("module", ["sage_backup", "sage_rollback"])
def test_what_goes_back_carries_what_that_needs(module: str) -> None:
    assert carried(module) >= GOES_BACK


def test_a_rollback_reads_dates() -> None:
    assert "_timeline/dates" in carried("sage_rollback")


@pytest.mark.parametrize("module", ["sage_venv", "sage_resolve", "sage_install"])
def test_installers_carry_no_engine(module: str) -> None:
    assert carried(module) & {"_records/session", "_records/ledger", "_storage/store"} == set()
