"""Runs the checks, as many at a time as there are cores, and counts the tests that really ran.

run.py [GROUP or STEP...]: all of them when none is named. A step is a shell script in steps/; its output is shown when
it failed, or always with V=1. The last line is `N passed, N failed`, and the exit status 1 when anything failed. Before
it stands what failed, in a few lines, and where the whole output of failed steps was kept.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from typing import TYPE_CHECKING, NamedTuple

import faults
from control_group import ControlGroup, end_with_parent

if TYPE_CHECKING:
    from collections.abc import MutableMapping

HERE = pathlib.Path(__file__).resolve().parent
SLOTS = max(2, os.cpu_count() or 2)
# CI ends a run after 90 minutes without a word; better to say what was running.
MINUTES = int(os.environ.get("SAGE_TEST_MINUTES", "80"))
BEGUN = time.monotonic()
# Of so many runs that failed, the outputs of the failed steps are kept.
KEPT_RUNS = 5


class Step(NamedTuple):
    """One script: its groups, arguments, what must have succeeded before, and how its output counts tests.

    :ivar slots: how many of the machine's it takes; none when it mostly waits.
    """

    name: str
    group: str
    script: str
    arguments: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    slots: int = 1
    counts: str = "one"
    minutes: int = 30

    @property
    def share(self) -> str:
        """Which of how many shares of its tests it plays, as 1/3, its last argument; empty when there are none."""
        return self.arguments[-1] if self.arguments and "/" in self.arguments[-1] else ""


# In the order in which they start: what others wait for and what takes longest comes first.
STEPS = (
    Step("image-bookworm", "image", "image", ("bookworm",), counts="none"),
    Step("sanity-all", "sanity", "sanity", counts="sanity"),
    Step("image-trixie", "image", "image", ("trixie",), counts="none"),
    Step("image-bullseye", "image", "image", ("bullseye",), counts="none"),
    Step("image-rpm-bookworm", "image", "image", ("rpm-bookworm",), counts="none"),
    Step("ruff", "lint", "ruff"),
    Step("mypy", "lint", "mypy"),
    Step("shellcheck", "lint", "shellcheck"),
    Step("changelog", "lint", "changelog"),
    Step("docs", "lint", "docs"),
    Step("ansible-lint", "lint", "ansible_lint"),
    # The longest, and begun before the others: its last scenario leaves a processor to them.
    Step(
        "molecule-all",
        "molecule",
        "molecule",
        needs=("image-bullseye", "image-bookworm", "image-trixie", "image-rpm-bookworm"),
        counts="molecule",
        minutes=60,
    ),
    # It waits most of the time, for windows that are real. Sanity uses the same environments of ansible-test.
    Step("integration-all", "integration", "integration", (), ("sanity-all",), 0, "integration", 60),
    # Of the exhaustive tests one share of six on each of two Pythons: all within three commits, on both within six.
    Step("unit-host", "unit", "unit", ("1/3",), counts="pytest"),
    Step("unit-3.9", "unit", "unit_container", ("3.9", "bullseye", "1/6"), ("image-bullseye",), counts="pytest"),
    Step("unit-3.13", "unit", "unit_container", ("3.13", "trixie", "4/6"), ("image-trixie",), counts="pytest"),
    Step("image-fresh-bookworm", "image", "image", ("fresh-bookworm",), counts="none"),
    Step("image-fresh-trixie", "image", "image", ("fresh-trixie",), counts="none"),
    Step("image-rpm-trixie", "image", "image", ("rpm-trixie",), counts="none"),
    # Each test on one of the systems, and within three commits on each of them.
    Step("system-dpkg-12", "system", "system", ("bookworm", "1/3"), ("image-bookworm",), counts="pytest"),
    Step("system-rpm-12", "system", "system", ("rpm-bookworm", "1/2"), ("image-rpm-bookworm",), counts="pytest"),
    Step("system-rpm-13", "system", "system", ("rpm-trixie", "2/2"), ("image-rpm-trixie",), counts="pytest"),
    Step("system-dpkg-11", "system", "system", ("bullseye", "2/3"), ("image-bullseye",), counts="pytest"),
    Step("system-dpkg-13", "system", "system", ("trixie", "3/3"), ("image-trixie",), counts="pytest"),
    # Short ones last, or a processor would be idle while a long one ends.
    Step("fresh-bookworm", "fresh", "fresh", ("bookworm",), ("image-fresh-bookworm",), counts="fresh"),
    Step("fresh-trixie", "fresh", "fresh", ("trixie",), ("image-fresh-trixie",), counts="fresh"),
    Step("package-galaxy", "package", "package"),
)
# `make check`: what an ordinary user can run in a minute. With TESTS only those tests and ruff.
QUICK = (
    Step("check-unit", "check", "check_unit", counts="pytest"),
    *(step for step in STEPS if step.name in ("mypy", "shellcheck", "ruff")),
    Step("check-changed", "check", "check_changed"),
)


class Result(NamedTuple):
    """How a step ended; `passed` and `failed` are tests, `cpu` is seconds of processor time."""

    step: Step
    ok: bool
    seconds: float
    passed: int
    failed: int
    note: str = ""
    cpu: float = 0.0


class Running(NamedTuple):
    """A step's process."""

    step: Step
    process: subprocess.Popen[bytes]
    log: pathlib.Path
    since: float
    group: ControlGroup


def count(kind: str, log: str, ok: bool) -> tuple[int, int]:
    """The tests that passed and failed, read from a step's output."""

    def numbers(pattern: str) -> int:
        return sum(int(found) for found in re.findall(pattern, log, re.MULTILINE))

    def lines(pattern: str) -> int:
        return len(re.findall(pattern, log, re.MULTILINE))

    passed, failed = 1, 0
    if kind == "pytest":
        passed = numbers(r"^=.* (\d+) passed")
        failed = numbers(r"^=.* (\d+) failed") + numbers(r"^=.* (\d+) errors?")
    elif kind == "sanity":
        passed = lines(r"^Running sanity test ")
    elif kind == "integration":
        passed = lines(r"^Running \S+ integration test (?:role|script)")
    elif kind == "molecule":
        passed, failed = numbers(r" successful=(\d+) "), numbers(r" failed=(\d+)$")
    elif kind == "fresh":
        passed, failed = lines(r"^ok: "), lines(r"^FAILED: ")
    elif kind == "none":
        passed = 0
    if ok:
        return passed, failed
    # At least one test did fail; where the output does not tell which, it is among those counted.
    return (passed if failed else max(passed - 1, 0)), max(failed, 1)


def select(wanted: list[str]) -> list[Step]:
    """The steps of these names or groups, with those they need, in their order."""
    if wanted == ["check"]:
        return quick()
    unknown = set(wanted) - {step.name for step in STEPS} - {step.group for step in STEPS}
    if unknown:
        known = dict.fromkeys([step.group for step in STEPS] + [step.name for step in STEPS])
        sys.exit(f"no such step: {' '.join(sorted(unknown))}; there are: {' '.join(known)}")
    chosen = {step.name for step in STEPS if not wanted or step.name in wanted or step.group in wanted}
    chosen |= {need for step in STEPS if step.name in chosen for need in step.needs}
    return [step for step in STEPS if step.name in chosen]


def quick() -> list[Step]:
    """The steps of `make check`; with TESTS only what takes no time beside those tests."""
    if os.environ.get("TESTS"):
        return [step for step in QUICK if step.name in ("check-unit", "ruff")]
    if shutil.which("shellcheck"):
        return list(QUICK)
    print("shellcheck is not installed here, and left out", flush=True)
    return [step for step in QUICK if step.name != "shellcheck"]


def turn() -> int:
    """The number of this commit, by which shares are chosen; where history is cut off, one made from its name."""

    def git(*arguments: str) -> str:
        command = ["git", "-c", "safe.directory=*", *arguments]
        return subprocess.run(command, check=False, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout.decode()

    if git("rev-parse", "--is-shallow-repository").strip() == "true":
        return int(git("rev-parse", "HEAD")[:8] or "0", 16)
    return int(git("rev-list", "--count", "HEAD") or "0")


def take_turn(environment: MutableMapping[str, str]) -> int:
    """The number by which shares are chosen: SAGE_TEST_TURN, or else that of this commit.

    Scenarios that choose among their cases themselves find it in the environment too, unless they are to play all: with
    SAGE_TEST_ALL=1, and where TESTS names them without a number.
    """
    number = int(environment.get("SAGE_TEST_TURN") or turn())
    if environment.get("SAGE_TEST_ALL"):
        environment.pop("SAGE_TEST_TURN", None)
    elif not environment.get("TESTS"):
        environment["SAGE_TEST_TURN"] = str(number)
    return number


def rotate(steps: list[Step], number: int) -> list[Step]:
    """The steps with the shares that are this commit's turn: each share becomes the next one with each commit.

    A step plays all when it has been chosen without the others that its share is shared with, and with SAGE_TEST_ALL=1.
    """

    def shares(step: Step) -> str:
        return f"{step.script} {step.share.partition('/')[2]}" if step.share else ""

    rotated = []
    for step in steps:
        if step.share:
            first, of = map(int, step.share.split("/"))
            others = {other.name for other in STEPS if shares(other) == shares(step)}
            alone = not others <= {other.name for other in steps} or os.environ.get("SAGE_TEST_ALL")
            share = "1/1" if alone else f"{(first - 1 + number) % of + 1}/{of}"
            rotated.append(step._replace(arguments=(*step.arguments[:-1], share)))
        else:
            rotated.append(step)
    return rotated


def snapshot(work: pathlib.Path) -> None:
    """Copy what git tracks or would track to where ansible-test and galaxy want a collection: no links, no caches."""
    destination = work / "snapshot"
    listed = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "-coz", "--exclude-standard"], check=True, stdout=subprocess.PIPE
    ).stdout
    for name in filter(None, listed.decode().split("\0")):
        if name.startswith(".ansible/") or not os.path.lexists(name):
            continue
        target = destination / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(name, target, follow_symlinks=False)


def start(step: Step, work: pathlib.Path) -> Running:
    """Start a step in a session of its own, so that all it started can be ended."""
    log = work / f"{step.name}.log"
    directory = work / step.name
    directory.mkdir()
    group = ControlGroup(step.name)
    environment = {
        **os.environ,
        "SAGE_TEST_SNAPSHOT": str(work / "snapshot"),
        "SAGE_TEST_WORK": str(directory),
        "SAGE_TEST_CGROUP": group.parent,
    }
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(HERE / "steps" / f"{step.script}.sh"), *step.arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
            preexec_fn=group.enter,  # noqa: PLW1509 # no threads here
        )
    return Running(step, process, log, time.monotonic(), group)


def end(running: Running) -> None:
    """End a step with everything it started."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(running.process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            running.process.wait(10)
            break
    running.group.end()


def finish(running: Running) -> Result | None:
    """The result of a step that has ended or has run for too long."""
    seconds = time.monotonic() - running.since
    status = running.process.poll()
    note = ""
    if status is None:
        if seconds < running.step.minutes * 60 and time.monotonic() - BEGUN < MINUTES * 60:
            return None
        end(running)
        note = f"ended after {seconds / 60:.0f} minutes"
    log = running.log.read_text(errors="replace")
    cpu = running.group.seconds()
    running.group.end()
    ok = status == 0
    passed, failed = count(running.step.counts, log, ok)
    if ok and not passed and running.step.counts != "none":
        ok, failed, note = False, 1, "ran no test"
    if not ok or os.environ.get("V"):
        print(f"----- {running.step.name}\n{log.rstrip()}\n-----", flush=True)
    return Result(running.step, ok, seconds, passed, failed, note, cpu)


def report(result: Result) -> None:
    """One line for a step."""
    tests = f"{result.passed} passed" + (f", {result.failed} failed" if result.failed else "")
    tests = "" if result.step.counts == "none" and result.ok else f"  {tests}"
    share = f"share {result.step.share}" if result.step.share not in ("", "1/1") else ""
    notes = ", ".join(filter(None, (result.note, share)))
    note = f"  ({notes})" if notes else ""
    verdict = "ok    " if result.ok else "FAILED"
    print(f"{verdict} {result.step.name:<22}{result.seconds:7.1f} s{result.cpu:8.1f} cpu{tests}{note}", flush=True)


def run(steps: list[Step], work: pathlib.Path) -> list[Result]:
    """Run the steps, each when what it needs has succeeded and enough slots are free."""
    waiting, running, results = list(steps), list[Running](), dict[str, Result]()
    try:
        while waiting or running:
            for step in list(waiting):
                broken = [need for need in step.needs if need in results and not results[need].ok]
                late = time.monotonic() - BEGUN > MINUTES * 60
                if broken or late:
                    waiting.remove(step)
                    note = "no time left" if late else f"needs {' '.join(broken)}"
                    results[step.name] = Result(step, False, 0, 0, 1, note)
                    report(results[step.name])
                    continue
                free = SLOTS - sum(other.step.slots for other in running)
                if step.slots <= free and all(need in results for need in step.needs):
                    waiting.remove(step)
                    running.append(start(step, work))
            for current in list(running):
                result = finish(current)
                if result:
                    running.remove(current)
                    results[current.step.name] = result
                    report(result)
            time.sleep(0.1)
    finally:
        for current in running:
            end(current)
    return [results[step.name] for step in steps]


def keep(failed: list[Result], work: pathlib.Path) -> pathlib.Path | None:
    """Keep the outputs of failed steps, of the last runs that had such.

    :returns: the directory; None when no step left an output.
    """
    logs = [path for result in failed if (path := work / f"{result.step.name}.log").exists()]
    if not logs:
        return None
    runs = work.parent / "failed"
    directory = runs / f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}"
    directory.mkdir(parents=True)
    for log in logs:
        shutil.copy2(log, directory)
    for old in sorted(runs.iterdir())[:-KEPT_RUNS]:
        shutil.rmtree(old, ignore_errors=True)
    return directory


def tell(failed: list[Result], kept: pathlib.Path | None) -> None:
    """Say what failed: of every step a few lines, for those who have only the end of all this."""
    print("\nwhat failed:")
    for result in failed:
        log = kept / f"{result.step.name}.log" if kept else None
        lines = faults.tell(log.read_text(errors="replace"), faults.share(len(failed))) if log and log.exists() else []
        print(f"{result.step.name}{f' ({result.note})' if result.note else ''}:")
        print("".join(f"  {line}\n" for line in lines), end="")
    if kept:
        print(f"their whole output: {kept}")


def main() -> int:
    """Run what the arguments name."""
    os.chdir(os.environ["SAGE_TEST_CHECKOUT"])
    commit = take_turn(os.environ)
    steps = rotate(select(sys.argv[1:]), commit)
    os.environ["SAGE_TEST_STEPS"] = " ".join(step.name for step in steps)
    if "MAKELEVEL" in os.environ:
        end_with_parent()
    # Whatever ends this, such as a terminal that is closed, the steps are ended on the way out.
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda received, dummy: sys.exit(128 + received))
    work = pathlib.Path(tempfile.mkdtemp(prefix="run.", dir=os.environ["SAGE_TEST_CACHE"]))
    try:
        snapshot(work)
        results = run(steps, work)
        failed_steps = [result for result in results if not result.ok]
        kept = keep(failed_steps, work)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    seconds = time.monotonic() - BEGUN
    print(f"\n{len(steps)} steps in {seconds:.0f} s on {os.cpu_count()} cores, with SAGE_TEST_TURN={commit}")
    for result in results:
        report(result)
    if failed_steps:
        tell(failed_steps, kept)
    groups: dict[str, float] = {}
    for result in results:
        groups[result.step.group] = groups.get(result.step.group, 0.0) + result.cpu
    if any(groups.values()):
        print("\nprocessor seconds by group:")
        for group, seconds in groups.items():
            print(f"  {group:<12}{seconds:8.0f}")
        print(f"  {'all':<12}{sum(groups.values()):8.0f}")
    passed, failed = sum(result.passed for result in results), sum(result.failed for result in results)
    print(f"\n{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
