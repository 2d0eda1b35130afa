# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Case E3, with real runs of ansible-playbook on one root: what the controllers know of each other."""

from __future__ import annotations

import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import time
import typing as t

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._records import stray_processes
from ansible_collections.intellistream.sage.plugins.module_utils._records.lease import Run
from ansible_collections.intellistream.sage.plugins.module_utils._records.session import Engine
from ansible_collections.intellistream.sage.tests.unit.plugins.action.playing import (
    PLAYBOOK,
    controller_environment,
    need_ansible,
)

# One installation as the role makes it: calls with gaps, in which the other run may come.
PLAY = """
- hosts: all
  gather_facts: false
  module_defaults:
    group/intellistream.sage.state:
      root: "{{ root }}"
      lease: {seconds: 600, wait: "{{ wait | default(0) }}"}
  tasks:
    - intellistream.sage.sage_checkpoint:
        inputs: {python_deps: {version: "{{ version }}"}}
        transitions: [{phase: python_deps, status: started}]
      register: begun
    - ansible.builtin.command:
        argv: [sh, -c, "touch {{ root }}.{{ version }}; while [ -e {{ root }}.gate ]; do sleep 0.1; done"]
      environment:
        SAGE_INSTALLATION: "{{ begun.install_id }}@{{ root }}"
        SAGE_RUN: "{{ begun.run }}"
      when: begun.resume.phase != none
    - intellistream.sage.sage_checkpoint:
        transitions: [{phase: "{{ item }}", status: completed}]
      loop: [environment_setup, submodule_sync, python_deps, sage_packages]
      when: begun.resume.phase != none
    - intellistream.sage.sage_checkpoint:
        transitions: [{phase: verification, status: started}]
      when: begun.resume.phase != none
    - intellistream.sage.sage_verify:
        commands: [{argv: ["true"]}]
      when: begun.resume.phase != none
    - intellistream.sage.sage_checkpoint:
        transitions: [{phase: "{{ item }}", status: completed}]
      loop: [verification, cleanup]
      when: begun.resume.phase != none
"""

pytestmark = pytest.mark.slow


class Controller:
    """Where runs are started from.

    :ivar root: what they install in.
    """

    def __init__(self, path: pathlib.Path) -> None:
        self.path = path
        self.root = path / "sage"
        (path / "play.yml").write_text(PLAY)
        self.gate = pathlib.Path(f"{self.root}.gate")

    def start(self, version: str, *names: str, playbook: str = "", **variables: t.Any) -> subprocess.Popen[str]:
        """Start a run; it stops after its first call as long as there is a gate.

        :param playbook: one of the collection's instead.
        """
        variables = {"root": self.root, "version": version, "ansible_connection": "local", **variables}
        variables["ansible_python_interpreter"] = sys.executable
        return subprocess.Popen(
            [
                *(*PLAYBOOK, "-i", f"{','.join(names or ('one',))},"),
                *(part for name, text in variables.items() for part in ("-e", f"{name}={text}")),
                playbook or str(self.path / "play.yml"),
            ],
            env=controller_environment(self.path),
            cwd=self.path,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def reached(self, version: str) -> None:
        """Wait until a run has begun, and is held by the gate."""
        while not pathlib.Path(f"{self.root}.{version}").exists():
            time.sleep(0.05)

    def ends(self, run: subprocess.Popen[str]) -> tuple[bool, str]:
        """Whether a run succeeds, and what it says, in one line."""
        output, dummy = run.communicate(timeout=300)
        return run.returncode == 0, " ".join(output.split())


@pytest.fixture
def controller(tmp_path: pathlib.Path) -> Controller:
    need_ansible()
    return Controller(tmp_path)


def test_e3_the_second_of_two_runs_is_told_whose_the_first_is(controller: Controller) -> None:
    controller.gate.touch()
    first = controller.start("1")
    controller.reached("1")
    succeeded, text = controller.ends(controller.start("2"))
    assert not succeeded
    assert f"{controller.root} is at work:" in text
    assert "has a run on it since" in text
    # One that waits comes when the first has ended.
    third = controller.start("2", wait=250)
    controller.gate.unlink()
    assert controller.ends(first)[0]
    succeeded, text = controller.ends(third)
    assert succeeded, text


def test_e3_a_run_that_records_nothing_has_the_root_to_itself_too(controller: Controller) -> None:
    """Two of them, or one beside one that records, worked in one environment at once."""
    options = {"sage_root": controller.root, "sage_checkpointing": "false", "sage_no_index": "true"}
    options["sage_find_links"] = controller.path
    controller.gate.touch()
    first = controller.start("1")
    controller.reached("1")
    succeeded, text = controller.ends(controller.start("2", playbook="intellistream.sage.install_sage", **options))
    assert not succeeded
    assert f"{controller.root} is at work:" in text
    assert not (controller.root / ".sage" / "venv").exists()
    controller.gate.unlink()
    assert controller.ends(first)[0]
    # It gives it back, also where it fails, as here for want of an index.
    record = (controller.root / ".sage" / "checkpoints" / "ledger.jsonl").read_bytes()
    succeeded, text = controller.ends(controller.start("2", playbook="intellistream.sage.install_sage", **options))
    assert not succeeded
    assert "is at work" not in text
    lease = json.loads((controller.root / ".sage" / "checkpoints" / "lease.json").read_bytes())
    assert not lease["held"]
    assert (controller.root / ".sage" / "checkpoints" / "ledger.jsonl").read_bytes() == record


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_e3_a_rerun_after_the_controller_died_never_waits(controller: Controller, how: signal.Signals) -> None:
    """Although what the dead run had at work on the host would go on for ever."""
    controller.gate.touch()
    first = controller.start("1")
    controller.reached("1")
    if how == signal.SIGKILL:
        first.kill()
    else:
        os.killpg(first.pid, how)
    first.wait()
    second = controller.start("1")
    # The gate holds what the first run left; what holds the second is removed when that has begun.
    pathlib.Path(f"{controller.root}.1").unlink()
    controller.reached("1")
    controller.gate.unlink()
    succeeded, text = controller.ends(second)
    assert succeeded, text


def test_k2_a_run_that_was_killed_is_not_at_work_for_who_looks(controller: Controller) -> None:
    """On its own controller: the check looked at half of it, and the status said that it runs."""
    controller.gate.touch()
    first = controller.start("1")
    controller.reached("1")
    looking = {"sage_root": controller.root, "sage_no_index": "true"}
    status, check = ("intellistream.sage.status_sage", "intellistream.sage.check_sage")
    text = controller.ends(controller.start("1", playbook=status, **looking))[1]
    assert "is at work since" in text
    assert "1 running" in text
    succeeded, text = controller.ends(controller.start("1", playbook=check, **looking))
    assert not succeeded
    assert "Not all could be looked at" in text
    first.kill()
    first.wait()
    text = controller.ends(controller.start("1", playbook=status, **looking))[1]
    assert "is dead" in text
    assert "has left processes at work, which the next run ends" in text
    # What it had left ends.
    controller.gate.unlink()
    while stray_processes.of_run(str(controller.root), _holder(controller)):
        time.sleep(0.05)
    text = controller.ends(controller.start("1", playbook=status, **looking))[1]
    assert "1 interrupted" in text
    succeeded, text = controller.ends(controller.start("1", playbook=check, **looking))
    assert succeeded, text
    assert "at work" not in text
    assert "is not finished" in text


def _holder(controller: Controller) -> str:
    """The run that has the lease."""
    lease = json.loads((controller.root / ".sage" / "checkpoints" / "lease.json").read_bytes())
    return str(lease["run"])


# A run whose last call was long ago, when a module of ansible-core has ended that took all of that time.
TAKES_LONG = """
- hosts: all
  gather_facts: false
  tasks:
    - intellistream.sage.sage_checkpoint:
        root: "{{ root }}"
        lease: {seconds: 600, hold: true}
      register: held
    - ansible.builtin.command:
        argv: ["{{ ansible_python_interpreter }}", silence.py, "{{ root }}/.sage/checkpoints/lease.json"]
        chdir: "{{ playbook_dir }}"
    - intellistream.sage.sage_builtin:
        module: command
        options: {argv: ["true"]}
      environment:
        SAGE_RUN: "{{ held.run }}"
        SAGE_LEASE_FILE: "{{ root }}/.sage/checkpoints/lease.json"
      when: works | bool
    - ansible.builtin.shell: "touch {{ root }}.{{ version }}; while [ -e {{ root }}.{{ gate }} ]; do sleep 0.1; done"
    - intellistream.sage.sage_checkpoint:
        root: "{{ root }}"
        lease: {seconds: 600, release: true}
"""
SILENCE = """
import json, os, sys
lease = json.load(open(sys.argv[1]))
lease.update(renewed=lease["renewed"] - 1200, wall=lease["wall"] - 1200)
json.dump(lease, open(sys.argv[1], "w"))
os.utime(sys.argv[1], (0, lease["wall"]))
"""


@pytest.mark.parametrize("works", [True, False])
def test_e3_a_long_task_of_ansible_core_is_no_silence(controller: Controller, works: bool) -> None:
    """Another controller had the root between its end and the run's next call: then nothing of the run is at work."""
    playbook = controller.path / "takes_long.yml"
    playbook.write_text(TAKES_LONG)
    (controller.path / "silence.py").write_text(SILENCE)
    controller.gate.touch()
    first = controller.start("1", playbook=str(playbook), works=works, gate="gate")
    controller.reached("1")
    succeeded, text = controller.ends(controller.start("2", playbook=str(playbook), works=works, gate="none"))
    controller.gate.unlink()
    assert succeeded is not works
    assert ("is at work:" in text) is works, text
    assert controller.ends(first)[0]


# What an atomic run does before anything is changed: it has the lease of one host, and takes that of the other.
TAKES_TWO = """
- hosts: all
  gather_facts: false
  tasks:
    - intellistream.sage.sage_checkpoint:
        root: "{{ root }}.{{ mine }}"
        lease: {seconds: 600, hold: true}
      register: first
    - ansible.builtin.wait_for:
        path: "{{ root }}.{{ needed }}/.sage/checkpoints/lease.json"
    - intellistream.sage.sage_checkpoint:
        root: "{{ root }}.{{ needed }}"
        lease: {seconds: 600, hold: true, one_of_many: true}
      register: second
      failed_when: false
    - intellistream.sage.sage_checkpoint:
        root: "{{ root }}.{{ mine }}"
        lease: {seconds: 600, release: true}
      when: second.install_id is not defined
    - ansible.builtin.fail:
        msg: "{{ second.msg }}"
      when: second.install_id is not defined
"""


def test_e3_of_two_runs_with_a_part_of_their_hosts_in_common_one_goes_on(controller: Controller) -> None:
    """Each had one host that the other one needed, and both were refused."""
    playbook = controller.path / "takes_two.yml"
    playbook.write_text(TAKES_TWO)
    runs = [controller.start("1", playbook=str(playbook), mine=mine, needed=needed) for mine, needed in ("ab", "ba")]
    ended = [controller.ends(run) for run in runs]
    assert sorted(succeeded for succeeded, dummy in ended) == [False, True], ended
    (refused,) = [text for succeeded, text in ended if not succeeded]
    assert "is at work:" in refused


# The role's own file, which an atomic run begins with, and work that must not be done by two at once.
OVERLAPPING = """
- hosts: all
  gather_facts: false
  vars:
    __sage_request: {lease_terms: {seconds: 600, wait: "{{ wait | float }}"}, fleet_policy: atomic, fleet_parts: 1}
  module_defaults:
    group/intellistream.sage.state:
      root: "{{ root }}.{{ inventory_hostname }}"
  tasks:
    - intellistream.sage.sage_run_info:
      register: __sage_run
    - ansible.builtin.shell: |
        touch {{ root }}.{{ version }}
        while ! ls {{ versions.split(',') | map('regex_replace', '^', root ~ '.') | join(' ') }}; do sleep 0.1; done
      run_once: true
    - ansible.builtin.include_role:
        name: intellistream.sage.sage
        tasks_from: fleet/take_leases.yml
    - ansible.builtin.shell: "mkdir {{ root }}.work && sleep 1 && rmdir {{ root }}.work"
      run_once: true
    - intellistream.sage.sage_checkpoint:
        lease: {seconds: 600, release: true}
"""


def test_e3_a_run_waits_for_those_with_a_part_of_its_hosts_as_for_any_other(
    controller: Controller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All but one were refused, whatever their sage_wait. Each takes first what the one before it takes last."""
    monkeypatch.setenv("ANSIBLE_FORKS", "1")
    playbook = controller.path / "overlapping.yml"
    playbook.write_text(OVERLAPPING)
    hosts = {"1": ("a", "x", "y"), "2": ("b", "y", "x")}
    if os.environ.get("SAGE_TEST_ALL"):
        hosts = {"1": ("a", "x", "y"), "2": ("b", "y", "z"), "3": ("c", "z", "x")}
    runs = [
        controller.start(version, *names, playbook=str(playbook), wait=240, versions=",".join(hosts))
        for version, names in hosts.items()
    ]
    ended = [controller.ends(run) for run in runs]
    assert [succeeded for succeeded, dummy in ended] == [True] * len(hosts), ended
    for name in {name for names in hosts.values() for name in names}:
        lease = json.loads(pathlib.Path(f"{controller.root}.{name}/.sage/checkpoints/lease.json").read_bytes())
        assert not lease["held"]


# The whole role, until its first phase ends for want of an interpreter.
INDEPENDENT = """
- hosts: all
  gather_facts: false
  tasks:
    - ansible.builtin.shell: |
        touch {{ root }}.{{ version }}
        while ! ls {{ versions.split(',') | map('regex_replace', '^', root ~ '.') | join(' ') }}; do sleep 0.1; done
      run_once: true
    - ansible.builtin.include_role:
        name: intellistream.sage.sage
      vars:
        sage_root: "{{ root }}.{{ inventory_hostname }}"
        sage_python: /nowhere/python
        sage_rollback_policy: none
        sage_wait: "{{ wait }}"
        sage_checkpointing: "{{ checkpointing | default(true) }}"
"""


def _refused(root: pathlib.Path, text: str) -> list[str]:
    """The hosts of a run that were refused since another run is at work on them."""
    return sorted(re.findall(rf"Module failed: {re.escape(str(root))}[.](\w+) is at work:", text))


def _without_interpreter(text: str) -> list[str]:
    """The hosts of a run that began, and ended in their first phase."""
    return sorted(re.findall(r"fatal: \[(\w+)\]: FAILED![^}]*There is no interpreter /nowhere/python", text))


@pytest.mark.parametrize("checkpointing", [True, False] if os.environ.get("SAGE_TEST_ALL") else [False])
def test_e3_independent_runs_never_wait_for_each_other(
    controller: Controller, monkeypatch: pytest.MonkeyPatch, checkpointing: bool
) -> None:
    """Each began on the host that the other one began on last, and waited for it until sage_wait ended."""
    monkeypatch.setenv("ANSIBLE_FORKS", "1")
    playbook = controller.path / "independent.yml"
    playbook.write_text(INDEPENDENT)
    hosts: dict[str, tuple[str, ...]] = {"1": ("x", "y"), "2": ("y", "x")}
    if os.environ.get("SAGE_TEST_ALL"):
        hosts = {"1": ("a", "x", "y"), "2": ("b", "y", "z"), "3": ("c", "z", "x")}
    options = {"wait": 240, "versions": ",".join(hosts), "checkpointing": checkpointing}
    runs = [controller.start(version, *names, playbook=str(playbook), **options) for version, names in hosts.items()]
    for run, names in zip(runs, hosts.values()):
        succeeded, text = controller.ends(run)
        assert not succeeded
        assert not _refused(controller.root, text)
        assert _without_interpreter(text) == sorted(names), text
    for name in {name for names in hosts.values() for name in names}:
        lease = json.loads(pathlib.Path(f"{controller.root}.{name}/.sage/checkpoints/lease.json").read_bytes())
        assert not lease["held"]


def test_e3_a_host_that_stays_refused_is_refused_alone(controller: Controller) -> None:
    """The others go on when sage_wait has ended, also where the host that comes first is refused."""
    playbook = controller.path / "independent.yml"
    playbook.write_text(INDEPENDENT)
    # Nobody on this controller knows whether it is alive. Of two that come at once, this id is the one that stays.
    other = Run("0", controller="elsewhere", host="x", hold=True)
    with Engine(f"{controller.root}.x", run=other).session():
        pass
    run = controller.start("1", "w", "x", "y", playbook=str(playbook), wait=1, versions="1")
    succeeded, text = controller.ends(run)
    assert not succeeded
    assert _refused(controller.root, text) == ["x"]
    assert _without_interpreter(text) == ["w", "y"], text


def test_e3_two_names_of_one_host_in_one_run(controller: Controller) -> None:
    succeeded, text = controller.ends(controller.start("1", "one", "two"))
    assert not succeeded
    assert "is a second name of it" in text
    assert text.count("failed=1") == 1
