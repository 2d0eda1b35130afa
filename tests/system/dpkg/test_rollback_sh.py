# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""rollback.sh leaves packages to the module, and says what gets them back where there is none."""

from __future__ import annotations

import pathlib
from typing import TYPE_CHECKING

from ansible_collections.intellistream.sage.tests.system import oracle
from ansible_collections.intellistream.sage.tests.system.command import apt, run
from ansible_collections.intellistream.sage.tests.system.debs import status
from ansible_collections.intellistream.sage.tests.system.dpkg.host import Host, example, same

if TYPE_CHECKING:
    from ansible_collections.intellistream.sage.tests.system.debs import Repository


def test_it_refuses_and_names_commands_that_work(sage_root: pathlib.Path, repository: Repository) -> None:
    host = Host(sage_root)
    example(repository)
    host.capture("foo")
    apt("install", "foo")
    before = oracle.snapshot()
    done = run("sh", sage_root / ".sage/checkpoints/rollback.sh", "--yes", ok=False)
    assert done.returncode == 2
    assert "packages of the system were changed, which this script does not bring back" in done.stderr
    same(before)
    commands = [line for line in done.stderr.splitlines() if line.startswith(("  apt-get ", "  dpkg "))]
    assert len(commands) == 2
    for command in commands:
        run("sh", "-c", command.replace("apt-get ", "apt-get -y "), DEBIAN_FRONTEND="noninteractive")
    assert [status(name) for name in ("foo", "bar", "goo")] == ["1 ii", "1 ii", ""]
    assert pathlib.Path("/opt/foo/data").read_text() == "foo 1"
