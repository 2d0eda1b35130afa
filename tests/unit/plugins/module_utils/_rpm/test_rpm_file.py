# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The format of rpm packages, as far as it can be told without rpm; the system tests let rpm read it."""

from __future__ import annotations

import gzip
import hashlib
import os
import struct
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import CaptureError
from ansible_collections.intellistream.sage.plugins.module_utils._rpm import rpm_file as package

if t.TYPE_CHECKING:
    from pathlib import Path

TAGS = st.integers(min_value=64, max_value=70000)
TEXTS = st.binary(max_size=30).map(lambda data: data.replace(b"\0", b""))


def numbers(kind: int, bits: int) -> st.SearchStrategy[package.Entry]:
    values = st.lists(st.integers(min_value=0, max_value=2**bits - 1), min_size=1, max_size=9)
    return values.map(lambda found: package.numbers(kind, found))


ENTRIES = st.one_of(
    numbers(package.INT16, 16),
    numbers(package.INT32, 32),
    numbers(package.INT64, 64),
    st.lists(TEXTS, min_size=1, max_size=9).map(package.strings),
    TEXTS.map(package.string),
    st.binary(min_size=1, max_size=40).map(lambda data: package.Entry(package.BIN, len(data), data)),
)
HEADERS = st.dictionaries(TAGS, ENTRIES, max_size=12)


@given(HEADERS)
def test_what_is_written_is_read(header: package.Header) -> None:
    encoded = package.encode(header)
    assert encoded[:8] == b"\x8e\xad\xe8\x01\0\0\0\0"
    assert package.parse(encoded[8:]) == header


@given(HEADERS)
def test_the_index_is_as_rpm_checks_it(header: package.Header) -> None:
    encoded = package.encode(header)
    count, size = struct.unpack_from(">II", encoded, 8)
    assert (count, len(encoded)) == (len(header) + 1, 16 + 16 * (len(header) + 1) + size)
    index = [struct.unpack_from(">IIiI", encoded, 16 + 16 * number) for number in range(count)]
    # The region comes first, and its mark lies behind all data and points back over the whole index.
    assert index[0][:2] == (63, package.BIN)
    trailer = struct.unpack(">IIiI", encoded[-16:])
    assert trailer == (63, package.BIN, -16 * count, 16)
    assert index[0][2] == size - 16
    assert [entry[0] for entry in index[1:]] == sorted(header)
    offset = 0
    for tag, kind, begin, dummy in index[1:]:
        assert begin >= offset
        assert begin % {package.INT16: 2, package.INT32: 4, package.INT64: 8}.get(kind, 1) == 0
        offset = begin + len(header[tag].data)


@given(HEADERS, st.integers(min_value=0))
def test_what_is_cut_short_is_refused(header: package.Header, at: int) -> None:
    blob = package.encode(header)[8:]
    with pytest.raises(CaptureError):
        package.parse(blob[: at % len(blob)])


def test_a_text_without_an_end_is_refused() -> None:
    blob = bytearray(package.encode({1000: package.string(b"abc")})[8:])
    struct.pack_into(">I", blob, 8 + 16 + 12, 9999)
    with pytest.raises(CaptureError, match="cannot be read"):
        package.parse(bytes(blob))


def test_an_unknown_type_is_refused() -> None:
    blob = bytearray(package.encode({1000: package.string(b"abc")})[8:])
    struct.pack_into(">I", blob, 8 + 16 + 4, 99)
    with pytest.raises(CaptureError, match="cannot be read"):
        package.parse(bytes(blob))


@given(st.binary(max_size=99), st.integers(min_value=0, max_value=2**63))
def test_what_comes_before_a_header_has_always_the_same_length(header: bytes, unpacked: int) -> None:
    made = package.preamble(b"foo-1-1", header, unpacked)
    assert len(made) == len(package.preamble(b"foo-1-1", b"", 0))
    assert len(made) % 8 == 0
    tags = package.parse(_signature(made))
    assert tags[273].data == hashlib.sha256(header).hexdigest().encode() + b"\0"
    assert struct.unpack(">Q", tags[271].data) == (unpacked,)


def _signature(made: bytes) -> bytes:
    count, size = struct.unpack_from(">II", made, 96 + 8)
    return made[96 + 8 : 96 + 16 + 16 * count + size]


def test_a_name_that_is_too_long_for_the_lead_is_cut() -> None:
    assert len(package.preamble(b"x" * 300, b"", 0)) == len(package.preamble(b"x", b"", 0))


class Head(t.NamedTuple):
    """An entry of a cpio archive, read by the letter of its documentation."""

    name: bytes
    fields: list[int]
    size: int


def read_head(data: bytes) -> Head:
    assert data[:6] == b"070701"
    fields = [int(data[6 + 8 * number : 14 + 8 * number], 16) for number in range(13)]
    end = 110 + fields[11]
    assert data[end - 1 : end] == b"\0"
    assert len(data) % 4 == 0
    return Head(data[110 : end - 1], fields, fields[6])


@given(TEXTS.map(lambda name: b"/" + name), st.integers(min_value=0, max_value=package.LARGEST))
def test_the_head_of_a_file(path: bytes, size: int) -> None:
    one = package.Member(7, path, 8, 0o104755, 1000, 2**32 - 1, 2, 1234567890, size, 0x0103)
    head = read_head(package.member(one))
    assert head.name == b"." + path
    assert head.fields == [8, 0o104755, 1000, 2**32 - 1, 2, 1234567890, size, 0, 0, 1, 3, len(path) + 2, 0]
    assert package.member(one, large=True) == b"07070X00000007\0\0"


def test_the_end_of_an_archive() -> None:
    head = read_head(package.TRAILER)
    assert (head.name, head.size, head.fields[4]) == (b"TRAILER!!!", 0, 1)


@given(st.integers(min_value=0, max_value=2**40))
def test_padding(size: int) -> None:
    assert (size + len(package.padding(size))) % 4 == 0
    assert len(package.padding(size)) < 4


@pytest.mark.parametrize("sizes", [[], [0], [1], [3, 1 << 20, 5], [(1 << 20) - 1, 1], [1 << 19] * 9, [5 << 20]])
def test_a_payload_is_one_gzip_stream(sizes: list[int], tmp_path: Path) -> None:
    content = [os.urandom(size // 2) + b"x" * (size - size // 2) for size in sizes]
    fd = os.open(tmp_path / "payload", os.O_RDWR | os.O_CREAT)
    payload = package.Payload(fd)
    try:
        for data in content:
            payload.write(data)
        digest = payload.finish()
    finally:
        payload.close()
        os.close(fd)
    written = (tmp_path / "payload").read_bytes()
    assert gzip.decompress(written) == b"".join(content)
    assert (payload.unpacked, payload.packed) == (sum(sizes), len(written))
    assert digest == hashlib.sha256(written).hexdigest()


def _write(payload: package.Payload, blocks: int) -> None:
    for dummy in range(blocks):
        payload.write(os.urandom(1 << 20))


def test_a_full_disk_is_told_and_nothing_hangs() -> None:
    fd = os.open("/dev/full", os.O_WRONLY)
    payload = package.Payload(fd)
    try:
        with pytest.raises(OSError, match="No space left"):
            _write(payload, 40)
    finally:
        payload.close()
        os.close(fd)
