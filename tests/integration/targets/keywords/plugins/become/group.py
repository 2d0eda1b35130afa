# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Become the same user in another group, so that each file tells whether the task that made it had become that."""

from __future__ import annotations

DOCUMENTATION = r"""
name: group
short_description: Run tasks in another group
version_added: 1.0.0
description:
  - For the tests.
options:
  become_user:
    description: Not looked at.
    default: root
  become_exe:
    description: Not looked at.
    default: setpriv
  become_flags:
    description: Of C(setpriv).
    default: --regid=65534 --clear-groups
"""

import typing as t

from ansible.plugins.become import BecomeBase


class BecomeModule(BecomeBase):  # type: ignore[misc]
    """See DOCUMENTATION."""

    name = "group"

    def build_become_command(self, cmd: str, shell: t.Any) -> str:
        """The command, in that group."""
        super().build_become_command(cmd, shell)
        if not cmd:
            return cmd
        command = self._build_success_command(cmd, shell)
        return f"{self.get_option('become_exe')} {self.get_option('become_flags')} {command}"
