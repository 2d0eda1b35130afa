# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The machines: containers on a network of their own, reached by ssh, cut off, restarted and looked at from outside.

Everything is named after SAGE_TEST_CONTAINERS, and what has to be remembered lies in `machines.json` of a directory of
this test. Podman is only asked to do what no administrator could do by ssh.
"""

from __future__ import annotations

import concurrent.futures
import ipaddress
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import threading
import time
import typing as t

HERE = pathlib.Path(__file__).resolve().parent
PROJECT = HERE.parents[3]
PREFIX = os.environ.get("SAGE_TEST_CONTAINERS", "sage-test")
NETWORK = f"{PREFIX}-fleet"
NAMES = [f"fleet{number:02d}" for number in range(1, 13)]
ROOT = "/home/sage/fleet"
IMAGE = "localhost/sage-bookworm"
USER = "sage"


def command(*words: str, text: str | None = None, check: bool = True) -> str:
    """Run a program; what it wrote."""
    done = subprocess.run(words, check=False, input=text, capture_output=True, text=True)
    if check and done.returncode:
        raise RuntimeError(f"{' '.join(words)}: {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout.strip()


def each(names: t.Iterable[str], work: t.Callable[[str], t.Any]) -> dict[str, t.Any]:
    """Do something for several hosts at a time."""
    names = list(names)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        return dict(zip(names, pool.map(work, names)))


def _hardware(name: str) -> str:
    """An address that a restart does not change, as it does not change that of a real machine."""
    return f"02:5a:6e:00:00:{NAMES.index(name) + 16:02x}"


class Machines:
    """The twelve hosts.

    :ivar facts: what is remembered: addresses, gateway, index.
    """

    def __init__(self, state: pathlib.Path) -> None:
        self.state = state
        self.file = state / "machines.json"
        self._lock = threading.Lock()
        self.facts: dict[str, t.Any] = json.loads(self.file.read_text()) if self.file.exists() else {}

    @staticmethod
    def container(name: str) -> str:
        """What podman calls it."""
        return f"{PREFIX}-{name}"

    def make(self) -> None:
        """Make and start everything anew."""
        self.remove()
        self.state.mkdir(parents=True, exist_ok=True)
        command(str(PROJECT / "extensions/molecule/images/build.sh"), "bookworm")
        key = self.state / "key"
        command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(key))
        command("podman", "network", "create", NETWORK)
        # Every host's user writes there.
        (self.state / "code").mkdir()
        (self.state / "code").chmod(0o1777)
        network = json.loads(command("podman", "network", "inspect", NETWORK))[0]["subnets"][0]
        first = ipaddress.ip_network(network["subnet"])[10]
        hosts = {name: str(first + number) for number, name in enumerate(NAMES)}
        self.facts = {"gateway": network["gateway"], "hosts": hosts, "generation": 0}
        self.file.write_text(json.dumps(self.facts))
        each(NAMES, self._start)
        self.wait(NAMES)
        self._serve()

    def _start(self, name: str) -> None:
        # Counted and ended with the step of the tests that it belongs to.
        group = os.environ.get("SAGE_TEST_CGROUP")
        home = f"/home/{USER}"
        library = f"{home}/.local/lib/python3.11"
        command(
            *("podman", "run", "--detach", "--name", self.container(name), "--hostname", name),
            *("--network", NETWORK, "--ip", self.facts["hosts"][name], "--mac-address", _hardware(name)),
            *("--systemd=always", "--stop-signal=9", *([f"--cgroup-parent={group}"] if group else [])),
            *("--volume", f"{self.state / 'key.pub'}:{home}/.ssh/authorized_keys:ro"),
            # Byte code of modules is kept.
            *("--volume", f"{PROJECT}/extensions/molecule/shared/host_python:{library}/site-packages:ro"),
            *("--volume", f"{self.state}/code:/var/cache/sage-test/code"),
            *(IMAGE, "/lib/systemd/systemd"),
        )
        directories = (f"{home}/.local", f"{home}/.local/lib", library)
        command("podman", "exec", self.container(name), "chown", f"{USER}:", *directories)

    def _serve(self) -> None:
        files = self.state / "index"
        command(sys.executable, str(HERE / "wheels.py"), str(files))
        process, url = command(sys.executable, str(HERE / "wheels.py"), str(files), self.facts["gateway"]).split()
        self.facts.update(process=int(process), index=url)
        self.file.write_text(json.dumps(self.facts))

    def remove(self) -> None:
        """Leave nothing."""
        command("podman", "rm", "--force", "--ignore", "--time=0", *map(self.container, NAMES))
        command("podman", "network", "rm", "--force", NETWORK, check=False)
        if "process" in self.facts:
            try:
                os.kill(self.facts["process"], signal.SIGKILL)
            except ProcessLookupError:
                pass
        # Decisions too: the ids of the runs to come are those of the runs that were.
        shutil.rmtree(self.state, ignore_errors=True)
        self.facts = {}

    def wait(self, names: t.Iterable[str]) -> None:
        """Until their sshd answers."""
        for name in names:
            end = time.monotonic() + 300
            ready = "systemctl is-active multi-user.target ssh.service"
            while command("podman", "exec", self.container(name), *ready.split(), check=False) != "active\nactive":
                if time.monotonic() > end:
                    raise RuntimeError(f"{name} does not come up")
                time.sleep(0.5)

    def generation(self) -> str:
        """A version that no host has had yet."""
        with self._lock:
            self.facts["generation"] += 1
            self.file.write_text(json.dumps(self.facts))
            return f"{self.facts['generation']}.0"

    def run(self, name: str, script: str, text: str | None = None) -> str:
        """Do something on a host behind Ansible's back, as the user that Ansible is."""
        interactive = ["--interactive"] if text is not None else []
        words = ["podman", "exec", *interactive, f"--user={USER}", self.container(name), "sh", "-c", script]
        return command(*words, text=text)

    def look(self, names: t.Iterable[str]) -> dict[str, dict[str, t.Any]]:
        """What the oracle says of each."""
        oracle = (HERE / "oracle.py").read_text(encoding="utf-8")
        return each(names, lambda name: json.loads(self.run(name, f"python3 - {ROOT}", oracle))[ROOT])

    @staticmethod
    def shell(script: str) -> None:
        """Carry out what one of the methods below returned."""
        command("/bin/sh", "-ec", script)

    def cut(self, name: str) -> str:
        """Shell: nothing gets through to the host or from it, and nobody is told; its programs go on."""
        rules = " && ".join(f"iptables --wait --insert {chain} -j DROP" for chain in ("INPUT", "OUTPUT"))
        return self._in_network(name, rules)

    def mend(self, name: str) -> str:
        """Shell: the network is there again."""
        return self._in_network(name, "iptables --flush INPUT && iptables --flush OUTPUT")

    def _in_network(self, name: str, script: str) -> str:
        pid = f"$(podman inspect --format '{{{{.State.Pid}}}}' {self.container(name)})"
        return f'nsenter --net=/proc/{pid}/ns/net sh -c "{script}"'

    def restart(self, name: str) -> str:
        """Shell: as if somebody had pulled the plug; sshd is there again when it ends."""
        container = self.container(name)
        up = f"podman exec {container} systemctl is-active ssh.service multi-user.target"
        return f"podman restart --time=0 {container} && for look in $(seq 600); do {up} && break; sleep 0.5; done"
