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

_HERE = __name__.rpartition(".")[0]


def captures() -> t.Any:
    """M(_captures); carried by modules that capture."""
    return importlib.import_module(f"{_HERE}._captures")


def undos() -> t.Any:
    """M(_undos); carried by modules that go back."""
    return importlib.import_module(f"{_HERE}._undos")


def dates() -> t.Any:
    """M(_dates); carried by modules that take dates."""
    return importlib.import_module(f"{_HERE}._dates")
