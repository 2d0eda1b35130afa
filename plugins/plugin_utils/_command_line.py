# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The command line that this run of Ansible was started with, for others that are shown to people."""

from __future__ import annotations

import os
import typing as t

from ansible import constants, context
from ansible.parsing.splitter import parse_kv
from ansible.parsing.utils.yaml import from_yaml

from ansible_collections.intellistream.sage.plugins.plugin_utils._playbook_command import harmless, playbook_command

_USUAL = {
    "remote_user": "DEFAULT_REMOTE_USER",
    "connection": "DEFAULT_TRANSPORT",
    "private_key_file": "DEFAULT_PRIVATE_KEY_FILE",
    "become_method": "DEFAULT_BECOME_METHOD",
    "become_user": "DEFAULT_BECOME_USER",
}
_OWN = "intellistream.sage."


def command_for(playbook: str, variables: t.Mapping[str, t.Any], host: str, inventory: t.Sequence[str]) -> str:
    """The command line that runs a playbook on hosts.

    :param playbook: its path, or its full name.
    """
    # scripts/run.sh has an ansible-playbook that no other shell finds.
    wrapper = os.environ.get("SAGE_COMMAND")
    return playbook_command(
        f"SAGE_PLAYBOOK={playbook} {wrapper}" if wrapper else "ansible-playbook",
        "" if wrapper else playbook,
        variables,
        host=host,
        inventory=inventory,
        options=context.CLIARGS,
        usual={option: constants.config.get_config_value(setting) for option, setting in _USUAL.items()},
    )


def again(host: str, inventory: t.Sequence[str]) -> str:
    """The command line that does the same on some of the hosts, or with an empty C(host) on all of them."""
    return command_for(_playbook(), harmless(_given()), host or str(context.CLIARGS.get("subset") or ""), inventory)


def not_shown() -> list[str]:
    """Names of variables that this run was given on its command line and M(again) does not show."""
    variables = _given()
    return sorted({*variables} - {*harmless(variables)})


def _playbook() -> str:
    """The playbook that is at work, as it was named."""
    named = context.CLIARGS.get("args")
    # Other programs of Ansible name no playbook there.
    return str(named[0]) if isinstance(named, (list, tuple)) and named else f"{_OWN}install_sage"


def _given() -> dict[str, t.Any]:
    """Variables of the command line; those of files are in files."""
    variables: dict[str, t.Any] = {}
    for text in map(str, context.CLIARGS.get("extra_vars") or ()):
        if text[:1] == "@":
            continue
        parsed = from_yaml(text) if text[:1] in "{[" else parse_kv(text)
        variables.update(parsed if isinstance(parsed, dict) else {})
    return variables
