# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import subprocess
import sys
import typing as t

import pytest

from ansible_collections.intellistream.sage.plugins.module_utils._base import command
from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import InstallerError
from ansible_collections.intellistream.sage.tests.unit.waiting import FOREVER, has_ended, wait_until

if t.TYPE_CHECKING:
    import pathlib


def test_success() -> None:
    outcome = command.checked([sys.executable, "-c", "print(input())"], stdin="安装\n")
    assert outcome.stdout == "安装\n"


def test_failure_says_what_failed_and_hides_credentials() -> None:
    script = "import sys; [print('line', i) for i in range(40)]; sys.exit('no https://me:s3cret@index.example/x')"
    with pytest.raises(InstallerError) as caught:
        command.checked(
            [sys.executable, "-c", script, "https://u:s3cret@h/"], untouched="everything", advice="Do something."
        )
    message = str(caught.value)
    assert "exited with 1" in message
    assert "line 39" in message
    assert "line 3\n" not in message
    assert "Left as it was: everything" in message
    assert "s3cret" not in message
    assert caught.value.details["rc"] == 1
    assert len(caught.value.details["output"]) == 15


def test_killed() -> None:
    with pytest.raises(InstallerError, match="killed by signal 9"):
        command.checked([sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"])


def test_not_there() -> None:
    with pytest.raises(InstallerError, match=r"Cannot start.*No such file"):
        command.run(["/nowhere/uv", "x"])


def test_time_out_ends_grandchildren(tmp_path: pathlib.Path) -> None:
    marker = tmp_path / "pid"
    script = (
        "import subprocess, sys, time\n"
        f"child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep({FOREVER})'])\n"
        f"open({str(marker)!r}, 'w').write(str(child.pid))\n"
        f"time.sleep({FOREVER})\n"
    )
    # On a busy machine the time may be over before there is a grandchild.
    for seconds in (1, 10, 100):
        with pytest.raises(InstallerError, match=f"did not finish within {seconds} seconds"):
            command.run([sys.executable, "-c", script], timeout=seconds)
        if marker.exists() and marker.read_text():
            break
    wait_until(lambda: has_ended(marker.read_text()), "the end of the grandchild")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="about Linux")
def test_dies_with_the_module(tmp_path: pathlib.Path) -> None:
    marker = tmp_path / "pid"
    child = f"import os, time; open({str(marker)!r}, 'w').write(str(os.getpid())); time.sleep({FOREVER})"
    script = (
        "import sys\n"
        "from ansible_collections.intellistream.sage.plugins.module_utils._base import command as _command\n"
        f"_command.run([sys.executable, '-c', {child!r}])\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], env={**os.environ, "PYTHONPATH": ":".join(sys.path)}) as run:
        wait_until(lambda: marker.exists() and marker.read_text(), "the start of the installer")
        run.kill()
    wait_until(lambda: has_ended(marker.read_text()), "the end of the installer")


def test_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIRTUAL_ENV", "/x")
    monkeypatch.setenv("PIP_TARGET", "/x")
    monkeypatch.setenv("PIP_INDEX_URL", "https://x/")
    env = command.environment({"A": "b"})
    assert "VIRTUAL_ENV" not in env
    assert "PIP_TARGET" not in env
    assert env["PIP_INDEX_URL"] == "https://x/"
    assert env["A"] == "b"
    assert env["HOME"] == os.environ["HOME"]
