"""What dnf 4 recorded: why packages are there, and which scripts failed in its transactions.

Its database is read by the standard library, so that a look does not cost the import of dnf. rpm
itself records nothing of the kind: a script that fails in C(rpm -U) leaves no trace anywhere but
in what that run printed.
"""

from __future__ import annotations

import os
import re
import sqlite3
import typing as t

PATH = "/var/lib/dnf/history.sqlite"
_REASONS = ("unknown", "dependency", "user", "clean", "weak-dependency", "group")
_REMOVED, _DONE = 8, 1
# Upgraded, downgraded, obsoleted packages' own items say nothing about what is there now.
_LATEST = """
    SELECT rpm.name, rpm.arch, trans_item.reason, trans_item.action FROM trans_item
    JOIN trans ON trans.id = trans_item.trans_id JOIN rpm USING (item_id)
    WHERE trans.state = 1 AND trans_item.action NOT IN (3, 5, 7) ORDER BY trans_item.id
"""
_TRANSACTIONS = "SELECT id, state, cmdline FROM trans WHERE id > ? ORDER BY id"
_ITEMS = """
    SELECT rpm.name, rpm.epoch, rpm.version, rpm.release, rpm.arch, trans_item.state FROM trans_item
    JOIN rpm USING (item_id) WHERE trans_item.trans_id = ?
"""
_OUTPUT = "SELECT line FROM console_output WHERE trans_id = ? ORDER BY id"
# As rpm says it, in any language: "warning: %post(foo-2-1.noarch) scriptlet failed, exit status 1".
_SCRIPT = re.compile(r"%(\w+)\(([^()\s]+)\)")
_SPELLED = {"prein": "pre"}


class Transaction(t.NamedTuple):
    """One of dnf's.

    :ivar names: of the packages it was about.
    :ivar failures: by name of a package, what failed of it, as C(%post of foo-2-1.noarch failed).
    """

    number: int
    command: str
    done: bool
    names: frozenset[str]
    failures: dict[str, list[str]]


def _rows(sql: str, *values: t.Any) -> list[tuple[t.Any, ...]]:
    """What a query finds; nothing where there is no history that can be read."""
    if not os.path.exists(PATH):
        return []
    try:
        connection = sqlite3.connect(f"file:{PATH}?mode=ro", uri=True)
        try:
            return connection.execute(sql, values).fetchall()
        finally:
            connection.close()
    except sqlite3.Error:
        return []


def last() -> int:
    """The number of the newest transaction; 0 when there is none."""
    rows = _rows("SELECT max(id) FROM trans")
    return int(rows[0][0] or 0) if rows else 0


def reasons() -> dict[tuple[str, str], str]:
    """Why dnf believes packages to be there, by name and architecture; empty without a history."""
    found: dict[tuple[str, str], str] = {}
    for name, arch, reason, action in _rows(_LATEST):
        known = 0 <= reason < len(_REASONS) and action != _REMOVED
        found[name, arch] = _REASONS[reason] if known else _REASONS[0]
    return found


def since(number: int) -> list[Transaction]:
    """The transactions after the one with a number, oldest first."""
    found = []
    for own, state, command in _rows(_TRANSACTIONS, number):
        items = _rows(_ITEMS, own)
        lines = [str(line) for (line,) in _rows(_OUTPUT, own)]
        names = {_nevra(*item[:5]): str(item[0]) for item in items}
        # rpm leaves an epoch out of what it says of scripts.
        names.update({_nevra(item[0], 0, *item[2:5]): str(item[0]) for item in items})
        failures = _failures(lines, names)
        for item in items:
            if item[5] != _DONE and item[0] not in failures:
                failures[item[0]] = [f"{_nevra(*item[:5])} was left half done"]
        found.append(Transaction(own, str(command), state == _DONE, frozenset(names.values()), failures))
    return found


def _failures(lines: t.Iterable[str], names: t.Mapping[str, str]) -> dict[str, list[str]]:
    """The scripts that failed, from what the transaction printed."""
    found: dict[str, list[str]] = {}
    for line in lines:
        for script, nevra in _SCRIPT.findall(line):
            text = f"%{_SPELLED.get(script, script)} of {nevra} failed"
            if nevra in names and text not in found.setdefault(names[nevra], []):
                found[names[nevra]].append(text)
    return found


def failed(number: int, concerned: t.AbstractSet[str]) -> list[str]:
    """What failed since a transaction and was not mended by a later one, for people.

    :param concerned: names of packages; transactions about none of them do not count.
    """
    found: dict[str, list[str]] = {}
    for one in since(number):
        if one.names.isdisjoint(concerned):
            continue
        for name in one.names:
            found.pop(name, None)
        found.update(one.failures)
        if not (one.done or one.failures):
            found[min(one.names & concerned)] = [f"dnf's transaction {one.number} ({one.command}) did not end"]
    return [text for name in sorted(found) for text in found[name]]


def _nevra(name: str, epoch: int, version: str, release: str, arch: str) -> str:
    return f"{name}-{epoch}:{version}-{release}.{arch}" if epoch else f"{name}-{version}-{release}.{arch}"
