# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Captures and rollbacks of rpm packages with the real engine, and the oracle around them."""

from __future__ import annotations

import pathlib
from typing import TYPE_CHECKING, Any

from ansible_collections.intellistream.sage.plugins.module_utils._calls import backup
from ansible_collections.intellistream.sage.plugins.module_utils._calls import rollback as calls_rollback
from ansible_collections.intellistream.sage.plugins.module_utils._records.session import Engine
from ansible_collections.intellistream.sage.plugins.module_utils._undo import rollback
from ansible_collections.intellistream.sage.tests.system import oracle
from ansible_collections.intellistream.sage.tests.system.command import run
from ansible_collections.intellistream.sage.tests.system.content import File

if TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.plugin_utils._structures import BackupResult, RollbackResult
    from ansible_collections.intellistream.sage.tests.system.rpms import Repository

CONFIG = "%config(noreplace)"


class Host:
    """A host with a state, whose system was remembered at each capture."""

    def __init__(self, root: pathlib.Path) -> None:
        self.root = root
        self.engine = Engine(str(root))
        self.before: list[oracle.Snapshot] = []

    def capture(self, *packages: str, state: str = "present", changes: Any = (), settled: bool = False) -> str:
        """Make a rollback point and remember how everything is; `settled` is for changes that were made already."""
        self.before.append(snapshot())
        spec = {"kind": "rpm", "packages": list(packages), "state": state, "changes": list(changes)}
        made = backup.backup(self.engine, [spec], None, f"point {len(self.before)}", False)
        return str(made["rollback_point"]["id"])

    def settle(self, point: str) -> BackupResult:
        """Say that the change after a point has ended."""
        return backup.settled(self.engine, point, False)

    def undo(self, to: str = "last", check: bool = False, **options: Any) -> RollbackResult:
        """Roll back."""
        return calls_rollback.rollback(self.engine, rollback.RollbackRequest(to, **options), check)

    def differences(self, number: int = -1) -> list[str]:
        """How the system differs from what it was at a capture."""
        return oracle.diff(self.before[number], snapshot())


def snapshot() -> oracle.Snapshot:
    """The whole system, without asking dpkg: verifying the container's own packages takes seconds each time."""
    return {**oracle.files(), **oracle.rpm()}


def read(path: str) -> str:
    return pathlib.Path(path).read_text("utf-8")


def write(path: str, text: str, mode: int | None = None) -> None:
    place = pathlib.Path(path)
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text, "utf-8")
    if mode is not None:
        place.chmod(mode)


def files_of(version: str, extra: dict[str, Any] | None = None) -> dict[str, Any]:
    """The files of a version of foo."""
    return {
        "/opt/foo/data": version,
        "/opt/foo/only-in-" + version: version,
        "/etc/foo.conf": File(f"conf {version}\n", rpm=CONFIG),
        **(extra or {}),
    }


def example(repository: Repository, **options: Any) -> None:
    """The documents' own: foo 1 and bar 1 are installed; foo 2 needs goo, which is new, and a newer bar.

    `options`: more about foo 2.
    """
    repository.build("foo", "1", files=files_of("1"))
    repository.build("bar", "1", files={"/opt/bar/data": "1"})
    repository.build(
        "foo", "2", **{"files": files_of("2"), "fields": ["Requires: goo", "Requires: bar >= 2"], **options}
    )
    repository.build("bar", "2", files={"/opt/bar/data": "2"})
    repository.build("goo", "1", files={"/opt/goo/data": "1", "/etc/goo.conf": File("goo\n", rpm="%config")})
    repository.offer()
    run("dnf", "-q", "-y", "install", "foo-1", "bar-1")


UPGRADED = ["bar-2-1.noarch", "foo-2-1.noarch", "goo-1-1.noarch"]
ORIGINAL = ["bar-1-1.noarch", "foo-1-1.noarch"]
