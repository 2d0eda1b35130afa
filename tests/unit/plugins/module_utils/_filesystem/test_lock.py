# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A lock that excludes, that times out, and that the dead do not hold."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import Busy, UnsafePath
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.lock import Lock
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.private import PrivateDir, open_state

if TYPE_CHECKING:
    import pathlib

HOLD = """
import sys
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.private import open_state
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.lock import Lock
with Lock(open_state(sys.argv[1], create=True), 5):
    print("held", flush=True)
    sys.stdin.read()
"""


def _state(root: pathlib.Path) -> PrivateDir:
    state = open_state(str(root), create=True)
    assert state is not None
    return state


def _holder(root: pathlib.Path) -> subprocess.Popen[str]:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(root)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    return holder


def test_it_can_be_taken_again_after_release(tmp_path: pathlib.Path) -> None:
    with _state(tmp_path) as state:
        for _turn in range(2):
            with Lock(state, 0):
                pass


def test_whoever_holds_it_is_named(tmp_path: pathlib.Path) -> None:
    with _holder(tmp_path) as holder, _state(tmp_path) as state:
        with pytest.raises(Busy, match=f"locked for 0.1 s by process {holder.pid}") as caught, Lock(state, 0.1):
            pass
        assert "lock_timeout" in caught.value.advice
        holder.kill()


def test_a_killed_process_holds_nothing(tmp_path: pathlib.Path) -> None:
    with _holder(tmp_path) as holder:
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    with _state(tmp_path) as state, Lock(state, 0):
        pass


def test_a_state_that_was_reset_meanwhile_is_not_written_to(tmp_path: pathlib.Path) -> None:
    with _state(tmp_path) as state:
        os.rename(state.path, f"{state.path}.removed")
        with pytest.raises(Busy, match="was reset"), Lock(state, 0):
            pass
        shutil.rmtree(f"{state.path}.removed")
        with pytest.raises(Busy, match="was reset"), Lock(state, 0):
            pass


def test_a_lock_that_is_a_link_is_refused(tmp_path: pathlib.Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("content")
    with _state(tmp_path) as state:
        os.symlink(victim, os.path.join(state.path, "lock"))
        with pytest.raises(UnsafePath, match="symbolic link"), Lock(state, 0):
            pass
    assert victim.read_text() == "content"
