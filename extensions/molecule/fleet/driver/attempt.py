# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An attempt of a fleet run over some hosts, from what was there before to what the oracle says of it."""

from __future__ import annotations

import typing as t

from machines import Machines, each
from runs import KILL, Run, Vars, before, judge

# What a host does when it is found in doubt or half done is all behind it here, and nothing new has begun.
RESOLVED = "install | recover | Begin or continue the installation"


class Attempt:
    """One.

    :ivar version: what the run wants to install.
    :ivar old: what the oracle found before.
    """

    def __init__(self, machines: Machines, names: t.Sequence[str], version: str = "") -> None:
        self.machines = machines
        self.names = list(names)
        self.version = version or machines.generation()
        self.old = machines.look(names)
        self.wrong: list[str] = []
        self.runs: list[Run] = []

    def start(self, names: t.Sequence[str] = (), extra: Vars | None = None, **options: t.Any) -> Run:
        """Start a run."""
        place = {"sage_fleet_policy": "atomic", "sage_fleet_dir": str(self.machines.state / "place")}
        wanted = {"sage_version": self.version, **place, **(extra or {})}
        # None leaves a variable to the hosts: an extra one would win over theirs.
        wanted = {name: value for name, value in wanted.items() if value is not None}
        run = Run(self.machines, names or self.names, wanted, **options)
        self.runs.append(run)
        return run

    def run(self, *statuses: int, names: t.Sequence[str] = (), extra: Vars | None = None, **options: t.Any) -> Run:
        """Run to its end, which has to have one of these statuses."""
        return self.ended(self.start(names, extra, **options), *statuses)

    def ended(self, run: Run, *statuses: int) -> Run:
        """Wait for it."""
        run.wait()
        self.wrong += run.missed()
        if run.status not in statuses:
            self.wrong.append(f"exit status {run.status}, not {statuses}")
        return run

    def contact(self, names: t.Sequence[str] = (), **options: t.Any) -> Run:
        """The next run that comes, over the same hosts or others; killed before it begins anything of its own.

        Where nothing was left to ask and nothing to take back, it goes to its end.
        """
        run = self.start(names, strikes=[before(RESOLVED, KILL)], **options).wait()
        if run.status not in (0, -9):
            self.wrong.append(f"the next contact ended with {run.status}")
        return run

    def finish(self, names: t.Sequence[str] = (), **options: t.Any) -> Run:
        """The playbook that does nothing but that."""
        return self.run(0, names=names, playbook="finish_sage.yml", **options)

    def judge(self, wanted: str, names: t.Sequence[str] = ()) -> Attempt:
        """Ask the oracle: C(old), C(new) or C(same)."""
        self.wrong += judge(self.machines, names or self.names, self.old, self.version, wanted)
        return self

    def report(self, title: str) -> list[str]:
        """What was wrong, with what the runs said."""
        if not self.wrong:
            return []
        outputs = [f"--- run {number}\n{run.output[-6000:]}" for number, run in enumerate(self.runs, 1)]
        return [f"{title}: {one}" for one in self.wrong] + outputs


def pairs(machines: Machines, works: t.Mapping[str, t.Callable[[Machines, list[str]], Attempt]]) -> list[str]:
    """Attempts side by side, each with two hosts of its own."""
    names = list(machines.facts["hosts"])
    placed = {title: names[2 * number : 2 * number + 2] for number, title in enumerate(works)}
    done = each(works, lambda title: works[title](machines, placed[title]).report(f"{title} ({placed[title]})"))
    return [line for lines in done.values() for line in lines]
