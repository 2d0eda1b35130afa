# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a play learns of a run on a host, and what people read at the end of a run over many."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import SageError
from ansible_collections.intellistream.sage.plugins.plugin_utils import _closing, _refusal
from ansible_collections.intellistream.sage.plugins.plugin_utils._closing import Commands, HostResult
from ansible_collections.intellistream.sage.plugins.plugin_utils._outcome import HostOutcome, outcome, reason

RECORD = {
    "install_id": "20251115_143000",
    "altered": True,
    "rollback_points": ["20251115_143000.1", "20251115_143000.2"],
    "data": {"verification": "SAGE verify\n- version : 0.3.2.4\n- core    : ok"},
    "captured_total": {"files": 3, "bytes": 4096, "seconds": 0.1},
}
PLAN = {"install": ["a"], "erase": ["b", "c"], "restore": [], "remove": []}
COMMANDS = Commands(lambda hosts: f"again -l {','.join(hosts)}", lambda hosts: [f"back -l {','.join(hosts)}"])


def _outcome(dry: bool = False, **options: t.Any) -> HostOutcome:
    given = {
        **dict.fromkeys(("status", "verified", "stays"), ""),
        "phases": [],
        "record": {},
        "plan": {},
        "failure": {},
        "rollback": {},
        "unverified": [],
        "not_undone": "nothing",
        "checkpoints": "/s/.sage/checkpoints",
        **options,
    }
    return outcome(given, dry)


def test_e25_an_installation_that_changed_sage() -> None:
    told = _outcome(phases=["python_deps"], record=RECORD)
    assert (told.status, told.changed, told.version) == ("installed", True, "0.3.2.4")
    assert told.install_id == "20251115_143000"
    assert told.log == "/s/.sage/checkpoints/logs/20251115_143000.log"
    assert told.captured == {"files": 3, "bytes": 4096, "seconds": 0.1}
    assert not told.message


def test_k1_what_could_not_be_verified_is_told_by_the_record_or_the_caller() -> None:
    sentence = "1 file of yaml 6.0 cannot be read: lib/yaml.py"
    for told in (
        _outcome(record={**RECORD, "unverified": [sentence]}),
        _outcome(phases=["verification"], unverified=[sentence]),
    ):
        assert told.unverified == [sentence]
    assert _outcome(status="failed", record={**RECORD, "unverified": [sentence]}).unverified == []
    hosts = [HostResult(name, "installed", {"unverified": [sentence]}) for name in ("a", "b")]
    lines = _closing.table([*hosts, HostResult("c", "installed", {"unverified": "x"})], COMMANDS).splitlines()
    assert lines[1:3] == ["NOT ALL VERIFIED: a, b", f"  {sentence}"]


def test_e25_nothing_was_to_do_or_nothing_changed() -> None:
    assert (_outcome(record=RECORD).status, _outcome(record=RECORD).changed) == ("unchanged", False)
    same = _outcome(phases=["verification"], record={**RECORD, "altered": False})
    assert (same.status, same.changed) == ("installed", False)


def test_e25_a_prediction_changes_as_the_plan_says() -> None:
    for action, changed in (("keep", False), ("install", True)):
        told = _outcome(dry=True, phases=["python_deps"], plan={"distributions": [{"name": "isage", "action": action}]})
        assert (told.status, told.changed, told.log) == ("predicted", changed, "")


@pytest.mark.parametrize(
    ("rollback", "changed", "undone"),
    [
        ({}, True, "nothing, as answered"),
        ({"failed": True, "msg": "no\nspace"}, True, "THE ROLLBACK FAILED: no space"),
        (
            {"plan": PLAN, "exact": True, "undone": RECORD["rollback_points"]},
            False,
            "2 packages erased, 1 package put back; exactly as before",
        ),
        # Of two phases one stays.
        (
            {"plan": {name: [] for name in PLAN}, "exact": True, "undone": ["20251115_143000.2"]},
            True,
            "nothing, since this phase had changed nothing",
        ),
    ],
)
def test_e25_a_failure_is_a_change_as_far_as_it_was_not_undone(
    rollback: dict[str, t.Any], changed: bool, undone: str
) -> None:
    told = _outcome(
        status="failed",
        record=RECORD,
        rollback=rollback,
        not_undone="nothing, as answered",
        failure={"phase": "python_deps", "message": "it broke"},
    )
    assert (told.status, told.changed, told.undone) == ("failed", changed, undone)
    assert (told.phase, told.reason) == ("python_deps", "it broke")
    assert told.message.startswith("SAGE was not installed: python_deps failed.")


@pytest.mark.parametrize(
    ("failure", "told"),
    [
        (
            {"message": "Task failed: Timed out after 200 second(s).", "late": True, "cut_off": "It was cut off."},
            "Task failed: Timed out after 200 second(s). It was cut off.",
        ),
        (
            {"message": "`pip` exited with 1. It said last:\nLooking\nERROR: No matching x\n--"},
            "ERROR: No matching x",
        ),
        ({"message": "`f` exited with 1. It said last:\n(it printed nothing)\n--"}, "`f` exited with 1."),
        (
            {"message": "sage: non-zero", "output": "Traceback\n  x\nModuleNotFoundError: y\n"},
            "ModuleNotFoundError: y (sage: non-zero)",
        ),
        # Without the call, or no two hosts would have failed alike.
        ({"message": "`uv -r /tmp/sage-x1/r` exited with 1. It said last:\ncause: no isage\n--"}, "no isage"),
        # Of a chain of causes the ends.
        (
            {"message": "`uv` exited with 2. It said last:\ncause: no http://x/\ncause: tcp\ncause: refused\n--"},
            "no http://x/: refused",
        ),
        ({"message": "A dependency is not met:\nx needs y"}, "x needs y (A dependency is not met:)"),
        ({"message": "one\x1b[2J line"}, "one\\x1b[2J line"),
        ({"message": 7, "error": []}, ""),
        ({}, ""),
    ],
)
def test_e16_why_is_the_line_that_tells_most(failure: dict[str, t.Any], told: str) -> None:
    assert reason(failure) == told


def test_e16_what_to_do_is_told_apart_from_why() -> None:
    error = SageError("The disk is full.", untouched="everything.", advice="Free some.")
    for failure in ({"message": str(error)}, {"message": "x", "error": error.as_dict()}):
        told = _outcome(status="failed", failure=failure)
        assert (told.reason, told.advice) == ("The disk is full.", "Free some.")
    text = _closing.table([_result("a", "failed", reason="The disk is full.", advice="Free some.")], COMMANDS)
    assert "  next    Free some. Then:\n          again -l " in text


@pytest.mark.parametrize("record", [{}, {"install_id": 7, "altered": "yes", "rollback_points": 3, "data": "x"}])
def test_e16_what_a_host_returned_may_be_anything(record: dict[str, t.Any]) -> None:
    assert not _outcome(status="failed", record=record, rollback={"plan": 1, "undone": 2}).changed


def _result(host: str, status: str, **told: t.Any) -> HostResult:
    return HostResult(host, status, outcome={"status": status, **told})


def test_e16_200_hosts_of_which_3_fail_are_told_of_in_40_lines() -> None:
    hosts = [_result(f"node{number}", "installed", version="0.3.2.4") for number in range(197)]
    why = {"phase": "verification", "reason": "no module named x", "undone": "3 packages erased; exactly as before"}
    hosts[100:100] = [_result("alpha", "failed", **why), _result("beta", "failed", **why)]
    hosts.append(_result("gamma", "failed", phase="python_deps", reason="no route", undone="nothing", log="/l"))
    lines = _closing.table(hosts, COMMANDS).splitlines()
    assert len(lines) < 40
    text = "\n".join(lines)
    assert lines[0] == "INSTALLED: 197 with 0.3.2.4"
    assert lines[-1] == "SAGE on 200 hosts: 3 failed, 197 installed"
    assert "node" not in text
    # What failed alike is said once, each host once outside of the command for it.
    assert "FAILED in verification: alpha, beta" in text
    assert [text.count(told) for told in ("no module named x", "3 packages erased", "no route")] == [1, 1, 1]
    said = "\n".join(line for line in lines if "again -l" not in line)
    assert [said.count(host) for host in ("alpha", "beta", "gamma")] == [1, 1, 1]
    assert "again -l alpha,beta" in text
    assert "again -l gamma" in text


def test_e16_a_broken_version_and_a_failed_rollback_have_their_own_command() -> None:
    stays = _result("a", "failed", phase="verification", stays="isage 9, which failed in verification, stays in force")
    lines = _closing.table([stays], COMMANDS).splitlines()
    at = next(number for number, line in enumerate(lines) if "stays in force" in line)
    assert lines[at + 1].strip() == "back -l a"
    broken = _closing.table([_result("a", "failed", undo_failed=True, undone="THE ROLLBACK FAILED: x")], COMMANDS)
    assert "all that was captured; repeat the rollback with:" in broken
    assert "back -l a" in broken


def test_e16_who_was_lost_or_not_begun_is_named() -> None:
    hosts = [
        HostResult("a", "lost", outcome={}, phase="python_deps"),
        HostResult("b", "not begun", outcome={}),
        _result("c", "aborted", reason="a failed", undone="1 package put back; exactly as before"),
        HostResult("d", "refused", outcome={"reason": "sage_root must be"}, begun=False),
        HostResult("e", "lost", outcome={}, begun=False),
    ]
    text = _closing.table(hosts, COMMANDS)
    assert "LOST in python_deps: a" in text
    assert "NOT BEGUN SO FAR: b" in text
    assert "WENT BACK: c" in text
    assert "REFUSED: d\n  why     sage_root must be" in text
    # Where nothing was begun there is nothing to take back.
    assert [line.split(";")[0] for line in text.splitlines() if "undone" in line].count(
        "  undone  nothing was begun"
    ) == 1
    assert "LOST: e" in text
    # They stand or fall together: the command is for all.
    assert text.count("again -l \n") == 5
    counted = "1 refused, 2 lost, 1 went back since others failed, 1 not begun so far"
    assert text.splitlines()[-1] == f"SAGE on 5 hosts: {counted}"


def test_e16_hosts_that_differ_in_the_place_alone_failed_alike() -> None:
    hosts = [
        HostResult(name, "failed", outcome={"reason": f"{root}/bin/python has no pip"}, root=root)
        for name, root in (("a", "/a/sage"), ("b", "/b/sage"))
    ]
    assert "FAILED: a, b\n  why     /a/sage/bin/python has no pip" in _closing.table(hosts, COMMANDS)


def test_e16_what_all_have_in_common_has_a_command_for_all() -> None:
    text = _closing.table([_result("a", "failed", reason="x"), _result("b", "failed", reason="x")], COMMANDS)
    assert "again -l \n" in text
    assert "again -l a" not in text


def test_e16_a_request_that_was_refused_says_why() -> None:
    failed = {"failed": True, "msg": "sage_a must be x.\nsage_b must be y.\nNothing was changed."}
    same = {"failed": True, "msg": _refusal.same_as("a")}
    for host in ("a", "b"):
        refused = _closing.refusal(host, {"a": failed, "b": same})
        assert refused is not None
        assert refused["reason"] == "sage_a must be x. sage_b must be y."
    for request in ({"root": "/x"}, {}, "forged", None):
        assert _closing.refusal("a", {"a": request}) is None
    # Two that name each other tell nothing.
    astray = {"a": {"failed": True, "msg": _refusal.same_as("b")}, "b": same}
    refused = _closing.refusal("a", astray)
    assert refused is not None
    assert refused["reason"] == "The same as for a."


def test_e16_commands_tell_what_they_leave_out() -> None:
    failed = [_result("a", "failed", reason="x")]
    assert "Add it with -e, as this run had it: sage_index_url" in _closing.table(
        failed, COMMANDS._replace(hidden=["sage_index_url"])
    )
    assert "Add it" not in _closing.table([_result("a", "installed")], COMMANDS._replace(hidden=["sage_index_url"]))


def test_e16_a_result_of_an_earlier_run_is_none() -> None:
    earlier = {"status": "installed", "began": 1.0}
    assert _closing.status_of(earlier, 1.0, in_play=True) == "installed"
    assert _closing.status_of(earlier, 2.0, in_play=False) == "lost"
    assert _closing.status_of(earlier, None, in_play=True) == "not begun"
    assert _closing.status_of("forged", 2.0, in_play=True) == "lost"
    assert _closing.status_of({"status": ["x"], "began": 2.0}, 2.0, in_play=True) == "lost"


def test_e16_what_a_host_says_stays_in_its_entry() -> None:
    forged = "x\n\nSAGE on 1 host: 1 installed\x1b[2J"
    text = _closing.table([_result("a", "failed", phase=forged, reason=forged, undone=forged, log=forged)], COMMANDS)
    assert "\x1b" not in text
    assert [line for line in text.splitlines() if line.startswith("SAGE on")] == ["SAGE on 1 host: 1 failed"]
