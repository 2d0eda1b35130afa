# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Several installations at once on one host: at_once.py [CASE...]. Nothing of any of them may be lost."""

from __future__ import annotations

import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import typing as t

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "setup_wheelhouse" / "files"))

import wheelhouse

TOP = pathlib.Path(os.environ.get("OUTPUT_DIR", "/tmp")) / "at_once"
PHASES = ["environment_setup", "submodule_sync", "python_deps", "sage_packages", "verification", "cleanup"]
CLI = "from sage import VERSION\n\n\ndef main():\n    print('core : ok', VERSION)\n"


class Wrong(Exception):
    """Something is not as it has to be."""


def need(good: object, *what: object) -> None:
    """Go on only if this holds."""
    if not good:
        raise Wrong(" ".join(map(str, what)))


def make_wheels() -> pathlib.Path:
    """Two generations of a little SAGE that verifies itself."""
    wheels = TOP / "wheels"
    for version in ("1.0", "2.0"):
        wheelhouse.make_wheel(wheels, "tinydep", version)
        modules = {f"sage/{name}.py": "" for name in ("foundation", "stream", "runtime", "serving")}
        modules.update({"sage/__init__.py": f"VERSION = {version!r}\n", "sage/cli.py": CLI})
        needs = [f"tinydep=={version}"]
        wheelhouse.make_wheel(wheels, "isage", version, needs, None, modules, {"sage": "sage.cli:main"})
    return wheels


def start(playbook: str, **extra: t.Any) -> subprocess.Popen[str]:
    """Start a playbook against this host."""
    environment = {
        **os.environ,
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_FORCE_COLOR": "0",
        "ANSIBLE_LOCALHOST_WARNING": "0",
    }
    # The one that ansible-test runs has an inventory with other hosts.
    return subprocess.Popen(
        ["ansible-playbook", "-i", "localhost,", "-c", "local", playbook, "-e", json.dumps(extra)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=HERE,
        env=environment,
    )


def install(root: pathlib.Path, wheels: pathlib.Path, version: str) -> subprocess.Popen[str]:
    """Start the collection's own playbook."""
    where = {"sage_root": str(root), "sage_find_links": [str(wheels)], "sage_no_index": True}
    where["ansible_python_interpreter"] = sys.executable
    return start("intellistream.sage.install_sage", **where, sage_version=version)


def beside(root: pathlib.Path, wheels: pathlib.Path, name: str, version: str) -> subprocess.Popen[str]:
    """Start an installation into one of the environments of a root."""
    where = {"root": str(root), "environment_name": name, "wheels": str(wheels), "version": version}
    return start("environment.yml", **where, ansible_python_interpreter=sys.executable)


def ended(*runs: subprocess.Popen[str]) -> list[str]:
    """Wait for all; what they wrote."""
    outputs = [run.communicate(timeout=600)[0] for run in runs]
    for run, output in zip(runs, outputs):
        need(run.returncode == 0, "a run failed:", output)
    return outputs


def says(venv: pathlib.Path, version: str) -> None:
    """SAGE itself is asked, and pip's records."""
    told = subprocess.run([venv / "bin" / "sage"], check=True, stdout=subprocess.PIPE, text=True).stdout
    need(told == f"core : ok {version}\n", told)
    found = sorted(path.name for path in venv.glob("lib/python3*/site-packages/*.dist-info") if path.name[0] in "it")
    need(found == [f"isage-{version}.dist-info", f"tinydep-{version}.dist-info"], found)


def record(where: pathlib.Path, installations: int) -> None:
    """Every entry follows from the one before, everything that was begun has ended."""
    before, begun = "0" * 64, 0
    for number, line in enumerate((where / "ledger.jsonl").read_text().splitlines(), 1):
        entry = json.loads(line)
        content = {name: value for name, value in entry.items() if name != "hash"}
        text = json.dumps(content, ensure_ascii=True, separators=(",", ":"), sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()
        need((entry["seq"], entry["prev"], entry["hash"]) == (number, before, digest), f"{where}: entry {number}")
        before = digest
        begun += sum(event["event"] == "begun" for event in entry["events"])
    need(begun == installations, f"{where}: {begun} installations, not {installations}")
    progress = json.loads((where / "install_progress.json").read_text())
    need(sorted(progress["completed_phases"]) == sorted(PHASES), progress)


def content(path: pathlib.Path) -> dict[str, str]:
    """Everything below, by name."""
    files = (one for one in path.rglob("*") if one.is_file() and "__pycache__" not in one.parts)
    return {str(one): hashlib.sha256(one.read_bytes()).hexdigest() for one in files}


def two_roots(wheels: pathlib.Path) -> None:
    """Two installations that have nothing to do with each other."""
    roots = [TOP / "a", TOP / "b"]
    for version in ("1.0", "2.0"):
        ended(*(install(root, wheels, version) for root in roots))
        for root in roots:
            says(root / ".sage/venv", version)
            record(root / ".sage/checkpoints", 1 if version == "1.0" else 2)


def two_environments(wheels: pathlib.Path) -> None:
    """Two environments in one root, at once, each with its own record; one is undone, and the other stays."""
    root = TOP / "shared"
    root.mkdir()
    ended(*(beside(root, wheels, name, "1.0") for name in ("left", "right")))
    was = content(root / "left")
    ended(beside(root, wheels, "left", "2.0"), beside(root, wheels, "right", "2.0"))
    for name in ("left", "right"):
        says(root / name, "2.0")
        record(root / ".sage" / name, 2)
    other = content(root / "right")
    ended(start("undo.yml", root=str(root), environment_name="left", ansible_python_interpreter=sys.executable))
    says(root / "left", "1.0")
    need(content(root / "left") == was, "left is not as it was")
    need(content(root / "right") == other, "right has changed with it")


def one_root_twice(wheels: pathlib.Path) -> None:
    """Two runs that want the same of one root at the same time, which nobody should do: the next one finds it whole."""
    root = TOP / "twice"
    runs = install(root, wheels, "1.0"), install(root, wheels, "1.0")
    for run in runs:
        run.communicate(timeout=600)
    ended(install(root, wheels, "1.0"))
    says(root / ".sage/venv", "1.0")
    again = ended(install(root, wheels, "1.0"))[0]
    need("nothing was left to do" in " ".join(again.split()), again)


CASES: dict[str, t.Callable[[pathlib.Path], None]] = {
    one.__name__: one for one in (two_roots, two_environments, one_root_twice)
}


def main(names: t.Sequence[str]) -> None:
    """Those that are named, or all."""
    for name in names or CASES:
        shutil.rmtree(TOP, ignore_errors=True)
        CASES[name](make_wheels())
        sys.stdout.write(f"ok: {name}\n")
    shutil.rmtree(TOP)


if __name__ == "__main__":
    main(sys.argv[1:])
