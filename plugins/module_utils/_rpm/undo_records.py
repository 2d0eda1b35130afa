"""The header of a captured package, as rpm's database had it, put back there.

A repackaged package describes what was on disk, so its header differs from the one that was installed: in
modes, sizes and times, in the mark of files that were missing, and it is not signed. Installing it once more,
into the database only and with the old header, makes C(rpm -V) and C(rpm -qi) say what they said before.
"""

from __future__ import annotations

import os
import struct
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._rpm import database, undo_goals
from ansible_collections.intellistream.sage.plugins.module_utils._rpm.database import rpm_module
from ansible_collections.intellistream.sage.plugins.module_utils._rpm.transaction import Install, Transaction

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._rpm.undo_goals import Goal

_MAGIC = bytes.fromhex("8eade80100000000")
_IMMUTABLE = 63
_INT32, _STRING, _BIN = 4, 6, 7
# Of the signature header: in the database → in a package file.
_SIGNATURES = {257: 1000, 261: 1004, 267: 267, 268: 268, 259: 1002, 262: 1005, 269: 269, 273: 273, 1046: 1007}


def put_back(goals: t.Iterable[Goal]) -> None:
    """Put the headers back into the database as they were before the packages were repackaged."""
    installs = [_header_only(goal, original) for goal, original in others(goals)]
    if installs:
        with Transaction(installs, ()) as transaction:
            transaction.run(only_database=True)


def others(goals: t.Iterable[Goal]) -> t.Iterator[tuple[Goal, t.Any]]:
    """The packages whose header in the database is not the one that was captured, with that."""
    ts = database.transaction_set()
    for goal in goals:
        name = (goal.facts or {}).get("header")
        original = loaded(goal.layer.where.read(name) or b"") if name else None
        for one in undo_goals.now(ts, goal) if original is not None else ():
            if one.evr == goal.evr and not same(database.header_at(ts, one.offset), original):
                yield goal, original


def _header_only(goal: Goal, original: t.Any) -> Install:
    return Install(goal.shown, original, lambda: package(original), beside=True)


def same(installed: t.Any, original: t.Any) -> bool:
    """Whether two headers are of the very same package."""
    return bool(installed[_IMMUTABLE] == original[_IMMUTABLE])


def loaded(data: bytes) -> t.Any:
    """A header from what C(unload) gave; None when it is none that can be put back."""
    rpm = rpm_module()
    try:
        header = rpm.hdr(data)
        return header if header[_IMMUTABLE] else None
    except (rpm.error, KeyError, ValueError, TypeError):
        return None


def package(header: t.Any) -> int:
    """A package file with a header as it was when it was built, and without content; the caller closes it."""
    tags = set(header.keys())
    entries = sorted((tag, *_encoded(header[old])) for old, tag in _SIGNATURES.items() if old in tags)
    index, data = b"", b""
    for tag, kind, count, value in entries:
        data += b"\0" * (-len(data) % (4 if kind == _INT32 else 1))
        index += struct.pack(">IIII", tag, kind, len(data), count)
        data += value
    signature = _MAGIC + struct.pack(">II", len(entries), len(data)) + index + data
    signature += b"\0" * (-len(signature) % 8)
    name = f"{header['NAME']}-{header['VERSION']}-{header['RELEASE']}".encode("utf-8", "surrogateescape")[:65]
    # What today's rpm does not look at, but file(1) does.
    lead = bytes.fromhex("edabeedb0300") + struct.pack(">HH66sHH16s", 0, 1, name, 1, 5, b"")
    fd = os.memfd_create("header")
    with os.fdopen(os.dup(fd), "wb") as stream:
        stream.write(lead + signature + _MAGIC + bytes(header[_IMMUTABLE]))
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


def _encoded(value: t.Any) -> tuple[int, int, bytes]:
    """Type, count and bytes of a value in a header."""
    if isinstance(value, int):
        return _INT32, 1, struct.pack(">I", value)
    if isinstance(value, (list, tuple)):
        if value and isinstance(value[0], int):
            return _INT32, len(value), struct.pack(f">{len(value)}I", *value)
        value = value[0]
    if isinstance(value, str):
        return _STRING, 1, value.encode("utf-8", "surrogateescape") + b"\0"
    return _BIN, len(value), bytes(value)
