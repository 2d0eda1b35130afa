# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What Ansible sends to a host with each module: all that is imported, wherever the import stands."""

from __future__ import annotations

import ast
import functools
import pathlib
import re
import typing as t

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._base import zipapp
from ansible_collections.intellistream.sage.plugins.module_utils._deadman_switch import program as deadman_program
from ansible_collections.intellistream.sage.plugins.module_utils._hooks import program as hooks_program

if t.TYPE_CHECKING:
    import types

PLUGINS = pathlib.Path(__file__).resolve().parents[4] / "plugins"
UTILS = "ansible_collections.intellistream.sage.plugins.module_utils"
BY_NAME = re.compile(r"(_\w+)\.(\w+):\w+")
UNDOS = {"_files/undo", "_git/undo", "_storage/archive", "_venv/undo_existence"}
GOES_BACK = {"_registry/carry_undos", "_venv/undo", *UNDOS}
MOVED = {"_venv/made_for", "_venv/others", "_content/whole"}
CAPTURES = {"_venv/settled", "_files/capture", "_git/capture", "_venv/capture", *MOVED}
SCRIPTS = {"_files/script", "_git/script", "_venv/script"}
SYSTEM = {"_dpkg/kind", "_rpm/kind"}
DRIFT = {"_kind/drift", "_venv/drift"}
DATES = {"_timeline/dates"}
REMOVAL = {"_git/removal", "_venv/removal"}
PACKAGES_STAY = {"_kind/packages_removal"}
# What looks at captured trees, and what mends them.
TREES, MENDS = {"_footprint/point"}, {"_footprint/mend"}
# What each module could import by name and does not send: it never comes to use it.
NOT_SENT: dict[str, set[str]] = {
    "sage_backup": DATES | DRIFT | REMOVAL | PACKAGES_STAY | MENDS,
    "sage_check": UNDOS - {"_storage/archive"} | DATES | REMOVAL | PACKAGES_STAY,
    "sage_checkpoint": UNDOS | SYSTEM | DATES | DRIFT | REMOVAL | MENDS,
    "sage_checkpoint_info": UNDOS | CAPTURES | SCRIPTS | REMOVAL | PACKAGES_STAY | MENDS,
    "sage_deadman": DRIFT | REMOVAL | PACKAGES_STAY | MENDS,
    "sage_builtin": set(),
    "sage_controller_file": set(),
    "sage_decision": set(),
    "sage_hook": DATES | DRIFT | REMOVAL | PACKAGES_STAY | MENDS,
    "sage_install": set(),
    "sage_plan": set(),
    "sage_remove": UNDOS - {"_storage/archive"}
    | CAPTURES - {"_git/capture", "_venv/others", "_content/whole"}
    | SCRIPTS
    | DRIFT
    | TREES
    | MENDS
    | {"_dpkg/resource", "_rpm/resource"},
    "sage_request": set(),
    "sage_resolve": set(),
    "sage_resume_info": UNDOS | CAPTURES | SCRIPTS | SYSTEM | DRIFT | REMOVAL | MENDS,
    "sage_outcome": set(),
    "sage_run_info": set(),
    "sage_retention": UNDOS - {"_storage/archive"} | SYSTEM | DATES | DRIFT | REMOVAL | MENDS,
    "sage_rollback": DRIFT | REMOVAL | PACKAGES_STAY | MENDS,
    "sage_venv": set(),
    "sage_verify": UNDOS - {"_storage/archive"} | CAPTURES | SCRIPTS | SYSTEM | DRIFT | REMOVAL | TREES | MENDS,
    "sage_wheelhouse": set(),
}
# Thousands of bytes of this collection that each module may send; what is sent is packed and parsed in every run.
# They are what was sent in November 2026, once module_utils was cut into folders, and 1 %: no measure of what the cut
# itself cost. That is test_archives.py, which compares with the archives of before.
# The gate that every call passes, and marks of private directories, took up to 12 more (X3, X4, X6); what
# syncs, up to 4 (X1); results that are
# text, and words for Pythons that name files in ASCII, up to 2 (E22).
MOST = {
    "sage_backup": 895,
    "sage_builtin": 24,
    "sage_check": 900,
    "sage_checkpoint": 468,
    "sage_checkpoint_info": 663,
    "sage_deadman": 994,
    "sage_controller_file": 60,
    "sage_decision": 84,
    "sage_hook": 920,
    "sage_install": 149,
    "sage_plan": 165,
    "sage_remove": 350,
    "sage_request": 24,
    "sage_resolve": 149,
    "sage_resume_info": 199,
    "sage_outcome": 24,
    "sage_run_info": 24,
    "sage_retention": 467,
    "sage_rollback": 980,
    "sage_venv": 79,
    "sage_verify": 355,
    # What others plant in a wheelhouse is not written through (X10): 3.
    "sage_wheelhouse": 88,
}
# What was verified, in the record (E10).
EVIDENCE = 2
# What tells the head of the ledger with every result (E13), by thousands of bytes and by files.
HEAD, HEAD_FILES = 2, 1
# A log for each installation, sizes of captures, and what the original's readers of the progress file ask for
# (S59, S60, R37): where the record is written, and where it is only looked at.
LOG, LOG_FILES, PROGRESS = 10, 1, 3
# What was in force when a root was moved, what cannot be put back there, who rests on what is undone (E2, E5, E7), and
# in rollback.sh who can write to its directory and what is a machine id (X6).
# What the gate advises, and which versions a resolver keeps, is in others as well (X3, E2).
WAYS_BACK = {
    **dict.fromkeys(
        ("sage_backup", "sage_checkpoint", "sage_deadman", "sage_hook", "sage_retention", "sage_rollback"), 12
    ),
    **dict.fromkeys(("sage_plan", "sage_resolve", "sage_resume_info", "sage_venv"), 2),
}
# Whether a capture can still be used, asked of each kind (S30); what reads the store is a file of its own.
# A verdict asks, too: the lists of what was captured are read, and what was recorded of results stands apart.
BACKUPS, BACKUPS_FILES, VERDICT_FILES = 5, 1, 2
# What every call begins with: the umask (E15), results that are text (E22).
CALL = 1
# Which run has the lease, and what a dead one has left at work (E3).
LEASE, LEASE_FILES = 24, 1
# What was not there before the record, in its mark, and what removes that apart from the rest (remove_sage.yml).
REMOVABLE = 3
# The sign of life of a run that installs for longer than its lease lasts (E3).
HEARTBEAT = 3
# What others installed since is kept aside; what was rolled back in part and not kept is no exact way back (K1, K10).
KEPT = 4
# What is held where nothing can be linked (sage_capture_scope).
SCOPE = 1
# The content of what is installed is compared with RECORD, by two processes (E18, V8); what captures had the latter.
CONTENT = 11
# What was published with a wrong RECORD is told from what was damaged (V5, K8): part of that comparison.
WRONG_RECORDS = 3
# A verdict compares what was verified with a table of it (E18): as many files in all that judge.
TABLE, TABLE_FILES = 21, 5
# What could not be verified is told by distribution, and modes that bar are damage (K1, E18).
UNVERIFIED = 4
# Environments and named files are trees that one engine looks at, holds, settles and puts back, whatever they are (V2,
# V4 to V12, F1 to F25): what looks at captured trees wherever a record is judged (S30), all of it where one is made.
# The shell of rollback.sh, 71, is no Python any more, and comes with its sources.
ENGINE = {
    "sage_backup": 83,
    "sage_check": 15,
    "sage_checkpoint": 42,
    "sage_checkpoint_info": 66,
    "sage_deadman": 81,
    "sage_hook": 83,
    "sage_remove": 6,
    "sage_resume_info": 70,
    "sage_retention": 33,
    "sage_verify": 6,
    "sage_rollback": 81,
}
LOOKS_AT_TREES_FILES, ENGINE_FILES = 8, 9
# Settled points share what their tables have in common, where points are made (speed, 1,000 points).
SHARED_TABLES = 7
# The last look of a rollback is the one that settles (F13).
SEEN = 2
# What rollback.sh did and nobody recorded yet, and which run is at work, told by all that look (K1, K2).
TOLD = 5
# What has no RECORD any more is installed anew before it is replaced (V5).
WITHOUT_RECORD = 5
# What others have put into an environment is told by whatever takes one away as a whole (K10), and sizes count an inode
# once: what goes back had most of it; what removes SAGE or makes an environment anew has all of it anew.
OTHERS, ALL_OTHERS, SIZES = 18, 45, 2
OTHERS_FILES = 4
# What is in force, looked up wherever the progress file is (E7), and whether that is ahead of the ledger (E18).
IN_FORCE = 3


@functools.cache
def _parsed(path: pathlib.Path) -> ast.Module:
    return ast.parse(path.read_text())


@functools.cache
def _named(path: pathlib.Path, types: bool = True) -> set[str]:
    """The helpers that a file imports, as Ansible finds them.

    :param types: those that only a type checker needs, too: Ansible makes no difference.
    """
    found = set()

    def visit(node: ast.AST) -> None:
        if not types and isinstance(node, ast.If) and ast.unparse(node.test) == "t.TYPE_CHECKING":
            return
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(f"{UTILS}."):
            inside = str(node.module)[len(UTILS) + 1 :].replace(".", "/")
            found.update({inside} if "/" in inside else {f"{inside}/{alias.name}" for alias in node.names})
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(_parsed(path))
    return found


def carried(module: str, types: bool = True) -> set[str]:
    """All helpers that a module carries."""
    found: set[str] = set()
    todo = {*_named(PLUGINS / "modules" / f"{module}.py", types)}
    while todo:
        name = todo.pop()
        if name not in found:
            found.add(name)
            todo |= _named(_file(name), types)
    return found


def _file(name: str) -> pathlib.Path:
    return PLUGINS / "module_utils" / f"{name}.py"


@functools.cache
def by_name(path: pathlib.Path) -> set[str]:
    """The helpers that a file imports by name."""
    strings = [str(node.value) for node in ast.walk(_parsed(path)) if isinstance(node, ast.Constant)]
    return {"/".join(match.groups()) for match in map(BY_NAME.fullmatch, strings) if match}


def not_sent(names: t.Iterable[str]) -> set[str]:
    """What these helpers import by name, and is not among them."""
    return {other for name in names for other in by_name(_file(name))} - set(names)


@pytest.mark.parametrize("module", NOT_SENT)
def test_what_is_imported_by_name_is_sent_where_it_is_used(module: str) -> None:
    assert not_sent(carried(module)) == NOT_SENT[module]


@pytest.mark.parametrize("program", [hooks_program, deadman_program])
def test_a_program_has_what_it_imports_by_name(program: types.ModuleType) -> None:
    """A file that runs without Ansible is made of what the module came in."""
    names = {name.replace(".", "/") for name in zipapp.closure(program.__name__[len(UTILS) + 1 :], _source)}
    assert not_sent(names) - DATES == DRIFT | REMOVAL | PACKAGES_STAY | MENDS


def _source(name: str) -> bytes:
    return _file(name.replace(".", "/")).read_bytes()


@pytest.mark.parametrize("module", NOT_SENT)
def test_nothing_is_sent_for_types_alone(module: str) -> None:
    assert carried(module) == carried(module, types=False)


def test_no_type_is_sent_that_nothing_makes() -> None:
    """A TypedDict is a dictionary when it runs: plugin_utils has them, for type checkers."""
    assert not [
        f"{path.relative_to(PLUGINS)}: {node.name}"
        for path in (PLUGINS / "module_utils").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef) and any(ast.unparse(base).endswith("TypedDict") for base in node.bases)
    ]


@pytest.mark.parametrize("module", NOT_SENT)
def test_no_module_sends_much_more_than_it_did(module: str) -> None:
    head = HEAD + IN_FORCE if "_calls/state_options" in carried(module) else 0
    names = carried(module)
    log = LOG if "_records/install_log" in names else PROGRESS if "_records/progress" in names else 0
    evidence = EVIDENCE if "_records/installation" in names else 0
    ways_back = WAYS_BACK.get(module, 0)
    lease = LEASE if "_records/lease" in names else 0
    heartbeat = HEARTBEAT if "_base/heartbeat" in names else 0
    backups = BACKUPS if "_kind/interface" in names else 0
    backups += KEPT if "_kind/undo" in names else 0
    backups += SCOPE if "_venv/capture" in names else 0
    backups += CONTENT + WRONG_RECORDS if "_venv/content" in names else 0
    backups += UNVERIFIED if "_venv/damage" in names else 0
    backups += TABLE if "_records/verified_table" in names else 0
    backups += 9 if "_timeline/integrity" in names else 0
    backups += ENGINE.get(module, 0)
    backups += WITHOUT_RECORD if "_installers/uv" in names else 0
    backups += TOLD if "_records/record" in names else 0
    backups += SEEN if "_kind/interface" in names else 0
    backups += SHARED_TABLES if "_footprint/table_parts" in names else 0
    backups += SIZES if "_base/sizes" in names else 0
    backups += (ALL_OTHERS if module in ("sage_remove", "sage_venv") else OTHERS) if "_venv/others" in names else 0
    # Nothing that only looks had read the store.
    backups += 15 if "_timeline/integrity" in names and "_storage/store" not in names else 0
    assert (
        sum(_file(name).stat().st_size for name in names)
        <= (MOST[module] + CALL + head + log + ways_back + evidence + lease + backups + heartbeat + REMOVABLE) * 1000
    )


def test_every_module_is_looked_at() -> None:
    assert set(NOT_SENT) == set(MOST) == {path.stem for path in (PLUGINS / "modules").glob("*.py")}


def test_the_one_call_of_a_rerun_only_looks() -> None:
    found = carried("sage_resume_info")
    changes = {"_records/session", "_storage/store", "_timeline/points", "_undo/rollback", *DATES}
    assert not found & {*GOES_BACK, *CAPTURES, *changes}
    # As before module_utils was cut into folders, and what reads lists of captured files.
    assert len(found) <= 29 + HEAD_FILES + BACKUPS_FILES + VERDICT_FILES + 1 + TABLE_FILES + LOOKS_AT_TREES_FILES + 1


@pytest.mark.parametrize("module", ["sage_venv", "sage_resolve", "sage_install", "sage_plan", "sage_wheelhouse"])
def test_what_installs_carries_no_record(module: str) -> None:
    assert not [name for name in carried(module) if name.startswith(("_records/", "_timeline/", "_undo/"))]


def test_what_records_carries_no_undo() -> None:
    found = carried("sage_checkpoint")
    assert not found & {*GOES_BACK, *DATES, "_undo/rollback", "_undo/redo", "_pruning/prune", "_pruning/policy"}
    assert found >= CAPTURES
    # 60 as before, three since a record knows whose it is, and what was moved, and one that syncs.
    limit = 64 + HEAD_FILES + LOG_FILES + LEASE_FILES + BACKUPS_FILES + VERDICT_FILES + TABLE_FILES
    assert len(found) <= limit + ENGINE_FILES + OTHERS_FILES


@pytest.mark.parametrize("module", ["sage_backup", "sage_rollback", "sage_retention", "sage_deadman", "sage_hook"])
def test_what_captures_or_releases_carries_what_that_needs(module: str) -> None:
    assert carried(module) >= CAPTURES


@pytest.mark.parametrize("module", ["sage_backup", "sage_rollback"])
def test_what_goes_back_carries_what_that_needs(module: str) -> None:
    assert carried(module) >= GOES_BACK


def test_a_rollback_reads_dates() -> None:
    assert "_timeline/dates" in carried("sage_rollback")


def test_what_writes_a_script_gets_what_that_is_made_of() -> None:
    """From its action, in an option: Ansible sends nothing that is not Python."""
    writes = {module for module in NOT_SENT if "_rollback_shell/sources" in carried(module)}
    assert {"sage_backup", "sage_checkpoint", "sage_deadman", "sage_hook", "sage_rollback"} < writes
    assert writes == {module for module in NOT_SENT if "_calls/script_options" in carried(module)}
    actions = {path.stem: path.read_text() for path in (PLUGINS / "action").glob("*.py")}
    assert writes == {module for module, text in actions.items() if "class ActionModule(ScriptAction)" in text}


@pytest.mark.parametrize("module", ["sage_venv", "sage_resolve", "sage_install"])
def test_installers_carry_no_engine(module: str) -> None:
    assert carried(module) & {"_records/session", "_records/ledger", "_storage/store"} == set()
