# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The hooks' program."""

from __future__ import annotations

import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base import zipapp
from ansible_collections.intellistream.sage.plugins.module_utils._hooks import program


def build(settings: t.Mapping[str, t.Any], interpreter: str) -> bytes:
    """The program: the same for the same settings and sources, byte for byte.

    :param settings: for P(_hook_main.main).
    :param interpreter: the Python of the system.
    :raises StateError: the sources cannot be found.
    """
    return zipapp.build(program, settings, interpreter)
