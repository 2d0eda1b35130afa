# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Playing plays as people do, against hosts that are this machine."""

from __future__ import annotations

import importlib.util
import json
import os
import pathlib
import pty
import select
import subprocess
import sys
import typing as t

import pytest

QUESTION = b"[y/N]:"
_TAKE_TERMINAL = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"
)
TOP = pathlib.Path(__file__).resolve().parents[4]
PLAYBOOK = (sys.executable, "-m", "ansible", "playbook")


class Played(t.NamedTuple):
    """How it ended.

    :ivar status: the exit status.
    :ivar output: all that was shown.
    """

    status: int
    output: str


def need_ansible() -> None:
    """Skip the test where Ansible cannot be run."""
    try:
        available = importlib.util.find_spec("ansible.cli.playbook") is not None
    except ImportError:
        available = False
    if not available:
        pytest.skip("needs ansible-core of a control node")


def controller_environment(work: pathlib.Path) -> dict[str, str]:
    """The environment of a run that has this collection and no other, and keeps what it keeps in a directory."""
    collections = work / "ansible_collections" / "intellistream"
    if not collections.exists():
        collections.mkdir(parents=True)
        (collections / "sage").symlink_to(TOP)
    environment = {
        **os.environ,
        "ANSIBLE_COLLECTIONS_PATH": str(work),
        "ANSIBLE_HOME": str(work / "home"),
        "LC_ALL": "C.UTF-8",
    }
    environment.pop("PYTHONPATH", None)
    return environment


def play(
    work: pathlib.Path,
    plays: list[dict[str, t.Any]],
    *options: str,
    hosts: t.Sequence[str] | pathlib.Path = ("host",),
    answer: str | None = None,
    **settings: str,
) -> Played:
    """Run a playbook of these plays; skips the test where Ansible cannot be run.

    :param work: a directory for the playbook and all that Ansible keeps.
    :param options: of ansible-playbook.
    :param hosts: their names, or an inventory, which says how they are reached.
    :param answer: play it at a terminal, and answer this when a line ends in C([y/N]:).
    :param settings: environment variables.
    """
    need_ansible()
    playbook = work / "playbook.json"
    playbook.write_text(json.dumps(plays))
    environment = {
        **controller_environment(work),
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_CALLBACK_RESULT_FORMAT": "yaml",
        "ANSIBLE_LOCALHOST_WARNING": "0",
        **settings,
    }
    environment.pop("ANSIBLE_FORCE_COLOR", None)
    command = [*PLAYBOOK]
    if isinstance(hosts, pathlib.Path):
        command += ["-i", str(hosts)]
    else:
        command += ["-i", "".join(f"{host}," for host in hosts), "-c", "local"]
        command += ["-e", json.dumps({"ansible_python_interpreter": sys.executable})]
    command += [*options, str(playbook)]
    if answer is not None:
        return _at_a_terminal(command, environment, work, answer)
    played = subprocess.run(
        command,
        env=environment,
        cwd=work,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return Played(played.returncode, played.stdout)


def _at_a_terminal(command: list[str], environment: dict[str, str], work: pathlib.Path, answer: str) -> Played:
    """The same with a terminal."""
    terminal, other_end = pty.openpty()
    with subprocess.Popen(
        # It gets a session of its own, whose terminal that is.
        [sys.executable, "-c", _TAKE_TERMINAL, *command],
        env=environment,
        cwd=work,
        stdin=other_end,
        stdout=other_end,
        stderr=other_end,
        start_new_session=True,
    ) as process:
        os.close(other_end)
        output = b""
        while True:
            # Ansible throws away what was typed before it listens, and does not tell when that is: typed until heard.
            if not select.select([terminal], [], [], 1)[0] and output.rstrip().endswith(QUESTION):
                os.write(terminal, answer.encode() + b"\r")
                continue
            try:
                output += os.read(terminal, 65536)
            except OSError:  # The other end was closed.
                break
        os.close(terminal)
    return Played(process.returncode, output.decode().replace("\r\n", "\n"))
