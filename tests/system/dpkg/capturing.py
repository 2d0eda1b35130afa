# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A capture as the engine makes one, without its ledger; read back with dpkg's own tools."""

from __future__ import annotations

import itertools
import os
import pathlib
from typing import TYPE_CHECKING, Any

from ansible_collections.intellistream.sage.plugins.module_utils._dpkg.resource import DpkgResource
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.private import PrivateDir, open_state
from ansible_collections.intellistream.sage.plugins.module_utils._kind.interface import Layer
from ansible_collections.intellistream.sage.plugins.module_utils._storage import contents, store
from ansible_collections.intellistream.sage.tests.system.command import run

if TYPE_CHECKING:
    from collections.abc import Sequence

_numbers = itertools.count()


class Captured:
    """What a capture made.

    `content` is its directory, `facts` what it returned, `items` key of a package → path → item.
    """

    def __init__(self, root: pathlib.Path, resource: DpkgResource) -> None:
        self.resource = resource
        root.mkdir(exist_ok=True)
        state = open_state(str(root), create=True)
        assert state is not None
        with contents.point_dir(state, "test", str(next(_numbers)), create=True) as point:
            self.content = pathlib.Path(point.path, "0")
            with contents.content_dir(point, 0, create=True) as where, store.writer(point, 0) as writer:
                self.facts: dict[str, Any] = resource.capture(where, writer)
                digest = writer.finish()
            with contents.items(point, 0, {"items": digest}) as items:
                self.items = {section.name: dict(items.read(section)) for section in items.sections}
                self.versions = {section.name: (section.version, section.info) for section in items.sections}

    def deb(self, key: str) -> pathlib.Path:
        """The package file of a package."""
        return self.content / str(self.facts["packages"][key]["deb"])

    def after(self) -> dict[str, Any]:
        """What the change left."""
        with PrivateDir(str(self.content), os.open(self.content, os.O_RDONLY)) as where:
            return self.resource.after(Layer({}, self.facts, where))


def request(root: pathlib.Path, *packages: str, state: str = "present") -> Captured:
    """Capture what a request would change."""
    return Captured(root, DpkgResource(list(packages), state))


def removal(root: pathlib.Path, *names: str) -> Captured:
    """Capture some packages that are about to go, whatever apt would say to that."""
    changes = []
    for name in names:
        plain, dummy, arch = name.partition(":")
        changes.append({"name": plain, "arch": arch, "before": "", "after": None})
    return Captured(root, DpkgResource([], "present", changes))


def members(deb: pathlib.Path) -> dict[str, str]:
    """Path → mode, owner and size or target, as dpkg-deb and tar tell it."""
    found = {}
    listing = run("sh", "-c", f"dpkg-deb --fsys-tarfile '{deb}' | tar --list --verbose --numeric-owner")
    for line in listing.stdout.splitlines():
        mode, owner, size, dummy, dummy, path = line.split(None, 5)
        name, arrow, target = path.partition(" -> ")
        if not arrow:
            name, dummy, target = path.partition(" link to ")
        found[name] = f"{mode} {owner} {size} {target}".strip()
    return found


def reinstall(*debs: pathlib.Path) -> None:
    """By dpkg alone."""
    run("dpkg", "--install", "--force-confnew", "--force-downgrade", *debs)


def changes(captured: Captured) -> Sequence[tuple[str, str | None, str | None]]:
    """Name, before, after."""
    return [(one["name"], one["before"], one["after"]) for one in captured.facts["changes"]]
