# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The filter sage_table; documented in the file of its name."""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleTemplatePluginError

Variables = t.Mapping[str, t.Any]


def sage_table(
    hostvars: t.Mapping[str, Variables],
    kind: str,
    hosts: t.Sequence[str],
    target: str = "",
    in_doubt: t.Sequence[str] = (),
    stopped_because: str = "",
    check_mode: bool = False,
    record: Variables | None = None,
    inventory: t.Sequence[str] = (),
) -> str:
    """A table of all hosts."""
    from ansible_collections.intellistream.sage.plugins.filter.sage_command import sage_command
    from ansible_collections.intellistream.sage.plugins.plugin_utils import _tables

    told = {host: _tables.HostAnswers.of(hostvars[host]) for host in hosts}

    def command(host: str, playbook: str, **more: str) -> str:
        # What a host was asked for, never what its variables say by now.
        request = hostvars[host].get("__sage_request", {})
        variables = {name: request.get(name[len("sage_") :], common) for name, common in (record or {}).items()}
        return sage_command(playbook, {**variables, **more}, host, inventory)

    def back(host: str, point: str) -> str:
        return command(host, "rollback_sage", sage_rollback_to=point)

    def kept(host: str) -> str:
        keeps = hostvars[host].get("__sage_request", {}).get("keep_record")
        return command(host, "status_sage", sage_status_rollbacks="true") if keeps is True else ""

    def advised(host: str, playbook: str, mends: bool) -> str:
        return command(host, playbook, **({"sage_check_repair": "true"} if mends else {}))

    tables: dict[str, t.Callable[[], str]] = {
        "rollback": lambda: _tables.rollback(told, target, in_doubt),
        "rolled_back": lambda: _tables.rolled_back(told, stopped_because, back),
        "removal": lambda: _tables.removal(told, back),
        "removed": lambda: _tables.removed(told, kept),
        "doubt": lambda: _tables.doubt(told, check_mode),
        "clean": lambda: _tables.clean(told, check_mode),
        "check": lambda: _tables.check(told, check_mode, advised),
        "unfinished": lambda: _tables.unfinished(told),
        "changes": lambda: _tables.changes(told),
    }
    if kind not in tables:
        raise AnsibleTemplatePluginError(f"There is no table {kind!r}.")
    return tables[kind]()


class FilterModule:
    """What Ansible asks for."""

    def filters(self) -> dict[str, t.Callable[..., str]]:
        """Name → filter."""
        return {"sage_table": sage_table}
