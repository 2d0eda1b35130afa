# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Commit only when all are prepared; who comes later gets what stands, or makes it abort, or says who knows."""

from __future__ import annotations

import datetime as dt
import json
import os
import pathlib
import threading
import time
import typing as t

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import InputError, StateError
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.private import MARK
from ansible_collections.intellistream.sage.plugins.module_utils._fleet import decide as fleet_decide
from ansible_collections.intellistream.sage.plugins.module_utils._fleet.barrier import BarrierVote, DecisionQuery
from ansible_collections.intellistream.sage.plugins.module_utils._fleet.decide import decide, open_run, resolve_doubt
from ansible_collections.intellistream.sage.plugins.module_utils._fleet.decision_log import (
    DecisionLog,
    PartVote,
    make_decision,
    open_log,
)
from ansible_collections.intellistream.sage.tests.unit.waiting import FOREVER, LIMIT

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.plugin_utils._structures import DecisionResult

HOSTS = ["a", "b", "c"]


class Fleet:
    """A directory of decisions."""

    def __init__(self, path: pathlib.Path, opened: str = "r1") -> None:
        self.path = path
        self.identity = str(open_run(str(path), opened, False, HOSTS)["decision_log"])

    def decide(
        self, prepared: t.Sequence[str] = ("a", "b", "c"), check_mode: bool = False, **values: t.Any
    ) -> DecisionResult:
        """All hosts but those left out are prepared."""
        wish = BarrierVote(**{"run": "r1", "vote": "commit", "hosts": HOSTS, "prepared": list(prepared), **values})
        return decide(str(self.path), wish, check_mode)

    def ask(self, *hosts: str, check_mode: bool = False, **values: t.Any) -> DecisionResult:
        """Hosts are in doubt."""
        question = DecisionQuery(
            **{"run": "r1", "decision_log": self.identity, "where": "there", "hosts": hosts, **values}
        )
        return resolve_doubt(str(self.path), question, check_mode)

    def files(self) -> list[str]:
        """What lies there, the identity left out, and which runs were opened."""
        names = (name for name in os.listdir(self.path) if not name.endswith(".opened"))
        return sorted(name for name in names if name not in (MARK, ".identity"))


@pytest.fixture
def fleet(tmp_path: pathlib.Path) -> Fleet:
    return Fleet(tmp_path / "fleet")


def test_opening_makes_a_decision_log_and_a_run(tmp_path: pathlib.Path) -> None:
    path = str(tmp_path / "x" / "fleet")
    told = open_run(path, None, True)
    assert told["changed"]
    assert not (tmp_path / "x").exists()
    told = open_run(path, None, False)
    assert (told["changed"], told["decision"], told["in_doubt"]) == (True, None, False)
    assert told["where"] == f"{os.uname().nodename}:{path}"
    again = open_run(path, "mine", False)
    assert (again["changed"], again["run"], again["decision_log"]) == (False, "mine", told["decision_log"])
    assert again["run"] != told["run"]


def test_a_run_that_was_decided_is_told_when_it_is_opened_again(fleet: Fleet) -> None:
    fleet.decide()
    assert open_run(str(fleet.path), "r1", False)["decision"] == "commit"


@pytest.mark.parametrize("word", ["", "abort", "commit"])
def test_x9_nothing_is_decided_about_a_run_that_is_not_known_here(fleet: Fleet, word: str) -> None:
    for asked in ({"run": "r2"}, {"run": "r1", "hosts": ("a", "x")}, {"run": "r1", "decision_log": "f" * 32}):
        if not word and "decision_log" in asked:
            continue
        told = fleet.ask("a", word=word, **asked)
        assert (told["decision"], told["in_doubt"], told["changed"]) == (None, True, False), asked
        assert "Nothing is decided about run" in told["msg"]
    assert fleet.files() == []
    assert fleet.decide()["decision"] == "commit"


def test_x9_a_run_of_another_decision_log_goes_by_the_admins_word(fleet: Fleet) -> None:
    assert fleet.ask("a", run="r3", decision_log="f" * 32)["in_doubt"]
    assert fleet.ask("a", run="r3", decision_log="f" * 32, word="commit")["decision"] == "commit"


def test_x9_hosts_of_all_controllers_of_a_run_may_ask(fleet: Fleet) -> None:
    for hosts in (["x"], ["y", "z"], ["x"]):
        open_run(str(fleet.path), "r1", False, hosts)
    assert sum(name.endswith(".opened") for name in os.listdir(fleet.path)) == 3
    assert fleet.ask("a", "x", "z")["decision"] == "abort"


def test_x9_a_run_was_opened_for_whoever_asks_where_no_hosts_were_named(fleet: Fleet) -> None:
    open_run(str(fleet.path), "r1.x", False)
    # No file of another run is taken for one of this.
    assert fleet.ask("x", run="r1")["in_doubt"]
    assert fleet.ask("x", run="r1.x")["decision"] == "abort"


def test_all_prepared(fleet: Fleet) -> None:
    told = fleet.decide()
    assert (told["changed"], told["decision"], told["hosts"]) == (True, "commit", HOSTS)
    assert told["why"] == "all 3 hosts are prepared"
    assert told["diff"]["before"] == {"run": "r1", "decision": None}
    again = fleet.decide()
    assert not again["changed"]
    assert {key: again[key] for key in ("decision", "time", "by")} == {
        key: told[key] for key in ("decision", "time", "by")
    }


@pytest.mark.parametrize("prepared", [[], ["a"], ["a", "b"]])
def test_one_that_is_not_prepared_is_enough(fleet: Fleet, prepared: list[str]) -> None:
    told = fleet.decide(prepared)
    assert told["decision"] == "abort"
    assert told["why"] == f"not prepared: {', '.join(sorted(set(HOSTS) - set(prepared)))}"
    # Also when it comes to be prepared later.
    assert fleet.decide()["decision"] == "abort"


def test_abort_for_a_reason(fleet: Fleet) -> None:
    told = fleet.decide(vote="abort", why="the window is over")
    assert (told["decision"], told["why"]) == ("abort", "the window is over")


@pytest.mark.parametrize(
    "values",
    [
        {"hosts": [], "prepared": []},
        {"prepared": ["a", "x"]},
        {"seconds_left": {"x": 5.0}},
        {"part": 0},
        {"part": 3, "parts": 2},
        {"run": "../r1"},
    ],
)
def test_what_makes_no_sense_decides_nothing(fleet: Fleet, values: dict[str, t.Any]) -> None:
    with pytest.raises(InputError):
        fleet.decide(**values)
    assert fleet.files() == []


def test_switches_that_fire_too_soon(fleet: Fleet) -> None:
    told = fleet.decide(seconds_left={"a": 500.0, "b": 20.0}, seconds_needed=30.0, run="r2")
    assert told["decision"] == "abort"
    assert told["why"] == "less than 30 s are left until the dead-man's switch fires on b"
    begun = time.time()
    told = fleet.decide(seconds_left={"a": 500.0}, seconds_needed=30.0)
    assert told["decision"] == "commit"
    deadline = dt.datetime.fromisoformat(str(told["deadline"])).timestamp()
    assert begun + 500 - 2 <= deadline <= time.time() + 500


def test_check_mode_predicts_and_writes_nothing(tmp_path: pathlib.Path, fleet: Fleet) -> None:
    absent = str(tmp_path / "absent")
    told = decide(absent, BarrierVote("r1", "commit", HOSTS, ["a"]), True)
    assert (told["decision"], told["changed"]) == ("abort", True)
    assert resolve_doubt(absent, DecisionQuery("r1", "p", word="commit"), True)["decision"] == "commit"
    assert resolve_doubt(absent, DecisionQuery("r1", "p"), True)["in_doubt"]
    assert not pathlib.Path(absent).exists()
    before = {path.name: path.stat().st_mtime_ns for path in [fleet.path, *fleet.path.iterdir()]}
    predicted = [fleet.decide(check_mode=True), fleet.decide(check_mode=True, parts=2), fleet.ask("a", check_mode=True)]
    assert [one["decision"] for one in predicted] == ["commit", None, "abort"]
    assert all(one["changed"] for one in predicted)
    assert {path.name: path.stat().st_mtime_ns for path in [fleet.path, *fleet.path.iterdir()]} == before
    done = fleet.decide()
    assert predicted[0]["diff"] == done["diff"]
    assert not fleet.decide(check_mode=True)["changed"]


def test_presumed_abort_is_written_before_anybody_acts_on_it(fleet: Fleet) -> None:
    told = fleet.ask("b")
    assert (told["decision"], told["changed"], told["in_doubt"]) == ("abort", True, False)
    assert "presumed abort" in str(told["why"])
    assert fleet.files() == ["r1.json"]
    # The first controller was only slow.
    slow = fleet.decide()
    assert (slow["decision"], slow["changed"]) == ("abort", False)
    assert fleet.ask("c")["decision"] == "abort"


def test_a_slow_controller_that_loses_at_the_last_moment(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    def late(*args: t.Any, **fields: t.Any) -> t.Any:
        monkeypatch.setattr(fleet_decide, "make_decision", make_decision)
        fleet.ask("a")
        return make_decision(*args, **fields)

    monkeypatch.setattr(fleet_decide, "make_decision", late)
    told = fleet.decide()
    assert (told["decision"], told["changed"]) == ("abort", False)
    assert "this controller wanted commit" in told["msg"]


def test_what_stands_is_told_to_hosts_that_were_away(fleet: Fleet) -> None:
    fleet.decide()
    told = fleet.ask("b")
    assert (told["decision"], told["changed"]) == ("commit", False)


def test_elsewhere_nothing_is_decided(tmp_path: pathlib.Path, fleet: Fleet) -> None:
    fleet.decide()
    other = Fleet(tmp_path / "other")
    for path in (other.path, tmp_path / "absent"):
        question = DecisionQuery("r1", fleet.identity, "deploy:/fleet", ["a"])
        told = resolve_doubt(str(path), question, path != other.path)
        assert (told["decision"], told["in_doubt"], told["changed"]) == (None, True, False)
        assert "deploy:/fleet" in told["msg"]
        assert "sage_fleet_finish" in told["msg"]
    assert other.files() == []
    # The decision may be brought there.
    (other.path / "r1.json").write_bytes((fleet.path / "r1.json").read_bytes())
    (other.path / "r1.json").chmod(0o600)
    assert other.ask("a", decision_log=fleet.identity)["decision"] == "commit"


def test_the_admins_word(tmp_path: pathlib.Path, fleet: Fleet) -> None:
    other = Fleet(tmp_path / "other", opened="r0")
    told = other.ask("a", decision_log=fleet.identity, word="commit")
    assert (told["decision"], told["changed"], told["why"]) == ("commit", True, "the admin's word")
    # It holds for the other hosts too, without being said again, and against being said otherwise.
    assert other.ask("b", decision_log=fleet.identity)["decision"] == "commit"
    told = other.ask("c", decision_log=fleet.identity, word="abort")
    assert told["decision"] == "commit"
    assert "does not overrule" in told["msg"]
    # Nor does it count against a decision.
    fleet.decide(["a"])
    assert fleet.ask("a", word="commit")["decision"] == "abort"


def test_a_decision_about_others(fleet: Fleet) -> None:
    fleet.decide()
    with pytest.raises(StateError, match="without d"):
        fleet.ask("a", "d")
    with pytest.raises(StateError, match="without d"):
        fleet.decide(["d"], hosts=["d"])
    with pytest.raises(StateError, match="another decision log"):
        fleet.ask("a", decision_log="0" * 32)


def test_parts_commit_when_all_have_voted(fleet: Fleet) -> None:
    told: list[DecisionResult] = []

    def first() -> None:
        told.append(fleet.decide(["a"], hosts=["a"], part=1, parts=2, wait=LIMIT))

    thread = threading.Thread(target=first)
    thread.start()
    while ".r1.1.vote" not in fleet.files():
        time.sleep(0.01)
    open_run(str(fleet.path), "r9", False)
    assert fleet.ask("x", run="r9")["decision"] == "abort"
    told.append(fleet.decide(["b", "c"], hosts=["b", "c"], part=2, parts=2, wait=LIMIT))
    thread.join()
    assert [one["decision"] for one in told] == ["commit", "commit"]
    assert [one["hosts"] for one in told] == [HOSTS, HOSTS]
    assert sorted(one["changed"] for one in told) == [False, True]
    assert "2 parts" in str(told[0]["why"])


def test_a_part_that_fails_ends_the_others_waiting(fleet: Fleet) -> None:
    told: list[DecisionResult] = []

    def first() -> None:
        told.append(fleet.decide(["a"], hosts=["a"], part=1, parts=2, wait=FOREVER))

    thread = threading.Thread(target=first)
    thread.start()
    while ".r1.1.vote" not in fleet.files():
        time.sleep(0.01)
    assert fleet.decide(["b"], hosts=["b", "c"], part=2, parts=2)["decision"] == "abort"
    thread.join()
    assert told[0]["decision"] == "abort"


def test_a_part_that_never_votes(fleet: Fleet) -> None:
    told = fleet.decide(["a"], hosts=["a"], part=2, parts=3, wait=0.2)
    assert (told["decision"], told["why"]) == ("abort", "part 1, 3 of 3 did not vote in 0.2 s")
    # Had it been all: it still is abort.
    assert fleet.decide(["b"], hosts=["b"], part=1, parts=3)["decision"] == "abort"


def test_two_controllers_that_take_the_same_part(fleet: Fleet) -> None:
    log = open_log(str(fleet.path), create=True)
    assert log is not None
    with log:
        log.vote(PartVote("r1", 1, 2, ["b"], None))
    with pytest.raises(InputError, match="for other hosts"):
        fleet.decide(["a"], hosts=["a"], part=1, parts=2)


def test_a_vote_that_came_too_late(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        # The first part was killed when it had voted.
        def killed(*args: t.Any) -> t.NoReturn:
            raise KeyboardInterrupt

        patched.setattr(DecisionLog, "votes", killed)
        with pytest.raises(KeyboardInterrupt):
            fleet.decide(["a"], hosts=["a"], part=1, parts=2, seconds_left={"a": 0.2})
    time.sleep(0.25)
    told = fleet.decide(["b"], hosts=["b"], part=2, parts=2)
    assert told["decision"] == "abort"
    assert "could fire too early" in str(told["why"])


def test_what_is_written(fleet: Fleet) -> None:
    fleet.decide()
    content = json.loads((fleet.path / "r1.json").read_text())
    keys = {"format", "run", "decision", "hosts", "time", "by", "why", "decision_log", "deadline", "hash"}
    assert set(content) == keys
