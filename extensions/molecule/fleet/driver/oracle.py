# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is below a root, told without the collection: oracle.py ROOT [ROOT...]. Runs on the host; prints JSON.

For each root: `tree`, a hash over everything in it but the record (type, mode, owner, size, time of change, target of a
link, content); `lines`, what was hashed, for people; `versions`, what the environment holds; `says`, what SAGE answers;
`wrong`, what is missing, changed, or of no distribution.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import json
import os
import stat
import subprocess
import sys
import typing as t

# The record, and what is only there while something is built.
RECORD = (".sage/checkpoints", ".sage/build", ".sage/.gitignore")
# What the environment has of itself; byte code comes and goes with those who import.
OWN = ("activate", "deactivate", "Activate", "python", "pip", "pydoc", "_virtualenv", "CACHEDIR.TAG")


def tree(root: str) -> list[str]:
    """A line for everything below."""
    lines = []
    for directory, names, files in os.walk(root):
        relative = os.path.relpath(directory, root)
        names[:] = sorted(name for name in names if os.path.normpath(os.path.join(relative, name)) not in RECORD)
        names[:] = [name for name in names if name != "__pycache__"]
        for name in sorted(names + files):
            path = os.path.join(directory, name)
            place = os.path.relpath(path, root)
            # The state's own directory is made with the record and stays with it.
            if place in RECORD or place == ".sage":
                continue
            info = os.lstat(path)
            line = f"{place} {stat.filemode(info.st_mode)} {info.st_uid}:{info.st_gid}"
            if stat.S_ISLNK(info.st_mode):
                line += f" {os.readlink(path)}"
            elif stat.S_ISREG(info.st_mode):
                with open(path, "rb") as content:
                    digest = hashlib.sha256(content.read()).hexdigest()
                line += f" {info.st_size} {info.st_mtime_ns} {digest}"
            lines.append(line)
    return lines


def _listed(site: str, info: str) -> tuple[set[str], list[str]]:
    """Paths that a distribution lists, and what is not as it says."""
    paths: set[str] = set()
    wrong: list[str] = []
    record = os.path.join(site, info, "RECORD")
    if not os.path.exists(record):
        return paths, [f"{info} has no RECORD"]
    with open(record, encoding="utf-8", newline="") as lines:
        for name, digest, *_size in csv.reader(lines):
            path = os.path.normpath(os.path.join(site, name))
            paths.add(path)
            if name.endswith(".pyc"):
                continue
            if not os.path.isfile(path):
                wrong.append(f"{info}: {name} is missing")
                continue
            with open(path, "rb") as content:
                found = base64.urlsafe_b64encode(hashlib.sha256(content.read()).digest()).rstrip(b"=").decode()
            if digest and digest.partition("=")[2] != found:
                wrong.append(f"{info}: {name} differs")
    return paths, wrong


def environment(venv: str) -> tuple[dict[str, str], list[str], str]:
    """Versions, what is wrong, and what SAGE says of itself."""
    versions: dict[str, str] = {}
    wrong: list[str] = []
    listed: set[str] = set()
    library = os.path.join(venv, "lib")
    for python in sorted(os.listdir(library)):
        site = os.path.join(library, python, "site-packages")
        for info in sorted(name for name in os.listdir(site) if name.endswith(".dist-info")):
            name, version = info[: -len(".dist-info")].rsplit("-", 1)
            if name in versions:
                wrong.append(f"{name} is there twice")
            versions[name] = version
            paths, differing = _listed(site, info)
            listed |= paths
            wrong += differing
        for directory, _names, files in os.walk(venv):
            for name in files:
                path = os.path.join(directory, name)
                if path in listed or "__pycache__" in path or name.startswith(OWN) or name == "pyvenv.cfg":
                    continue
                if not path.startswith(os.path.join(venv, "lib64")) and name not in {".gitignore", ".lock"}:
                    wrong.append(f"{path} is of no distribution")
    # Not -B: what Python writes must not be part of what is compared, and is not, being byte code.
    if not os.path.exists(os.path.join(venv, "bin", "sage")):
        return versions, wrong, "there is no SAGE"
    told = subprocess.run(
        [os.path.join(venv, "bin", "sage"), "verify"],
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={"PATH": "/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1"},
    )
    return versions, wrong, f"{told.returncode} {told.stdout.decode(errors='replace').strip()}"


def look(root: str) -> dict[str, t.Any]:
    """See the module's docstring."""
    lines = tree(root) if os.path.isdir(root) else []
    found: dict[str, t.Any] = {"tree": hashlib.sha256("\n".join(lines).encode()).hexdigest(), "lines": lines}
    venv = os.path.join(root, ".sage", "venv")
    versions, wrong, says = environment(venv) if os.path.isdir(os.path.join(venv, "lib")) else ({}, [], "")
    return {**found, "versions": versions, "wrong": wrong, "says": says}


if __name__ == "__main__":
    json.dump({root: look(root) for root in sys.argv[1:]}, sys.stdout)
