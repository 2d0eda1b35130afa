# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Measures what the project promises about speed: run.py [--write] [--only NAME,…]

Absolute times say more about the machine than about the project, so what counts are ratios of things measured
alternately in one run. Prints a table; --write puts it into docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import pathlib
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import typing as t

CHECKOUT = pathlib.Path(__file__).resolve().parents[2]
PAGE = CHECKOUT / "docs" / "benchmarks.md"
COLLECTIONS = CHECKOUT / ".ansible" / "collections"
sys.path.insert(0, str(COLLECTIONS))

# Beside this file, which is run as a script.
import undo

from ansible_collections.intellistream.sage.plugins.module_utils._base import host as base_host
from ansible_collections.intellistream.sage.plugins.module_utils._calls.verdict import judge
from ansible_collections.intellistream.sage.plugins.module_utils._records.installation import (
    PHASES,
    Installation,
    owner,
)
from ansible_collections.intellistream.sage.plugins.module_utils._records.ledger import HAND, HOOK
from ansible_collections.intellistream.sage.plugins.module_utils._records.session import Engine
from ansible_collections.intellistream.sage.plugins.module_utils._registry.registry import make
from ansible_collections.intellistream.sage.plugins.module_utils._timeline import points
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils.tinyvenv import TinyVenv

UPDATE = """
import sys
from ansible_collections.intellistream.sage.plugins.module_utils._records.session import Engine
with Engine(sys.argv[1]).session() as session:
    session.move("python_deps", sys.argv[2])
    session.commit()
"""
UPDATES = """
import sys
from ansible_collections.intellistream.sage.plugins.module_utils._records.session import Engine
engine = Engine(sys.argv[1], lock_timeout=120)
for number in range(5):
    with engine.session() as session:
        session.move("python_deps", "failed", f"{sys.argv[2]}.{number}")
        session.commit()
"""


class Figure(t.NamedTuple):
    """One line of the table.

    :ivar good: whether the target was met; None where there is no target.
    """

    what: str
    value: str
    target: str = ""
    good: bool | None = None


def _ms(run: t.Callable[..., t.Any], *arguments: t.Any) -> float:
    begun = time.perf_counter()
    run(*arguments)
    return (time.perf_counter() - begun) * 1000


def _medians(rounds: int, **runs: t.Callable[[], t.Any]) -> dict[str, float]:
    """The median of each, in ms, measured in turn so that all see the same machine."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _round in range(rounds):
        for name, run in runs.items():
            times[name].append(_ms(run))
    return {name: statistics.median(values) for name, values in times.items()}


def _updates(engine: Engine, besides: t.Callable[[], None], installations: int = 10) -> tuple[float, float]:
    """Median ms of an update over whole installations of twelve updates each, and of something measured in turn."""
    updates: list[float] = []
    others: list[float] = []

    def update(phase: str, status: str) -> None:
        with engine.session() as session:
            session.move(phase, status)
            session.commit()

    for _installation in range(installations):
        with engine.session() as session:
            session.begin({}, {})
            session.commit()
        for phase in PHASES:
            for status in ("started", "completed"):
                updates.append(_ms(update, phase, status))
                others.append(_ms(besides))
    return statistics.median(updates), statistics.median(others)


def in_process(where: pathlib.Path) -> list[Figure]:
    """One update against one atomic durable write, early in a host's history and late."""
    engine = Engine(str(where / "root"))

    def write() -> None:
        with open(where / "bare.tmp", "wb") as stream:
            stream.write(b"x" * 500)
            stream.flush()
            os.fsync(stream.fileno())
        os.rename(where / "bare.tmp", where / "bare")
        fd = os.open(where, os.O_RDONLY)
        os.fsync(fd)
        os.close(fd)

    update, bare = _updates(engine, write)
    with engine.session() as session:
        for number in range(2000):
            session.begin({}, {})
            session.move("cleanup", "failed", number)
            session.commit()
    late, bare_late = _updates(engine, write)
    ratio, growth = update / bare, (late / bare_late) / (update / bare)
    return [
        Figure("engine update in process, durable", f"{update:.2f} ms", "< 2 ms", update < 2),
        Figure("— against one bare atomic durable write", f"{ratio:.1f} × ({bare:.2f} ms)"),
        Figure("— after 2000 installations, against the first", f"{growth:.2f} ×", "≤ 1.5", growth <= 1.5),
    ]


def outside(where: pathlib.Path) -> list[Figure]:
    """An update, and another point, on a host with many points of hooks or by hand, against one with few."""
    counts, figures = (10, 1000), []
    for by in (HOOK, HAND):
        engines = {count: Engine(str(where / f"{by}{count}")) for count in counts}
        for count, engine in engines.items():
            with engine.session() as session:
                session.begin({}, {})
                session.commit()
            for number in range(count):
                _point(engine, by, f"{by} {number}")

        def update(engine: Engine) -> None:
            with engine.session() as session:
                session.move("cleanup", "completed", str(time.perf_counter_ns()))
                session.commit()

        found = _medians(60, **{str(count): functools.partial(update, engines[count]) for count in counts})
        captures_in_turn = {
            str(count): functools.partial(_point, engines[count], by, str(time.perf_counter_ns())) for count in counts
        }
        made = _medians(20, **captures_in_turn)
        for what, times in (("update", found), ("capture of another", made)):
            ratio = times["1000"] / times["10"]
            what = f"{what} with 1000 points by {by}s, against 10".replace("hands", "hand")
            figures.append(Figure(what, f"{ratio:.2f} × ({times['1000']:.2f} ms)", "≤ 1.5", ratio <= 1.5))
    return figures


def _point(engine: Engine, by: str, description: str) -> None:
    """A rollback point of a file that is not there."""
    with engine.session() as session:
        specs = [{"kind": "files", "paths": [os.path.join(engine.root, "absent")]}]
        event = points.capture(session, specs, None, description, by)
        session.add(event)
        session.commit(session.made[owner(event)])


def process(where: pathlib.Path) -> list[Figure]:
    """A whole Python process with one update against one that imports json."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    environment.update(PYTHONPATH=str(COLLECTIONS), PYTHONPYCACHEPREFIX=str(where / "cache"))
    script = where / "update.py"
    script.write_text(UPDATE)
    statuses = iter(["started", "completed"] * 1000)

    def python(*arguments: str) -> None:
        subprocess.run([sys.executable, *arguments], check=True, env=environment)

    python(str(script), str(where / "root"), "failed")
    found = _medians(
        40,
        update=lambda: python(str(script), str(where / "root"), next(statuses)),
        json=lambda: python("-c", "import json"),
    )
    ratio = found["update"] / found["json"]
    value = f"{ratio:.2f} × ({found['update']:.0f} ms)"
    return [Figure("engine as a whole process, against one that imports json", value, "≤ 2", ratio <= 2)]


def verdict(where: pathlib.Path) -> list[Figure]:
    """The verdict on a finished installation of 150 distributions."""
    venv = TinyVenv(where / "venv").make()
    names = [f"distribution{number}" for number in range(150)]
    for name in names:
        venv.install(name, "1.0")
    at: dict[str, t.Any] = {"kind": "venv", "path": str(venv.path)}
    spec = {**at, "distributions": [{"name": name, "version": "1.0"} for name in names]}
    host = base_host.facts()
    one = Installation("20251115_143000", "t")
    one.apply({"event": "begun", "inputs": {}, "environment": host}, "t")
    results = {"environment_setup": at, "python_deps": spec}
    for phase in PHASES:
        result = [{"spec": results[phase], "facts": make(results[phase]).observe()}] if phase in results else []
        one.apply({"event": "phase", "phase": phase, "status": "completed", "data": None, "result": result}, "t")
    assert judge(one, {}, host).state == "finished"
    found = _medians(30, judge=lambda: judge(one, {}, base_host.facts()))
    return [Figure("resume verdict, 150 distributions", f"{found['judge']:.1f} ms", "< 30 ms", found["judge"] < 30)]


def concurrent(where: pathlib.Path) -> list[Figure]:
    """32 processes of 5 updates each on one root."""
    environment = {**os.environ, "PYTHONPATH": str(COLLECTIONS)}
    begun = time.perf_counter()
    started = [
        subprocess.Popen([sys.executable, "-c", UPDATES, str(where / "root"), str(number)], env=environment)
        for number in range(32)
    ]
    failed = sum(one.wait() != 0 for one in started)
    seconds = time.perf_counter() - begun
    with Engine(str(where / "root")).reading() as session:
        entries = len(session.lines())
    lost = 160 - entries
    value = f"{lost} of 160 lost, {failed} failed ({seconds:.1f} s)"
    return [Figure("32 processes, 5 updates each, at once", value, "0", lost == failed == 0)]


ENGINE = ("sage_backup", "sage_checkpoint", "sage_resume_info", "sage_retention", "sage_rollback")


class _Play:
    """Runs playbooks against this host.

    :ivar engine: seconds of the last run that went into recording and capturing.
    """

    engine = 0.0

    def __init__(self, where: pathlib.Path) -> None:
        self.where = where
        self.count = where / "count.json"

    def run(self, playbook: pathlib.Path, *options: str, **environment: str) -> tuple[float, dict[str, int]]:
        """Seconds, and module executions by module."""
        for name in ("ANSIBLE_DISPLAY_OK_HOSTS", "ANSIBLE_DISPLAY_SKIPPED_HOSTS"):
            environment.setdefault(name, "no")
        environment.update(
            ANSIBLE_COLLECTIONS_PATH=os.environ.get("ANSIBLE_COLLECTIONS_PATH", str(COLLECTIONS)),
            ANSIBLE_CALLBACK_PLUGINS=str(pathlib.Path(__file__).with_name("callbacks")),
            ANSIBLE_CALLBACKS_ENABLED="count_modules",
            SAGE_BENCH_COUNT=str(self.count),
        )
        command = [
            str(shutil.which("ansible-playbook")),
            str(playbook),
            "-e",
            f"sage_root={self.where / 'sage'}",
            *options,
        ]
        begun = time.perf_counter()
        done = subprocess.run(
            command, check=False, capture_output=True, text=True, cwd=CHECKOUT, env={**os.environ, **environment}
        )
        seconds = time.perf_counter() - begun
        if done.returncode:
            raise RuntimeError(f"{playbook.name} failed:\n{done.stdout[-4000:]}{done.stderr[-2000:]}")
        found = json.loads(self.count.read_text())
        counts: dict[str, int] = found["counts"]
        self.engine = sum(found["seconds"].get(name, 0.0) for name in ENGINE)
        return seconds, counts


INSTALL = CHECKOUT / "playbooks" / "install_sage.yml"


def _why_not() -> str:
    if not INSTALL.exists():
        return "playbooks/install_sage.yml is not there"
    return "" if shutil.which("ansible-playbook") else "ansible-playbook is not in PATH"


def rerun(where: pathlib.Path) -> list[Figure]:
    """A finished install run again against a play of one trivial custom module."""
    if _why_not():
        return [Figure("rerun of a finished install", f"not measured: {_why_not()}")]
    play = _Play(where)
    trivial = where / "trivial.yml"
    (where / "library").mkdir()
    (where / "library" / "trivial.py").write_text(
        "#!/usr/bin/python\nfrom ansible.module_utils.basic import AnsibleModule\n"
        "AnsibleModule(argument_spec={}).exit_json(changed=False)\n"
    )
    trivial.write_text("- hosts: localhost\n  gather_facts: false\n  tasks:\n    - trivial:\n")
    play.run(INSTALL)
    play.run(trivial)
    again: dict[str, int] = {}

    def second() -> None:
        again.update(play.run(INSTALL)[1])

    found = _medians(5, again=second, trivial=lambda: play.run(trivial))
    ratio = found["again"] / found["trivial"]
    executions = sum(again.values())
    value = f"{ratio:.2f} × ({found['again'] / 1000:.2f} s)"
    return [
        Figure("rerun of a finished install, against a play of one trivial module", value, "≤ 1.5", ratio <= 1.5),
        Figure("— module executions of the rerun", f"{executions} ({', '.join(sorted(again))})", "1", executions == 1),
    ]


def fresh(where: pathlib.Path) -> list[Figure]:
    """A fresh install with and without checkpoints, wheels cached."""
    if _why_not():
        return [Figure("fresh install", f"not measured: {_why_not()}")]
    play = _Play(where)

    def install(**environment: str) -> tuple[float, int]:
        shutil.rmtree(where / "sage", ignore_errors=True)
        seconds, counts = play.run(INSTALL, **environment)
        return seconds, sum(counts.values())

    install()
    pairs = [(install(), install(SAGE_DISABLE_CHECKPOINT="1")) for _round in range(3)]
    on = statistics.median(one[0][0] for one in pairs)
    off = statistics.median(one[1][0] for one in pairs)
    more = pairs[0][0][1] - pairs[0][1][1]
    return [
        Figure("fresh install of isage, wheels cached", f"{on:.1f} s"),
        Figure("— module executions more than without checkpoints", f"{more} ({pairs[0][0][1]})", "≤ 8", more <= 8),
        Figure("— time more than without checkpoints", f"{on - off:+.1f} s ({(on / off - 1) * 100:+.0f} %)"),
    ]


# isage[full] needs a wheel that exists for this Python only; with another one the resolver goes back to an old isage.
PYTHON = "sage_python=python3.11"


def full(where: pathlib.Path) -> list[Figure]:
    """A fresh install of isage[full], some gigabytes, with and without checkpoints.

    The installer's cache begins empty, as on a new host; then again with it filled. What checkpoints cost is taken
    from within one run, as the part of its time that recording and capturing took: two downloads of some gigabytes
    differ by more than that.
    """
    if _why_not():
        return [Figure("install of isage[full]", f"not measured: {_why_not()}")]
    play = _Play(where)
    cache = where / "cache"

    def install(**environment: str) -> float:
        shutil.rmtree(where / "sage", ignore_errors=True)
        options = ("-e", "sage_install_mode=full", "-e", PYTHON)
        return play.run(INSTALL, *options, UV_CACHE_DIR=str(cache), **environment)[0]

    on, engine = install(), play.engine
    shutil.rmtree(cache, ignore_errors=True)
    off = install(SAGE_DISABLE_CHECKPOINT="1")
    warm_off, warm_on = install(SAGE_DISABLE_CHECKPOINT="1"), install()
    share = engine / (on - engine)
    return [
        Figure("fresh install of isage[full], empty cache", f"{on:.1f} s, without checkpoints {off:.1f} s"),
        Figure("— recording and capturing, against the rest of the same run", f"{share:.1%}", "≤ 5 %", share <= 0.05),
        Figure("the same, cache filled", f"{warm_on:.1f} s, without checkpoints {warm_off:.1f} s"),
    ]


def captures(where: pathlib.Path) -> list[Figure]:
    """What looking, holding, settling and going back cost in environments, small ones and some of gigabytes."""
    if not shutil.which("uv"):
        return [Figure("captures and undos of environments", "not measured: uv is not in PATH")]
    full, plain, torch = (undo.Environment(where / name) for name in ("full", "plain", "torch"))
    full.install("isage[full]")
    plain.install("isage")
    torch.install("torch")
    found = undo.capture(full)
    small = undo.undo(full, "packaging")
    figures = [
        Figure(
            f"isage[full], {found.paths} paths: a look, with attributes",
            f"{found.look:.2f} s",
            "< 0.45 s",
            found.look < 0.45,
        ),
        Figure("— a later one", f"{found.later:.2f} s", "< 0.3 s", found.later < 0.3),
        Figure(
            "— the first capture without its look",
            f"{found.first - found.look:.2f} s",
            "< 1.2 s",
            found.first - found.look < 1.2,
        ),
        Figure("— a capture with nothing new", f"{found.again:.2f} s", "< 0.5 s", found.again < 0.5),
        Figure("— a small distribution changed: captured and settled", f"{small.held:.2f} s", "< 1 s", small.held < 1),
        Figure(
            "— its undo beside two looks",
            f"{small.undo - 2 * found.later:.2f} s",
            "< 0.1 s",
            small.undo - 2 * found.later < 0.1,
        ),
    ]
    plain.forget()
    plain.capture()
    small = undo.undo(plain, "packaging")
    figures.append(
        Figure(
            "plain isage: capture, settling and undo of a small distribution",
            f"{small.held + small.undo:.2f} s",
            "< 0.15 s",
            small.held + small.undo < 0.15,
        )
    )
    found = undo.capture(torch)
    ratio = found.first / found.links
    big = undo.undo(torch, "torch")
    back = big.undo / big.uv
    return [
        *figures,
        Figure(
            f"torch's set, {found.paths} paths: held, against a bare loop of links",
            f"{ratio:.2f} × ({found.first:.2f} s)",
            "≤ 1.3",
            ratio <= 1.3,
        ),
        Figure("— torch replaced: captured and settled", f"{big.held:.2f} s"),
        Figure("— put back, against uv's offline reinstall", f"{back:.2f} × ({big.undo:.2f} s)", "< 1.5", back < 1.5),
    ]


def memory(where: pathlib.Path) -> list[Figure]:
    """What a module process needs for many files."""
    captured, undone = undo.memory(where)
    value = f"{captured:.0f} and {undone:.0f} MB"
    return [
        Figure("memory of a process that captures, undoes 60,000 files", value, "< 60 MB", max(captured, undone) < 60)
    ]


MEASURES: dict[str, t.Callable[[pathlib.Path], list[Figure]]] = {
    one.__name__: one
    for one in (in_process, outside, process, verdict, concurrent, memory, rerun, fresh, full, captures)
}


def _table(figures: list[Figure]) -> str:
    marks = {True: "yes", False: "**no**", None: ""}
    rows = [f"| {one.what} | {one.value} | {one.target} | {marks[one.good]} |" for one in figures]
    return "\n".join(["| what | measured | target | met |", "|---|---|---|---|", *rows])


def _page(table: str) -> str:
    system = platform.freedesktop_os_release().get("PRETTY_NAME", platform.system())
    machine = f"{system}, Python {platform.python_version()}, {os.cpu_count()} cores"
    return (
        "# Benchmarks\n\n"
        "Written by `make bench ARGS=--write`. Absolute times depend on the machine and on what else it does; the\n"
        "ratios are of things measured alternately in one run.\n\n"
        f"Machine: {machine}.\n\n{table}\n"
    )


def main() -> int:
    """Measure, print, write when asked."""
    parser = argparse.ArgumentParser(description="Measure what the project promises about speed.")
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md")
    parser.add_argument("--only", default=",".join(MEASURES), help=f"some of {', '.join(MEASURES)}")
    options = parser.parse_args()
    figures: list[Figure] = []
    for name in options.only.split(","):
        with tempfile.TemporaryDirectory(prefix="sage-bench-") as where:
            found = MEASURES[name](pathlib.Path(where))
        for one in found:
            met = {True: "ok", False: "MISSED", None: ""}[one.good]
            print(f"{one.what:72} {one.value:28} {one.target:8} {met}", flush=True)
        figures += found
    if options.write:
        # What is measured elsewhere, by hand, has headings of its own.
        others = PAGE.read_text(encoding="utf-8").partition("\n## ")
        PAGE.write_text(_page(_table(figures)) + "".join(others[1:]), encoding="utf-8")
    return 0 if all(one.good is not False for one in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
