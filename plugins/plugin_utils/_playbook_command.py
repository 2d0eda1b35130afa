# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Command lines that are shown to people, who paste them into a shell."""

from __future__ import annotations

import json
import re
import shlex
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.redact import redact

# What ansible-playbook was told on its command line of how to reach hosts, and what says so again.
_WITH_VALUE = {
    "remote_user": "-u",
    "connection": "-c",
    "private_key_file": "--private-key",
    "become_method": "--become-method",
    "become_user": "--become-user",
}
_FLAGS = {"become": "-b", "become_ask_pass": "-K", "ask_pass": "-k", "ask_vault_pass": "-J"}
_SEVERAL = {"vault_password_files": "--vault-password-file", "vault_ids": "--vault-id"}


def harmless(variables: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """Those of the collection's own variables that hold no secret and may be shown."""
    own = {name: content for name, content in variables.items() if name.startswith("sage_")}
    return {name: content for name, content in own.items() if redact({name: content}) == {name: content}}


def playbook_command(
    program: str,
    playbook: str,
    variables: t.Mapping[str, t.Any],
    *,
    host: str,
    inventory: t.Sequence[str],
    options: t.Mapping[str, t.Any],
    usual: t.Mapping[str, t.Any],
) -> str:
    """The line for a shell that runs one of the collection's playbooks on one host.

    :param program: what runs playbooks, as a shell takes it.
    :param playbook: its full name; empty where the program knows it.
    :param variables: what the playbook is told; those that are C(None) or empty text are left out.
    :param host: its name, or several with commas between them; empty for all.
    :param inventory: sources as Ansible names them.
    :param options: those of ansible-playbook that this run was started with, by their names in Ansible.
    :param usual: what such options are where nobody gave them.
    """
    words = [playbook] if playbook else []
    for source in inventory:
        words += ["-i", source]
    words += ["-l", host] if host else []
    for name, option in _WITH_VALUE.items():
        if options.get(name) and options[name] != usual.get(name):
            words += [option, str(options[name])]
    words += [option for name, option in _FLAGS.items() if options.get(name)]
    for name, option in _SEVERAL.items():
        for source in options.get(name) or ():
            words += [option, str(source)]
    for given in options.get("extra_vars") or ():
        # Others may be secrets; what the playbook needs of them is among the variables.
        if str(given).startswith("@"):
            words += ["-e", str(given)]
    for name, content in variables.items():
        if content not in ("", None):
            # Ansible takes key=value apart like a shell.
            plain = isinstance(content, str) and re.fullmatch(r"[\w./~:+@-]+", content, re.ASCII)
            words += ["-e", f"{name}={content}" if plain else json.dumps({name: content})]
    return " ".join([program, *(shlex.quote(word) for word in words)])
