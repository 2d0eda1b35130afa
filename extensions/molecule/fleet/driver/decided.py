# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Cases in which the controller is the trouble: it is killed, there are two of them, no two clocks agree."""

from __future__ import annotations

import functools
import typing as t

from attempt import Attempt, pairs
from machines import HERE, Machines
from runs import KILL, after, before, judge
from turns import played
from wheels import BROKEN

CLOCK = "clock/sitecustomize.py"
INSTALL = "phases | sage_packages | Install the SAGE distributions of the plan"
# Where the controller is killed, who comes then, and how its hosts end. Where nobody has decided, an installation that
# was killed is continued by the next one that wants the same, as always, so there the one comes that begins nothing.
KILLS = {
    "the place is open": (after("fleet | open_run | Open the decision log", KILL), "finish", "old"),
    "a phase is at work": (before(INSTALL, KILL), "finish", "old"),
    "one host is prepared": (after("phases | cleanup | End the installation", KILL), "finish", "old"),
    "all are prepared": (before("fleet | decide | Commit or abort", KILL), "install", "old"),
    "it is decided": (after("fleet | decide | Commit or abort", KILL), "install", "new"),
    "one host was told": (after("fleet | decide | Deliver the decision", KILL), "finish", "new"),
}
# The same where one of three hosts failed, so that it is abort.
KILLS_OF_ABORT = {
    "abort was told": before("fleet | carry_out | Roll back the aborted installation", KILL),
    "one host is back": after("fleet | carry_out | Roll back the aborted installation", KILL),
}


def everybody(machines: Machines) -> list[str]:
    """Twelve hosts without a SAGE end all on the new one."""
    attempt = Attempt(machines, list(machines.facts["hosts"]))
    attempt.run(0, forks=12)
    return attempt.judge("new").report("everybody")


def _kill(step: str, machines: Machines, names: list[str]) -> Attempt:
    strike, who, wanted = KILLS[step]
    attempt = Attempt(machines, names)
    # One at a time: the first host has been told, and the second has not.
    attempt.run(-9, strikes=[strike], forks=1 if "one host" in step else 2)
    attempt.contact() if who == "install" else attempt.finish()
    return attempt.judge(wanted)


def killed(machines: Machines) -> list[str]:
    """The controller is killed at a step of the protocol, and another run comes."""
    return pairs(machines, {step: functools.partial(_kill, step) for step in played(KILLS, 3)})


def killed_in_abort(machines: Machines) -> list[str]:
    """The controller is killed while it takes back what two hosts did, since a third one failed."""
    names = list(machines.facts["hosts"])
    wrong = []
    for number, (step, strike) in enumerate(played(KILLS_OF_ABORT.items(), 2)):
        three = names[3 * number : 3 * number + 3]
        attempt = Attempt(machines, three)
        versions = {name: {"sage_version": attempt.version} for name in three}
        versions[three[0]] = {"sage_version": f"{BROKEN}.0"}
        attempt.run(-9, extra={"sage_version": None}, hosts=versions, strikes=[strike], forks=1)
        attempt.finish()
        wrong += attempt.judge("old").report(step)
    return wrong


def clocks(machines: Machines) -> list[str]:
    """Hosts five hours ahead, one ahead and right, controllers nine hours behind and right.

    These hosts are in no later case: no clock goes back between two installations of a host.
    """
    names = list(machines.facts["hosts"])[-3:]
    for name in names:
        machines.run(name, "mkdir -p ~/clock && cat > ~/clock/sitecustomize.py", (HERE / CLOCK).read_text())
    hosts = {
        name: {"sage_environment": {"PYTHONPATH": "/home/sage/clock", "SAGE_TEST_SHIFT": str(hours * 3600)}}
        for name, hours in zip(names, (5, 1, 0))
    }
    behind = {"PYTHONPATH": str(HERE / "clock"), "SAGE_TEST_SHIFT": str(-9 * 3600)}
    attempt = Attempt(machines, names)
    attempt.run(-9, hosts=hosts, strikes=[before("fleet | decide | Commit or abort", KILL)])
    attempt.contact(hosts=hosts, environment=behind)
    attempt.judge("old")
    attempt.run(0, hosts=hosts, environment=behind)
    attempt.judge("new")
    return attempt.report("clocks")


def two_controllers(machines: Machines) -> list[str]:
    """Two runs that know nothing of each other, over the same hosts, for different versions, at the same time."""
    names = list(machines.facts["hosts"])[:2]
    first = Attempt(machines, names)
    second = Attempt(machines, names)
    runs = first.start(), second.start()
    for run in runs:
        run.wait()
    first.contact(extra={"sage_version": second.version})
    # What one of them found before may be what the other one left.
    outcomes = [judge(machines, names, attempt.old, attempt.version, "same") for attempt in (first, second)]
    if all(outcomes):
        first.wrong += [line for lines in outcomes for line in lines]
    return first.report("two controllers") + (second.report("the second") if first.wrong else [])


def slices(machines: Machines) -> list[str]:
    """Two controllers of one run, each with hosts of its own: first one of the four hosts fails, then none."""
    names = list(machines.facts["hosts"])[:4]
    wrong = []
    for fails in (True, False):
        attempt = Attempt(machines, names)
        versions = {name: {"sage_version": attempt.version} for name in names}
        if fails:
            versions[names[0]] = {"sage_version": f"{BROKEN}.0"}
        shared = {"sage_version": None, "sage_fleet_run": f"sliced-{attempt.version}", "sage_fleet_parts": 2}
        runs = [
            attempt.start(part, {**shared, "sage_fleet_part": number}, hosts=versions)
            for number, part in enumerate((names[:2], names[2:]), 1)
        ]
        for run in runs:
            attempt.ended(run, 2 if fails else 0)
        wrong += attempt.judge("old" if fails else "new").report("slices")
    return wrong


CASES: dict[str, t.Callable[[Machines], list[str]]] = {
    "everybody": everybody,
    "killed": killed,
    "killed_in_abort": killed_in_abort,
    "clocks": clocks,
    "two_controllers": two_controllers,
    "slices": slices,
}
