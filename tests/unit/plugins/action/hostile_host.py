# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The interpreter of a host that somebody else has taken over: whatever module it is given, it answers as it likes.

It never touches a file itself: whatever else is changed, the controller was made to change.

HOSTILE is JSON: C(seed), C(kind) of answers, C(outside) a path that nobody may touch, C(runs) and C(decision_log).
"""

from __future__ import annotations

import json
import os
import random
import sys
import typing as t

NASTY = (
    "x\ngood  9.9.9  completed  -  nothing to do\r",
    "\x1b[2J\x1b]0;mine\x07",
    "\u202e\u2028\x00",
    "{{ lookup('pipe', 'touch OUTSIDE/templated') }}",
    "$(touch OUTSIDE/expanded); `touch OUTSIDE/expanded`",
    "../../OUTSIDE/escaped",
    "OUTSIDE/named",
    "y" * 200_000,
    "",
)


class Hostile:
    """What it says, by chance."""

    def __init__(self, settings: dict[str, t.Any], given: bytes) -> None:
        # The same module gets the same answer in the same round.
        self.chance = random.Random(f"{settings['seed']} {len(given)}")  # noqa: S311 # no secret
        self.settings = settings

    def text(self) -> str:
        """Something nasty."""
        return self.chance.choice(NASTY).replace("OUTSIDE", self.settings["outside"])

    def any(self, depth: int = 3) -> t.Any:
        """A value of any type."""
        if depth and self.chance.random() < 0.4:
            if self.chance.random() < 0.5:
                return [self.any(depth - 1) for dummy in range(self.chance.randrange(4))]
            return {self.text()[:50]: self.any(depth - 1) for dummy in range(self.chance.randrange(4))}
        return self.chance.choice([self.text(), True, False, None, -1, 1e308, 10**30, []])

    def facts(self) -> dict[str, t.Any]:
        """What would steer the controller, if facts did."""
        outside = self.settings["outside"]
        return {
            "sage_assume_yes": True,
            "sage_fleet_finish": "commit",
            "sage_fleet_dir": f"{outside}/fleet",
            "sage_status_file": f"{outside}/status",
            "sage_lock_dir": f"{outside}/locks",
            "sage_lock_write": f"{outside}/lock",
            "sage_rollback_force": True,
            "__sage_vote": {"host": "good", "run": "known", "waits": True, "until": None},
            "__sage_answer": {"user_input": "y"},
            "__sage_plan": {"path": f"{outside}/secret"},
            "__sage_window_end": 1,
            "ansible_connection": "local",
        }

    def steering(self) -> dict[str, t.Any]:
        """By these names modules of Ansible's own change variables and the inventory, also of other hosts."""
        return {
            "ansible_facts": self.facts(),
            "add_host": {"host_name": "good", "groups": ["known"], "host_vars": self.facts()},
            "ansible_stats": {"data": {"sage": self.text()}, "aggregate": False, "per_host": True},
        }

    def plausible(self) -> dict[str, t.Any]:
        """An answer of the form that modules have, to whichever it is."""
        run = self.chance.choice(self.settings["runs"])
        fleet = {
            "run": run,
            "asks": True,
            "state": "in_doubt",
            "decision_log": self.settings["decision_log"],
            "where": self.text(),
            "since": self.text(),
        }
        plan = {"erase": [self.text()], "install": [], "distributions": [], "known": True, "installer": "pip"}
        resume = {
            "needed": True,
            "phase": self.text(),
            "reasons": [{"reason": self.text()}],
            "phases_to_run": ["cleanup"],
        }
        answer = {
            "changed": self.chance.random() < 0.5,
            **self.steering(),
            "exists": True,
            "status": "completed",
            "version": self.text(),
            "msg": self.text(),
            "install_id": self.text(),
            "fleet": fleet,
            "phases": {self.text(): {"status": "failed", "data": self.any()}},
            "resume": resume,
            "progress": {"install_id": self.text(), "can_rollback": True, "completed_phases": [self.text()]},
            "recover": None,
            "plan": plan,
            "undone": [self.text()],
            "target": self.text(),
            "exact": True,
            "redo_point": self.text(),
            "kept": [self.text()],
            "inexact": [self.text()],
            "pruned": [self.text()],
            "archived": [],
            "protected": [],
            "group": self.chance.choice([self.text(), "linux-x86_64-glibc2_36-cp311"]),
            "lock": self.text(),
            "missing": [self.text()],
            "transactions": [{"tid": self.text(), "packages": [self.text()], "rollback_points": [self.any()]}],
            "ledger": {"message": ""},
            "warnings": [],
        }
        # What it says of fleet runs is always of the right form: else nobody would be asked to decide.
        for name in self.chance.sample(sorted({*answer} - {"fleet", "phases"}), self.chance.randrange(6)):
            answer[name] = self.any()
        return answer

    def answer(self) -> str:
        """What it prints."""
        kind = self.settings["kind"]
        if kind == "garbage":
            return self.chance.choice(
                [self.text(), "[" * 100_000, "{", "null", '"text"', "[1]", "{}", self.text() + "{}"]
            )
        if kind == "steering":
            return json.dumps({"changed": False, **self.steering()})
        return json.dumps(self.plausible() if kind == "plausible" else {"changed": False, **self.any_mapping()})

    def any_mapping(self) -> dict[str, t.Any]:
        """The right names with values of any type."""
        return {name: self.any() for name in self.plausible() if self.chance.random() < 0.8}


def main() -> None:
    """Take the module, and answer."""
    given = sys.stdin.buffer.read()
    print(Hostile(json.loads(os.environ["HOSTILE"]), given).answer())


if __name__ == "__main__":
    main()
