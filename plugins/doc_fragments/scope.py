# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The option by which modules are told how much they capture."""

from __future__ import annotations


class ModuleDocFragment:
    """Option O(capture_scope)."""

    DOCUMENTATION = r"""
options:
  capture_scope:
    description:
      - What is held of an environment where its files cannot be linked, because the captured content lies on another
        file system, or because they are another user's.
      - With V(plan) only what the change is going to replace is copied. The rest is looked at, and named if the change
        has touched it. With V(system) everything is copied.
      - Where files can be linked, everything is held with either.
    type: str
    choices: [plan, system]
    default: plan
"""
