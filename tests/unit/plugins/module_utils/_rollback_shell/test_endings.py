# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How rollback.sh ends: its exit status, its words on disks that cannot be written, and the modes of what it leaves."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import shutil
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ansible_collections.intellistream.sage.tests.unit.disk import mount
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils.bareshell import (
    BOTH_SHELLS,
    FLOCK,
    Host,
    killer,
    prepared,
)
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils.tree import changes

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.skipif(not shutil.which("dash"), reason="dash is not installed")

ROOT = Path(__file__).parents[5]
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")


@pytest.fixture
def host(tmp_path: Path) -> Host:
    host = prepared(tmp_path)
    host.capture(host.spec("pack==2.0"))
    host.venv.install("pack", "2.0")
    host.settle()
    return host


def _decline(host: Host) -> subprocess.CompletedProcess[str]:
    ours, theirs = pty.openpty()
    try:
        os.write(ours, b"n\n")
        return host.run(stdin=theirs)
    finally:
        os.close(ours)
        os.close(theirs)


def _edited(host: Host) -> subprocess.CompletedProcess[str]:
    (host.venv.site / "pack/__init__.py").write_text("precious\n")
    return host.run("--yes")


def _interrupted(host: Host) -> subprocess.CompletedProcess[str]:
    (host.tools / "mv").unlink()
    (host.tools / "mv").write_text('#!/bin/sh\ncase $* in *rollback.begun) exec /bin/mv "$@" ;; esac\nexit 1\n')
    (host.tools / "mv").chmod(0o755)
    return host.run("--yes")


# What comes to pass → how it ends; the same in --help and in the documentation.
ENDINGS: dict[str, tuple[int, Callable[[Host], subprocess.CompletedProcess[str]]]] = {
    "done": (0, lambda host: host.run("--yes")),
    "looked at": (0, lambda host: host.run("--dry-run")),
    "interrupted": (1, _interrupted),
    "somebody's edit": (2, _edited),
    "no such option": (2, lambda host: host.run("--nonsense")),
    "declined": (3, _decline),
    "nobody to ask": (3, lambda host: host.run()),
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_k11_the_exit_status_is_the_one_that_help_and_documentation_tell(host: Host, ending: str) -> None:
    """Without a terminal it ended with 2, where --help says 3."""
    status, play = ENDINGS[ending]
    before = host.look()
    done = play(host)
    assert done.returncode == status, done.stdout + done.stderr
    if status == 3:
        assert changes(before, host.look()) == {}
        assert done.stderr.endswith("Nothing was touched.\n")


def test_k11_help_and_documentation_tell_of_the_same_statuses(host: Host) -> None:
    told = set(re.findall(r"\b(\d):", host.run("--help").stdout))
    text = (ROOT / "docs/troubleshooting.md").read_text(encoding="utf-8").partition("### rollback.sh")[2]
    assert told == set(re.findall(r"^\| (\d) \|", text.partition("###")[0], re.MULTILINE)) == set("0123")


@as_root
@pytest.mark.parametrize("shell", BOTH_SHELLS)
@pytest.mark.parametrize("disk", ["root", "root/.sage/checkpoints", "root/venv"])
def test_k11_a_disk_that_is_read_only_is_named_before_anything_is_touched(
    host: Host, disk: str, shell: list[str]
) -> None:
    """It ended in the shell's own words, or in the middle."""
    place = str(host.top / disk)
    before = host.everything()
    with contextlib.ExitStack() as stack:
        mount("--bind", place, place, stack=stack)
        subprocess.run(["mount", "-o", "remount,bind,ro", place], check=True)
        looked = host.run("--dry-run", shell=shell)
        refused = host.run("--yes", shell=shell)
        assert changes(before, host.everything()) == {}
    assert (looked.returncode, looked.stderr.replace(FLOCK, "")) == (0, "")
    assert "is read-only, so nothing of this could be done now." in looked.stdout
    assert refused.returncode == 2
    lines = refused.stderr.replace(FLOCK, "").splitlines()
    assert re.fullmatch(rf"Refused: {re.escape(place)}\S* cannot be written: Read-only file system\.", lines[0])
    assert lines[1].startswith("What to do: ")
    assert lines[2:] == [f"mount -o remount,rw '{place}'", "Nothing was touched."]
    host.undo(shell=shell)


def test_k11_a_record_that_cannot_be_written_is_named_in_one_line(host: Host) -> None:
    """Whatever the reason is."""
    (host.state / "rollback.begun.tmp").mkdir()
    before = host.everything()
    done = host.run("--yes")
    assert changes(before, host.everything()) == {}
    assert done.returncode == 2
    assert done.stderr.replace(FLOCK, "") == (
        f"Refused: {host.state}/rollback.begun cannot be written: Is a directory.\n"
        "What to do: Mend that, then run the same command again.\nNothing was touched.\n"
    )


def _modes(host: Host) -> dict[str, int]:
    """Of what is in the record, without content that has the modes that it will have again."""
    return {path.name: path.stat().st_mode & 0o777 for path in host.state.iterdir() if not path.is_dir()}


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
@pytest.mark.parametrize("nth", [0, 1, 2])
def test_x11_what_the_script_leaves_in_the_record_is_its_owners_alone(host: Host, umask: int, nth: int) -> None:
    """rollback.done was 0644."""
    if nth:
        killer(host, "touch", nth, after=True)
    before = os.umask(umask)
    try:
        done = host.run("--yes", start_new_session=True)
    finally:
        os.umask(before)
    assert done.returncode == (-signal.SIGKILL if nth else 0), done.stderr
    assert ("rollback.begun" if nth else "rollback.done") in _modes(host)
    assert {name for name, mode in _modes(host).items() if mode & 0o077} == set()
