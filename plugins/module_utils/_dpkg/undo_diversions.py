"""Diversions that a change's scripts made or removed."""

from __future__ import annotations

import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._dpkg import apt
from ansible_collections.intellistream.sage.plugins.module_utils._dpkg.database import Database, Diversion

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._kind.interface import Layer


def bring_back(layers: t.Sequence[Layer]) -> None:
    """Make the captured ones again that are gone, before packages come back to where they point."""
    database = Database()
    now = {one.path for one in database.diversions()}
    for layer in layers:
        for one in _captured(layer):
            if one.path not in now:
                now.add(one.path)
                what = ["--divert", one.to, *_by(one)]
                if apt.divert(*what, "--rename", "--add", one.path):
                    # Both names are taken.
                    apt.divert(*what, "--no-rename", "--add", one.path)


def take_away(layers: t.Sequence[Layer], names: t.Collection[str]) -> None:
    """Remove those that the change's packages made, once their files are gone from there."""
    for one in made(layers, names):
        apt.divert(*_by(one), "--rename", "--remove", one.path)


def made(layers: t.Sequence[Layer], names: t.Collection[str]) -> list[Diversion]:
    """Those that these packages have made since."""
    # The oldest capture that knows a package decides; later ones know what earlier changes made.
    captured: dict[str, set[str]] = {}
    for layer in layers:
        paths = {one.path for one in _captured(layer)}
        for change in layer.manifest["changes"]:
            captured.setdefault(change["name"], paths)
    now = Database().diversions()
    return [one for one in now if one.by in names and one.path not in captured.get(one.by, ())]


def _captured(layer: Layer) -> list[Diversion]:
    return [Diversion(*one) for one in layer.manifest["diversions"]]


def _by(one: Diversion) -> list[str]:
    return ["--package", one.by] if one.by else ["--local"]
