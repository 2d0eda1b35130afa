# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The filter sage_closing; documented in the file of its name."""

from __future__ import annotations

import typing as t

from ansible_collections.intellistream.sage.plugins.plugin_utils import _closing, _command_line


def sage_closing(
    results: t.Mapping[str, t.Any],
    runs: t.Mapping[str, t.Any],
    records: t.Mapping[str, t.Any],
    in_play: t.Collection[str],
    inventory: t.Sequence[str],
    record: t.Mapping[str, t.Any],
) -> str:
    """The closing table of a run over many hosts."""

    def take_back(hosts: t.Sequence[str]) -> str:
        variables = {**record, "sage_rollback_to": "last"}
        return _command_line.command_for("intellistream.sage.rollback_sage", variables, ",".join(hosts), inventory)

    hosts = []
    for host, result in results.items():
        run = runs.get(host)
        began = run.get("began", 0) if isinstance(run, dict) and run else None
        status = _closing.status_of(result, began, host in in_play)
        told = result if isinstance(result, dict) else {}
        hosts.append(_closing.HostResult(host, status, told=told, phase=_closing.reached(records.get(host))))
    hidden = _command_line.not_shown()
    note = f"Say again what a command line above does not: {', '.join(hidden)}." if hidden else ""
    commands = _closing.Commands(
        lambda names: _command_line.again(",".join(names), inventory),
        take_back,
        note=note,
    )
    return _closing.table(hosts, commands)


class FilterModule:
    """What Ansible asks for."""

    def filters(self) -> dict[str, t.Callable[..., str]]:
        """Name → filter."""
        return {"sage_closing": sage_closing}
