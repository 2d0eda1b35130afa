# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Diversions and statoverrides that a change's scripts made or removed."""

from __future__ import annotations

import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils import _dpkg_apt
from ansible_collections.intellistream.sage.plugins.module_utils._dpkg_database import Database, Diversion

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._resource import Layer


def bring_back(layers: t.Sequence[Layer]) -> None:
    """Make the captured ones again that are gone, before packages come back to where they point."""
    database = Database()
    now = {one.path for one in database.diversions()}
    overrides = set(database.overrides())
    for layer in layers:
        for one in _captured(layer):
            if one.path not in now:
                now.add(one.path)
                what = ["--divert", one.to, *_by(one)]
                if _dpkg_apt.divert(*what, "--rename", "--add", one.path):
                    # Both names are taken.
                    _dpkg_apt.divert(*what, "--no-rename", "--add", one.path)
        for facts in layer.manifest["packages"].values():
            for path, value in facts["overrides"].items():
                if path not in overrides:
                    overrides.add(path)
                    _dpkg_apt.override("--add", *value.split(" "), path)


def take_away(layers: t.Sequence[Layer], names: t.Collection[str]) -> None:
    """Remove those that the change's packages made, once their files are gone from there."""
    # The oldest capture that knows a package decides; later ones know what earlier changes made.
    captured: dict[str, set[str]] = {}
    for layer in layers:
        paths = {one.path for one in _captured(layer)}
        for change in layer.manifest["changes"]:
            captured.setdefault(change["name"], paths)
    for one in Database().diversions():
        if one.by in names and one.path not in captured.get(one.by, ()):
            _dpkg_apt.divert(*_by(one), "--rename", "--remove", one.path)
    before: dict[str, str] = {}
    for layer in layers:
        for facts in layer.manifest["packages"].values():
            before.update((path, value) for path, value in facts["overrides"].items() if path not in before)
    now = Database().overrides()
    for layer in layers:
        for facts in (layer.left or {}).get("packages", {}).values():
            for path, value in (facts.get("overrides") or {}).items():
                if path not in before and now.get(path) == value:
                    _dpkg_apt.override("--remove", path)


def _captured(layer: Layer) -> list[Diversion]:
    return [Diversion(*one) for one in layer.manifest["diversions"]]


def _by(one: Diversion) -> list[str]:
    return ["--package", one.by] if one.by else ["--local"]
