# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Playing plays as people do, against hosts that are this machine."""

from __future__ import annotations

import importlib.util
import json
import os
import pathlib
import subprocess
import sys
import typing as t

import pytest

TOP = pathlib.Path(__file__).resolve().parents[4]


class Played(t.NamedTuple):
    """How it ended.

    :ivar status: the exit status.
    :ivar output: all that was shown.
    """

    status: int
    output: str


def play(
    work: pathlib.Path,
    plays: list[dict[str, t.Any]],
    *options: str,
    hosts: t.Sequence[str] = ("host",),
    **settings: str,
) -> Played:
    """Run a playbook of these plays; skips the test where Ansible cannot be run.

    :param work: a directory for the playbook and all that Ansible keeps.
    :param options: of ansible-playbook.
    :param settings: environment variables.
    """
    try:
        available = importlib.util.find_spec("ansible.cli.playbook") is not None
    except ImportError:
        available = False
    if not available:
        pytest.skip("needs ansible-core of a control node")
    collections = work / "ansible_collections" / "intellistream"
    if not collections.exists():
        collections.mkdir(parents=True)
        (collections / "sage").symlink_to(TOP)
    playbook = work / "playbook.json"
    playbook.write_text(json.dumps(plays))
    environment = {
        **os.environ,
        "ANSIBLE_COLLECTIONS_PATH": str(work),
        "ANSIBLE_HOME": str(work / "home"),
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_CALLBACK_RESULT_FORMAT": "yaml",
        "ANSIBLE_LOCALHOST_WARNING": "0",
        "LC_ALL": "C.UTF-8",
        **settings,
    }
    environment.pop("PYTHONPATH", None)
    environment.pop("ANSIBLE_FORCE_COLOR", None)
    interpreter = ["-e", json.dumps({"ansible_python_interpreter": sys.executable})]
    command = [sys.executable, "-m", "ansible", "playbook", "-i", "".join(f"{host}," for host in hosts), "-c", "local"]
    played = subprocess.run(
        [*command, *interpreter, *options, str(playbook)],
        env=environment,
        cwd=work,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return Played(played.returncode, played.stdout)
