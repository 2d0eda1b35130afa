# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tables of a tree: written, read by Python and by a shell, and compared."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import StoreError
from ansible_collections.intellistream.sage.plugins.module_utils._footprint import table as footprint_table
from ansible_collections.intellistream.sage.plugins.module_utils._footprint.table import (
    GRANULE_NS,
    Table,
    TableRow,
    decode_attributes,
    encode_attributes,
    read,
    untouched,
)

if TYPE_CHECKING:
    from pathlib import Path

FILE = TableRow("f", 0o644, uid=0, gid=0, size=5, mtime=1_000, inode=7, ctime=2_000, links=1)
DIRECTORY = FILE._replace(type="d", mode=0o755, size=0)

_NAMES = st.binary(min_size=1, max_size=12).filter(lambda raw: b"\0" not in raw).map(os.fsdecode)
_NUMBERS = st.integers(min_value=0, max_value=2**63 - 1)
_ROWS = st.builds(
    TableRow,
    type=st.sampled_from("fdlpsbc"),
    mode=st.integers(min_value=0, max_value=0o7777),
    uid=_NUMBERS,
    gid=_NUMBERS,
    size=_NUMBERS,
    # A time may be before 1970.
    mtime=st.integers(min_value=-(2**63), max_value=2**63 - 1),
    inode=_NUMBERS,
    ctime=_NUMBERS,
    links=_NUMBERS,
    target=st.just("") | _NAMES,
    attributes=st.dictionaries(st.text("user.%,= é", min_size=1), st.binary(), max_size=3).map(encode_attributes),
    hash=st.sampled_from(["", "0" * 64]),
)
_TABLES = st.builds(
    Table,
    rows=st.dictionaries(st.just("") | _NAMES, _ROWS, max_size=6),
    began=_NUMBERS,
    file_system=_NAMES,
    boundaries=st.lists(_NAMES, max_size=3).map(tuple),
    unseen=st.dictionaries(_NAMES, _NAMES, max_size=3),
)


@given(_TABLES)
def test_what_is_written_is_read(table: Table) -> None:
    lines = list(footprint_table.write(table))
    assert read(lines, "x") == table
    assert list(read(lines, "x").rows) == list(table.rows)
    assert all(line.count(b"\n") == 1 for line in lines)


@given(_TABLES, st.data())
def test_what_was_cut_off_is_refused(table: Table, data: st.DataObject) -> None:
    content = b"".join(footprint_table.write(table))
    length = data.draw(st.integers(min_value=0, max_value=len(content) - 2))
    with pytest.raises(StoreError, match="is no table that can be used"):
        read(content[:length].splitlines(keepends=True), "x")


@pytest.mark.parametrize(
    "damage",
    [
        (b"sage-table 1", b"sage-table 2"),
        (b"sage-table", b"sage-tablet"),
        (b"f 0644", b"f 9644"),
        (b" 7 ", b" x "),
        (b"end 2", b"end 3"),
        (b"\nd 0755", b"\nwhat 0755"),
        (b"\nd 0755 ", b"\nd "),
    ],
)
def test_what_is_no_table_is_refused(damage: tuple[bytes, bytes]) -> None:
    content = b"".join(footprint_table.write(Table({"": DIRECTORY, "a": FILE}, file_system="1")))
    assert damage[0] in content
    with pytest.raises(StoreError, match="x is no table that can be used"):
        read(content.replace(*damage).splitlines(keepends=True), "x")


def test_a_shell_reads_it(tmp_path: Path) -> None:
    names = ["plain", "two words", "-", "back\\slash", "line\nend", "tab\t", "\udcff\udc80", "ü", "*", "$(id)", "'\""]
    rows = {name: FILE._replace(type="l", target=name, size=number) for number, name in enumerate(names)}
    (tmp_path / "table").write_bytes(b"".join(footprint_table.write(Table(rows, file_system="1"))))
    script = r"""
        while read -r type mode uid gid size mtime inode ctime links hash attributes target path more; do
            case $type in [fdlpsbc]) ;; *) continue ;; esac
            [ "$path" = - ] && path= ; [ "$target" = - ] && target=
            printf '%s=%b=%b\0' "$size" "$path" "$target"
        done < table
    """
    printed = subprocess.run(["sh", "-c", script], cwd=tmp_path, check=True, stdout=subprocess.PIPE).stdout
    expected = [os.fsencode(f"{number}={name}={name}") for number, name in enumerate(names)]
    assert printed.split(b"\0") == [*expected, b""]


def test_attributes_of_any_name() -> None:
    attributes = {"user.a,b=%": b"\0\xff", "security.capability": b"x", "user.empty": b""}
    assert decode_attributes(encode_attributes(attributes)) == attributes
    assert decode_attributes("") == {}


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (FILE, True),
        (FILE._replace(ctime=9, links=2), True),
        (FILE._replace(inode=8), False),
        (FILE._replace(size=6), False),
        (FILE._replace(mtime=9), False),
        (FILE._replace(mode=0o600), False),
        (FILE._replace(uid=1), False),
        (FILE._replace(gid=1), False),
        (FILE._replace(attributes="user.a=00"), False),
        (FILE._replace(type="p"), False),
        (None, False),
    ],
)
def test_what_was_touched(row: TableRow | None, expected: bool) -> None:
    assert untouched(row, FILE) is expected
    assert untouched(FILE, row) is expected


def test_a_directory_is_not_touched_by_what_is_made_in_it() -> None:
    assert untouched(DIRECTORY._replace(mtime=9, inode=8), DIRECTORY)
    assert not untouched(DIRECTORY._replace(mode=0o700), DIRECTORY)
    assert untouched(None, None)


def test_f3_times_in_the_granule_of_the_look_say_nothing() -> None:
    table = Table({}, began=10 * GRANULE_NS)
    old = FILE._replace(mtime=0, ctime=0)
    assert not table.is_racy(old)
    assert table.is_racy(old._replace(mtime=table.began))
    # A clock of whole seconds, and one that tells more.
    assert table.is_racy(old._replace(ctime=table.began // 10**9 * 10**9))
    assert not table.is_racy(old._replace(ctime=table.began - GRANULE_NS + 1))
    assert table.is_racy(old._replace(ctime=table.began - 1))
    # A clock that was set back, or a file of the future.
    assert table.is_racy(old._replace(mtime=table.began * 2))


def test_within() -> None:
    table = Table({"": DIRECTORY, "a": DIRECTORY, "ab": FILE, "a/b": FILE})
    assert list(table.within("a")) == ["a", "a/b"]
    assert list(table.within("")) == ["", "a", "ab", "a/b"]
