# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The way back, for type checkers: what merely captures names it, and does not carry it."""

from __future__ import annotations

from ansible_collections.intellistream.sage.plugins.module_utils._kind.undo import Undo, UndoOptions

__all__ = ["Undo", "UndoOptions"]
