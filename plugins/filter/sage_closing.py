# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The filter sage_closing; documented in the file of its name."""

from __future__ import annotations

import typing as t


def sage_closing(
    results: t.Mapping[str, t.Any],
    requests: t.Mapping[str, t.Any],
    runs: t.Mapping[str, t.Any],
    records: t.Mapping[str, t.Any],
    in_play: t.Collection[str],
    inventory: t.Sequence[str],
) -> str:
    """The closing table of a run over many hosts."""
    from ansible_collections.intellistream.sage.plugins.plugin_utils import _closing, _command_line

    def take_back(hosts: t.Sequence[str]) -> list[str]:
        places: dict[tuple[str, ...], list[str]] = {}
        for host in hosts:
            request = requests.get(host) or {}
            places.setdefault(tuple(str(request.get(name) or "") for name in ("root", "checkpoint_dir")), []).append(
                host
            )
        return [
            _command_line.command_for(
                "intellistream.sage.rollback_sage",
                {"sage_root": root, "sage_checkpoint_dir": record, "sage_rollback_to": "last"},
                ",".join(names),
                inventory,
            )
            for (root, record), names in places.items()
        ]

    hosts = []
    for host, result in results.items():
        refused = _closing.refusal(host, requests)
        if refused is not None:
            hosts.append(_closing.HostResult(host, _closing.REFUSED, outcome=refused, begun=False))
            continue
        run, record = runs.get(host), records.get(host)
        began = run.get("began", 0) if isinstance(run, dict) and run else None
        hosts.append(
            _closing.HostResult(
                host,
                _closing.status_of(result, began, host in in_play),
                outcome=result if isinstance(result, dict) else {},
                phase=_closing.reached(record),
                begun=bool(record),
                root=str((requests.get(host) or {}).get("root") or ""),
            )
        )
    commands = _closing.Commands(
        lambda names: _command_line.again(",".join(names), inventory),
        take_back,
        hidden=_command_line.not_shown(),
    )
    return _closing.table(hosts, commands)


class FilterModule:
    """What Ansible asks for."""

    def filters(self) -> dict[str, t.Callable[..., str]]:
        """Name → filter."""
        return {"sage_closing": sage_closing}
