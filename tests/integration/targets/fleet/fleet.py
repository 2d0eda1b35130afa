# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""All or none, played with the playbooks, judged by oracle.py: fleet.py CASE..., or fleet.py for a few."""

from __future__ import annotations

import importlib.util
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time
import typing as t
from unittest import mock

import oracle

HERE = pathlib.Path(__file__).resolve().parent
TOP = pathlib.Path(os.environ.get("OUTPUT_DIR", "/tmp")) / "fleet"
HOSTS = ["h1", "h2", "h3"]
BROKEN = "90.0"
KILL = "kill -9 $PPID"
# Seconds after which what is waited for will not come any more, however busy the machine is.
LIMIT = 600
# Of the hosts: in `make test` it keeps byte code of what comes in archives.
PYTHON = sys.executable
PLUGIN = "intellistream.sage."
CLI = """
import sys
from sage import VERSION


def main():
    print('core : broken' if VERSION == '90.0' else 'core : ok', VERSION)
    sys.exit(VERSION == '90.0')
"""
# None of these reaches a host.
ON_THE_CONTROLLER = (
    "assert",
    "debug",
    "fail",
    "include_role",
    "include_tasks",
    "meta",
    "pause",
    "sage_request",
    "sage_outcome",
    "sage_run_info",
    "set_fact",
    "set_stats",
)

Vars = t.Mapping[str, t.Any]


class Wrong(Exception):
    """Something is not as it has to be."""


class Run(t.NamedTuple):
    """A run that ended.

    :ivar status: the exit status; negative when it was killed.
    :ivar log: what the callback wrote.
    """

    status: int
    output: str
    log: list[dict[str, t.Any]]


class Fleet:
    """Hosts that are directories, and what may happen to them.

    :ivar old: what was there before the case.
    """

    def __init__(self, name: str, hosts: t.Sequence[str] = ()) -> None:
        self.hosts = list(hosts or HOSTS)
        self.top = TOP / name
        shutil.rmtree(self.top, ignore_errors=True)
        (self.top / "cut").mkdir(parents=True)
        self.version = 0
        self.number = 0
        self.old: dict[str, oracle.Sight] = {}
        # The first installation is of no case.
        self.ready(self.run(version=self.next()), 0)
        self.remember()

    def root(self, host: str) -> pathlib.Path:
        """Where a host is."""
        return self.top / "roots" / host

    def next(self) -> str:
        """A version that nobody has yet."""
        self.version += 1
        return f"{self.version}.0"

    def start(
        self,
        playbook: str = "install_sage",
        version: str = "",
        bad: t.Sequence[str] = (),
        hosts: t.Sequence[str] = (),
        place: str = "place",
        moment: Vars | None = None,
        **extra: t.Any,
    ) -> tuple[subprocess.Popen[bytes], pathlib.Path]:
        """Start a playbook.

        :param bad: hosts whose SAGE will not verify.
        :param moment: as the callback has it.
        """
        self.number += 1
        where = self.top / f"run{self.number}"
        where.mkdir()
        inventory = {
            host: {"sage_root": str(self.root(host)), "sage_version": BROKEN if host in bad else version}
            for host in hosts or self.hosts
        }
        common = {
            "ansible_connection": "cuttable",
            "ansible_python_interpreter": PYTHON,
            "sage_find_links": [str(TOP / "wheels")],
            "sage_no_index": True,
            "sage_fleet_dir": str(self.top / place),
            # Nobody is there to ask.
            "sage_assume_yes": True,
        }
        (where / "hosts.json").write_text(json.dumps({"all": {"hosts": inventory, "vars": common}}))
        environment = {
            **os.environ,
            "ANSIBLE_CALLBACK_PLUGINS": str(HERE / "plugins" / "callback"),
            "ANSIBLE_CONNECTION_PLUGINS": str(HERE / "plugins" / "connection"),
            "ANSIBLE_CALLBACKS_ENABLED": "moment",
            "ANSIBLE_PIPELINING": "1",
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_RETRY_FILES_ENABLED": "0",
            "FLEET_CUT": str(self.top / "cut"),
            "FLEET_LOG": str(where / "log"),
            "FLEET_MOMENT": json.dumps(moment or {}),
        }
        words = ["ansible-playbook", "-i", str(where / "hosts.json"), f"{PLUGIN}{playbook}"]
        words += ["-e", json.dumps({"sage_fleet_policy": "atomic", **extra})]
        with (where / "output").open("wb") as output:
            child = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,
            )
        return child, where

    def end(self, started: tuple[subprocess.Popen[bytes], pathlib.Path]) -> Run:
        """Wait for its end, and for that of what it left on the hosts when it was killed."""
        child, where = started
        status = child.wait(LIMIT)
        while _lives(child.pid):
            time.sleep(0.05)
        log = (
            [json.loads(line) for line in (where / "log").read_text().splitlines()] if (where / "log").exists() else []
        )
        return Run(status, (where / "output").read_text(errors="replace"), log)

    def run(self, playbook: str = "install_sage", **values: t.Any) -> Run:
        """Run a playbook to its end."""
        run = self.end(self.start(playbook, **values))
        if values.get("moment") and not any("came" in line for line in run.log):
            raise Wrong(f"the moment {values['moment']} did not come:\n{run.output}")
        return run

    def cut(self, host: str) -> str:
        """The file to make to cut a host off."""
        return str(self.top / "cut" / host)

    def mend(self) -> None:
        """Nobody is cut off."""
        for file in (self.top / "cut").iterdir():
            file.unlink()

    def look(self) -> dict[str, oracle.Sight]:
        """What is on all hosts."""
        return {host: oracle.look(self.root(host)) for host in self.hosts}

    def remember(self) -> None:
        """What is there now is old."""
        self.old = self.look()

    def states(self, version: str) -> dict[str, str]:
        """Of each host, C(old), C(new) or C(between)."""
        found = {}
        for host, now in self.look().items():
            if oracle.is_new(now, version):
                found[host] = "new"
            else:
                found[host] = "old" if now == self.old[host] else "between"
        return found

    def judge(self, version: str, wanted: str, what: str) -> None:
        """All hosts are C(wanted)."""
        found = self.states(version)
        if set(found.values()) != {wanted}:
            now = self.look()
            for host, state in found.items():
                if state == "between":
                    print(host, now[host].versions, now[host].says, now[host].wrong)
                    print(*sorted(set(self.old[host].lines) ^ set(now[host].lines))[:20], sep="\n")
            raise Wrong(f"{what}: wanted all {wanted}, and found {found}")

    def ready(self, run: Run, status: int) -> Run:
        """The run ended as it has to."""
        if run.status != status:
            raise Wrong(f"exit status {run.status} where {status} was to come:\n{run.output}")
        return run

    def finish(self, **values: t.Any) -> Run:
        """The next contact, which installs nothing."""
        return self.ready(self.run("finish_sage", **values), 0)


def _lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def remote(run: Run, host: str) -> list[str]:
    """What was executed on a host."""
    return [
        line["task"]
        for line in run.log
        if line.get("host") == host
        and line["action"].rpartition(".")[2] not in ON_THE_CONTROLLER
        and line["action"] != f"{PLUGIN}sage_decision"
    ]


def commit() -> None:
    """All are new; a second run changes nothing and takes the lease and makes one call; atomic adds two or three."""
    fleet = Fleet("commit")
    version = fleet.next()
    atomic = fleet.ready(fleet.run(version=version, sage_serial=[1, "100%"]), 0)
    fleet.judge(version, "new", "all are well")
    fleet.remember()
    again = fleet.ready(fleet.run(version=version), 0)
    fleet.judge(version, "new", "nothing was to do")
    if "changed=0 " not in again.output or "changed=1 " in again.output:
        raise Wrong(f"the second run changed something:\n{again.output}")
    version = fleet.next()
    alone = fleet.ready(fleet.run(version=version, sage_fleet_policy="independent"), 0)
    fleet.judge(version, "new", "independent")
    for host in HOSTS:
        counts = len(remote(again, host)), len(remote(atomic, host)) - len(remote(alone, host))
        print(f"  {host}: {len(remote(alone, host))} remote tasks independent, +{counts[1]} atomic, rerun {counts[0]}")
        if counts[0] > 2 or counts[1] > 3:
            raise Wrong(f"{host}: {remote(again, host)}; {remote(atomic, host)}; {remote(alone, host)}")


def one_fails() -> None:
    """One host fails: each of them is as it was, those of earlier batches too; later batches were not touched."""
    fleet = Fleet("one_fails")
    cases = ((["h2"], [1, 1, 1]), (["h3"], []), (["h3"], [1, 1, 1]), (HOSTS, []), (["h1"], [1, "100%"]))
    for bad, serial in cases:
        version = fleet.next()
        run = fleet.ready(fleet.run(version=version, bad=bad, sage_serial=serial), 2)
        fleet.judge(version, "old", f"{bad} failed, batches {serial}")
        # Its lease is had before anything is changed on one, and given back.
        leases = ("fleet | lease_round", "fleet | carry_out | Give back the lease")
        touched = [task for task in remote(run, "h3") if not task.startswith(leases)]
        if serial == [1, 1, 1] and bad == ["h2"] and touched:
            raise Wrong(f"the batch after the one that failed was touched: {touched}")
    version = fleet.next()
    fleet.ready(fleet.run(version=version), 0)
    fleet.judge(version, "new", "after all of that")


# When the controller is killed, which host fails, and how it then ends.
MOMENTS: list[tuple[str, str, str, str]] = [
    ("before", "fleet | open_run | Open the decision log", "", "old"),
    ("before", "install | begin | Begin or continue the installation", "", "old"),
    ("before", "phases | sage_packages | Install the SAGE distributions of the plan", "", "old"),
    ("after", "phases | sage_packages | Install the SAGE distributions of the plan", "", "old"),
    ("before", "phases | cleanup | End the installation", "", "old"),
    ("after", "phases | cleanup | End the installation", "", "old"),
    ("before", "fleet | decide | Commit or abort", "", "old"),
    ("after", "fleet | decide | Commit or abort", "", "new"),
    ("before", "fleet | decide | Deliver the decision", "", "new"),
    ("after", "fleet | decide | Deliver the decision", "", "new"),
    ("before", "Report what is installed", "", "new"),
    ("before", "install | rescue | Decide that the fleet run aborts", "h2", "old"),
    ("before", "install | rescue | Roll back", "h2", "old"),
    ("after", "install | rescue | Roll back", "h2", "old"),
    ("before", "fleet | decide | Commit or abort", "h2", "old"),
    ("after", "fleet | decide | Commit or abort", "h2", "old"),
    ("after", "fleet | decide | Deliver the decision", "h2", "old"),
    ("before", "fleet | carry_out | Roll back the aborted installation", "h2", "old"),
    ("after", "fleet | carry_out | Roll back the aborted installation", "h2", "old"),
]


def killed() -> None:
    """The controller is killed at each step; the next contact ends it."""
    fleet = Fleet("killed", ["h1", "h2"])
    for number, (when, task, bad, wanted) in enumerate(MOMENTS):
        what = f"killed {when} {task}{', where ' + bad + ' fails' if bad else ''}"
        version = fleet.next()
        run = fleet.run(version=version, bad=[bad] if bad else [], moment={"when": when, "task": task, "run": KILL})
        fleet.ready(run, -signal.SIGKILL)
        told = [state for state in fleet.states(version).values() if state == "new"]
        if number % 2:
            # The next contact is a run that wants something else.
            last = fleet.next()
            fleet.ready(fleet.run(version=last, bad=["h1"]), 2)
        else:
            fleet.finish()
        fleet.judge(version, wanted, what)
        print(f"  {what}: {len(told)} had the new one; all {wanted}")
        fleet.remember()


def away() -> None:
    """A host is cut off before, while or after it prepares, and hears at its next contact what was decided."""
    fleet = Fleet("away")
    cases = [
        ("before", "install | begin | Begin or continue the installation", "", "old", 4),
        ("before", "phases | sage_packages | Install the SAGE distributions of the plan", "", "old", 4),
        ("before", "phases | cleanup | End the installation", "", "old", 4),
        # It is prepared, and nobody hears of it.
        ("before", "phases | cleanup | End the installation", ".lose", "old", 4),
        ("before", "fleet | decide | Commit or abort", "", "new", 4),
        # It heard, and nobody knows.
        ("before", "fleet | decide | Deliver the decision", ".lose", "new", 4),
    ]
    for when, task, suffix, wanted, status in cases:
        what = f"cut off {when} {task}{' answered' if suffix else ''}"
        version = fleet.next()
        moment = {"when": when, "task": task, "run": f"touch {fleet.cut('h2')}{suffix}"}
        fleet.ready(fleet.run(version=version, moment=moment, sage_serial=["100%"]), status)
        found = fleet.states(version)
        if {found["h1"], found["h3"]} != {wanted}:
            raise Wrong(f"{what}: {found}")
        fleet.mend()
        fleet.finish()
        fleet.judge(version, wanted, what)
        print(f"  {what}: {found}; all {wanted}")
        fleet.remember()
    # The only host of its batch.
    version = fleet.next()
    moment = {"when": "before", "task": cases[1][1], "run": f"touch {fleet.cut('h1')}"}
    fleet.ready(fleet.run(version=version, moment=moment, sage_serial=[1, "100%"]), 4)
    fleet.mend()
    fleet.finish()
    fleet.judge(version, "old", "the only host of the first batch is cut off")


def two() -> None:
    """Another controller comes at the barrier: the one that writes first decides for both."""
    fleet = Fleet("two")
    version = fleet.next()
    # It has the decisions: nobody has decided, so it is abort, also for the first one.
    command = f"touch {fleet.top}/waits; while ! test -e {fleet.top}/go; do sleep .1; done"
    slow = {"when": "before", "task": "fleet | decide | Commit or abort", "run": command}
    first = fleet.start(version=version, moment=slow)
    _until(fleet.top / "waits")
    fleet.finish(hosts=["h2"])
    (fleet.top / "go").touch()
    fleet.ready(fleet.end(first), 2)
    fleet.judge(version, "old", "a second controller decided")
    # It has not: hosts stay in doubt, and the first one decides.
    for name in ("waits", "go"):
        (fleet.top / name).unlink()
    version = fleet.next()
    first = fleet.start(version=version, moment=slow)
    _until(fleet.top / "waits")
    fleet.ready(fleet.run("finish_sage", place="elsewhere"), 2)
    other = fleet.ready(fleet.run(place="elsewhere", version=fleet.next()), 2)
    if "cannot be decided here" not in other.output:
        raise Wrong(f"it does not say who decides:\n{other.output}")
    (fleet.top / "go").touch()
    fleet.ready(fleet.end(first), 0)
    fleet.judge(version, "new", "a second controller without the decisions")
    fleet.remember()


def slices() -> None:
    """Two controllers have the hosts of one run: both commit, or both abort."""
    fleet = Fleet("slices")
    was, version = fleet.old, ""
    for number, bad in enumerate((["h3"], [])):
        version = fleet.next()
        # A part that waited for what cannot come would wait for longer than a run may take.
        wait = {"sage_fleet_parts": 2, "sage_fleet_wait": 3 * LIMIT}
        same = {"version": version, "bad": bad, "sage_fleet_run": f"run{number}", **wait}
        first = fleet.start(hosts=["h1", "h2"], sage_fleet_part=1, **same)
        second = fleet.start(hosts=["h3"], sage_fleet_part=2, **same)
        # All hosts of the second part fail; the first one need not wait for it.
        done = [fleet.end(first), fleet.end(second)]
        for run in done:
            fleet.ready(run, 2 if bad else 0)
        fleet.judge(version, "old" if bad else "new", f"two parts, {bad} fails")
        was, fleet.old = fleet.old, fleet.look()
    # The same for a rollback: something of h3's is in the way, then nothing is.
    site = next(fleet.root("h3").glob(".sage/venv/lib/python3*/site-packages"))
    info, other = site / f"tinydep-{version}.dist-info", site / "tinydep-77.0.dist-info"
    for conflict in (True, False):
        if conflict:
            shutil.move(info, other)
        now = fleet.look()
        same = {"sage_fleet_run": f"back{conflict}", "sage_fleet_parts": 2}
        first = fleet.start("rollback_sage", hosts=["h1", "h2"], sage_fleet_part=1, **same)
        second = fleet.start("rollback_sage", hosts=["h3"], sage_fleet_part=2, **same)
        for run in (fleet.end(first), fleet.end(second)):
            fleet.ready(run, 2 if conflict else 0)
        fleet.old = now if conflict else was
        fleet.judge("none", "old", f"a rollback in two parts, conflict: {conflict}")
        if conflict:
            shutil.move(other, info)


def doubt() -> None:
    """The status tells which hosts are in doubt and why; the admin's word counts where the decision is lost."""
    fleet = Fleet("doubt")
    for word, wanted in (("commit", "new"), ("abort", "old")):
        version = fleet.next()
        fleet.run(version=version, moment={"when": "before", "task": "fleet | decide | Commit or abort", "run": KILL})
        status = fleet.ready(fleet.run("status_sage", place="elsewhere"), 0)
        text = " ".join(status.output.split())
        for part in ("in doubt since", "cannot be decided here", f"only {os.uname().nodename}:{fleet.top}/place knows"):
            if part not in text:
                raise Wrong(f"the status does not say {part!r}:\n{status.output}")
        # Independent runs ask, too.
        fleet.ready(fleet.run(version=version, place="elsewhere", sage_fleet_policy="independent"), 2)
        fleet.finish(place="elsewhere", sage_fleet_finish=word)
        fleet.judge(version, wanted, f"the admin's word is {word}")
        fleet.remember()


# What ansible.cfg may say, and what no fleet can use.
@mock.patch.dict(os.environ, {"ANSIBLE_STRATEGY": "free"})
def back() -> None:
    """A rollback of the fleet: none goes back unless all can."""
    fleet = Fleet("back")
    version = fleet.next()
    fleet.ready(fleet.run(version=version), 0)
    was, fleet.old = fleet.old, fleet.look()
    moment = {
        "when": "before",
        "task": "rollback | Compute what a rollback would do",
        "run": f"touch {fleet.cut('h3')}",
    }
    fleet.ready(fleet.run("rollback_sage", moment=moment), 4)
    fleet.judge("none", "old", "one does not answer")
    fleet.mend()
    site = next(fleet.root("h2").glob(".sage/venv/lib/python3*/site-packages"))
    shutil.move(site / f"tinydep-{version}.dist-info", site / "tinydep-77.0.dist-info")
    now = fleet.look()
    run = fleet.ready(fleet.run("rollback_sage"), 2)
    if "Nothing was changed anywhere" not in run.output:
        raise Wrong(run.output)
    fleet.old = now
    fleet.judge("none", "old", "one has a conflict")
    shutil.move(site / "tinydep-77.0.dist-info", site / f"tinydep-{version}.dist-info")
    fleet.old = was
    fleet.ready(fleet.run("rollback_sage", sage_serial=[1, "100%"]), 0)
    fleet.judge("none", "old", "all go back")


# When the controller of a rollback is killed, or a host is cut off (and then what status comes), and how it ends.
BACK: list[tuple[str, str, str, int, str]] = [
    ("before", "fleet | decide | Commit or abort", KILL, -9, "new"),
    ("after", "fleet | decide | Commit or abort", KILL, -9, "old"),
    ("before", "fleet | prepare_rollback | Prepare to roll back", "cut", 4, "new"),
    # It promised, and nobody knows.
    ("before", "fleet | prepare_rollback | Prepare to roll back", "lose", 4, "new"),
    ("after", "fleet | prepare_rollback | Prepare to roll back", KILL, -9, "new"),
    ("before", "fleet | decide | Deliver the decision", "cut", 4, "old"),
    ("after", "fleet | decide | Deliver the decision", KILL, -9, "old"),
    ("before", "rollback | host | Roll back", "cut", 4, "old"),
    ("after", "rollback | host | Roll back", KILL, -9, "old"),
]


def back_broken() -> None:
    """A rollback of the fleet is broken at each step: all go back, or none."""
    fleet = Fleet("back_broken")
    for number, (when, task, how, status, wanted) in enumerate(BACK):
        what = f"a rollback, {how} {when} {task}"
        fleet.remember()
        version = fleet.next()
        fleet.ready(fleet.run(version=version), 0)
        file = fleet.cut("h2") + (".lose" if how == "lose" else "")
        strike = KILL if how == KILL else f"touch {file}"
        fleet.ready(fleet.run("rollback_sage", moment={"when": when, "task": task, "run": strike}), status)
        found = fleet.states(version)
        fleet.mend()
        if number % 2:
            # The next contact is a run that wants something else, and fails.
            fleet.ready(fleet.run(version=fleet.next(), bad=["h1"]), 2)
        else:
            fleet.finish()
        fleet.judge(version, wanted, what)
        print(f"  {what}: {found}; all {wanted}")


def _until(file: pathlib.Path) -> None:
    end = time.monotonic() + LIMIT
    while not file.exists():
        if time.monotonic() > end:
            raise Wrong(f"{file} does not come")
        time.sleep(0.1)


def _builder() -> t.Any:
    spec = importlib.util.spec_from_file_location("wheelhouse", HERE.parent / "setup_wheelhouse/files/wheelhouse.py")
    if spec is None or spec.loader is None:
        raise Wrong("there is no setup_wheelhouse")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


wheelhouse = sys.modules["wheelhouse"] = _builder()


def make_wheels(last: int = 90) -> None:
    """Versions 1.0 to C(last) of C(isage), each of which needs the same of C(tinydep). 90.0 does not verify."""
    for number in range(1, last + 1):
        version = f"{number}.0"
        modules = {"sage/__init__.py": f"VERSION = {version!r}\n", "sage/cli.py": CLI, f"sage/only_{number}.py": ""}
        modules.update({f"sage/{part}.py": "" for part in ("foundation", "stream", "runtime", "serving")})
        wheelhouse.make_wheel(TOP / "wheels", "tinydep", version)
        needs = [f"tinydep=={version}"]
        wheelhouse.make_wheel(TOP / "wheels", "isage", version, needs, None, modules, {"sage": "sage.cli:main"})


CASES = {case.__name__: case for case in (commit, one_fails, away, two, slices, doubt, back, back_broken, killed)}
# The others run when they are named: Molecule's scenario `fleet` does the same to machines of their own.
ALWAYS = ("commit", "doubt", "back")


def main() -> None:
    """Play the cases."""
    shutil.rmtree(TOP, ignore_errors=True)
    make_wheels()
    for name in sys.argv[1:] or ALWAYS:
        begun = time.monotonic()
        print(f"{name}: {CASES[name].__doc__}", flush=True)
        CASES[name]()
        print(f"  {time.monotonic() - begun:.0f} s", flush=True)
    shutil.rmtree(TOP)


if __name__ == "__main__":
    main()
