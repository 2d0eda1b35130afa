# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""rollback.sh leaves packages to the module, and says what gets them back where there is none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ansible_collections.intellistream.sage.tests.system import oracle
from ansible_collections.intellistream.sage.tests.system.command import dnf, run
from ansible_collections.intellistream.sage.tests.system.rpm.undoing import (
    ORIGINAL,
    UPGRADED,
    Host,
    example,
    read,
    snapshot,
)
from ansible_collections.intellistream.sage.tests.system.rpms import installed

if TYPE_CHECKING:
    import pathlib

    from ansible_collections.intellistream.sage.tests.system.rpms import Repository


def test_it_refuses_and_names_commands_that_work(sage_root: pathlib.Path, repository: Repository) -> None:
    host = Host(sage_root)
    example(repository)
    host.capture("foo", state="latest")
    dnf("upgrade", "foo")
    before = snapshot()
    done = run("sh", sage_root / ".sage/checkpoints/rollback.sh", "--yes", ok=False)
    assert (done.returncode, installed()) == (2, UPGRADED)
    assert "packages of the system were changed, which this script does not bring back" in done.stderr
    assert "Roll back with Ansible: ansible-playbook " in done.stderr
    assert oracle.diff(before, snapshot()) == []
    commands = [line for line in done.stderr.splitlines() if line.startswith("  rpm ")]
    assert len(commands) == 2
    for command in commands:
        run("sh", "-c", command)
    assert installed() == ORIGINAL
    assert read("/opt/foo/data") == "1"
