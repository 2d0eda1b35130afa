# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is below a root, found out without the collection and without its record."""

from __future__ import annotations

import base64
import csv
import hashlib
import os
import pathlib
import stat
import subprocess
import typing as t

# The record itself, and the state's own directory, which stays with it.
_RECORD = (".sage/checkpoints", ".sage/.gitignore", ".sage")


class Sight(t.NamedTuple):
    """What was found.

    :ivar lines: one for each path: type, mode, owner, time of change, link target, hash.
    :ivar versions: distribution → version.
    :ivar says: the exit status and output of C(sage verify).
    :ivar wrong: what is not as the distributions' lists say.
    """

    lines: list[str]
    versions: dict[str, str]
    says: str
    wrong: list[str]


def look(root: pathlib.Path) -> Sight:
    """See the module's docstring."""
    versions: dict[str, str] = {}
    wrong: list[str] = []
    for info in sorted(root.glob(".sage/venv/lib/python3*/site-packages/*.dist-info")):
        name, dummy, version = info.name[: -len(".dist-info")].rpartition("-")
        if name in versions:
            wrong.append(f"{name} is there twice")
        versions[name] = version
        wrong += _compare(info)
    sage = root / ".sage/venv/bin/sage"
    says = ""
    if sage.exists():
        environment = {"PATH": "/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run([sage, "verify"], check=False, capture_output=True, text=True, env=environment)
        says = f"{done.returncode} {done.stdout.strip()}"
    return Sight(_lines(root), versions, says, wrong)


def is_new(now: Sight, version: str) -> bool:
    """All of that version, whole, and it works."""
    return (
        not now.wrong
        and now.says == f"0 core : ok {version}"
        and {name: now.versions.get(name) for name in ("isage", "tinydep")} == {"isage": version, "tinydep": version}
    )


def _lines(root: pathlib.Path) -> list[str]:
    lines = []
    for directory, names, files in os.walk(root):
        here = pathlib.Path(directory)
        names[:] = sorted(set(names) - {"__pycache__"})
        for path in [here / name for name in sorted(names + files)]:
            place = str(path.relative_to(root))
            if place in _RECORD:
                continue
            info = path.lstat()
            line = f"{place} {stat.filemode(info.st_mode)} {info.st_uid}:{info.st_gid}"
            if path.is_symlink():
                line += f" -> {path.readlink()}"
            elif path.is_file():
                line += f" {info.st_mtime_ns} {hashlib.sha256(path.read_bytes()).hexdigest()}"
            lines.append(line)
        names[:] = [name for name in names if str((here / name).relative_to(root)) != ".sage/checkpoints"]
    return lines


def _compare(info: pathlib.Path) -> list[str]:
    wrong = []
    with (info / "RECORD").open(encoding="utf-8", newline="") as record:
        for name, digest, *dummy in csv.reader(record):
            path = info.parent / name
            if name.endswith(".pyc"):
                continue
            if not path.is_file():
                wrong.append(f"{info.name}: {name} is missing")
                continue
            found = base64.urlsafe_b64encode(hashlib.sha256(path.read_bytes()).digest()).rstrip(b"=").decode()
            if digest and digest != f"sha256={found}":
                wrong.append(f"{info.name}: {name} differs")
    return wrong
