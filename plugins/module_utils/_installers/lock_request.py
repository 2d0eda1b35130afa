"""What the lock file of a group says at its end: what it was made for, and with which index."""

from __future__ import annotations

import json
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.redact import redact_text

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._installers.index import Index

_TABLE = "[tool.intellistream-sage]"
_INDEX = "index = "


def request(group: str, requirements: t.Sequence[str], constraints: t.Sequence[str]) -> str:
    """What a plan is made for, as the end of its lock file says it: two that are the same have the same plan.

    :param group: name of the group of hosts.
    """
    lines = [_TABLE, f"group = {json.dumps(group)}"]
    for name, specifiers in (("requirements", requirements), ("constraints", constraints)):
        lines.append(f"{name} = {json.dumps(sorted(redact_text(specifier) for specifier in specifiers))}")
    return "\n".join(lines) + "\n"


def request_of(text: str) -> str:
    """What a lock file says that P(request) made; empty for one that somebody else made."""
    dummy, table, tail = text.partition(f"\n{_TABLE}\n")
    lines = [line for line in tail.splitlines(keepends=True) if not line.startswith(_INDEX)]
    return f"{_TABLE}\n{''.join(lines)}" if table else ""


def by_urls(text: str, index: Index) -> str:
    """The lock file, if its URLs may be used on this host; else empty.

    They may where its index is the one the plan was made with: an index nearby, or one that keeps some files out, is
    not to be passed by.
    """
    made_with = [line for line in text.partition(f"\n{_TABLE}\n")[2].splitlines() if line.startswith(_INDEX)]
    closed = index.no_index or index.offline
    return text if made_with and not closed and made_with[0] == index_line(index) else ""


def without_index(text: str) -> str:
    """The lock file, without what it was made with: its URLs are then used by no host."""
    head, table, tail = text.partition(f"\n{_TABLE}\n")
    return head + table + "".join(line for line in tail.splitlines(keepends=True) if not line.startswith(_INDEX))


def index_line(index: Index) -> str:
    """Where its files come from, as a lock file says it."""
    return f"{_INDEX}{json.dumps([redact_text(line) for line in index.settings_of_uv()])}"
