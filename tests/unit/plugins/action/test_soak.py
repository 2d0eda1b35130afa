# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Case E3, for as long as SAGE_SOAK_MINUTES says (`make soak`): runs of the role that come at any time.

Some are killed. One gets through or they come one after the other; whoever is refused is told that another run is at
work, and whoever waits gets its turn. What is there in the end is what the last one said.
"""

from __future__ import annotations

import collections
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
import typing as t

import pytest

from ansible_collections.intellistream.sage.tests.integration.targets.setup_wheelhouse.files import wheelhouse
from ansible_collections.intellistream.sage.tests.unit.plugins.action.playing import PLAYBOOK, controller_environment

if t.TYPE_CHECKING:
    import pathlib

pytest.importorskip("ansible.cli.playbook", reason="needs ansible-core of a control node")

SECONDS = float(os.environ.get("SAGE_SOAK_MINUTES", "0")) * 60
FIRST = int(os.environ.get("SAGE_SOAK_FROM", "0"))
VERSIONS = ("1.0", "2.0", "3.0")
_CHANGED = re.compile(r"Changed \d+ distributions? with \w+: isage (?:(\d\.\d) -> )?(\d\.\d)")
CLI = "from sage import VERSION\n\n\ndef main():\n    print('core : ok', VERSION)\n"


class Run(threading.Thread):
    """A run of the role on one root.

    :ivar killed: seconds after which its controller is killed; None for never.
    """

    def __init__(self, top: pathlib.Path, root: str, version: str, chance: random.Random, calm: bool = False) -> None:
        super().__init__()
        self.top, self.root, self.version = top, root, version
        self.gap = 0 if calm else chance.uniform(0, 10)
        self.waits = calm or chance.random() < 0.4
        self.records = calm or chance.random() < 0.8
        self.killed = chance.uniform(1, 15) if not calm and chance.random() < 0.25 else None
        self.status, self.output = -1, ""

    def run(self) -> None:
        """Come, work, end."""
        time.sleep(self.gap)
        variables = {
            "sage_root": self.root,
            "sage_version": self.version,
            "sage_find_links": self.top / "wheels",
            "sage_no_index": "true",
            "sage_wait": "30m" if self.waits else "0",
            "sage_checkpointing": str(self.records).lower(),
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
        }
        words = [part for name, text in variables.items() for part in ("-e", f"{name}={text}")]
        with subprocess.Popen(
            [*PLAYBOOK, "-i", "host,", *words, "intellistream.sage.install_sage"],
            env=controller_environment(self.top),
            cwd=self.top,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            timer = threading.Timer(self.killed, process.send_signal, [signal.SIGKILL]) if self.killed else None
            if timer:
                timer.start()
            self.output, dummy = process.communicate()
            self.status = process.returncode
            if timer:
                timer.cancel()

    def __str__(self) -> str:
        """For who reads of a failure."""
        asked = f"{self.version} in {self.root}, waits: {self.waits}, records: {self.records}, killed: {self.killed}"
        return f"{asked}: {self.status}\n{self.output}"


def _says(root: str) -> str:
    return subprocess.run([f"{root}/.sage/venv/bin/sage"], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def _in_force(runs: t.Sequence[Run], before: str) -> str:
    """The version that a chain of changes ends with, as the runs told them."""
    versions = collections.Counter([before])
    for run in runs:
        for was, now in _CHANGED.findall(run.output):
            versions.update([now])
            versions.subtract([was])
    [version] = [version for version, count in versions.items() if count]
    return str(version)


def _judge(runs: t.Sequence[Run], root: str, before: str) -> None:
    """What came of runs on one root.

    :param before: the version that was in force; empty for none.
    """
    told = "\n\n".join(map(str, runs))
    ended = [run for run in runs if run.status != -signal.SIGKILL]
    succeeded = [run for run in ended if run.status == 0]
    assert succeeded or len(ended) < len(runs), f"nobody got through:\n{told}"
    for run in ended:
        assert run.status == 0 or " is at work: " in " ".join(run.output.split()), told
        assert run.status == 0 or (not run.waits and len(runs) > 1), f"one that waited was refused:\n{told}"
    if len(ended) == len(runs):
        # Of two runs the one that was at work first may be the last to print its end.
        assert _says(root) == f"core : ok {_in_force(succeeded, before)}", told
        assert not any("were not removed" in run.output for run in succeeded), told


def _round(top: pathlib.Path, seed: int) -> None:
    """Two to four runs on one root or two."""
    chance = random.Random(seed)  # noqa: S311
    roots = [f"{top}/root{number}" for number in range(chance.choice((1, 2)))]
    runs = [Run(top, chance.choice(roots), chance.choice(VERSIONS), chance) for dummy in range(chance.randint(2, 4))]
    before = {root: _says(root).rpartition(" ")[2] if os.path.exists(f"{root}/.sage/venv") else "" for root in roots}
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    for root in roots:
        there = [run for run in runs if run.root == root]
        if not there:
            continue
        _judge(there, root, before[root])
        if any(run.status == -signal.SIGKILL for run in there):
            # Whoever comes next finds nothing that it cannot go on from.
            last = Run(top, root, chance.choice(VERSIONS), chance, calm=True)
            last.run()
            assert last.status == 0, f"{last}\n\nafter:\n" + "\n\n".join(map(str, there))
            assert _says(root) == f"core : ok {last.version}", last


@pytest.mark.slow
def test_e3_runs_of_the_role_at_once_at_any_time(tmp_path: pathlib.Path) -> None:
    # The runs that come at once find the collection there.
    controller_environment(tmp_path)
    for version in VERSIONS:
        wheelhouse.make_wheel(tmp_path / "wheels", "tinydep", version)
        modules = {f"sage/{name}.py": "" for name in ("foundation", "stream", "runtime", "serving")}
        modules.update({"sage/__init__.py": f"VERSION = {version!r}\n", "sage/cli.py": CLI})
        needs = [f"tinydep=={version}"]
        wheelhouse.make_wheel(tmp_path / "wheels", "isage", version, needs, None, modules, {"sage": "sage.cli:main"})
    end = time.monotonic() + SECONDS
    number = FIRST
    while number == FIRST or time.monotonic() < end:
        print(f"round {number}", flush=True)
        _round(tmp_path, number)
        number += 1
