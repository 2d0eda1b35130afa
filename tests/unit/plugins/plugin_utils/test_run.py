# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Case E3: which run a worker of Ansible belongs to, also when the run was killed meanwhile."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import typing as t

import pytest

if t.TYPE_CHECKING:
    import pathlib

# Forks workers as Ansible does. The last one asks again once its parent is gone.
RUN = """
import json, multiprocessing, os, pathlib, signal, sys, time

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import SageError
from ansible_collections.intellistream.sage.plugins.plugin_utils import _run

parent, answers = os.getpid(), pathlib.Path(sys.argv[1])

def work(name, orphaned):
    if orphaned:
        os.setsid()
        (answers / "ready").touch()
        while os.getppid() == parent:
            time.sleep(0.01)
    try:
        answer = _run.this_run()
    except SageError as error:
        answer = error.as_dict()
    (answers / f".{name}").write_text(json.dumps(answer))
    (answers / f".{name}").rename(answers / name)

fork = multiprocessing.get_context("fork")
for name in ("first", "second"):
    worker = fork.Process(target=work, args=(name, False))
    worker.start()
    worker.join()
fork.Process(target=work, args=("orphan", True)).start()
while not (answers / "ready").exists():
    time.sleep(0.01)
os.kill(parent, signal.SIGKILL)
"""


def test_e3_a_worker_belongs_to_the_run_that_forked_it_and_begins_nothing_once_that_is_gone(
    tmp_path: pathlib.Path,
) -> None:
    """It would come as a run of its own, alive, and keep the hosts from the run that comes next."""
    # A control node has it, and nobody else belongs to a run.
    pytest.importorskip("ansible.constants", exc_type=ImportError)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", RUN, str(tmp_path)], check=False, timeout=60, env=environment)
    until = time.monotonic() + 60
    while not (tmp_path / "orphan").exists() and time.monotonic() < until:
        time.sleep(0.01)
    first, second = (tmp_path / "first").read_text(), (tmp_path / "second").read_text()
    assert first == second
    assert '"pid"' in first
    assert '"Orphaned"' in (tmp_path / "orphan").read_text()
