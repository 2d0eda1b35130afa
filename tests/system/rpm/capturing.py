# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Captures of rpm packages, as tests of them make and look at them."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from typing import TYPE_CHECKING, Any, NamedTuple

from ansible_collections.intellistream.sage.plugins.module_utils._content.manifest import Items, Writer
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.private import PrivateDir
from ansible_collections.intellistream.sage.plugins.module_utils._kind.interface import Layer
from ansible_collections.intellistream.sage.plugins.module_utils._rpm.resource import RpmResource
from ansible_collections.intellistream.sage.tests.system.command import dnf, run
from ansible_collections.intellistream.sage.tests.system.content import File

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Iterator

    from ansible_collections.intellistream.sage.plugins.module_utils._content.item import Item
    from ansible_collections.intellistream.sage.tests.system.rpms import Repository

CONFIG = "%config(noreplace)"


class Captured(NamedTuple):
    """What a capture wrote and returned."""

    resource: RpmResource
    facts: dict[str, Any]
    where: pathlib.Path
    sections: dict[tuple[str, str], dict[str, Item]]

    def package(self, key: str) -> pathlib.Path:
        """The saved package."""
        return self.where / str(self.facts["packages"][key]["file"])

    def after(self) -> dict[str, Any]:
        """What the change left."""
        with PrivateDir(str(self.where), os.open(self.where, os.O_RDONLY)) as where:
            return self.resource.after(Layer({}, self.facts, where))


@contextlib.contextmanager
def writing() -> Iterator[PrivateDir]:
    """A private directory that goes with the block."""
    path = tempfile.mkdtemp(dir="/tmp")
    try:
        with PrivateDir(path, os.open(path, os.O_RDONLY)) as point:
            yield point
    finally:
        shutil.rmtree(path)


def capture(to: pathlib.Path, *packages: str, state: str = "latest", changes: Any = ()) -> Captured:
    """Capture to a directory that does not exist yet."""
    to.mkdir(0o700)
    resource = RpmResource(list(packages), state, changes)
    with PrivateDir(str(to), os.open(to, os.O_RDONLY)) as point, point.child("0", create=True) as where:
        items = Writer(point, "0.items")
        facts = resource.capture(where, items)
        with Items(point, "0.items", items.finish()) as read:
            sections = {(one.name, one.info): dict(read.read(one)) for one in read.sections}
        items.close()
    return Captured(resource, facts, to / "0", sections)


def example(repository: Repository) -> None:
    """The documents' own: foo 2 needs goo, which is new, and a newer bar."""
    repository.build("foo", "1", files={"/opt/foo/data": "1", "/etc/foo.conf": File("1\n", rpm=CONFIG)})
    repository.build("bar", "1", files={"/opt/bar/data": "1"})
    repository.offer()
    dnf("install", "foo", "bar")
    repository.build(
        "foo",
        "2",
        files={"/opt/foo/data": "2", "/etc/foo.conf": File("2\n", rpm=CONFIG)},
        fields=["Requires: goo", "Requires: bar >= 2"],
    )
    repository.build("bar", "2", files={"/opt/bar/data": "2"})
    repository.build("goo", "1", files={"/opt/goo/data": "1"})
    repository.offer()


def reinstall(package: pathlib.Path, name: str) -> None:
    """Take a package away, and install the saved one by rpm's own program."""
    run("rpm", "-e", "--nodeps", "--noscripts", "--notriggers", name)
    run("rpm", "-U", "--nodeps", "--noscripts", "--notriggers", "--nofiledigest", package)
