# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The option by which modules get what C(rollback.sh) is made of."""

from __future__ import annotations


class ModuleDocFragment:
    """Option O(script_sources)."""

    DOCUMENTATION = r"""
options:
  script_sources:
    description:
      - What C(rollback.sh) is made of, packed; set by the action. Whatever is given here is replaced.
    type: str
"""
