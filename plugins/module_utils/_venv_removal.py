# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The way back to a virtual environment that was not there: it is removed, out of sight first."""

from __future__ import annotations

import os
import shutil
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils import _distributions
from ansible_collections.intellistream.sage.plugins.module_utils._resource import Undo
from ansible_collections.intellistream.sage.plugins.module_utils._tree import Tree

# What venv, virtualenv and uv put into a new environment by themselves.
SEEDS = frozenset(("pip", "setuptools", "wheel"))


class VenvRemoval(Undo):
    """Removes an environment that an installation made.

    :param path: the environment.
    :param brought: canonical name → versions that installations of this host's ledger brought there.
    :param recreated: it was there at an earlier capture, and gone at a later one.
    """

    def __init__(self, path: str, brought: t.Mapping[str, t.Any], recreated: bool) -> None:
        super().__init__()
        self.path = path
        self.aside = os.path.join(os.path.dirname(path), f".{os.path.basename(path)}.sage-removed")
        if recreated:
            self.conflicts.append(
                f"{path} was removed by somebody between two installations; what was in it then was not captured"
            )
        venv = Tree.open(path)
        if venv is not None:
            with venv:
                for one in _distributions.installed(venv):
                    self.plan["erase"].append(f"{one.name} {one.version}")
                    if one.name not in brought and one.name not in SEEDS:
                        self.conflicts.append(
                            f"{one.name} {one.version} in {path} was installed by somebody else "
                            "and would be removed with it"
                        )
            self.plan["remove"].append(path)
        if os.path.lexists(self.aside):
            self.plan["remove"].append(self.aside)

    def check(self) -> None:
        return

    def execute(self) -> None:
        above = Tree.open(os.path.dirname(self.path))
        if above is None:
            return
        with above:
            aside, name = os.path.basename(self.aside), os.path.basename(self.path)
            self._remove(above, aside)
            if above.lstat(name) is not None:
                os.rename(name, aside, src_dir_fd=above.fd, dst_dir_fd=above.fd)
                os.fsync(above.fd)
                self._remove(above, aside)
            os.fsync(above.fd)

    @staticmethod
    def _remove(above: Tree, name: str) -> None:
        if above.lstat(name) is not None:
            # Through the open directory; rmtree itself follows no link.
            shutil.rmtree(f"/proc/self/fd/{above.fd}/{name}")

    def verify(self) -> list[str]:
        return [f"{path} is still there" for path in (self.path, self.aside) if os.path.lexists(path)]
