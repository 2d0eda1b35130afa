# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Windows and dead-man's switches with real time-outs: window.py [CASE...]. Judged by the fleet's oracle."""

from __future__ import annotations

import json
import os
import pathlib
import re
import shutil
import signal
import sys
import time
import typing as t

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "fleet")]

import fleet
import oracle
import wheelhouse

Wrong = fleet.Wrong
HANGS = "91.0"
ONLY = ["h1"]
# Does not end, and spoils what it finds once its own version is gone.
HANGING = """
import glob, os, time
from sage import VERSION


def main():
    site = os.path.dirname(os.path.dirname(__file__))
    while VERSION == '91.0':
        if os.path.isdir(os.path.join(site, 'tinydep-91.0.dist-info')):
            open(os.path.join(os.environ['HANGS'], 'at_work'), 'w').close()
        else:
            for name in glob.glob(os.path.join(site, '*', '*.py')):
                open(name, 'a').write('# spoilt')
        time.sleep(0.05)
    print('core : ok', VERSION)
"""
# An installer that has begun, and goes on writing.
INSTALLER = """#!/bin/sh
case " $* " in
*" --dry-run "*) ;;
*" pip install "*)
    cd "{root}"/.sage/venv/lib/python3*/site-packages/tinydep
    touch "{top}/at_work"
    while :; do rm -f __init__.py; echo "# at work" >__init__.py; sleep 0.05; done
    ;;
esac
exec {uv} "$@"
"""


class One(fleet.Fleet):
    """A fleet of one host, with a record of what its phases and its undo take."""

    def __init__(self, name: str) -> None:
        super().__init__(name, ONLY)
        # It fails, and is undone: then the host knows how long that takes.
        self.ready(self.run(version=self.next(), bad=ONLY, sage_rollback_policy="transaction", **ALONE), 2)
        self.judge("none", "old", "before the case")

    @property
    def state(self) -> pathlib.Path:
        """Its record."""
        return self.root("h1") / ".sage" / "checkpoints"

    def recorded(self, kind: str) -> list[dict[str, t.Any]]:
        """Events of a kind, oldest first."""
        entries = [json.loads(line) for line in (self.state / "ledger.jsonl").read_text().splitlines()]
        return [event for entry in entries for event in entry["events"] if event["event"] == kind]

    def stays(self, version: str, wanted: str, what: str) -> None:
        """It is so, and nobody is at work who could change it."""
        self.judge(version, wanted, what)
        # A switch finds out by itself that it was disarmed.
        end = time.monotonic() + fleet.LIMIT
        while left := [line for line in processes() if str(self.root("h1")) in line]:
            if time.monotonic() > end or not all("deadman.pyz" in line for line in left):
                raise Wrong(f"{what}: this is still at work: {left}")
            time.sleep(0.5)
        time.sleep(2)
        self.judge(version, wanted, f"{what}, and then")

    def until_old(self, what: str) -> float:
        """Waits for what was there, and nobody comes near; returns how long it took."""
        begun = time.monotonic()
        # What is installed then is not asked: it may not answer.
        while oracle._lines(self.root("h1")) != self.old["h1"].lines:
            if time.monotonic() - begun > fleet.LIMIT:
                raise Wrong(f"{what}: after {fleet.LIMIT} s it is not as it was; fired: {self.recorded('fired')}")
            time.sleep(0.5)
        return time.monotonic() - begun


ALONE: dict[str, t.Any] = {"sage_fleet_policy": "independent"}
# Whatever a busy machine has taken before.
SHORT = dict.fromkeys(("environment_setup", "python_deps", "sage_packages", "verification", "cleanup"), "1s")


def processes() -> list[str]:
    """What runs, with its arguments."""
    found = []
    for one in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            line = (one / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if line and int(one.name) != os.getpid():
            found.append(line)
    return found


def said(run: fleet.Run, *parts: str) -> None:
    """The output says all of this."""
    text = " ".join(run.output.split())
    for part in parts:
        if part not in text:
            raise Wrong(f"it does not say {part!r}:\n{run.output}")


def slow_installer(one: One) -> dict[str, t.Any]:
    """The variables of a run whose installer does not end."""
    uv = shutil.which("uv")
    if uv is None:
        return {}
    path = one.top / "slow" / "uv"
    path.parent.mkdir(exist_ok=True)
    path.write_text(INSTALLER.format(root=one.root("h1"), uv=uv, top=one.top))
    path.chmod(0o755)
    return {"sage_uv": str(path), "sage_installer": "uv"}


def too_small() -> None:
    """A window that is too small, by the record or by what the user says: nothing is touched, the numbers are told."""
    one = One("too_small")
    before = (one.state / "ledger.jsonl").read_bytes()
    for values in (
        {"sage_window": "3s"},
        {"sage_window": "10m", "sage_expected_seconds": {"python_deps": "20m"}},
        {"sage_deadline": int(time.time()) + 2},
        {"sage_deadline": int(time.time()) - 3600, "sage_window": "2h"},
    ):
        run = one.ready(one.run(version=one.next(), **ALONE, **values), 2)
        one.judge("none", "old", str(values))
        said(run, "The window end", "are needed:", "undo ")
        if (one.state / "ledger.jsonl").read_bytes() != before:
            raise Wrong(f"{values}: something was recorded")
    version = one.next()
    run = one.ready(one.run(version=version, **ALONE, sage_window="10m"), 0)
    one.judge(version, "new", "a window that is large enough")
    said(run, "s are left of the window. Expected:", "Window: ")


def hanging(one: One) -> list[tuple[str, dict[str, t.Any]]]:
    """What hangs, and the variables of a run where it does."""
    slow = slow_installer(one)
    if not slow:
        print("  no uv here: the installer that hangs is left out")
    found: list[tuple[str, dict[str, t.Any]]] = [
        ("sage verify", {"version": HANGS, "sage_environment": {"HANGS": str(one.top)}})
    ]
    return found + ([("the installer", {"version": one.next(), **slow})] if slow else [])


def hangs() -> None:
    """A task hangs, and goes on writing when it is cut off: what was there is there, inside the window, and stays."""
    one = One("hangs")
    for what, values in hanging(one):
        window = 150
        run = one.ready(one.run(**values, **ALONE, sage_window=window, sage_expected_seconds=SHORT), 2)
        one.stays("none", "old", f"{what} hangs")
        said(run, "It was cut off, so that an undo fits into the window.", "s were estimated, and")
        # How long it takes says more of the machine than of the window: what counts is the time the task was given.
        limits = [int(limit) for limit in re.findall(r"Timed out after (\d+) second", run.output)]
        begun, undone = one.recorded("window")[-1], one.recorded("undone")[-1]["work"]["seconds"]
        if not limits or max(limits) + begun["undo"] > begun["seconds_left"]:
            raise Wrong(f"{what}: cut off after {limits} s, too late for an undo: {begun}\n{run.output}")
        print(f"  {what}: cut off after {max(limits)} s; undo {undone} s, estimated {begun['undo']} s")


def does_not_fit() -> None:
    """A phase takes so long that the next one does not fit any more: it does not begin, and everything is undone."""
    one = One("does_not_fit")
    moment = {"when": "before", "task": "phases | verification | Begin the phase", "run": "sleep 40"}
    expected = {**SHORT, "verification": "60s"}
    run = one.run(version=one.next(), **ALONE, sage_window="110s", sage_expected_seconds=expected, moment=moment)
    one.stays("none", "old", "the next phase does not fit")
    said(one.ready(run, 2), "Phase: verification", "The window ends in", "s were estimated, and")


def batches() -> None:
    """The window is one for all batches: what the first has used up, the second does not have, and is not touched."""
    two = fleet.Fleet("batches", ["h1", "h2"])
    version = two.next()
    moment = {
        "when": "before",
        "task": "phases | cleanup | Check that the host can still be reached",
        "run": "sleep 30",
    }
    values = {**ALONE, "sage_serial": [1, 1], "sage_window": "100s"}
    expected = {**SHORT, "python_deps": "40s", "verification": "5s"}
    run = two.ready(two.run(version=version, **values, sage_expected_seconds=expected, moment=moment), 2)
    if two.states(version) != {"h1": "new", "h2": "old"}:
        raise Wrong(f"{two.states(version)}:\n{run.output}")
    said(run, "The window ends in", "are needed:")
    two.ready(two.run(version=version, **{**values, "sage_window": "20m"}), 0)
    two.judge(version, "new", "a window of its own")


def back() -> None:
    """A rollback that does not fit into its window changes nothing; one that fits is what it always is."""
    one = One("back")
    version = one.next()
    one.ready(one.run(version=version, **ALONE), 0)
    one.judge(version, "new", "before it goes back")
    record = (one.state / "ledger.jsonl").read_bytes()
    run = one.ready(one.run("rollback_sage", sage_assume_yes=True, **ALONE, sage_window="2s"), 2)
    said(run, "The window end", "the rollback takes")
    one.stays(version, "new", "a window that is too small")
    if (one.state / "ledger.jsonl").read_bytes() != record:
        raise Wrong("something was recorded")
    one.ready(one.run("rollback_sage", sage_assume_yes=True, **ALONE, sage_window="10m"), 0)
    one.stays("none", "old", "a window that is large enough")


def killed() -> None:
    """The controller is killed between two tasks: the host is back by itself, and the next run tells so."""
    one = One("killed")
    moments: list[tuple[str, dict[str, t.Any]]] = [
        ("phases | verification | Verify SAGE", {}),
        ("fleet | decide | Commit or abort", {"sage_fleet_policy": "atomic"}),
    ]
    for task, values in moments:
        version = one.next()
        moment = {"when": "before", "task": task, "run": fleet.KILL}
        armed = {"sage_deadman": "45s", "sage_deadman_method": "process"}
        run = one.run(version=version, **{**ALONE, **values}, **armed, moment=moment)
        one.ready(run, -signal.SIGKILL)
        one.judge(version, "new", f"killed before {task}")
        took = one.until_old(f"killed before {task}")
        one.stays("none", "old", f"killed before {task}")
        fired = one.recorded("fired")[-1]
        if (fired["after"], fired["by"]) != (45, "process"):
            raise Wrong(str(fired))
        print(f"  killed before {task}: as it was {took:.0f} s later")
        if "atomic" in values.values():
            said(one.finish(), "abort")
        version = one.next()
        run = one.ready(one.run(version=version, **ALONE), 0)
        said(run, "The dead-man's switch of this host took back what the last run had done")
        one.judge(version, "new", "the next run")
        one.remember()
        if "dead-man" in one.ready(one.run(version=version, **ALONE), 0).output:
            raise Wrong("it is told again and again")


def killed_at_work() -> None:
    """The controller is killed while the installer, or SAGE itself, is at work and does not end."""
    one = One("killed_at_work")
    for what, values in hanging(one):
        started = one.start(**values, **ALONE, sage_deadman="20s", sage_deadman_method="process")
        end = time.monotonic() + fleet.LIMIT
        while not (one.top / "at_work").exists():
            if time.monotonic() > end:
                raise Wrong(f"{what} does not begin:\n{(started[1] / 'output').read_text()}")
            time.sleep(0.1)
        started[0].kill()
        started[0].wait()
        one.until_old(f"killed while {what} was at work")
        one.stays("none", "old", f"killed while {what} was at work")
        (one.top / "at_work").unlink()


def cut_off() -> None:
    """The change cuts the network: the host is back by itself, and the controller says that it cannot be reached."""
    one = One("cut_off")
    version = one.next()
    moment = {
        "when": "before",
        "task": "phases | cleanup | Check that the host can still be reached",
        "run": f"touch {one.cut('h1')}",
    }
    run = one.run(version=version, **ALONE, sage_deadman="25s", sage_deadman_method="process", moment=moment)
    one.ready(run, 4)
    one.until_old("cut off")
    one.mend()
    one.stays("none", "old", "cut off")
    one.ready(one.run(version=version, **ALONE), 0)
    one.judge(version, "new", "the next run")


def disarmed() -> None:
    """A run that ends well, or is undone by its controller, is left alone afterwards."""
    one = One("disarmed")
    version = one.next()
    armed = {"sage_deadman": "25s", "sage_deadman_method": "process"}
    plain = one.ready(one.run(version=one.next(), **ALONE), 0)
    run = one.ready(one.run(version=version, **ALONE, **armed), 0)
    extra = len(fleet.remote(run, "h1")) - len(fleet.remote(plain, "h1"))
    if extra > 2:
        raise Wrong(f"{extra} more remote tasks: {fleet.remote(run, 'h1')}")
    print(f"  {extra} more remote task")
    time.sleep(30)
    one.stays(version, "new", "committed")
    version = one.next()
    one.ready(one.run(version=version, sage_fleet_policy="atomic", **{**armed, "sage_deadman": "60s"}), 0)
    one.stays(version, "new", "committed, in a fleet run")
    # Nobody could hear of a commit in time.
    one.remember()
    run = one.ready(one.run(version=one.next(), sage_fleet_policy="atomic", **{**armed, "sage_deadman": "9s"}), 2)
    one.stays("none", "old", "less time than a commit takes to be told")
    said(run, "dead-man's switch")
    one.ready(one.run(version=one.next(), bad=ONLY, **ALONE, **armed), 2)
    found, fired = one.states("none"), one.recorded("fired")
    time.sleep(30)
    if one.states("none") != found:
        raise Wrong("it fired after the controller had undone a phase")
    left = sorted(file.name for file in one.state.glob("deadman*"))
    if left or one.recorded("fired") != fired:
        raise Wrong(f"left: {left}; {one.recorded('fired')}")


CASES = {
    case.__name__: case
    for case in (too_small, hangs, killed, back, batches, does_not_fit, killed_at_work, cut_off, disarmed)
}
# The others take minutes of waiting; they run when they are named.
ALWAYS = ("too_small", "hangs", "killed", "back")


def main() -> None:
    """Play the cases."""
    fleet.TOP = pathlib.Path(os.environ.get("OUTPUT_DIR", "/tmp")) / "window"
    shutil.rmtree(fleet.TOP, ignore_errors=True)
    wheels = fleet.TOP / "wheels"
    for number in [*range(1, 30), 90, 91]:
        version = f"{number}.0"
        modules = {"sage/__init__.py": f"VERSION = {version!r}\n", f"sage/only_{number}.py": ""}
        modules["sage/cli.py"] = HANGING if version == HANGS else fleet.CLI
        modules.update({f"sage/{part}.py": "" for part in ("foundation", "stream", "runtime", "serving")})
        wheelhouse.make_wheel(wheels, "tinydep", version)
        wheelhouse.make_wheel(
            wheels, "isage", version, [f"tinydep=={version}"], None, modules, {"sage": "sage.cli:main"}
        )
    for name in ALWAYS if sys.argv[1:] in ([], ["all"]) else sys.argv[1:]:
        begun = time.monotonic()
        print(f"{name}: {CASES[name].__doc__}", flush=True)
        CASES[name]()
        print(f"  {time.monotonic() - begun:.0f} s", flush=True)
    shutil.rmtree(fleet.TOP)


if __name__ == "__main__":
    main()
