"""What was captured, path by path: a line each, written and read as a stream.

So a capture of any size needs little memory, and C(sh) can read what Python wrote. Fields are
separated by one space, the path is last; in a field, each byte up to a space, DEL and the
backslash are written as C(\\0ooo), which C(printf %b) reads, and an empty field is C(-)::

    @ <name> <version> <info>
    f <sha256> <size> <mtime_ns> <mode> <uid> <gid> <l|c> <xattrs> <path>
    l <target> 0 <mtime_ns> <mode> <uid> <gid> c - <path>
    d - 0 <mtime_ns> <mode> <uid> <gid> c <xattrs> <path>
    a - 0 0 0 0 0 c - <path>
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import StoreError
from ansible_collections.intellistream.sage.plugins.module_utils._content.item import (
    ABSENT,
    DIRECTORY,
    FILE,
    LINK,
    Item,
    item_of,
)
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.ownership import storage_error
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.private import write_all

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.private import PrivateDir

_LETTERS = {FILE: b"f", LINK: b"l", DIRECTORY: b"d", ABSENT: b"a"}
_KINDS = {letter: kind for kind, letter in _LETTERS.items()}
_KINDS_TEXT = {letter.decode(): kind for kind, letter in _LETTERS.items()}
_SPECIAL = re.compile(rb"[\x00-\x20\x7f\\]")
_PAIRS = re.compile(rb"[\x00-\x20\x7f\\,=]")
_ESCAPED = re.compile(rb"\\0([0-7]{3})")
_BLOCK = 1 << 18
# What os.fsdecode does, without its detours.
_ENCODING, _ERRORS = sys.getfilesystemencoding(), sys.getfilesystemencodeerrors()


def _escape(value: str, special: t.Pattern[bytes] = _SPECIAL) -> bytes:
    raw = os.fsencode(value)
    if raw in (b"", b"-", b"."):
        # What stands for something else when it is alone.
        return b"\\0%03o" % raw[0] if raw else b"-"
    return special.sub(lambda found: b"\\0%03o" % found.group()[0], raw) if special.search(raw) else raw


def _unescape(raw: bytes) -> str:
    if raw == b"-":
        return ""
    if b"\\" in raw:
        raw = _ESCAPED.sub(lambda found: bytes((int(found.group(1), 8),)), raw)
    return os.fsdecode(raw)


def linked_line(path: str, digest: str, info: os.stat_result) -> str:
    """The line of a hard-linked file; most lines are such ones, and take no detour."""
    if not path.isprintable() or " " in path or "\\" in path:
        return _line_of(path, item_of(FILE, info, digest, shared=True))
    mode = info.st_mode & 0o7777
    return f"f {digest} {info.st_size} {info.st_mtime_ns} {mode:04o} {info.st_uid} {info.st_gid} l - {path}\n"


def _line_of(path: str, item: Item) -> str:
    value = item.value.encode() if item.kind == FILE else _escape(item.value)
    xattrs = b"-"
    if item.xattrs:
        pairs = ((_escape(name, _PAIRS), data.encode()) for name, data in sorted(item.xattrs.items()))
        xattrs = b",".join(b"%b=%b" % pair for pair in pairs)
    how = b"l" if item.shared else b"c"
    fields = (_LETTERS[item.kind], value, item.size, item.mtime, item.mode, item.uid, item.gid, how, xattrs)
    return os.fsdecode(b"%b %b %d %d %04o %d %d %b %b " % fields + (_escape(path) if path else b".") + b"\n")


class Section(t.NamedTuple):
    """A part of what was captured.

    :ivar name: of a distribution, or a captured path; empty for an environment's own files.
    :ivar version: of a distribution.
    :ivar info: its C(.dist-info).
    :ivar offset: byte in the file where its first item is.
    :ivar end: byte after its last item.
    :ivar number: from 0.
    """

    name: str
    version: str
    info: str
    offset: int
    end: int
    number: int


class Writer:
    """Writes the items of one capture.

    :param point: the directory of the rollback point.
    :param name: of the file to make in it; there is none yet.
    """

    def __init__(self, point: PrivateDir, name: str) -> None:
        self._path = os.path.join(point.path, name)
        self._fd = point.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        self._lines: list[str] = []
        self._size = 0
        self._sha = hashlib.sha256()

    def section(self, name: str = "", version: str = "", info: str = "") -> None:
        """Begin a section."""
        self._line(os.fsdecode(b"@ %b %b %b\n" % (_escape(name), _escape(version), _escape(info))))

    def add(self, path: str, item: Item) -> None:
        """Write one item; an empty path is the section's own, written as a dot."""
        self._line(_line_of(path, item))

    def write(self, lines: t.Iterable[str]) -> None:
        """Write lines of M(linked_line)."""
        for line in lines:
            self._line(line)

    def _line(self, line: str) -> None:
        self._lines.append(line)
        self._size += len(line)
        if self._size > _BLOCK:
            self._flush()

    def _flush(self) -> None:
        data = os.fsencode("".join(self._lines))
        self._lines, self._size = [], 0
        self._sha.update(data)
        try:
            write_all(self._fd, data)
        except OSError as error:
            raise storage_error(self._path, error) from error

    def finish(self) -> str:
        """Make it durable; returns its SHA-256 in hex."""
        self._flush()
        try:
            os.fsync(self._fd)
        except OSError as error:
            raise storage_error(self._path, error) from error
        return self._sha.hexdigest()

    def close(self) -> None:
        """Give the descriptor back; harmless when already closed."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class Items:
    """Reads the items of one capture; as often as needed, a section at a time.

    :ivar sections: in the order they were captured.
    :raises StoreError: the file is missing or not the one that was written.
    """

    def __init__(self, point: PrivateDir, name: str, sha256: str) -> None:
        self._path = os.path.join(point.path, name)
        try:
            self._file = os.fdopen(point.open(name, os.O_RDONLY), "rb", buffering=_BLOCK)
        except FileNotFoundError as error:
            raise _spoiled(self._path, "is missing") from error
        heads: list[tuple[int, int, bytes]] = []
        sha, offset, rest = hashlib.sha256(), 0, b""
        for block in iter(lambda: self._file.read(_BLOCK), b""):
            sha.update(block)
            data = rest + block
            end = data.rfind(b"\n") + 1
            at = 0 if data.startswith(b"@") else data.find(b"\n@", 0, end) + 1
            while data.startswith(b"@", at, end):
                after = data.index(b"\n", at) + 1
                heads.append((offset + at, offset + after, data[at + 2 : after - 1]))
                at = data.find(b"\n@", after - 1, end) + 1 or end
            offset, rest = offset + end, data[end:]
        if sha.hexdigest() != sha256:
            self.close()
            raise _spoiled(self._path, "is not the one that was captured")
        ends = [head[0] for head in heads[1:]] + [offset]
        self.sections: list[Section] = []
        for (dummy, begin, fields), end in zip(heads, ends):
            name, version, info = map(_unescape, fields.split(b" "))
            self.sections.append(Section(name, version, info, begin, end, len(self.sections)))

    def __enter__(self) -> Items:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the descriptor back."""
        self._file.close()

    def read(self, section: Section) -> t.Iterator[tuple[str, Item]]:
        """Path and item of each line of a section."""
        return map(parse, self.lines(section))

    def paths(self, section: Section) -> t.Iterator[str]:
        """The path of each line of a section."""
        for data in self._blocks(section):
            # Many at once, and nothing done that nearly none of them needs.
            text = data.decode(_ENCODING, _ERRORS)
            fields = [line[line.rindex(" ") + 1 :] for line in text.split("\n")[:-1]]
            yield from [one if len(one) > 1 and "\\" not in one else _path(os.fsencode(one)) for one in fields]

    def lines(self, section: Section) -> t.Iterator[bytes]:
        """The lines of a section, for M(parse)."""
        for data in self._blocks(section):
            yield from data.splitlines()

    def _blocks(self, section: Section) -> t.Iterator[bytes]:
        """A section, many whole lines at a time."""
        offset, size = section.offset, _BLOCK
        while offset < section.end:
            # Others read in between, in a forked process too: there is no common position.
            data = os.pread(self._file.fileno(), min(size, section.end - offset), offset)
            end = data.rfind(b"\n") + 1
            if not end:
                if not data:
                    return
                size *= 2
                continue
            yield data[:end]
            offset += end


def parse(line: bytes) -> tuple[str, Item]:
    """Path and item of a line."""
    if b"\\" in line:
        return _parse_escaped(line)
    # Nearly all lines are such, so nothing is done twice.
    letter, value, size, mtime, mode, uid, gid, how, xattrs, path = line.decode(_ENCODING, _ERRORS).split(" ")
    item = Item(
        _KINDS_TEXT[letter],
        "" if value == "-" else value,
        int(size),
        int(mtime),
        int(mode, 8),
        int(uid),
        int(gid),
        how == "l",
        {} if xattrs == "-" else _attributes(os.fsencode(xattrs)),
    )
    return "" if path == "." else path, item


def _parse_escaped(line: bytes) -> tuple[str, Item]:
    letter, value, size, mtime, mode, uid, gid, how, xattrs, path = line.split(b" ")
    kind = _KINDS[letter]
    item = Item(
        kind,
        value.decode() if kind == FILE else _unescape(value),
        int(size),
        int(mtime),
        int(mode, 8),
        int(uid),
        int(gid),
        how == b"l",
        {} if xattrs == b"-" else _attributes(xattrs),
    )
    return _path(path), item


def _path(field: bytes) -> str:
    return "" if field == b"." else _unescape(field)


def _attributes(field: bytes) -> dict[str, str]:
    pairs = (pair.partition(b"=") for pair in field.split(b","))
    return {_unescape(name): data.decode() for name, dummy, data in pairs}


def _spoiled(path: str, why: str) -> StoreError:
    return StoreError(
        f"The list of captured files {path} {why}.",
        untouched="everything.",
        advice="Somebody changed the store. Restore it from a copy; without it this rollback point cannot be used.",
        file=path,
    )
