"""The file format of rpm packages: lead, signature header, header, and a cpio archive, by the standard library.

A header is written before the payload whose digest it holds, so it is made twice, of the same
length: digests have a fixed one.
"""

from __future__ import annotations

import hashlib
import os
import struct
import typing as t
import zlib

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import CaptureError
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.private import write_all

CHAR, INT8, INT16, INT32, INT64, STRING, BIN, STRINGS, I18N = 1, 2, 3, 4, 5, 6, 7, 8, 9
_ALIGNMENT = {INT16: 2, INT32: 4, INT64: 8}
_WIDTH = {CHAR: 1, INT8: 1, INT16: 2, INT32: 4, INT64: 8, BIN: 1}
_LETTER = {INT16: "H", INT32: "I", INT64: "Q"}
_INDEX = struct.Struct(">IIiI")

_SIGNATURES, _IMMUTABLE = 62, 63
_SIG_SHA1, _SIG_SHA256, _SIG_LONGARCHIVE = 269, 273, 271
PAYLOADDIGEST, PAYLOADDIGESTALGO = 5092, 5093
SHA256 = 8
#: What a size of a cpio entry, and of a header's usual tags, can be at most.
LARGEST = 0xFFFFFFFF
_BLOCK = 1 << 20
_LEVEL = 1


class Entry(t.NamedTuple):
    """A tag's values as they are stored, and how many they are."""

    type: int
    values: int
    data: bytes


Header = dict[int, Entry]


def parse(blob: bytes) -> Header:
    """The tags of a header as C(unload) gives it, region marks left out.

    :raises CaptureError: it is not a header.
    """
    try:
        count, size = struct.unpack_from(">II", blob)
        store = 8 + 16 * count
        if len(blob) != store + size:
            raise ValueError("its length is wrong")
        found: Header = {}
        for number in range(count):
            tag, kind, offset, values = _INDEX.unpack_from(blob, 8 + 16 * number)
            if tag not in (_SIGNATURES, _IMMUTABLE):
                begin = store + offset
                found[tag] = Entry(kind, values, blob[begin : _end(blob, begin, kind, values)])
    except (ValueError, KeyError, struct.error) as error:
        raise CaptureError(f"rpm gave a header that cannot be read: {error}.") from error
    return found


def _end(blob: bytes, begin: int, kind: int, count: int) -> int:
    if kind not in (STRING, STRINGS, I18N):
        return begin + _WIDTH[kind] * count
    for dummy in range(count):
        begin = blob.index(b"\0", begin) + 1
    return begin


def numbers(kind: int, values: t.Sequence[int]) -> Entry:
    """An entry of numbers."""
    return Entry(kind, len(values), struct.pack(f">{len(values)}{_LETTER[kind]}", *values))


def strings(values: t.Sequence[bytes]) -> Entry:
    """An entry of several strings."""
    return Entry(STRINGS, len(values), b"\0".join(values) + b"\0")


def string(value: bytes) -> Entry:
    """An entry of one string."""
    return Entry(STRING, 1, value + b"\0")


def encode(header: Header, region: int = _IMMUTABLE) -> bytes:
    """A header with all tags in one region, as it stands in a package."""
    index, store = [b""], bytearray()
    for tag, entry in sorted(header.items()):
        store += b"\0" * (-len(store) % _ALIGNMENT.get(entry.type, 1))
        index.append(_INDEX.pack(tag, entry.type, len(store), entry.values))
        store += entry.data
    index[0] = _INDEX.pack(region, BIN, len(store), 16)
    store += _INDEX.pack(region, BIN, -16 * len(index), 16)
    return b"\x8e\xad\xe8\x01\0\0\0\0" + struct.pack(">II", len(index), len(store)) + b"".join(index) + bytes(store)


def preamble(nevr: bytes, header: bytes, unpacked: int) -> bytes:
    """What comes before a header: the lead, and the signature header with its digests."""
    # Nothing but the magic and the type of signature is read by any rpm of this century.
    lead = struct.pack(">4sBBhh66shh16x", b"\xed\xab\xee\xdb", 3, 0, 0, 1, nevr[:65], 1, 5)
    signature: Header = {
        _SIG_SHA1: string(hashlib.sha1(header, usedforsecurity=False).hexdigest().encode()),
        _SIG_SHA256: string(hashlib.sha256(header).hexdigest().encode()),
        # The long form, so that the length does not depend on the size.
        _SIG_LONGARCHIVE: numbers(INT64, [unpacked]),
    }
    encoded = encode(signature, _SIGNATURES)
    return lead + encoded + b"\0" * (-len(encoded) % 8)


class Member(t.NamedTuple):
    """What the head of an entry in the archive says.

    :ivar number: of the file in the header.
    :ivar size: of the content that follows; 0 for hard links but the last.
    """

    number: int
    path: bytes
    inode: int
    mode: int
    uid: int
    gid: int
    links: int
    mtime: int
    size: int
    rdev: int = 0


def member(one: Member, large: bool = False) -> bytes:
    """The head of an entry in the archive.

    :param large: in the form that has no sizes, for archives with a file of 4 GiB or more.
    """
    if large:
        return _padded(b"07070X%08x" % one.number)
    name = b"." + one.path + b"\0"
    fields = (one.inode, one.mode, one.uid & LARGEST, one.gid & LARGEST, one.links, one.mtime, one.size, 0, 0)
    rdev = (one.rdev >> 8, one.rdev & 0xFF, len(name), 0)
    return _padded(b"070701" + b"%08x" * 13 % (*fields, *rdev) + name)


TRAILER = b"070701" + b"0" * 32 + b"00000001" + b"0" * 48 + b"0000000b" + b"0" * 8 + b"TRAILER!!!\0" + b"\0" * 3


def _padded(data: bytes) -> bytes:
    return data + padding(len(data))


def padding(size: int) -> bytes:
    """What follows a head or a content of C(size) bytes."""
    return b"\0" * (-size % 4)


class Payload:
    """Compresses what is written into an open file, on all processors.

    Blocks are compressed each for itself, which gzip allows: their concatenation is one stream.

    :ivar unpacked: bytes taken so far.
    :ivar packed: bytes written so far.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._buffer = bytearray()
        self._sha = hashlib.sha256()
        self._pool: t.Any = None
        self._running: list[t.Any] = []
        self._most = len(os.sched_getaffinity(0)) + 1
        self.unpacked = self.packed = 0

    def write(self, data: bytes) -> None:
        """Take some content."""
        self.unpacked += len(data)
        self._buffer += data
        if len(self._buffer) >= _BLOCK:
            self._submit()

    def _submit(self) -> None:
        if self._pool is None:
            # Costs more than a small package does.
            from concurrent.futures import ThreadPoolExecutor

            self._pool = ThreadPoolExecutor(self._most - 1)
        self._running.append(self._pool.submit(_compressed, bytes(self._buffer)))
        self._buffer.clear()
        while len(self._running) > self._most:
            self._put(self._running.pop(0).result())

    def _put(self, data: bytes) -> None:
        self._sha.update(data)
        self.packed += len(data)
        write_all(self._fd, data)

    def finish(self) -> str:
        """Write what is left; returns the SHA-256 of all that was written, in hex."""
        for one in self._running:
            self._put(one.result())
        self._running = []
        if self._buffer or not self.packed:
            self._put(_compressed(bytes(self._buffer)))
            self._buffer.clear()
        self.close()
        return self._sha.hexdigest()

    def close(self) -> None:
        """End what runs; harmless when nothing does."""
        if self._pool is not None:
            self._pool.shutdown(wait=True)
            self._pool = None


def _compressed(data: bytes) -> bytes:
    packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, 31)
    return packer.compress(data) + packer.flush()
