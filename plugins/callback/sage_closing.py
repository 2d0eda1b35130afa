# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The closing table after Ansible's recap, which has a line for each host."""

from __future__ import annotations

DOCUMENTATION = r"""
name: sage_closing
type: aggregate
version_added: 1.0.0
short_description: Show the closing table of a run over many hosts at its very end
description:
  - The role C(sage) ends a run over several hosts with a table of those that failed, why, what was undone and what is
    next. Ansible's recap, a line for each host, comes after it. With this callback the table comes after the recap.
requirements:
  - C(callbacks_enabled = intellistream.sage.sage_closing) in the section C(defaults) of C(ansible.cfg).
author:
  - IntelliStream (@intellistream)
"""

import typing as t

from ansible.plugins.callback import CallbackBase

# As the role keeps it with ansible.builtin.set_stats.
KEY = "sage_closing"


class CallbackModule(CallbackBase):  # type: ignore[misc]
    """What Ansible calls."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "intellistream.sage.sage_closing"
    CALLBACK_NEEDS_ENABLED = True

    def v2_playbook_on_stats(self, stats: t.Any) -> None:
        """All plays have ended."""
        text = stats.custom.get("_run", {}).get(KEY)
        if isinstance(text, str) and text:
            self._display.display(text)
