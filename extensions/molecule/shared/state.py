# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Checks the record of a host without the collection's own code and prints it: state.py DIRECTORY [SECRET...].

Prints one JSON object: progress, phases (last status of each in the newest installation), events, points, lines.
Exit status 1, with the reasons on stderr, when something is not as documented.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import sys
import typing as t

KEYS = [
    "install_id",
    "start_time",
    "current_phase",
    "completed_phases",
    "failed_phases",
    "install_mode",
    "environment_name",
    "python_path",
    "backup_created",
    "can_rollback",
    "last_update",
    "last_error",
    "additional_data",
]


def modes(top: str) -> list[str]:
    """Whether all is private. What was captured keeps its own modes: only the directory around it counts."""
    wrong = []
    paths = [top, *(os.path.join(top, name) for name in os.listdir(top))]
    for path in paths:
        info = os.lstat(path)
        runs = stat.S_ISDIR(info.st_mode) or os.path.basename(path) == "rollback.sh"
        wanted = 0o700 if runs else 0o600
        if stat.S_ISLNK(info.st_mode) or stat.S_IMODE(info.st_mode) != wanted or info.st_uid != os.lstat(top).st_uid:
            wrong.append(f"{path}: {stat.filemode(info.st_mode)} of {info.st_uid}")
    ignored = os.path.join(top, "..", ".gitignore")
    if os.path.basename(os.path.dirname(top)) == ".sage":
        with open(ignored, encoding="utf-8") as lines:
            if "*" not in lines.read().split():
                wrong.append(".gitignore does not ignore everything")
    return wrong


def chain(lines: list[dict[str, t.Any]]) -> list[str]:
    """Whether every line has its own hash and follows from the one before."""
    wrong, before = [], "0" * 64
    for number, line in enumerate(lines, 1):
        content = {name: value for name, value in line.items() if name != "hash"}
        text = json.dumps(content, ensure_ascii=True, separators=(",", ":"), sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()
        if (line["hash"], line["prev"], line["seq"]) != (digest, before, number):
            wrong.append(f"line {number} of the ledger does not fit")
        before = line["hash"]
    return wrong


def secrets(top: str, hidden: list[str]) -> list[str]:
    """Files that contain what must not be recorded."""
    wrong = []
    for directory, _dirs, names in os.walk(top):
        for name in names:
            with open(os.path.join(directory, name), "rb") as content:
                data = content.read()
            wrong += [f"{name} contains a secret" for secret in hidden if secret.encode() in data]
    return wrong


def main() -> int:
    """See the module's docstring."""
    top, hidden = os.path.abspath(sys.argv[1]), sys.argv[2:]
    with open(os.path.join(top, "ledger.jsonl"), encoding="utf-8") as content:
        lines = [json.loads(line) for line in content]
    wrong = modes(top) + chain(lines) + secrets(top, hidden)
    progress = dict.fromkeys(KEYS)
    # Points that were made by hand belong to no installation.
    if any(event["event"] == "begun" for line in lines for event in line["events"]):
        with open(os.path.join(top, "install_progress.json"), encoding="utf-8") as content:
            progress = json.load(content)
    if list(progress) != KEYS:
        wrong.append(f"the progress file has other keys: {list(progress)}")
    newest = [line for line in lines if line["install_id"] == progress["install_id"]]
    events = [event for line in newest for event in line["events"]]
    phases = {event["phase"]: event for event in events if event["event"] == "phase"}
    found = {"progress": progress, "phases": phases, "events": events, "lines": len(lines)}
    json.dump(found, sys.stdout)
    sys.stderr.write("\n".join(wrong))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
