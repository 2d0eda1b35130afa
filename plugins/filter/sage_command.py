# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The filter sage_command; documented in the file of its name."""

from __future__ import annotations

import typing as t


def sage_command(playbook: str, variables: t.Mapping[str, t.Any], host: str, inventory: t.Sequence[str]) -> str:
    """The command line that runs a playbook of the collection on a host."""
    from ansible_collections.intellistream.sage.plugins.plugin_utils._command_line import command_for

    return command_for(f"intellistream.sage.{playbook}", variables, host, inventory)


class FilterModule:
    """What Ansible asks for."""

    def filters(self) -> dict[str, t.Callable[..., str]]:
        """Name → filter."""
        return {"sage_command": sage_command}
