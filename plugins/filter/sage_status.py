# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Filters about what hosts say; documented in files of their names."""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleTemplatePluginError


def sage_status(
    records: t.Mapping[str, t.Any],
    answers: t.Mapping[str, t.Any],
    only: t.Any = (),
    output: str = "table",
    history: bool = False,
) -> t.Any:
    """The status of hosts as a table for people, or as data for programs."""
    from ansible_collections.intellistream.sage.plugins.plugin_utils import _cell, _status

    states = [state.strip() for state in (only.split(",") if isinstance(only, str) else only)]
    states = [state for state in states if state]
    unknown = [state for state in states if state not in _status.STATES]
    if unknown:
        raise AnsibleTemplatePluginError(
            f"sage_status_only is of {', '.join(_status.STATES)}, not {_cell.cell(unknown[0])}."
        )
    rows = [_status.row(host, record, answers.get(host)) for host, record in records.items()]
    if output == "table":
        return _status.table(rows, states)
    return {
        row.host: _status.details(row, records[row.host], answers.get(row.host), history)
        for row in rows
        if not states or row.status in states
    }


def sage_cell(text: t.Any, most: int | None = None) -> str:
    """Text as one cell of a table."""
    from ansible_collections.intellistream.sage.plugins.plugin_utils import _cell

    return _cell.cell(text, _cell.MOST if most is None else most)


class FilterModule:
    """What Ansible asks for."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Name → filter."""
        return {"sage_status": sage_status, "sage_cell": sage_cell}
