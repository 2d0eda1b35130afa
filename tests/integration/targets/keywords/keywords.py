# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Each keyword that a caller can hand down, at each level, judged by what is on the hosts (E10, docs/keywords.md).

A cell of the matrix is a keyword at a level under a fleet policy. It is played on hosts without SAGE and on hosts that
are upgraded, some of which will not verify. keywords.py [KEYWORD[:LEVEL[:POLICY]]]... plays
these cells. Without a name it plays those whose turn it is, or all of them where nobody says whose turn it is.
"""

from __future__ import annotations

import configparser
import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time
import typing as t

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "fleet"))

import fleet
import oracle
from ansible.playbook.block import Block
from ansible.playbook.play import Play
from ansible.playbook.role.include import RoleInclude

ROLE = "intellistream.sage.sage"
TOP = pathlib.Path(os.environ.get("OUTPUT_DIR", "/tmp")) / "keywords"
HOSTS = ("fresh1", "fresh2", "upgrade1", "upgrade2")
POLICIES = ("independent", "atomic")
# What each level takes. `apply` hands down what a block takes.
LEVELS: dict[str, t.Collection[str]] = {
    "play": set(Play.fattributes),
    "role": set(RoleInclude.fattributes),
    "block": set(Block.fattributes),
    "apply": set(Block.fattributes),
}
UNREACHABLE = {"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": 1}
# The host that delegate_to names cannot be reached.
PINNED: dict[str, t.Any] = {
    "ignore_errors": True,
    "ignore_unreachable": True,
    "timeout": 1,
    "throttle": 1,
    "run_once": True,
    "no_log": True,
    "delegate_to": "away",
}
READ_ONCE: dict[str, dict[str, t.Any]] = {
    "become": {"become": True, "become_method": "group", "become_user": "root"},
    "check_mode": {"check_mode": True},
    "no_check_mode": {"check_mode": False},
    # By this name a program has it as it starts: all others are handed to modules in private.
    "environment": {"environment": {"PYTHONPROBE": "handed-down"}},
}
REFUSED: dict[str, t.Any] = {
    "strategy": "free",
    "serial": 1,
    "max_fail_percentage": 0,
    "any_errors_fatal": True,
}
# How each host's modules ran: its group, and the variable.
USUAL = "0 none"
EXPECTED_RUNS = {"become": "65534 none", "environment": "0 handed-down"}
INSTALL = "phases | sage_packages | Install the SAGE distributions of the plan"


class Cell(t.NamedTuple):
    """A cell of the matrix.

    :ivar name: of the keyword, or C(pinned) for all of that list at once.
    :ivar keywords: what is handed down.
    """

    name: str
    level: str
    policy: str
    keywords: dict[str, t.Any]

    def __str__(self) -> str:
        """As the command line has it."""
        return f"{self.name}:{self.level}:{self.policy}"

    @property
    def refused(self) -> bool:
        """Whether it is refused before a host is asked."""
        # Ansible itself would include the role for one host only.
        if self.name == "run_once" and self.level == "block":
            return True
        return self.name in REFUSED and self.policy == "atomic"

    def play(self) -> dict[str, t.Any]:
        """The play that hands them down."""
        include = {"ansible.builtin.include_role": {"name": ROLE}}
        play: dict[str, t.Any] = {"hosts": "targets", "gather_facts": False}
        if self.level == "play":
            return {**play, **self.keywords, "roles": [ROLE]}
        if self.level == "role":
            return {**play, "roles": [{"role": ROLE, **self.keywords}]}
        if self.level == "block":
            return {**play, "tasks": [{"block": [include], **self.keywords}]}
        applied = {"ansible.builtin.include_role": {"name": ROLE, "apply": self.keywords}}
        return {**play, "tasks": [applied]}


def all_cells() -> tuple[list[Cell], list[Cell]]:
    """Those of which a run of all tests plays some, and those that are played by hand: each pinned keyword alone."""
    some, others = [], []
    for level, taken in LEVELS.items():
        for policy in POLICIES:
            # Around the include of a role it is refused, and so alone.
            together = {name: content for name, content in PINNED.items() if name in taken}
            if level == "block":
                del together["run_once"]
            some.append(Cell("pinned", level, policy, together))
            others += [Cell(name, level, policy, {name: PINNED[name]}) for name in PINNED if name in taken]
            some += [
                Cell(name, level, policy, keywords) for name, keywords in READ_ONCE.items() if keywords.keys() <= taken
            ]
            some += [Cell(name, level, policy, {name: REFUSED[name]}) for name in REFUSED if name in taken]
    return some, others


def whole(root: pathlib.Path) -> list[str]:
    """Everything below a root, the record included."""
    return [
        f"{path} {path.lstat().st_mode} {path.lstat().st_gid} "
        + (hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "")
        for path in sorted([root, *root.rglob("*")])
        if path.exists() and "__pycache__" not in path.parts
    ]


class Hosts:
    """Directories that are hosts: each cell makes C(fresh) ones anew, and upgrades those that were installed first."""

    def __init__(self) -> None:
        self.cell = Cell("none", "play", "independent", {})
        self.number = 0
        (TOP / "cut").mkdir(parents=True)
        for host in HOSTS:
            wrapper = TOP / f"python-{host}"
            log = f'echo "$(id -g) ${{PYTHONPROBE-none}}" >>"{TOP}/{host}.ran"'
            wrapper.write_text(f'#!/bin/sh\n{log}\nexec "{fleet.PYTHON}" "$@"\n')
            wrapper.chmod(0o755)
        self.old = self.look()
        self.expect("installed without a keyword", ["upgrade1", "upgrade2"], [], True)

    def root(self, host: str) -> pathlib.Path:
        """Where a host is."""
        return TOP / "roots" / host

    def look(self) -> dict[str, oracle.Sight]:
        """What is on all hosts."""
        return {host: oracle.look(self.root(host)) for host in HOSTS}

    def run(self, good: t.Sequence[str], bad: t.Sequence[str], cut: str = "", playbook: str = "") -> fleet.Run:
        """Run the cell's play to its end, or a playbook of the collection.

        :param good: hosts that get this version, and it works.
        :param bad: those whose SAGE will not verify.
        :param cut: the one that is cut off before SAGE is installed.
        """
        where = TOP / "run"
        shutil.rmtree(where, ignore_errors=True)
        where.mkdir()
        hosts = {
            host: {
                "sage_root": str(self.root(host)),
                "sage_version": fleet.BROKEN if host in bad else self.version,
                "ansible_python_interpreter": str(TOP / f"python-{host}"),
            }
            for host in [*good, *bad]
        }
        common = {
            "ansible_connection": "cuttable",
            "sage_find_links": [str(fleet.TOP / "wheels")],
            "sage_no_index": True,
            "sage_fleet_dir": str(TOP / "decisions"),
            "sage_fleet_policy": self.cell.policy,
            "sage_rollback_policy": "transaction",
        }
        groups = {"targets": {"hosts": hosts, "vars": common}, "others": {"hosts": {"away": UNREACHABLE}}}
        (where / "hosts.json").write_text(json.dumps({"all": {"children": groups}}))
        (where / "play.json").write_text(json.dumps([self.cell.play()]))
        moment = {"when": "before", "task": INSTALL, "run": f"touch {TOP}/cut/{cut}"} if cut else {}
        environment = {
            **os.environ,
            "ANSIBLE_CALLBACK_PLUGINS": str(HERE.parent / "fleet" / "plugins" / "callback"),
            "ANSIBLE_CONNECTION_PLUGINS": str(HERE.parent / "fleet" / "plugins" / "connection"),
            # The group is another one.
            "ANSIBLE_BECOME_ALLOW_SAME_USER": "1",
            "ANSIBLE_BECOME_PLUGINS": str(HERE / "plugins" / "become"),
            "ANSIBLE_CALLBACKS_ENABLED": "moment",
            "ANSIBLE_PIPELINING": "1",
            "ANSIBLE_NOCOLOR": "1",
            "FLEET_CUT": str(TOP / "cut"),
            "FLEET_LOG": str(where / "log"),
            "FLEET_MOMENT": json.dumps(moment),
        }
        words = ["ansible-playbook", "-i", str(where / "hosts.json"), "-l", "targets"]
        # The keyword has the last word.
        words += ["--check"] if self.cell.name == "no_check_mode" else []
        done = subprocess.run(
            [*words, playbook or str(where / "play.json")],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment,
            check=False,
        )
        return fleet.Run(done.returncode, done.stdout.decode(errors="replace"), [])

    @property
    def version(self) -> str:
        """What is installed now."""
        return f"{self.number + (self.number >= float(fleet.BROKEN))}.0"

    def ran(self) -> dict[str, set[str]]:
        """How modules ran on each host since the last look."""
        ran = {}
        for host in HOSTS:
            log = TOP / f"{host}.ran"
            ran[host] = set(log.read_text().splitlines()) if log.exists() else set()
            log.unlink(missing_ok=True)
        return ran

    def expect(
        self, what: str, good: t.Sequence[str], bad: t.Sequence[str], succeeds: bool, state: str = "new"
    ) -> None:
        """A run after which good hosts are C(new), C(old) or C(either) of them, and bad ones as they were."""
        self.number += 1
        run = self.run(good, bad)
        self.judge(what, run, succeeds, {**dict.fromkeys(good, state), **dict.fromkeys(bad, "old")})

    def state(self, host: str, sight: oracle.Sight) -> str:
        """What a host is at."""
        if oracle.is_new(sight, self.version):
            return "new"
        # A directory of the environment that an undo makes again has the group of whoever undoes.
        lines = [sorted(line.replace(":65534", ":0") for line in seen.lines) for seen in (sight, self.old[host])]
        return "old" if lines[0] == lines[1] and sight[1:] == self.old[host][1:] else "between"

    def judge(self, what: str, run: fleet.Run, succeeds: bool, expected: dict[str, str]) -> None:
        """Compare the hosts with what they have to be.

        :raises Wrong: they are something else.
        """
        sights = self.look()
        states = {host: self.state(host, sights[host]) for host in expected}
        told = f"{self.cell}, {what}:"
        if (run.status == 0) != succeeds:
            raise fleet.Wrong(f"{told} exit status {run.status}\n{run.output}")
        allowed = {"either": ("old", "new"), "any": ("old", "new", "between")}
        wrong = [host for host, state in expected.items() if states[host] not in allowed.get(state, (state,))]
        if wrong:
            lines = [line for host in wrong for line in sorted({*self.old[host].lines} ^ {*sights[host].lines})[:20]]
            raise fleet.Wrong(f"{told} {states}, not {expected}\n{run.output}" + "\n".join(lines))
        ran = self.ran()
        if any(lines - {EXPECTED_RUNS.get(self.cell.name, USUAL)} for lines in ran.values()):
            raise fleet.Wrong(f"{told} modules ran as {ran}\n{run.output}")
        if self.cell.name == "become" and expected.get("fresh1") == "new":
            others = [str(path) for path in self.root("fresh1").rglob("*") if path.lstat().st_gid != 65534]
            if others:
                raise fleet.Wrong(f"{told} of another group are {others[:20]}")
        self.old = sights

    def untouched(self) -> None:
        """A run changes nothing at all on any host; no host is asked where it is refused."""
        self.number += 1
        before = {host: whole(self.root(host)) for host in HOSTS}
        run = self.run(["fresh1", "upgrade1"], ["fresh2", "upgrade2"])
        ran = self.ran()
        if self.cell.refused and (run.status == 0 or any(ran.values())):
            raise fleet.Wrong(f"{self.cell}: exit status {run.status}, hosts were asked: {ran}\n{run.output}")
        if {host: whole(self.root(host)) for host in HOSTS} != before:
            raise fleet.Wrong(f"{self.cell}: a host was changed\n{run.output}")

    def one_is_lost(self) -> None:
        """Hosts are cut off in the middle."""
        atomic = self.cell.policy == "atomic"
        for lost, other in (("fresh1", "upgrade1"), ("upgrade1", "fresh2")):
            self.number += 1
            run = self.run([lost, other], [], cut=lost)
            before = self.old[lost]
            self.judge(f"{lost} was cut off", run, False, {lost: "any", other: "old" if atomic else "new"})
            (TOP / "cut" / lost).unlink()
            self.old = {**self.old, lost: before}
            run = self.run([lost], [], playbook="intellistream.sage.finish_sage" if atomic else "")
            self.judge(f"{lost} was there again", run, True, {lost: "old" if atomic else "new"})

    def play(self, cell: Cell) -> None:
        """Everything that is done in a cell.

        :raises Wrong: a host is not as it has to be.
        """
        self.cell = cell
        self.ran()
        for host in HOSTS[:2]:
            shutil.rmtree(self.root(host), ignore_errors=True)
        self.old = self.look()
        if cell.refused or cell.name == "check_mode":
            self.untouched()
        elif cell.name == "ignore_unreachable":
            self.one_is_lost()
        elif cell.policy == "atomic":
            # A keyword that stops a good host would look the same, so all are well afterwards.
            self.expect("one fails", ["fresh1"], ["upgrade1"], False, "old")
            self.expect("all are well", ["fresh1", "upgrade1"], [], True)
        else:
            stops = cell.name in ("any_errors_fatal", "max_fail_percentage")
            good, bad = ["fresh1", "upgrade1"], ["fresh2", "upgrade2"]
            self.expect("two fail", good, bad, False, "either" if stops else "new")


def turn() -> int | None:
    """The number that says whose turn it is; None where all are played. tests/run/steps/integration.sh writes it."""
    settings = configparser.ConfigParser(interpolation=None)
    settings.read(os.environ.get("ANSIBLE_CONFIG", ""))
    number = os.environ.get("SAGE_TEST_TURN") or settings.get("sage_tests", "turn", fallback="")
    return int(number) if number else None


def chosen(names: t.Sequence[str]) -> list[Cell]:
    """The cells to play: of a run of all tests one with a fault that each pin stands against, and one other."""
    some, others = all_cells()
    if names:
        return [
            cell for cell in [*some, *others] if any(f"{cell}:".startswith(f"{name.rstrip(':')}:") for name in names)
        ]
    number = turn()
    if number is None:
        return [*some, *others]
    pinned = [cell for cell in some if cell.name == "pinned"]
    rest = [cell for cell in some if cell.name != "pinned"]
    return [pinned[number % len(pinned)], rest[number % len(rest)]]


def main() -> None:
    """Play the cells."""
    shutil.rmtree(TOP, ignore_errors=True)
    shutil.rmtree(fleet.TOP, ignore_errors=True)
    fleet.make_wheels(500)
    failures = []
    hosts = Hosts()
    for cell in chosen(sys.argv[1:]):
        begun = time.monotonic()
        try:
            hosts.play(cell)
        except fleet.Wrong as error:
            failures.append(str(cell))
            print(error, flush=True)
            # What went wrong is not to tell of other cells.
            shutil.rmtree(TOP)
            hosts = Hosts()
        said = "FAILED" if failures[-1:] == [str(cell)] else "ok"
        print(f"{said} {cell} {time.monotonic() - begun:.0f} s", flush=True)
    if failures:
        sys.exit(f"failed: {' '.join(failures)}")
    shutil.rmtree(TOP)
    shutil.rmtree(fleet.TOP)


if __name__ == "__main__":
    main()
