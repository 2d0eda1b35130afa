# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A host whose package changes are captured and undone by the engine itself, judged by the oracle."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible_collections.intellistream.sage.plugins.module_utils._calls import backup
from ansible_collections.intellistream.sage.plugins.module_utils._calls import rollback as calls_rollback
from ansible_collections.intellistream.sage.plugins.module_utils._records.session import Engine
from ansible_collections.intellistream.sage.plugins.module_utils._undo import rollback
from ansible_collections.intellistream.sage.tests.system import oracle
from ansible_collections.intellistream.sage.tests.system.command import apt, run

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Sequence

    from ansible_collections.intellistream.sage.plugins.plugin_utils._structures import RollbackResult
    from ansible_collections.intellistream.sage.tests.system.debs import Repository

FOO_CONF = "/etc/foo.conf"


class Host:
    """The container as a host that the engine works on."""

    def __init__(self, root: pathlib.Path) -> None:
        self.root = root
        self.engine = Engine(root=str(root))

    def capture(self, *packages: str, state: str = "latest", changes: Sequence[Any] = (), **more: Any) -> str:
        """Make a rollback point; returns its name."""
        spec = {"kind": "dpkg", "packages": list(packages), "state": state, "changes": list(changes), **more}
        return str(backup.backup(self.engine, [spec], None, "test", False)["rollback_point"]["id"])

    def settle(self, point: str) -> None:
        """Record what the change left."""
        backup.settled(self.engine, point, False)

    def undo(self, to: str | None = "last", check_mode: bool = False, **how: Any) -> RollbackResult:
        """Roll back."""
        return calls_rollback.rollback(self.engine, rollback.RollbackRequest(str(to), **how), check_mode)


def package(version: str, name: str = "foo", **more: Any) -> dict[str, Any]:
    """A package with a file, one that only this version has, and a configuration file."""
    return {
        "files": {
            f"/opt/{name}/data": f"{name} {version}",
            f"/opt/{name}/only-{version}": version,
            f"/etc/{name}.conf": f"{name} {version}\n",
        },
        "conffiles": [f"/etc/{name}.conf"],
        **more,
    }


def example(repository: Repository) -> None:
    """The documents' example: foo 1 and bar 1 are there; foo 2 pulls goo and upgrades bar."""
    repository.build("foo", "1", **package("1"))
    repository.build("bar", "1", **package("1", "bar"))
    repository.offer()
    apt("install", "foo")
    apt("install", "bar")
    apt("install", "-o", "Dpkg::Use-Pty=0", "foo")
    run("apt-mark", "auto", "bar")
    repository.build("foo", "2", **package("2", depends="goo, bar (>= 2)"))
    repository.build("bar", "2", **package("2", "bar"))
    repository.build("goo", "1", **package("1", "goo"))
    repository.offer()


def same(before: oracle.Snapshot) -> None:
    """Fail with every difference."""
    found = oracle.diff(before, oracle.snapshot())
    if found:
        raise AssertionError("\n".join(found))
