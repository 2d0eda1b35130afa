# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Measures how the cost of a run grows with the fleet: scaling.py [--rerun 50,100,200,500] [--fresh 10] [--plain 10]

Hosts are simulated: local connections, each with a root of its own, all on this machine, so what a host does takes
processors from what the controller does, as it would not in a fleet. Finished hosts beyond the first are made by the
engine in this process, as the role would have made them. Distributions are tiny, so nothing hides what the runs cost.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import os
import pathlib
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import typing as t

CHECKOUT = pathlib.Path(__file__).resolve().parents[2]
COLLECTIONS = CHECKOUT / ".ansible" / "collections"
sys.path.insert(0, str(COLLECTIONS))

from ansible_collections.intellistream.sage.plugins.module_utils._calls.checkpoint import CheckpointRequest, checkpoint
from ansible_collections.intellistream.sage.plugins.module_utils._records.session import Engine
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils.recorded import verified

VERSION = "1.0"
PACKAGES = ["git", "python3-venv"]
# What people write who have no collection for it: idempotent, and as little as does the same.
PLAIN = """
- hosts: all
  gather_facts: false
  tasks:
    - ansible.builtin.apt: {name: %(packages)s, state: present}
    - ansible.builtin.git: {repo: %(repository)s, dest: "{{ sage_root }}/src", version: HEAD}
    - ansible.builtin.pip:
        name: [tinydep==%(version)s, isage==%(version)s]
        virtualenv: "{{ sage_root }}/venv"
        virtualenv_command: python3 -m venv
        extra_args: --no-index --find-links %(wheels)s
    - ansible.builtin.command: "{{ sage_root }}/venv/bin/sage verify"
      changed_when: false
"""


class Cost(t.NamedTuple):
    """Of one run.

    :ivar wall: seconds on the clock.
    :ivar processors: seconds of all its processes.
    :ivar kilobytes: the most memory that ansible-playbook itself had, without its workers.
    :ivar remote: executions on each host.
    """

    hosts: int
    wall: float
    processors: float
    kilobytes: int
    remote: dict[str, int]

    @property
    def most(self) -> int:
        """Executions on the host that had most of them."""
        return max(self.remote.values(), default=0)


class Fleet:
    """Simulated hosts below one directory."""

    def __init__(self, where: pathlib.Path, forks: int) -> None:
        self.where = where
        self.forks = forks
        self.wheels = where / "index" / "files"
        path = CHECKOUT / "extensions/molecule/fleet/driver/wheels.py"
        spec = importlib.util.spec_from_file_location("wheels", path)
        if spec is None or spec.loader is None:
            raise FileNotFoundError(path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        module.make(where / "index")

    def root(self, number: int) -> pathlib.Path:
        """Where a host has its SAGE."""
        return self.where / "hosts" / f"h{number:04d}"

    def inventory(self, hosts: int) -> pathlib.Path:
        """All of them, as one file."""
        one = {f"h{number:04d}": {"sage_root": str(self.root(number))} for number in range(hosts)}
        common = {
            "ansible_connection": "local",
            "ansible_python_interpreter": shutil.which("python3", path="/usr/bin"),
            "sage_version": VERSION,
            "sage_no_index": True,
            "sage_find_links": [str(self.wheels)],
        }
        path = self.where / f"hosts-{hosts}.json"
        path.write_text(json.dumps({"all": {"hosts": one, "vars": common}}))
        return path

    def play(self, hosts: int, *arguments: str) -> Cost:
        """Run a playbook over so many hosts."""
        counts = self.where / "counts.json"
        environment = {
            **os.environ,
            "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"),
            "ANSIBLE_COLLECTIONS_PATH": os.environ.get("ANSIBLE_COLLECTIONS_PATH", str(COLLECTIONS)),
            "ANSIBLE_CALLBACK_PLUGINS": str(pathlib.Path(__file__).with_name("callbacks")),
            "ANSIBLE_CALLBACKS_ENABLED": "count_modules",
            "ANSIBLE_DISPLAY_OK_HOSTS": "no",
            "ANSIBLE_DISPLAY_SKIPPED_HOSTS": "no",
            "ANSIBLE_FORKS": str(self.forks),
            "SAGE_BENCH_COUNT": str(counts),
        }
        before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        done = subprocess.run(
            ["ansible-playbook", "-i", str(self.inventory(hosts)), *arguments],
            check=False,
            capture_output=True,
            text=True,
            cwd=CHECKOUT,
            env=environment,
        )
        wall, after = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
        if done.returncode:
            raise RuntimeError(f"{done.stdout[-6000:]}{done.stderr[-2000:]}")
        found = json.loads(counts.read_text())
        processors = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return Cost(hosts, wall, processors, found["kilobytes"], found["remote"])

    def install(self, hosts: int, *arguments: str) -> Cost:
        """The collection's playbook."""
        return self.play(hosts, str(CHECKOUT / "playbooks/install_sage.yml"), *arguments)

    def fresh(self) -> None:
        """No host has anything."""
        shutil.rmtree(self.where / "hosts", ignore_errors=True)
        (self.where / "hosts").mkdir()

    def finished(self, hosts: int) -> None:
        """Every host has finished an installation: the first by the role, the others as it recorded that."""
        if not self.root(0).exists():
            self.install(1)
        with Engine(str(self.root(0))).reading() as session:
            inputs = next(
                event["inputs"] for entry in session.lines() for event in entry.events if event["event"] == "begun"
            )
            last = {
                event["phase"]: event
                for entry in session.lines()
                for event in entry.events
                if event["event"] == "phase"
            }
        for number in range(1, hosts):
            root = self.root(number)
            if root.exists():
                continue
            shutil.copytree(self.root(0) / ".sage/venv", root / ".sage/venv", symlinks=True)
            transitions = [
                {
                    "phase": phase,
                    "status": event["status"],
                    "data": event["data"],
                    "result": [self._moved(one["spec"], root) for one in event.get("result") or []],
                }
                for phase, event in last.items()
            ]
            engine = Engine(str(root))
            checkpoint(engine, CheckpointRequest(inputs, True, {}, []), False)
            verified(engine)
            checkpoint(engine, CheckpointRequest(None, True, {}, transitions), False)

    def _moved(self, spec: dict[str, t.Any], root: pathlib.Path) -> dict[str, t.Any]:
        text = json.dumps(spec).replace(str(self.root(0)), str(root))
        return t.cast("dict[str, t.Any]", json.loads(text))

    def plain(self, hosts: int) -> pathlib.Path:
        """A playbook without the collection; everything is installed by it when this returns."""
        repository = self.where / "repository"
        if not repository.exists():
            author = ["-c", "user.name=bench", "-c", "user.email=bench@example.org"]
            subprocess.run(["git", "init", "--quiet", str(repository)], check=True)
            commit = ["git", "-C", str(repository), *author, "commit", "--quiet", "--allow-empty", "-m", "SAGE"]
            subprocess.run(commit, check=True)
        playbook = self.where / "plain.yml"
        values = {"packages": PACKAGES, "repository": repository, "version": VERSION, "wheels": self.wheels}
        playbook.write_text(PLAIN % values)
        self.play(hosts, str(playbook))
        return playbook


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _line(what: str, cost: Cost, base: int) -> None:
    _say(
        f"| {what} | {cost.hosts} | {cost.wall:.1f} s | {cost.wall / cost.hosts * 1000:.0f} ms "
        f"| {cost.processors / cost.hosts * 1000:.0f} ms | {cost.kilobytes / 1024:.0f} MB "
        f"| {(cost.kilobytes - base) / cost.hosts:.0f} kB | {cost.most} |"
    )


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Measures how the cost of a run grows with the fleet.")
    parser.add_argument("--rerun", default="50,100,200,500", help="reruns of so many finished hosts")
    parser.add_argument("--fresh", type=int, default=10, help="fresh installs, independent and all-or-none")
    parser.add_argument("--plain", type=int, default=10, help="hosts of a comparison with a plain play; 0 for none")
    parser.add_argument("--rounds", type=int, default=3, help="of that comparison, taken in turn")
    parser.add_argument("--forks", type=int, default=10)
    options = parser.parse_args()
    missed = []
    load = os.getloadavg()[0]
    _say(f"{os.cpu_count()} cores, load before {load:.1f}, forks {options.forks}\n")
    _say("| run | hosts | clock | per host | processors per host | controller | per host | executions on a host |")
    _say("|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory(prefix="sage-scaling-") as directory:
        fleet = Fleet(pathlib.Path(directory), options.forks)
        fleet.fresh()
        fleet.finished(1)
        base = fleet.install(1).kilobytes
        if options.fresh:
            costs = []
            for policy in ("independent", "atomic"):
                fleet.fresh()
                place = ["-e", f"sage_fleet_policy={policy}", "-e", f"sage_fleet_dir={directory}/place"]
                costs.append(fleet.install(options.fresh, *place))
                _line(f"fresh, {policy}", costs[-1], base)
                again = fleet.install(options.fresh, *place)
                _line(f"again, {policy}", again, base)
                if again.most > 1:
                    missed.append(f"a finished host had {again.most} executions")
            if costs[0].most > 30 or costs[1].most - costs[0].most > 2:
                missed.append(f"a fresh host had {costs[0].most} executions, {costs[1].most} all or none")
        reruns = []
        for hosts in map(int, filter(None, options.rerun.split(","))):
            fleet.finished(hosts)
            reruns.append(fleet.install(hosts))
            _line("finished", reruns[-1], base)
        for what, values in (
            ("clock", [one.wall / one.hosts for one in reruns]),
            ("processors", [one.processors / one.hosts for one in reruns]),
            ("memory", [(one.kilobytes - base) / one.hosts for one in reruns]),
        ):
            if values:
                _say(f"\n{what} per host, most against least: {max(values) / min(values):.2f}")
        if options.plain:
            fleet.finished(options.plain)
            missed += _compare(fleet, options.plain, options.rounds, base)
    _say(f"\nload after: {os.getloadavg()[0]:.1f}")
    for one in missed:
        _say(f"MISSED: {one}")
    return 1 if missed else 0


def _compare(fleet: Fleet, hosts: int, rounds: int, base: int) -> list[str]:
    """A rerun against a plain play's, in turn."""
    packages = subprocess.run(["dpkg-query", "-W", *PACKAGES], check=False, capture_output=True)
    if packages.returncode:
        _say(f"\nno plain play: {' and '.join(PACKAGES)} would be installed on this machine")
        return []
    playbook = fleet.plain(hosts)
    ratios = []
    for _round in range(rounds):
        ours, plain = fleet.install(hosts), fleet.play(hosts, str(playbook))
        _line("finished", ours, base)
        _line("finished, plain play", plain, base)
        ratios.append((ours.wall / plain.wall, ours.processors / plain.processors))
    clock, processors = (sorted(values)[rounds // 2] for values in zip(*ratios))
    _say(f"\nfinished against plain: {clock:.2f} of the clock, {processors:.2f} of the processors")
    return [f"{clock:.2f} of the plain play's time"] if clock > 1 / 3 else []


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):
        sys.exit(main())
