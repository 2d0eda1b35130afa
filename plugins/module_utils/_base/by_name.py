# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a module carries only when it names it elsewhere.

Ansible sends to a host all that a module imports, wherever the import stands, and parses and packs it in every run.
These are imported by name, which Ansible does not follow.
"""

from __future__ import annotations

import importlib
import typing as t

_UTILS = __name__.rpartition("._base.")[0]


def captures() -> t.Any:
    """M(_registry.carry_captures); carried by modules that capture."""
    return importlib.import_module(f"{_UTILS}._registry.carry_captures")


def undos() -> t.Any:
    """M(_registry.carry_undos); carried by modules that go back."""
    return importlib.import_module(f"{_UTILS}._registry.carry_undos")


def dates() -> t.Any:
    """M(_timeline.dates); carried by modules that take dates."""
    return importlib.import_module(f"{_UTILS}._timeline.dates")
