# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The playbooks unchanged under ansible-runner, as AWX runs them: runner.py [CASE...]. Its events are checked, too."""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import subprocess
import sys
import typing as t

import ansible_runner

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "setup_wheelhouse" / "files"))

import wheelhouse

TOP = pathlib.Path(os.environ.get("OUTPUT_DIR", "/tmp")) / "runner"
HOSTS = ["h1", "h2"]
CLI = """
import sys
from sage import VERSION


def main():
    print('core : broken' if VERSION == '9.0' else 'core : ok', VERSION)
    sys.exit(VERSION == '9.0')
"""
SECRET = "tell-nobody"
MIDDLE = "phases | python_deps | Install the third-party distributions of the plan"


class Wrong(Exception):
    """Something is not as it has to be."""


def need(good: object, *what: object) -> None:
    """Go on only if this holds."""
    if not good:
        raise Wrong(" ".join(map(str, what)))


def make_wheels() -> pathlib.Path:
    """A little SAGE, and one that does not verify."""
    wheels = TOP / "wheels"
    for version in ("1.0", "2.0", "9.0"):
        modules = {f"sage/{name}.py": "" for name in ("foundation", "stream", "runtime", "serving")}
        modules.update({"sage/__init__.py": f"VERSION = {version!r}\n", "sage/cli.py": CLI})
        wheelhouse.make_wheel(wheels, "isage", version, [], None, modules, {"sage": "sage.cli:main"})
    return wheels


def version(host: str) -> str:
    """What SAGE itself says."""
    program = TOP / host / ".sage/venv/bin/sage"
    if not program.exists():
        return ""
    return subprocess.run([program], check=False, stdout=subprocess.PIPE, text=True).stdout.split()[-1]


def run(number: int, playbook: str, versions: t.Mapping[str, str], stop: str = "") -> ansible_runner.Runner:
    """One run, as AWX has it: a private data directory with the inventory, variables and environment.

    :param stop: the task at whose first result the job is cancelled.
    """
    where = TOP / f"job{number}"
    hosts = {host: {"sage_root": str(TOP / host), "sage_version": versions[host]} for host in versions}
    common = {
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
        "sage_find_links": [str(TOP / "wheels")],
        "sage_no_index": True,
        "sage_fleet_policy": "atomic",
        "sage_fleet_dir": str(TOP / "place"),
        "sage_environment": {"SAGE_TEST_SECRET": SECRET},
    }
    seen: list[str] = []

    def event(data: dict[str, t.Any]) -> bool:
        if data["event"] == "runner_on_ok":
            seen.append(data["event_data"]["task"])
        return True

    where.mkdir()
    # ansible-test has settings of its own.
    (where / "ansible.cfg").write_text("[defaults]\ncallback_result_format = yaml\n")
    return ansible_runner.run(
        private_data_dir=str(where),
        playbook=f"intellistream.sage.{playbook}",
        inventory={"all": {"hosts": hosts, "vars": common}},
        envvars={"ANSIBLE_CONFIG": str(where / "ansible.cfg")},
        event_handler=event,
        cancel_callback=lambda: bool(stop) and stop in seen,
        quiet=True,
    )


def of(runner: ansible_runner.Runner, kind: str) -> list[dict[str, t.Any]]:
    """Events of a kind; none of any kind tells what must not be told."""
    events = list(runner.events)
    need(SECRET not in json.dumps(events), "an event holds a secret")
    need([one["counter"] for one in events] == sorted(one["counter"] for one in events), "events are out of order")
    return [one["event_data"] for one in events if one["event"] == kind]


def committed(versions: t.Mapping[str, str]) -> None:
    """A first installation and its repetition: status, statistics, an event for each result."""
    first = run(1, "install_sage", versions)
    need((first.status, first.rc) == ("successful", 0), first.status, first.stdout.read())
    stats = first.stats
    need(sorted(stats["ok"]) == HOSTS and not stats["failures"] and not stats["dark"], stats)
    ok = of(first, "runner_on_ok")
    told = sorted(one["host"] for one in ok if one["task"] == "fleet | decide | Deliver the decision")
    need(told == HOSTS, told)
    need(all(one["resolved_action"].count(".") == 2 for one in ok), "an action without its full name")
    need([version(host) for host in HOSTS] == ["1.0", "1.0"], "not all new")
    again = run(2, "install_sage", versions)
    need((again.status, again.stats["changed"]) == ("successful", {}), again.status, again.stats)


def aborted(versions: t.Mapping[str, str]) -> None:
    """One of two fails: the job fails, the events say where and why, and both are as they were."""
    committed(versions)
    failed = run(3, "install_sage", {"h1": "9.0", "h2": "2.0"})
    need((failed.status, failed.rc) == ("failed", 2), failed.status, failed.rc)
    need(sorted(failed.stats["failures"]) == HOSTS, failed.stats)
    ends = ("End the run where SAGE was not installed",)
    said = {one["host"]: one["res"]["msg"] for one in of(failed, "runner_on_failed") if one["task"].endswith(ends)}
    need("verification failed" in said["h1"] and "not installed on any host" in said["h2"], said)
    need([version(host) for host in HOSTS] == ["1.0", "1.0"], "not all old")


def cancelled(versions: t.Mapping[str, str]) -> None:
    """The job is cancelled in the middle; another job brings both back."""
    committed(versions)
    stopped = run(3, "install_sage", {"h1": "2.0", "h2": "2.0"}, stop=MIDDLE)
    need(stopped.status == "canceled", stopped.status)
    need(
        "fleet | decide | Commit or abort" not in [one["task"] for one in of(stopped, "runner_on_ok")],
        "too slow to cancel",
    )
    finished = run(4, "finish_sage", {"h1": "2.0", "h2": "2.0"})
    need(finished.status == "successful", finished.stdout.read())
    need([version(host) for host in HOSTS] == ["1.0", "1.0"], "not all old")


CASES: dict[str, t.Callable[[t.Mapping[str, str]], None]] = {one.__name__: one for one in (aborted, cancelled)}


def main(names: t.Sequence[str]) -> None:
    """Those that are named, or all."""
    for name in names or CASES:
        shutil.rmtree(TOP, ignore_errors=True)
        make_wheels()
        CASES[name](dict.fromkeys(HOSTS, "1.0"))
        sys.stdout.write(f"ok: {name}\n")
    shutil.rmtree(TOP)


if __name__ == "__main__":
    main(sys.argv[1:])
