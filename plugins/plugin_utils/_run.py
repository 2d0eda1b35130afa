# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""This run: one process of Ansible on this controller, and whether another one is alive."""

from __future__ import annotations

import getpass
import hashlib
import os
import socket
import typing as t

from ansible import constants

from ansible_collections.intellistream.sage.plugins.module_utils._base import host, processes

if t.TYPE_CHECKING:

    class RunFacts(t.TypedDict):
        """What hosts are told of a run, see P(_records.lease.Run)."""

        run: str
        controller: str
        pid_namespace: str
        pid: int
        started: str
        user: str


def this_run() -> RunFacts:
    """The facts of this run, the same for every task and host of it: they are those of its main process."""
    process = _main_process()
    started = processes.started(process)
    directory = os.path.basename(str(constants.DEFAULT_LOCAL_TMP))
    name = socket.gethostname()
    digest = hashlib.sha256(f"{name} {pid_namespace()} {process} {started} {directory}".encode()).hexdigest()
    return {
        "run": digest[:12],
        "controller": name,
        "pid_namespace": pid_namespace(),
        "pid": process,
        "started": started,
        "user": _user(),
    }


def is_dead(owner: t.Mapping[str, t.Any]) -> bool:
    """Whether the process of a run is known to be gone; False where that cannot be known here.

    :param owner: C(pid_namespace), C(pid) and C(started) of the run.
    """
    if not owner.get("pid_namespace") or owner["pid_namespace"] != pid_namespace() or not owner.get("started"):
        return False
    return bool(processes.started(int(owner["pid"])) != owner["started"])


def pid_namespace() -> str:
    """What tells in which list of processes an id counts: this machine, boot and namespace; empty where unknown."""
    try:
        namespace = os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""
    boot = host.boot_id()
    return hashlib.sha256(f"{host.machine()} {boot} {namespace}".encode()).hexdigest()[:32] if boot else ""


def _main_process() -> int:
    """The process of Ansible that the workers were forked from; it has named the run's directory."""
    name = os.path.basename(str(constants.DEFAULT_LOCAL_TMP))
    mine = [process for process in processes.ancestors() if name.startswith(f"ansible-local-{process}")]
    # One whose id begins like the other's.
    return max(mine, key=lambda process: len(str(process)), default=os.getpid())


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.geteuid())
