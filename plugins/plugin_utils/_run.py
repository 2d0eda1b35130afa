# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""This run: one process of Ansible on this controller, and whether another one is alive."""

from __future__ import annotations

import getpass
import hashlib
import multiprocessing
import os
import socket
import typing as t

from ansible import constants

from ansible_collections.intellistream.sage.plugins.module_utils._base import host, processes
from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import StateError

if t.TYPE_CHECKING:

    class RunFacts(t.TypedDict):
        """What hosts are told of a run, see P(_records.lease.Run)."""

        run: str
        controller: str
        pid_namespace: str
        pid: int
        started: str
        user: str


class Orphaned(StateError):
    """The process of Ansible that this task belongs to is gone, and with it whoever would hear of the result."""


def this_run() -> RunFacts:
    """The facts of this run, the same for every task and host of it: they are those of its main process.

    :raises Orphaned: that process is gone. A worker of it that is left begins nothing more: it would take the lease
        of the hosts from the run that comes next.
    """
    parent = multiprocessing.parent_process()
    process = os.getpid() if parent is None or parent.pid is None else parent.pid
    started = processes.started(process)
    # Asked last, so that what was read before is of that process.
    if process not in (os.getpid(), os.getppid()):
        raise Orphaned(
            f"Process {process}, which ran this play, is gone: this task of it begins nothing more.",
            untouched="everything.",
            advice="Run the playbook again.",
        )
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


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.geteuid())
