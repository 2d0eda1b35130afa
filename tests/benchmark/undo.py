# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What environments cost: looking, holding, settling and going back, against bare loops and against the installers."""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import statistics
import subprocess
import sys
import time
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._calls.backup import backup, settled
from ansible_collections.intellistream.sage.plugins.module_utils._calls.rollback import rollback
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.tree import Tree
from ansible_collections.intellistream.sage.plugins.module_utils._footprint import point
from ansible_collections.intellistream.sage.plugins.module_utils._records.session import Engine
from ansible_collections.intellistream.sage.plugins.module_utils._undo.rollback import RollbackRequest
from ansible_collections.intellistream.sage.plugins.module_utils._venv import distributions as venv_distributions

if t.TYPE_CHECKING:
    import pathlib

# isage[full] needs a wheel that exists for this Python only.
PYTHON = "python3.11"
ROUNDS = 5
MEMORY = """
import resource, sys
import ansible.module_utils.basic
from ansible_collections.intellistream.sage.plugins.module_utils._calls.backup import backup
from ansible_collections.intellistream.sage.plugins.module_utils._calls.rollback import rollback
from ansible_collections.intellistream.sage.plugins.module_utils._records.session import Engine
from ansible_collections.intellistream.sage.plugins.module_utils._undo.rollback import RollbackRequest
root, venv, what = sys.argv[1:]
names = [{"name": f"dist{number}", "version": "2.0"} for number in range(20)]
if what == "capture":
    backup(Engine(root), [{"kind": "venv", "path": venv, "distributions": names}], None, "", False)
else:
    rollback(Engine(root), RollbackRequest("last"), False)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


class Environment:
    """A real virtual environment made by uv.

    :param where: a directory for it and for the state of what is measured.
    """

    def __init__(self, where: pathlib.Path) -> None:
        self.where = where
        self.path = where / "venv"
        self.root = where / "root"
        self.python = self.path / "bin" / "python"
        self._captures = 0
        _run("uv", "venv", "--quiet", "--python", PYTHON, str(self.path))

    def install(self, *words: str) -> float:
        """Seconds that uv takes."""
        return _run("uv", "pip", "install", "--quiet", "--python", str(self.python), *words)

    def distribution(self, name: str) -> venv_distributions.Distribution:
        """One that is installed."""
        venv = Tree.open(str(self.path))
        if venv is None:
            raise RuntimeError(f"{self.path} is gone")
        with venv:
            return next(each for each in venv_distributions.installed(venv) if each.name == name)

    def forget(self) -> None:
        """Begin with an empty store."""
        shutil.rmtree(self.root, ignore_errors=True)
        self.root.mkdir()

    def capture(self, name: str = "none", version: str = "0") -> tuple[str, float]:
        """A new rollback point before a change of one distribution; its name, and the seconds that it takes."""
        self._captures += 1
        pins = [{"name": name, "version": version}]
        specs = [{"kind": "venv", "path": str(self.path), "distributions": pins}]
        # What came before is not for this to write to disk.
        os.sync()
        begun = time.perf_counter()
        made = backup(Engine(str(self.root)), specs, None, f"{self._captures}", False)
        return made["rollback_point"]["id"], time.perf_counter() - begun

    def settle(self, name: str) -> float:
        """Seconds to look at what the change after a point left."""
        begun = time.perf_counter()
        settled(Engine(str(self.root)), name, False)
        return time.perf_counter() - begun

    def undo(self) -> float:
        """Seconds to go back to the last point, verification included."""
        os.sync()
        begun = time.perf_counter()
        rollback(Engine(str(self.root)), RollbackRequest("last"), False)
        return time.perf_counter() - begun

    def links(self) -> float:
        """Seconds to link all files in a loop that does nothing else."""
        to = self.where / "bare"
        shutil.rmtree(to, ignore_errors=True)
        os.sync()
        begun = time.perf_counter()
        _link_all(os.open(self.path, os.O_RDONLY), to)
        return time.perf_counter() - begun


def _link_all(fd: int, to: pathlib.Path) -> None:
    to.mkdir()
    there = os.open(to, os.O_RDONLY)
    try:
        with os.scandir(fd) as children:
            for child in children:
                if child.is_dir(follow_symlinks=False):
                    _link_all(os.open(child.name, os.O_RDONLY, dir_fd=fd), to / child.name)
                elif child.is_file(follow_symlinks=False):
                    os.link(child.name, child.name, src_dir_fd=fd, dst_dir_fd=there)
    finally:
        os.close(there)
        os.close(fd)


def _run(*command: str) -> float:
    begun = time.perf_counter()
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return time.perf_counter() - begun


def _medians(*runs: t.Callable[[], float]) -> list[float]:
    """The median of each, measured in turn so that all see the same machine."""
    found = [[run() for run in runs] for dummy in range(ROUNDS)]
    return [statistics.median(values) for values in zip(*found, strict=True)]


class Captured(t.NamedTuple):
    """Seconds, and how many paths there are.

    :ivar look: a look with extended attributes.
    :ivar later: a look that knows an earlier one.
    :ivar first: the first capture.
    :ivar links: a loop that links the same files and does nothing else.
    :ivar again: a capture with nothing new.
    """

    paths: int
    look: float
    later: float
    first: float
    links: float
    again: float


def capture(environment: Environment) -> Captured:
    """What the looks at an environment and the captures of it take."""
    table = point.look(str(environment.path))

    def look(earlier: t.Any) -> float:
        begun = time.perf_counter()
        point.look(str(environment.path), earlier)
        return time.perf_counter() - begun

    def first() -> float:
        environment.forget()
        return environment.capture()[1]

    # A look tells more once the clock has gone on.
    time.sleep(1.1)
    table = point.look(str(environment.path))
    looks = _medians(lambda: look(None), lambda: look(table))
    captures = _medians(environment.links, first, lambda: environment.capture()[1])
    shutil.rmtree(environment.where / "bare")
    return Captured(len(table.rows), looks[0], looks[1], captures[1], captures[0], captures[2])


class Undone(t.NamedTuple):
    """Seconds for a distribution that is replaced by an older version and comes back.

    :ivar held: the capture before, and the settling afterwards.
    :ivar undo: the way back as a whole, its looks included.
    :ivar uv: from its warm cache, offline.
    """

    held: float
    undo: float
    uv: float


def undo(environment: Environment, name: str) -> Undone:
    """Replace a distribution by an older version, and go back."""
    before = environment.distribution(name)
    pin = f"{before.name}=={before.version}"
    environment.install("--no-deps", f"{name}<{before.version}")
    other = environment.distribution(name)
    replace = ("--no-deps", f"{name}=={other.version}", "--offline")
    environment.install("--no-deps", pin)
    environment.forget()
    environment.capture()
    held: list[float] = []

    def ours() -> float:
        made, seconds = environment.capture(name, other.version)
        environment.install(*replace)
        held.append(seconds + environment.settle(made))
        return environment.undo()

    def uvs() -> float:
        environment.install(*replace)
        os.sync()
        return environment.install("--no-deps", pin, "--offline")

    seconds, theirs = _medians(ours, uvs)
    return Undone(statistics.median(held), seconds, theirs)


def memory(where: pathlib.Path, files: int = 60_000) -> tuple[float, float]:
    """Megabytes that a module process needs to capture and to undo so many replaced files."""
    venv = where / "many"
    (venv / "bin").mkdir(parents=True)
    (venv / "pyvenv.cfg").write_text("version = 3.11.2\n")
    (where / "many-root").mkdir()
    _fill(venv, "1.0", files)

    def measure(what: str) -> float:
        command = [sys.executable, "-c", MEMORY, str(where / "many-root"), str(venv), what]
        done = subprocess.run(
            command, check=True, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": _path()}
        )
        return int(done.stdout.split()[-1]) / 1024

    captured = measure("capture")
    for info in (venv / "lib/python3.11/site-packages").glob("*.dist-info"):
        shutil.rmtree(info)
    _fill(venv, "2.0", files)
    return captured, measure("undo")


def _path() -> str:
    return os.pathsep.join(path for path in sys.path if path)


def _fill(venv: pathlib.Path, version: str, files: int) -> None:
    site = venv / "lib/python3.11/site-packages"
    for number in range(20):
        rows = []
        for index in range(files // 20):
            path = f"dist{number}/package_{index // 60}/module_of_some_length_{index}.py"
            (site / path).parent.mkdir(parents=True, exist_ok=True)
            (site / path).unlink(missing_ok=True)
            content = f"{version} {index}\n".encode()
            (site / path).write_bytes(content)
            digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
            rows.append(f"{path},sha256={digest},{len(content)}")
        info = site / f"dist{number}-{version}.dist-info"
        info.mkdir(parents=True)
        rows.append(f"{info.name}/RECORD,,")
        (info / "RECORD").write_text("\n".join(rows) + "\n")
