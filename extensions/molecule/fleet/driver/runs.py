# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs of playbooks as users start them, each a process group of its own, and what is to be true afterwards."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import time
import typing as t

from machines import PROJECT, ROOT, USER, Machines

# The whole run at once: ansible-playbook, its workers, its modules on this machine, its ssh.
KILL = "kill -s KILL -- -$(ps -o pgid= -p $PPID | tr -d ' ')"
# What users whose hosts may vanish set too, shorter.
SSH = (
    "-o UserKnownHostsFile=/dev/null -o LogLevel=ERROR -o IdentitiesOnly=yes "
    "-o ControlMaster=auto -o ControlPersist=60s -o ServerAliveInterval=2 -o ServerAliveCountMax=4 -o ConnectTimeout=8"
)
# The callback that keeps archives of modules, and waits.
KEPT = PROJECT / "tests/integration/targets/fleet/plugins/callback"
_NUMBERS = itertools.count(1)

Vars = t.Mapping[str, t.Any]


def before(task: str, run: str) -> dict[str, str]:
    """A strike before a task."""
    return {"when": "before", "task": task, "run": run}


def after(task: str, run: str, host: str | None = None) -> dict[str, str]:
    """A strike when a task was done on a host, on the first one that comes if none is named."""
    return {"when": "after", "task": task, "run": run, **({"host": host} if host else {})}


class Run:
    """A run of a playbook over some hosts.

    :ivar status: its exit status; negative when it was killed.
    :ivar output: what it wrote.
    """

    def __init__(
        self,
        machines: Machines,
        names: t.Sequence[str],
        extra: Vars,
        *,
        hosts: t.Mapping[str, Vars] | None = None,
        strikes: t.Sequence[t.Mapping[str, str]] = (),
        playbook: str = "install_sage.yml",
        forks: int = 4,
        environment: t.Mapping[str, str] | None = None,
    ) -> None:
        self.names = list(names)
        self.strikes = list(strikes)
        self.where = machines.state / f"run-{os.getpid()}-{next(_NUMBERS)}"
        self.where.mkdir()
        addresses = machines.facts["hosts"]
        inventory = {name: {"ansible_host": addresses[name], **(hosts or {}).get(name, {})} for name in names}
        common = {
            "ansible_connection": "ssh",
            "ansible_user": USER,
            "ansible_python_interpreter": "/usr/bin/python3",
            "ansible_ssh_private_key_file": str(machines.state / "key"),
            "ansible_ssh_args": SSH,
            "sage_assume_yes": True,
            "sage_root": ROOT,
            "sage_index_url": machines.facts["index"],
            "sage_no_proxy": "*",
        }
        content = {"all": {"hosts": inventory, "vars": common}}
        (self.where / "hosts.json").write_text(json.dumps(content))
        self.environment = {
            **os.environ,
            "ANSIBLE_CONFIG": str(PROJECT / "ansible.cfg"),
            "ANSIBLE_HOST_KEY_CHECKING": "0",
            "ANSIBLE_FORKS": str(forks),
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_FORCE_COLOR": "0",
            # Short: with the name of a socket in it, it must fit into 108 bytes.
            "ANSIBLE_SSH_CONTROL_PATH_DIR": str(machines.state / "cp"),
            "ANSIBLE_CALLBACK_PLUGINS": f"{PROJECT}/extensions/molecule/fleet/plugins:{KEPT}",
            "ANSIBLE_CALLBACKS_ENABLED": "strike",
            "SAGE_TEST_STRIKES": json.dumps(self.strikes),
            "SAGE_TEST_LOG": str(self.where / "log"),
            **(environment or {}),
        }
        words = ["ansible-playbook", "-i", str(self.where / "hosts.json"), str(PROJECT / "playbooks" / playbook)]
        words += ["-e", json.dumps(dict(extra))]
        self.status, self.output = 0, ""
        self.begun = time.monotonic()
        with (self.where / "output").open("wb") as output:
            self.process = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=PROJECT,
                env=self.environment,
                start_new_session=True,
            )

    def wait(self, seconds: float = 900) -> Run:
        """Until it has ended."""
        try:
            self.status = self.process.wait(max(0.0, self.begun + seconds - time.monotonic()))
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.status = self.process.wait()
            self.output = (self.where / "output").read_text(encoding="utf-8", errors="replace")
            raise RuntimeError(f"a run did not end within {seconds} s:\n{self.output}") from None
        finally:
            self.output = (self.where / "output").read_text(encoding="utf-8", errors="replace")
        return self

    def log(self) -> list[dict[str, t.Any]]:
        """What happened, in order."""
        file = self.where / "log"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    def missed(self) -> list[str]:
        """Strikes whose moment did not come: the test did not do what it says."""
        came = [line["strike"] for line in self.log() if "strike" in line]
        broken = [line["failed"] for line in self.log() if "failed" in line]
        return broken + [f"never: {strike['when']} {strike['task']}" for strike in self.strikes if strike not in came]


def judge(
    machines: Machines, names: t.Sequence[str], old: t.Mapping[str, Vars], version: str, wanted: str
) -> list[str]:
    """What the oracle finds that should not be.

    :param old: what it found before.
    :param wanted: C(old), C(new), or C(same): all of them old, or all of them new.
    """
    found = machines.look(names)
    states = {name: _state(old[name], found[name], version) for name in names}
    wrong = [f"{name}: {state}" for name, state in states.items() if state not in ("old", "new")]
    kinds = set(states.values())
    if wanted == "same" and len(kinds) != 1:
        wrong.append(f"not all or none: {states}")
    elif wanted != "same" and kinds != {wanted}:
        wrong.append(f"not all {wanted}: {states}")
    return wrong


def _state(old: Vars, now: Vars, version: str) -> str:
    if old["tree"] == now["tree"] and old["says"] == now["says"]:
        return "old"
    new = now["versions"] == {"isage": version, "tinydep": version} and now["says"] == f"0 core : ok {version}"
    if new and not now["wrong"]:
        return "new"
    gone = sorted(set(old["lines"]) - set(now["lines"]))[:20]
    come = sorted(set(now["lines"]) - set(old["lines"]))[:20]
    return f"neither old nor new: {now['versions']} {now['says']} {now['wrong']}\n  gone: {gone}\n  come: {come}"
