# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Cases in which hosts go back: by a rollback that is broken, or since a task does not end in its window."""

from __future__ import annotations

import functools
import json
import re
import typing as t

from attempt import Attempt, pairs
from machines import ROOT
from runs import KILL, after, before
from turns import played
from wheels import HANGS

if t.TYPE_CHECKING:
    from machines import Machines

BACK = "rollback | host | Roll back"
# When a rollback is broken, by a cut or else by a kill, and what the hosts then have.
BREAKS: dict[str, tuple[dict[str, str], bool, str]] = {
    "all have promised": (before("fleet | decide | Commit or abort", KILL), False, "new"),
    "it is decided": (after("fleet | decide | Commit or abort", KILL), False, "old"),
    "one host is back": (after(BACK, KILL), False, "old"),
    "cut off before it promises": (before("fleet | prepare_rollback | Prepare to roll back", ""), True, "new"),
    "cut off before it hears": (before("fleet | decide | Deliver the decision", ""), True, "old"),
}
# Short, so that the window is used up by what hangs.
EXPECTED = dict.fromkeys(("environment_setup", "python_deps", "sage_packages", "verification", "cleanup"), "1s")


def _break(step: str, machines: Machines, names: list[str]) -> Attempt:
    strike, cuts, wanted = BREAKS[step]
    attempt = Attempt(machines, names)
    attempt.run(0)
    if cuts:
        strike = {**strike, "run": machines.cut(names[0])}
    forks = 1 if "one host" in step else 2
    attempt.run(4 if cuts else -9, playbook="rollback_sage.yml", strikes=[strike], forks=forks)
    if cuts:
        attempt.judge(wanted, names[1:])
        machines.shell(machines.mend(names[0]))
    attempt.finish()
    return attempt.judge(wanted)


def _hang(machines: Machines, names: list[str]) -> Attempt:
    attempt = Attempt(machines, names)
    versions = {names[0]: {"sage_version": f"{HANGS}.0"}, names[1]: {"sage_version": attempt.version}}
    window = {"sage_version": None, "sage_window": 240, "sage_expected_seconds": EXPECTED}
    run = attempt.run(2, extra=window, hosts=versions)
    # How long it takes says more of the machine than of the window: what counts is the time that the task was given.
    limits = [int(limit) for limit in re.findall(r"Timed out after (\d+) second", run.output)]
    begun = [event for event in _events(machines, names[0]) if event["event"] == "window"][-1]
    if "It was cut off" not in run.output or not limits:
        attempt.wrong.append("nothing was cut off")
    elif max(limits) + begun["undo"] > begun["seconds_left"]:
        attempt.wrong.append(f"cut off after {max(limits)} s, too late for an undo: {begun}")
    for name in names:
        if processes := machines.run(name, f"grep -las '[/]{ROOT[1:]}' /proc/[0-9]*/cmdline || true"):
            attempt.wrong.append(f"{name}: still at work: {processes}")
    return attempt.judge("old")


def _events(machines: Machines, name: str) -> list[dict[str, t.Any]]:
    """What a host has recorded, oldest first."""
    lines = machines.run(name, f"cat {ROOT}/.sage/checkpoints/ledger.jsonl").splitlines()
    return [event for line in lines for event in json.loads(line)["events"]]


def back(machines: Machines) -> list[str]:
    """A rollback of two hosts is broken at a step; a task hangs on one of two others, which have a window."""
    works: dict[str, t.Callable[[Machines, list[str]], Attempt]] = {"hangs": _hang}
    return pairs(machines, {**works, **{step: functools.partial(_break, step) for step in played(BREAKS, 2)}})


CASES: dict[str, t.Callable[[Machines], list[str]]] = {"back": back}
