"""A table of a tree: what was at each path when somebody looked, and how that is written down.

A table knows nothing of what the files are for. Two tables of one tree, made before and after a change, tell what the
change touched; whether a path is still what a table says is asked here, at three prices: P(same), P(equal) and hashes.
docs/formats.md specifies the file.
"""

from __future__ import annotations

import os
import re
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import StoreError
from ansible_collections.intellistream.sage.plugins.module_utils._base.sizes import Sizes

FORMAT = 1
FILE, DIRECTORY, LINK, FIFO, SOCKET, BLOCK, CHARACTER = "f", "d", "l", "p", "s", "b", "c"

# A time stamp this close to a look may stand for a later write, too: one second is the coarsest clock of a file
# system in use (ext4 with 128-byte inodes), and the kernel's own clock is up to 10 ms behind.
GRANULE_NS = 1_010_000_000
# The same where a time has parts of a second, and so the file system keeps them.
_FINE_GRANULE_NS = 20_000_000
_SECOND_NS = 1_000_000_000

_TYPES = frozenset(b"f d l p s b c".split())
_FIELDS = 13
# What a shell would split or take for something else. It decodes the rest by `printf %b`.
_ODD = re.compile(rb"[\x00-\x20\x7f\\]")
_ESCAPE = re.compile(rb"\\0([0-3][0-7][0-7])")
_NONE = b"-"


class TableRow(t.NamedTuple):
    """What was at one path.

    :ivar type: one letter: C(f) file, C(d) directory, C(l) link, C(p) fifo, C(s) socket, C(b), C(c) device.
    :ivar mode: permission bits.
    :ivar uid: owner.
    :ivar gid: group.
    :ivar size: bytes of a file, else 0.
    :ivar mtime: nanoseconds since 1970.
    :ivar inode: its number.
    :ivar ctime: nanoseconds since 1970.
    :ivar links: names that the inode had.
    :ivar target: of a link; of a device its number, C(major:minor); else empty.
    :ivar attributes: extended attributes, ACLs among them, as P(encode_attributes) has them.
    :ivar hash: SHA-256 of a file's content in hex; empty where nobody read it.
    """

    type: str
    mode: int
    uid: int
    gid: int
    size: int
    mtime: int
    inode: int
    ctime: int
    links: int
    target: str = ""
    attributes: str = ""
    hash: str = ""


class Table(t.NamedTuple):
    """All rows of a tree, and what is to be known of the look.

    :ivar rows: path relative to the tree → row; the tree's own path is C(""). Directories come before what is in them.
    :ivar began: when the look began, nanoseconds since 1970.
    :ivar file_system: that the tree is on, see M(_footprint.look.file_system): only there a number is an inode's.
    :ivar generation: of the links that hold content of these rows, see M(_footprint.farm); empty where nothing is held.
    :ivar boundaries: directories and files of the tree where another mount or subvolume begins.
    :ivar unseen: path → why what is below could not be looked at.
    """

    rows: dict[str, TableRow]
    began: int = 0
    file_system: str = ""
    generation: str = ""
    boundaries: tuple[str, ...] = ()
    unseen: t.Mapping[str, str] = {}

    def is_racy(self, row: TableRow) -> bool:
        """Whether something may have been written after the look that its times do not show (as in git's index)."""
        return is_racy(row, self.began)

    def within(self, directory: str) -> t.Iterator[str]:
        """The paths of a directory and all below it."""
        if not directory:
            yield from self.rows
            return
        below = f"{directory}/"
        for path in self.rows:
            if path == directory or path.startswith(below):
                yield path


def is_racy(row: TableRow, began: int) -> bool:
    """Whether a row's times are so close to the beginning of a look, or after it, that they do not tell of a write."""
    # Nobody can set a ctime, so that it tells of the clock.
    granule = GRANULE_NS if row.ctime % _SECOND_NS == 0 else min(GRANULE_NS, _FINE_GRANULE_NS)
    return max(row.mtime, row.ctime) >= began - granule


def size_of(table: Table, rows: t.Iterable[TableRow], sizes: Sizes | None = None) -> int:
    """Bytes of some rows of a table, each inode once.

    :param sizes: what was counted before is left out, and these are added.
    """
    sizes = sizes if sizes is not None else Sizes()
    return sum(sizes.add(table.file_system, row.inode, row.size) for row in rows)


def same_metadata(first: TableRow, second: TableRow) -> bool:
    """Whether two rows agree in all that is not content and no time: type, mode, owner, target and attributes."""
    return first[:4] == second[:4] and first.target == second.target and first.attributes == second.attributes


def untouched(row: TableRow | None, earlier: TableRow | None) -> bool:
    """Whether nothing tells that a path was touched between two looks, as long as the inode was held all the time.

    The ctime is left out: making and removing other names of an inode moves it. The mtime of a directory is left out:
    what was made and removed in it has rows of its own.
    """
    if row is None or earlier is None:
        return row is earlier
    if not same_metadata(row, earlier):
        return False
    if row.type == DIRECTORY:
        return True
    return row.mtime == earlier.mtime and (row.type != FILE or (row.inode, row.size) == (earlier.inode, earlier.size))


def encode_attributes(attributes: t.Mapping[str, bytes]) -> str:
    """Extended attributes as one text: C(name=hex), sorted, with commas between; names are percent-encoded."""
    return ",".join(f"{_percent(name)}={attributes[name].hex()}" for name in sorted(attributes))


def decode_attributes(text: str) -> dict[str, bytes]:
    """The inverse of P(encode_attributes)."""
    pairs = (each.partition("=") for each in text.split(",") if each)
    return {
        re.sub("%([0-9a-f]{2})", lambda odd: chr(int(odd[1], 16)), name): bytes.fromhex(hex_)
        for name, dummy, hex_ in pairs
    }


def _percent(name: str) -> str:
    return re.sub("[%,= ]", lambda odd: f"%{ord(odd[0]):02x}", name)


def escape(text: str) -> bytes:
    """A path or target as one word for a shell; a dash where it is empty."""
    raw = os.fsencode(text)
    if not raw:
        return _NONE
    if raw == _NONE:
        return b"\\0055"
    return _ODD.sub(lambda odd: b"\\0%03o" % odd[0][0], raw) if _ODD.search(raw) else raw


def unescape(word: bytes) -> str:
    if word == _NONE:
        return ""
    return os.fsdecode(_ESCAPE.sub(lambda code: bytes([int(code[1], 8)]), word) if b"\\" in word else word)


def write(table: Table) -> t.Iterator[bytes]:
    """The lines of a table's file."""
    yield b"sage-table %d %d %s %s\n" % (FORMAT, table.began, escape(table.file_system), escape(table.generation))
    for path in table.boundaries:
        yield b"boundary %s\n" % escape(path)
    for path, reason in table.unseen.items():
        yield b"unseen %s %s\n" % (escape(reason), escape(path))
    for path, row in table.rows.items():
        yield b"%s %04o %d %d %d %d %d %d %d %s %s %s %s\n" % (
            row.type.encode(),
            row.mode,
            row.uid,
            row.gid,
            row.size,
            row.mtime,
            row.inode,
            row.ctime,
            row.links,
            row.hash.encode() or _NONE,
            row.attributes.encode() or _NONE,
            escape(row.target),
            escape(path),
        )
    yield b"end %d\n" % len(table.rows)


def read(lines: t.Iterable[bytes], name: str) -> Table:
    """A table from its file.

    :param lines: an iterator goes on behind the table's last line.
    :param name: of the file, for messages.
    :raises StoreError: it is no whole table, or one of another format.
    """
    rows: dict[str, TableRow] = {}
    boundaries: list[str] = []
    unseen: dict[str, str] = {}
    began, file_system, generation, ended = 0, "", "", False
    iterator = iter(lines)
    try:
        head = next(iterator, b"").split()
        if head[:1] != [b"sage-table"]:
            raise ValueError("it does not begin as one")
        if int(head[1]) != FORMAT:
            raise _unusable(name, f"it has format {int(head[1])}, and this version reads {FORMAT}")
        began, file_system, generation = int(head[2]), unescape(head[3]), unescape(head[4])
        for line in iterator:
            words = line.split()
            if len(words) == _FIELDS and words[0] in _TYPES:
                rows[unescape(words[12])] = _row(words)
            elif words[0] == b"boundary":
                boundaries.append(unescape(words[1]))
            elif words[0] == b"unseen":
                unseen[unescape(words[2])] = unescape(words[1])
            elif words[0] == b"end":
                ended = int(words[1]) == len(rows)
                break
            else:
                raise ValueError("a line is none of a table")
    except (ValueError, IndexError, TypeError) as error:
        raise _unusable(name, f"{error}") from error
    if not ended:
        raise _unusable(name, "its end is missing")
    return Table(rows, began, file_system, generation, boundaries=tuple(boundaries), unseen=unseen)


def _row(words: list[bytes]) -> TableRow:
    kind, mode, uid, gid, size, mtime, inode, ctime, links, digest, attributes, target, _path = words
    return TableRow(
        kind.decode(),
        int(mode, 8),
        int(uid),
        int(gid),
        int(size),
        int(mtime),
        int(inode),
        int(ctime),
        int(links),
        unescape(target) if target != _NONE else "",
        attributes.decode() if attributes != _NONE else "",
        digest.decode() if digest != _NONE else "",
    )


def _unusable(name: str, reason: str) -> StoreError:
    return StoreError(
        f"{name} is no table that can be used: {reason}.",
        untouched="everything.",
        advice="Restore the store from a copy, or roll back to another point.",
        file=name,
    )
