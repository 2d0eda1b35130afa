# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The filter sage_command; documented in the file of its name."""

from __future__ import annotations

import os
import typing as t

from ansible import constants, context

from ansible_collections.intellistream.sage.plugins.plugin_utils._playbook_command import playbook_command

_USUAL = {
    "remote_user": "DEFAULT_REMOTE_USER",
    "connection": "DEFAULT_TRANSPORT",
    "private_key_file": "DEFAULT_PRIVATE_KEY_FILE",
    "become_method": "DEFAULT_BECOME_METHOD",
    "become_user": "DEFAULT_BECOME_USER",
}


def sage_command(playbook: str, variables: t.Mapping[str, t.Any], host: str, inventory: t.Sequence[str]) -> str:
    """The command line that runs a playbook of the collection on a host."""
    name = f"intellistream.sage.{playbook}"
    # scripts/run.sh has an ansible-playbook that no other shell finds.
    wrapper = os.environ.get("SAGE_COMMAND")
    return playbook_command(
        f"SAGE_PLAYBOOK={name} {wrapper}" if wrapper else "ansible-playbook",
        "" if wrapper else name,
        variables,
        host=host,
        inventory=inventory,
        options=context.CLIARGS,
        usual={option: constants.config.get_config_value(setting) for option, setting in _USUAL.items()},
    )


class FilterModule:
    """What Ansible asks for."""

    def filters(self) -> dict[str, t.Callable[..., str]]:
        """Name → filter."""
        return {"sage_command": sage_command}
