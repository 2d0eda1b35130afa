# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Real environments from the index, changed by real installers, taken back: environments.py [--kill] [NAME…]

Each is captured with the modules, changed, settled, undone, brought forth again and undone by rollback.sh. After each
step the whole tree is compared with what it was, by code that shares nothing with the collection. With --kill the
change is killed in the middle, and is not settled; the module takes it back, and then rollback.sh another one.

It needs the index and some gigabytes, so it is no part of `make test`; `make real` calls it.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import pathlib
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
import typing as t

Tree = dict[str, tuple[object, ...]]

PYTHON = os.path.realpath(sys.executable)
SYSTEM = "/usr/bin/python3"
PYPY = "/usr/bin/pypy3"
TOOLS = pathlib.Path(sys.executable).parent


class Environment(t.NamedTuple):
    """An environment and what is done to it.

    In commands, {venv} is the environment, {pip} its pip, {uv} uv that works on it, {work} a directory beside it.

    :ivar make: commands that make it.
    :ivar change: commands that are taken back.
    :ivar needs: programs without which it is left out.
    """

    make: t.Sequence[str]
    change: t.Sequence[str]
    needs: t.Sequence[str] = ()


def _venv(*requirements: str, options: str = "", python: str = PYTHON) -> list[str]:
    install = ["{pip} install --quiet " + " ".join(requirements)] if requirements else []
    return [f"{python} -m venv {options} {{venv}}", *install]


def _uv_venv(*requirements: str) -> list[str]:
    return [f"uv venv --quiet --python {PYTHON} {{venv}}", "{uv} install --quiet " + " ".join(requirements)]


ENVIRONMENTS = {
    "cmake": Environment(_venv("cmake==3.27.2"), ["{pip} install --quiet cmake==3.31.6"]),
    "cmake-uv": Environment(_uv_venv("cmake==3.27.2"), ["{uv} install --quiet cmake==3.31.6"]),
    # Two owners of cv2.
    "opencv": Environment(
        _uv_venv("opencv-python==4.10.0.84", "opencv-python-headless==4.10.0.84"),
        ["{uv} install --quiet opencv-python==4.11.0.86", "{uv} uninstall --quiet opencv-python-headless"],
    ),
    "opencv-pip": Environment(
        _venv("opencv-python==4.10.0.84", "opencv-python-headless==4.10.0.84"),
        ["{pip} uninstall --quiet --yes opencv-python"],
    ),
    # Both have bin/fastapi.
    "fastapi": Environment(
        _venv("fastapi==0.111.0", "fastapi-cli==0.0.4"), ["{pip} install --quiet --upgrade fastapi fastapi-cli"]
    ),
    # One namespace, whose files many share.
    "nvidia": Environment(
        _uv_venv("nvidia-cuda-runtime-cu12==12.4.127", "nvidia-nvjitlink-cu12==12.4.127", "nvidia-nvtx-cu12==12.4.127"),
        [
            "{uv} install --quiet nvidia-cuda-runtime-cu12==12.6.77 nvidia-nvtx-cu12==12.6.77",
            "{uv} uninstall --quiet nvidia-nvjitlink-cu12",
        ],
    ),
    # Files in share and etc.
    "jupyter": Environment(
        _uv_venv("jupyterlab==4.2.5", "notebook==7.2.2"),
        ["{uv} install --quiet --upgrade jupyterlab notebook ipykernel"],
    ),
    "pandas": Environment(
        _venv("pandas==2.2.2", "numpy==1.26.4"), ["{pip} install --quiet pandas==2.2.3 numpy==2.1.3"]
    ),
    "scipy": Environment(
        _uv_venv("scipy==1.13.1", "numpy==1.26.4"), ["{uv} install --quiet scipy==1.14.1 numpy==2.1.3"]
    ),
    "torch": Environment(
        _uv_venv("torch==2.5.1", "numpy"), ["{uv} uninstall --quiet torch sympy", "{uv} install --quiet rich"]
    ),
    "debian": Environment(
        _venv("requests==2.31.0", options="--system-site-packages", python=SYSTEM),
        ["{pip} install --quiet --upgrade requests urllib3 pip"],
        needs=[SYSTEM],
    ),
    "pypy": Environment(
        _venv("requests==2.31.0", python=PYPY), ["{pip} install --quiet --upgrade requests urllib3"], needs=[PYPY]
    ),
    "virtualenv": Environment(
        [
            f"{PYTHON} -m venv {{work}}/virtualenv",
            "{work}/virtualenv/bin/pip install --quiet virtualenv",
            f"{{work}}/virtualenv/bin/virtualenv --quiet --python {PYTHON} {{venv}}",
            "{pip} install --quiet flask==3.0.0",
        ],
        ["{pip} install --quiet --upgrade flask pip", "{pip} uninstall --quiet --yes click"],
    ),
    "poetry": Environment(
        [
            f"{PYTHON} -m venv {{work}}/poetry",
            "{work}/poetry/bin/pip install --quiet poetry",
            "mkdir -p {work}/project",
            "{work}/poetry/bin/poetry -C {work}/project init -q -n --name project --python '>=3.11,<3.14'",
            f"{PYTHON} -m venv {{venv}}",
            "VIRTUAL_ENV={venv} {work}/poetry/bin/poetry -C {work}/project add -q 'flask==3.0.0'",
        ],
        ["VIRTUAL_ENV={venv} {work}/poetry/bin/poetry -C {work}/project add -q flask@latest rich"],
    ),
    # Made of a link to sources, which git has.
    "editable": Environment(
        [
            *_venv("setuptools", "wheel"),
            "mkdir -p {work}/sources/sample",
            "echo 'v = 1' >{work}/sources/sample/__init__.py",
            'printf \'[project]\\nname = "sample"\\nversion = "1"\\n\' >{work}/sources/pyproject.toml',
            "{pip} install --quiet --no-build-isolation -e {work}/sources",
        ],
        [
            "{pip} install --quiet --no-build-isolation {work}/sources",
            "{pip} install --quiet --upgrade setuptools wheel",
        ],
    ),
    "interpreter": Environment(
        _uv_venv("requests==2.31.0"),
        [f"uv venv --quiet --allow-existing --python {SYSTEM} {{venv}}", f"{SYSTEM} -m venv --upgrade {{venv}}"],
        needs=[SYSTEM],
    ),
    "isage": Environment(_uv_venv("isage==0.3.2.3"), ["{uv} install --quiet --upgrade isage"]),
    "isage-full": Environment(_uv_venv("'isage[full]==0.3.2.3'"), ["{uv} install --quiet --upgrade isage numpy"]),
}


def tree(top: str) -> Tree:
    """Path → type, mode, owner, content, time, extended attributes of all below; hard links by their names."""
    found: Tree = {}
    names: dict[int, list[str]] = {}
    for directory, directories, files in os.walk(top):
        links = [name for name in directories if os.path.islink(os.path.join(directory, name))]
        for path in [directory, *(os.path.join(directory, name) for name in [*files, *links])]:
            info = os.lstat(path)
            content = ""
            if stat.S_ISLNK(info.st_mode):
                content = os.readlink(path)
            elif stat.S_ISREG(info.st_mode):
                with open(path, "rb") as stream:
                    digest = hashlib.sha256()
                    while block := stream.read(1 << 20):
                        digest.update(block)
                    content = digest.hexdigest()
                names.setdefault(info.st_ino, []).append(path)
            attributes = tuple(
                (name, os.getxattr(path, name, follow_symlinks=False))
                for name in sorted(os.listxattr(path, follow_symlinks=False))
            )
            mode = 0 if stat.S_ISLNK(info.st_mode) else info.st_mode
            found[os.path.relpath(path, top)] = (mode, info.st_uid, info.st_gid, info.st_mtime_ns, content, attributes)
    found["names of one file"] = tuple(sorted(tuple(sorted(same)) for same in names.values() if len(same) > 1))
    return found


def differences(before: Tree, after: Tree) -> list[str]:
    """Paths that are not as they were."""
    return sorted(path for path in {*before, *after} if before.get(path) != after.get(path))


class Trial:
    """One environment, below a directory of its own.

    :ivar wrong: what was not as it should be.
    """

    def __init__(self, name: str, where: pathlib.Path, seed: int) -> None:
        self.name, self.where = name, where
        self.environment = ENVIRONMENTS[name]
        self.root, self.work = where / "root", where / "work"
        self.venv = self.root / ".sage/venv"
        for directory in (self.venv.parent, self.work):
            directory.mkdir(parents=True)
        self.seed = seed
        self.wrong: list[str] = []

    def shell(self, command: str) -> subprocess.Popen[bytes]:
        """Begin a command of the environment, as the leader of its processes."""
        text = command.format(
            venv=self.venv, work=self.work, pip=f"{self.venv}/bin/pip", uv=f"VIRTUAL_ENV={self.venv} uv pip"
        )
        environment = {key: value for key, value in os.environ.items() if key not in ("VIRTUAL_ENV", "PYTHONPATH")}
        return subprocess.Popen(["sh", "-c", text], env=environment, cwd=self.work, start_new_session=True)

    def run(self, commands: t.Iterable[str]) -> None:
        """Run commands to their end.

        :raises RuntimeError: one failed.
        """
        for command in commands:
            if self.shell(command).wait():
                raise RuntimeError(f"{self.name}: {command} failed")

    def kill(self, commands: t.Iterable[str], number: int) -> None:
        """Run commands, and kill what runs at a moment of the first six seconds, if anything does.

        :param number: of the kill; each has a moment of its own, the same one each time.
        """
        drawn = hashlib.sha256(f"{self.name} {self.seed} {number}".encode()).digest()[0] / 256
        end = time.monotonic() + 0.1 + 6 * drawn
        for command in commands:
            process = self.shell(command)
            try:
                process.wait(max(0.0, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                return

    def module(self, module: str, **arguments: object) -> dict[str, t.Any]:
        """The result of a module of the collection.

        :raises RuntimeError: it failed.
        """
        options = ["-i", "localhost,", "-c", "local", "-e", f"ansible_python_interpreter={PYTHON}"]
        done = subprocess.run(
            [str(TOOLS / "ansible"), "localhost", *options, "-m", f"intellistream.sage.{module}"]
            + ["-a", json.dumps({"root": str(self.root), **arguments})],
            env={**os.environ, "ANSIBLE_CALLBACK_RESULT_FORMAT": "json", "ANSIBLE_NOCOLOR": "1"},
            stdout=subprocess.PIPE,
            text=True,
            check=False,
        )
        result: dict[str, t.Any] = json.loads(done.stdout[done.stdout.index("=> {") + 3 :])
        if done.returncode:
            raise RuntimeError(f"{self.name}: {module} failed: {result['msg']}")
        return result

    def compare(self, step: str, before: Tree) -> None:
        """Note what of the environment is not as it was."""
        paths = differences(before, tree(str(self.venv)))
        print(f"  {step}: {len(paths)} of {len(before)} paths differ", flush=True)
        if paths:
            self.wrong.append(f"{self.name}, {step}: {', '.join(paths[:5])}")

    def capture(self) -> str:
        """Make a rollback point of the root's environment; returns its id."""
        return str(self.module("sage_backup", description=self.name)["rollback_point"]["id"])

    def rollback_sh(self) -> None:
        """Take the latest change back without Ansible."""
        script = self.root / ".sage/checkpoints/rollback.sh"
        done = subprocess.run(["sh", script, "--yes"], capture_output=True, text=True, check=False)
        if done.returncode:
            said = (done.stdout + done.stderr)[-500:]
            self.wrong.append(f"{self.name}, rollback.sh ended with {done.returncode}: {said}")

    def play(self) -> None:
        """Changed, settled, undone, redone, undone by the script."""
        self.run(self.environment.make)
        before = tree(str(self.venv))
        point = self.capture()
        self.run(self.environment.change)
        self.module("sage_backup", settle=point)
        after = tree(str(self.venv))
        print(f"  the change: {len(differences(before, after))} of {len(before)} paths", flush=True)
        undone = self.module("sage_rollback", to=point)
        self.compare("undone", before)
        if undone.get("inexact"):
            self.wrong.append(f"{self.name}: not exact: {undone['inexact'][:3]}")
        self.module("sage_rollback", to=undone["redo_point"])
        self.compare("redone", after)
        self.rollback_sh()
        self.compare("undone by rollback.sh", before)

    def play_killed(self) -> None:
        """Killed twice, taken back by the module and by the script."""
        self.run(self.environment.make)
        before = tree(str(self.venv))
        point = self.capture()
        self.kill(self.environment.change, 1)
        self.module("sage_rollback", to=point)
        self.compare("killed, undone", before)
        self.capture()
        self.kill(self.environment.change, 2)
        self.rollback_sh()
        self.compare("killed, undone by rollback.sh", before)


def main() -> int:
    """Play what was asked for; 1 where something was not as it should be."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("names", nargs="*", choices=[[], *ENVIRONMENTS], metavar="NAME", help=", ".join(ENVIRONMENTS))
    parser.add_argument("--kill", action="store_true", help="kill the change in the middle")
    parser.add_argument("--seed", type=int, default=0, help="of the moments of kills")
    parser.add_argument("--where", default=None, help="a directory to work in")
    arguments = parser.parse_args()
    wrong: list[str] = []
    played = 0
    for name in arguments.names or ENVIRONMENTS:
        missing = [program for program in ENVIRONMENTS[name].needs if not os.access(program, os.X_OK)]
        if missing:
            print(f"{name}: left out, since {', '.join(missing)} is missing")
            continue
        print(name, flush=True)
        where = pathlib.Path(tempfile.mkdtemp(prefix=f"sage-real-{name}-", dir=arguments.where))
        trial = Trial(name, where, arguments.seed)
        try:
            trial.play_killed() if arguments.kill else trial.play()
        except (RuntimeError, KeyError) as error:
            trial.wrong.append(str(error))
        played += 1
        wrong += trial.wrong
        if trial.wrong:
            print(*trial.wrong, f"kept: {where}", sep="\n  ", flush=True)
        else:
            shutil.rmtree(where)
    print("\n".join(["", *wrong]) if wrong else "", f"{played} environments, {len(wrong)} things wrong", sep="\n")
    return 1 if wrong or not played else 0


if __name__ == "__main__":
    sys.exit(main())
