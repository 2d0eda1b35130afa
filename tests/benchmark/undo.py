# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What capture and undo cost, against bare loops and against the installers that could do it over a network."""

from __future__ import annotations

import base64
import csv
import hashlib
import os
import shutil
import statistics
import subprocess
import sys
import time
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._calls.backup import backup
from ansible_collections.intellistream.sage.plugins.module_utils._calls.rollback import rollback
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.tree import Tree
from ansible_collections.intellistream.sage.plugins.module_utils._records.session import Engine
from ansible_collections.intellistream.sage.plugins.module_utils._undo.rollback import RollbackRequest
from ansible_collections.intellistream.sage.plugins.module_utils._venv import distributions as venv_distributions
from ansible_collections.intellistream.sage.plugins.module_utils._venv import undo_goals

if t.TYPE_CHECKING:
    import pathlib

# isage[full] needs a wheel that exists for this Python only.
PYTHON = "python3.11"
COMPANIONS = ("torch", "triton", "nvidia-")
ROUNDS = 5
MEMORY = """
import resource, sys
import ansible.module_utils.basic
from ansible_collections.intellistream.sage.plugins.module_utils._records.session import Engine
from ansible_collections.intellistream.sage.plugins.module_utils._timeline.points import backup
from ansible_collections.intellistream.sage.plugins.module_utils._undo.rollback import RollbackRequest, rollback
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
        _run("uv", "venv", "--quiet", "--python", PYTHON, str(self.path))

    def install(self, *wanted: str) -> float:
        """Seconds that uv takes."""
        return _run("uv", "pip", "install", "--quiet", "--python", str(self.python), *wanted)

    def distributions(self, *prefixes: str) -> list[venv_distributions.Distribution]:
        """The installed distributions whose names begin so."""
        venv = Tree.open(str(self.path))
        if venv is None:
            raise RuntimeError(f"{self.path} is gone")
        with venv:
            return [one for one in venv_distributions.installed(venv) if one.name.startswith(prefixes)]

    def capture(self, distributions: t.Sequence[venv_distributions.Distribution], version: str = "0") -> float:
        """Seconds to make a rollback point of these, in a fresh state."""
        shutil.rmtree(self.root, ignore_errors=True)
        self.root.mkdir()
        pins = [{"name": one.name, "version": version} for one in distributions]
        specs = [{"kind": "venv", "path": str(self.path), "distributions": pins}]
        # What came before is not for this to write to disk.
        os.sync()
        begun = time.perf_counter()
        backup(Engine(str(self.root)), specs, None, "", False)
        return time.perf_counter() - begun

    def bare(self, distributions: t.Sequence[venv_distributions.Distribution]) -> float:
        """Seconds to link the same files in a loop that does nothing else."""
        to = self.where / "bare"
        shutil.rmtree(to, ignore_errors=True)
        begun = time.perf_counter()
        made: set[str] = set()
        for one in distributions:
            with open(self.path / one.info / "RECORD", encoding="utf-8", newline="") as record:
                for row in csv.reader(record):
                    path = f"{one.site}/{row[0]}"
                    directory = path.rpartition("/")[0]
                    if directory not in made:
                        os.makedirs(to / directory, exist_ok=True)
                        made.add(directory)
                    try:
                        os.link(f"{self.path}/{path}", f"{to}/{path}")
                    except FileNotFoundError:
                        continue
        return time.perf_counter() - begun


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


class Capture(t.NamedTuple):
    """Seconds.

    :ivar many: capture of torch and its companions in a full environment.
    :ivar bare: the same files, linked by a bare loop.
    :ivar files: how many they are.
    :ivar big: capture of numpy in the full environment.
    :ivar small: capture of numpy in one of numpy alone.
    :ivar freeze: pip freeze in the full environment, which is what the original's backup holds.
    """

    many: float
    bare: float
    files: int
    big: float
    small: float
    freeze: float


def capture(full: Environment, where: pathlib.Path) -> Capture:
    """Cost follows the change, not the environment."""
    many, numpy = full.distributions(*COMPANIONS), full.distributions("numpy")
    alone = Environment(where / "alone")
    alone.install(f"numpy=={numpy[0].version}", "pip")
    bare, taken = _medians(lambda: full.bare(many), lambda: full.capture(many))
    files = sum(len(names) for dummy, dummy2, names in os.walk(full.where / "bare"))
    big, small, freeze = _medians(
        lambda: full.capture(numpy),
        lambda: alone.capture(numpy),
        lambda: _run(str(full.python), "-m", "pip", "freeze"),
    )
    return Capture(taken, bare, files, big, small, freeze)


class Undone(t.NamedTuple):
    """Seconds to get the old version back.

    :ivar undo: by a rollback, without the hashing.
    :ivar hashing: of what was captured, before it is used.
    :ivar megabytes: that were hashed.
    :ivar uv: from its warm cache, offline.
    :ivar pip: from a wheelhouse.
    """

    undo: float
    hashing: float
    megabytes: float
    uv: float
    pip: float


def undo(full: Environment, name: str) -> Undone:
    """A distribution is replaced by an older version and comes back."""
    before = full.distributions(name)[0]
    pin = f"{before.name}=={before.version}"
    full.install("--no-deps", f"{name}<{before.version}")
    other = next(one for one in full.distributions(name) if one.name == before.name)
    replace = ("--no-deps", f"{name}=={other.version}", "--offline")
    full.install("--no-deps", pin)
    size = sum(path.lstat().st_size for path in (full.path / before.site / name).rglob("*") if path.is_file())
    wheels = full.where / "wheels"
    _run(str(full.python), "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(wheels), pin)
    hashing = 0.0
    real = undo_goals.Target.check

    def timed(target: undo_goals.Target, venv: Tree) -> None:
        nonlocal hashing
        begun = time.perf_counter()
        real(target, venv)
        hashing += time.perf_counter() - begun

    def ours() -> float:
        nonlocal hashing
        full.capture([before], other.version)
        full.install(*replace)
        os.sync()
        hashing, begun = 0.0, time.perf_counter()
        rollback(Engine(str(full.root)), RollbackRequest("last"), False)
        return time.perf_counter() - begun - hashing

    def uvs() -> float:
        full.install(*replace)
        os.sync()
        return full.install("--no-deps", pin, "--offline")

    undo_goals.Target.check = timed  # type: ignore[method-assign]
    try:
        mine, theirs = _medians(ours, uvs)
    finally:
        undo_goals.Target.check = real  # type: ignore[method-assign]
    force = ("install", "--quiet", "--force-reinstall", "--no-deps", "--no-index", "--find-links", str(wheels), pin)
    pips = _run(str(full.python), "-m", "pip", *force)
    full.install("--no-deps", "--reinstall", pin, "--offline")
    return Undone(mine, hashing, size / 1e6, theirs, pips)


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
