# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The attributes that every module of the collection documents."""

from __future__ import annotations


class ModuleDocFragment:
    """Attribute vocabulary."""

    DOCUMENTATION = r"""
options: {}
attributes:
  check_mode:
    description: Predicts exactly what a run would do, and writes nothing.
  diff_mode:
    description: Shows what changed, or in check mode what would change.
  platform:
    description: Where the module runs.
    platforms: linux
    support: full
"""

    FULL = r"""
options: {}
attributes:
  check_mode:
    description: Predicts exactly what a run would do, and writes nothing.
    support: full
  diff_mode:
    description: Shows what changed, or in check mode what would change.
    support: full
  platform:
    description: Where the module runs.
    platforms: linux
    support: full
"""

    INFO = r"""
options: {}
attributes:
  check_mode:
    description: Predicts exactly what a run would do, and writes nothing.
    support: full
    details:
      - This module never writes anything.
  diff_mode:
    description: Shows what changed, or in check mode what would change.
    support: N/A
    details:
      - This module changes nothing.
  platform:
    description: Where the module runs.
    platforms: linux
    support: full
"""
