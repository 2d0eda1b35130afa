# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Command lines that people paste."""

from __future__ import annotations

import json
import shlex
import typing as t

from ansible_collections.intellistream.sage.plugins.plugin_utils._playbook_command import playbook_command

USUAL = {"connection": "ssh", "become_user": "root", "remote_user": None}


def _words(variables: dict[str, t.Any], **options: t.Any) -> list[str]:
    line = playbook_command(
        "ansible-playbook",
        "intellistream.sage.rollback_sage",
        variables,
        host="node 1",
        inventory=["/etc/hosts $(x)", "localhost,"],
        options={"connection": "ssh", "become_user": "root", **options},
        usual=USUAL,
    )
    return shlex.split(line)


def test_e21_the_line_names_the_record_the_host_and_where_hosts_are_listed() -> None:
    variables = {
        "sage_root": "~/sage",
        "sage_checkpoint_dir": "/var/lib/sage it's",
        "sage_rollback_to": "2026",
        "x": "",
    }
    words = _words(variables)
    assert words[:8] == [
        *("ansible-playbook", "intellistream.sage.rollback_sage", "-i", "/etc/hosts $(x)", "-i", "localhost,", "-l"),
        "node 1",
    ]
    given: dict[str, str] = {}
    for option, text in zip(words[8::2], words[9::2]):
        assert option == "-e"
        name, dummy, plain = text.partition("=")
        given.update(json.loads(text) if text.startswith("{") else {name: plain})
    assert given == {name: content for name, content in variables.items() if content}


def test_e21_hosts_are_reached_as_in_the_run() -> None:
    reached = _words(
        {},
        remote_user="admin",
        connection="local",
        become=True,
        become_user="sage",
        become_ask_pass=True,
        vault_password_files=["/v"],
        extra_vars=["@/secrets.yml", "token=secret"],
    )[8:]
    assert reached == [
        *("-u", "admin", "-c", "local", "--become-user", "sage", "-b", "-K", "--vault-password-file", "/v"),
        *("-e", "@/secrets.yml"),
    ]
