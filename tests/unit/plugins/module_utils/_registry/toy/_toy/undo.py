# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The way back."""

from __future__ import annotations

import os
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._kind.undo import Undo

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._kind.interface import Facts, Layer


class ToyUndo(Undo):
    """The link names again what it named before; the oldest capture decides."""

    def __init__(self, path: str, layers: t.Sequence[Layer]) -> None:
        super().__init__()
        self.path, self.before = path, layers[0].manifest["release"]
        release, after = os.readlink(path), layers[-1].after
        if release != self.before:
            self.plan["restore"].append(f"{path} to {self.before}")
        if after is not None and release not in (self.before, after["release"]):
            self.conflicts.append(f"{path} is {release}, the change left {after['release']}")

    def check(self) -> None:
        return

    def redo(self) -> Facts | None:
        return {"kind": "toy", "path": self.path, "release": self.before} if self.touches() else None

    def execute(self) -> None:
        os.symlink(self.before, f"{self.path}.new")
        os.replace(f"{self.path}.new", self.path)

    def verify(self) -> list[str]:
        release = os.readlink(self.path)
        return [f"{self.path} is {release}, was {self.before}"] if release != self.before else []
