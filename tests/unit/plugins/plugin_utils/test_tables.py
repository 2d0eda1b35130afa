# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The tables of all hosts: what a host says stays in its rows, whatever it says."""

from __future__ import annotations

import pathlib
import re
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.intellistream.sage.plugins.plugin_utils import _tables
from ansible_collections.intellistream.sage.plugins.plugin_utils._advice import BY_FINDING
from ansible_collections.intellistream.sage.plugins.plugin_utils._tables import HostAnswers

pytest.importorskip("jinja2", reason="tables are written on a control node")

FORGED = "x\nhost-b  exact: all is back\r\x1b[2J\u2028\u202e\x00"
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
PLAN = {"erase": ["isage 2"], "install": ["isage 1"], "restore": ["/a"], "remove": ["/b (kept as /c)"]}
GOOD: dict[str, t.Any] = {
    "__sage_begun": {"phases": {}, "fleet": {"run": "r1", "asks": True}},
    "__sage_predicted": {"plan": PLAN, "undone": ["p"], "msg": "would be undone", "kept": [], "inexact": ["a script"]},
    "__sage_prepared": {"plan": PLAN, "undone": ["p"]},
    "__sage_rollback_result": {
        "plan": PLAN,
        "undone": ["p"],
        "exact": True,
        "msg": "undone",
        "redo_point": "20261122_054103.1",
        "kept": ["/d"],
        "inexact": [],
    },
    "__sage_learned": {"fleet": {"run": "r1", "state": "committed"}},
    "__sage_fleet_answer": {"msg": "Run r1: commit."},
    "__sage_cleaned": {
        "pruned": ["p1"],
        "archived": [],
        "freed_bytes": 2048,
        "kept": 3,
        "bytes": 1024,
        "protected": ["the last"],
        "warnings": [],
    },
    "__sage_checked": {
        "msg": "1 wrong, 1 left behind",
        "intact": False,
        "exists": True,
        "checked": {"lines": 3, "points": 1, "files": 2, "bytes": 2000, "seconds": 0.1},
        "findings": [
            {"name": "point_damaged", "severity": "wrong", "text": "point 1.1 cannot be used: /x is gone"},
            {"name": "stray_file", "severity": "left", "text": "/y is half of a file", "mendable": True},
        ],
        "repaired": [],
    },
    "__sage_record": {
        "ledger": {"message": ""},
        "transactions": [
            {
                "time": "2026-11-22T05:41:03.000+00:00",
                "tid": "20261122_054103",
                "origin": "installation",
                "status": "completed",
                "changed": True,
                "packages": ["isage 1 -> 2"],
                "rollback_points": [
                    {"time": "2026-11-22T05:41:04.000", "id": "20261122_054103.1", "files": 1, "bytes": 2000}
                ],
            }
        ],
    },
    "__sage_earlier": {
        "progress": {"install_id": "20261122_054103", "current_phase": "cleanup", "completed_phases": ["python_deps"]},
        "resume": {"needed": True, "phase": "cleanup", "reasons": [{"reason": "it was interrupted"}]},
    },
}


def _command(host: str, point: str) -> str:
    return f"back {host} {point}"


def _all(told: t.Mapping[str, HostAnswers]) -> dict[str, str]:
    """Every table."""
    return {
        "rollback": _tables.rollback(told, "last", []),
        "in doubt": _tables.rollback(told, "last", [*told]),
        "rolled_back": _tables.rolled_back(told, "", _command),
        "doubt": _tables.doubt(told, False),
        "clean": _tables.clean(told, False),
        "check": _tables.check(told, False, lambda host, playbook, mends: f"{playbook} {host} {mends}"),
        "unfinished": _tables.unfinished(told),
        "changes": _tables.changes(told),
    }


def _without(told: t.Mapping[str, object], *names: str) -> dict[str, object]:
    return {name: told[name] for name in told if name not in names}


def test_what_is_told() -> None:
    tables = _all({"host-a": HostAnswers.of(GOOD), "b": HostAnswers.of({})})
    assert tables["rollback"].splitlines() == [
        "HOST    ROLLBACK to last",
        "host-a  would be undone",
        "          [-] isage 2",
        "          [+] isage 1",
        "          restored: /a",
        "          removed: /b (kept as /c)",
        "          not certain: a script",
        "b       did not answer",
    ]
    assert "host-a  REFUSED: in doubt about fleet run r1; finish_sage.yml delivers the decision" in tables["in doubt"]
    assert tables["rolled_back"].splitlines() == [
        "HOST    RESULT",
        "host-a  exact: undone",
        "          Bring it back with: back host-a 20261122_054103.1",
        "          kept: /d",
        "          /b (kept as /c)",
        "b       did not answer",
    ]
    assert tables["doubt"].splitlines()[1:] == ["host-a  undone", "b       did not answer"]
    assert tables["clean"].splitlines() == [
        "HOST    REMOVED  COMPRESSED  FREED        KEPT  OCCUPIES",
        "host-a  1        0           2.00 KB      3     1.00 KB",
        "        removed p1",
        "        the last",
        "b       did not answer",
    ]
    assert tables["changes"].splitlines() == [
        "",
        "CHANGES, newest first, with their rollback points; each id can be the target of a rollback",
        "",
        "host-a",
        "  2026-11-22 05:41:03  20261122_054103  completed",
        "    isage 1 -> 2",
        "    2026-11-22 05:41:04  20261122_054103.1  made by hand (1 file, 2.0 kB)",
        "",
        "b",
        "  did not answer",
    ]
    assert "Continues at:  cleanup, because it was interrupted" in tables["unfinished"]


@pytest.mark.parametrize(
    ("said", "row"),
    [
        (_without(GOOD, "__sage_rollback_result", "__sage_learned"), "still in doubt: Run r1: commit."),
        (_without(GOOD, "__sage_rollback_result"), "run r1: committed"),
        ({"__sage_begun": {"phases": {}}}, "nothing to do"),
        ({"__sage_begun": {"msg": "no record"}}, "no record"),
    ],
)
def test_what_became_of_doubt(said: dict[str, object], row: str) -> None:
    assert _tables.doubt({"a": HostAnswers.of(said)}, False).splitlines()[1] == f"a     {row}"


@pytest.mark.parametrize(
    ("said", "row"),
    [
        ({"__sage_rollback_result": {"msg": "no space"}}, "FAILED: no space"),
        ({"__sage_predicted": {"msg": "no"}}, "REFUSED, nothing was changed"),
        ({"__sage_predicted": {"plan": {}, "undone": []}}, "nothing to do"),
        (
            {"__sage_predicted": {"plan": {}, "undone": ["p"]}, "__sage_prepared": {"msg": "no"}},
            "REFUSED, nothing was changed",
        ),
        ({"__sage_predicted": {"plan": {}, "undone": ["p"]}}, "unchanged, since others could not be rolled back"),
    ],
)
def test_what_was_not_rolled_back(said: dict[str, object], row: str) -> None:
    assert _tables.rolled_back({"a": HostAnswers.of(said)}, "others failed", _command).splitlines()[1] == f"a     {row}"


def _forged(data: object) -> object:
    """The same with a forged text for each text."""
    if isinstance(data, dict):
        return {name: _forged(content) for name, content in data.items()}
    if isinstance(data, list):
        return [_forged(content) for content in data]
    return FORGED if isinstance(data, str) else data


def test_x9_no_row_of_another_host_can_be_forged() -> None:
    said = {name: _forged(content) for name, content in GOOD.items()}
    for errors in ({}, {"error": {"conflicts": [FORGED], "plan": {"remove": [FORGED]}}}):
        said["__sage_predicted"] = {**t.cast("dict[str, t.Any]", said["__sage_predicted"]), **errors}
        for name, table in _all({"host-a": HostAnswers.of(said), "host-b": HostAnswers.of({})}).items():
            assert all(line.isprintable() for line in table.split("\n")), name
            rows = [line for line in table.split("\n") if line.startswith(("host-b", "  host-b"))]
            assert len(rows) == 1, (name, table)


def test_e18_what_a_check_finds_is_told_with_what_to_do() -> None:
    def command(host: str, playbook: str, mends: bool) -> str:
        return f"run {playbook} on {host}{' to mend' if mends else ''}"

    clean = {**GOOD["__sage_checked"], "msg": "nothing is wrong", "intact": True, "findings": []}
    told = {
        "a": HostAnswers.of({"__sage_checked": clean}),
        "b": HostAnswers.of(GOOD),
        "c": HostAnswers.of({"__sage_checked": {"msg": "no such user", "failed": True}}),
        "d": HostAnswers.of({}),
    }
    assert _tables.check(told, False, command).split("\n") == [
        "HOST  CHECKED",
        "a     nothing is wrong (lines of the ledger: 3; rollback points: 1; captured files: 2, 2.0 kB)",
        "b     1 wrong, 1 left behind",
        "        wrong: point 1.1 cannot be used: /x is gone",
        f"        -> {BY_FINDING['point_damaged'].text}",
        "        left: /y is half of a file",
        "        -> The next run looks after it. To do so now",
        "           run check_sage on b to mend",
        "c     no such user",
        "d     did not answer",
        "4 hosts: 1 intact, 3 not",
    ]
    mended = {**clean, "repaired": ["/y is half of a file"]}
    for check_mode, text in ((False, "mended: /y"), (True, "would be mended: /y")):
        assert text in _tables.check({"a": HostAnswers.of({"__sage_checked": mended})}, check_mode, command)


def test_every_finding_has_an_advice_and_is_documented() -> None:
    """The engine, the controller's advice, the module's documentation and the page have the same words."""
    top = pathlib.Path(__file__).resolve().parents[4]
    look = (top / "plugins/module_utils/_fsck/look.py").read_text()
    found = set(re.findall(r'(?:wrong|noted|left_behind|severe)\(\s*"(\w+)"', look)) | set(
        re.findall(r'\("(progress_\w+)"', look)
    )
    assert found == set(BY_FINDING)
    for page in ("plugins/modules/sage_check.py", "docs/troubleshooting.md"):
        text = (top / page).read_text()
        assert not [name for name in found if not re.search(rf"(V\(|`){name}(\)|`)", text)], page


@pytest.mark.parametrize("text", ["{{ lookup('pipe', 'id') }}", "a b", "a\nb", "", "$(id)", "ü", "x" * 101, None, 3])
def test_x9_no_command_line_has_a_text_of_a_host(text: object) -> None:
    result = {**GOOD["__sage_rollback_result"], "redo_point": text}
    table = _tables.rolled_back({"a": HostAnswers.of({"__sage_rollback_result": result})}, "", _command)
    assert "Bring it back" not in table
    assert not _tables.is_id(text)


@given(st.dictionaries(st.sampled_from(sorted(GOOD)), JSON), st.data())
def test_x9_any_answer_gives_a_table(said: dict[str, t.Any], data: st.DataObject) -> None:
    """Whatever a host says, and whatever is in a mapping that it says, the rows of others stay as they are."""
    for name, answer in GOOD.items():
        if name in said and data.draw(st.booleans()):
            said[name] = {key: data.draw(JSON) for key in answer}
    honest = _all({"b": HostAnswers.of(GOOD)})
    for name, table in _all({"a": HostAnswers.of(said), "b": HostAnswers.of(GOOD)}).items():
        lines = table.split("\n")
        assert all(line.isprintable() for line in lines)
        assert {line.rstrip().split("b", 1)[-1] for line in honest[name].split("\n")[2:] if line.startswith("b")} <= {
            line.rstrip().split("b", 1)[-1] for line in lines if line.startswith("b")
        }


def test_r38_that_what_was_brought_is_erased_is_said() -> None:
    said = HostAnswers.of(GOOD)
    table = _tables.rollback({"a": said}, "last", [])
    # What only goes back to another version is not erased.
    assert "[-] isage 2" in table
    assert "is erased" not in table
    plan = {**PLAN, "erase": ["isage 2", "cloudpickle 3"]}
    brought = {**GOOD, "__sage_predicted": {**GOOD["__sage_predicted"], "plan": plan}}
    table = _tables.rollback({"a": HostAnswers.of(brought)}, "last", [])
    assert "[-] without [+]: came since then, and is erased; sage_erase_installed_after=DATE keeps" in table


@pytest.mark.parametrize(
    ("origin", "told"),
    [
        ("hand", "made by hand"),
        ("hook", "captured by a hook"),
        ("rollback", "a rollback"),
        ("installation", "completed"),
    ],
)
def test_e27_a_change_is_listed_as_what_it_is(origin: str, told: str) -> None:
    change = {**GOOD["__sage_record"]["transactions"][0], "origin": origin, "packages": []}
    record = {**GOOD["__sage_record"], "transactions": [change]}
    lines = _tables.changes({"a": HostAnswers.of({**GOOD, "__sage_record": record})}).splitlines()
    at = next(number for number, line in enumerate(lines) if line.endswith(f"  {told}"))
    # Only of an installation it means something that no package was changed.
    assert ("no package was changed" in lines[at + 1]) is (origin == "installation")
