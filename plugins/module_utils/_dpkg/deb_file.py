"""Debian package files: written and read as a stream, with nothing but the standard library.

A C(.deb) is an ar archive of C(debian-binary), C(control.tar.gz) and C(data.tar.gz). dpkg reads the GNU
format of tar (long names, big numbers), not that of POSIX. The control archive stands first but has
checksums of what follows; so it is stored, not compressed: its size is known before its content is.
"""

from __future__ import annotations

import hashlib
import os
import sys
import tarfile
import typing as t
import zlib

from ansible_collections.intellistream.sage.plugins.module_utils._dpkg.parallel_gzip import Gzip
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.private import write_all

FILE, LINK, HARD, DIRECTORY, OTHER = "file", "link", "hard", "dir", "other"
# What Python's tarfile takes for the end of an archive, dpkg too.
_END = bytes(1024)
_MAGIC = b"!<arch>\n"
_VERSION = b"2.0\n"
_CHUNK = 1 << 18
_TYPES = {FILE: tarfile.REGTYPE, LINK: tarfile.SYMTYPE, HARD: tarfile.LNKTYPE, DIRECTORY: tarfile.DIRTYPE}
_KINDS = {value: key for key, value in _TYPES.items()}
_ENCODING = sys.getfilesystemencoding()

Control = t.Mapping[str, "tuple[int, bytes]"]


class BadArchive(Exception):
    """It cannot be read to its end as a package file."""


class Entry(t.NamedTuple):
    """What a package file has at one path.

    :ivar path: full, as C(info/*.list) has it: C(/usr/bin/x), and C(/.) for the root.
    :ivar kind: V(file), V(link), V(hard) (a further name of the file C(value)), V(dir) or V(other).
    :ivar value: MD5 in hex of a file, target of a link, path of the first name of a hard-linked file.
    :ivar mtime: seconds.
    """

    path: str
    kind: str
    value: str
    size: int
    mode: int
    uid: int
    gid: int
    mtime: int


class DebWriter:
    """Writes one package file; a context manager, which ends its threads.

    :param fd: an empty file open for writing; stays the caller's.
    :param control: name → (mode, content) of the control archive; M(finish) may change its content, not its size.
    """

    def __init__(self, fd: int, control: Control) -> None:
        self._fd = fd
        self._room = len(_stored(control))
        self._size = 0
        write_all(fd, _MAGIC + _member("debian-binary", len(_VERSION)) + _VERSION)
        self._at = os.lseek(fd, 0, os.SEEK_CUR)
        write_all(fd, bytes(_HEADER + _even(self._room) + _HEADER))
        self._data = self._at + _HEADER + _even(self._room) + _HEADER
        self._gzip = Gzip(self._write)

    def __enter__(self) -> DebWriter:
        return self

    def __exit__(self, *exc: object) -> None:
        self._gzip.__exit__(*exc)

    def add(self, entry: Entry, content: t.Iterable[bytes] = ()) -> Entry:
        """Pack one path; a directory before what is in it.

        :param content: of a file, C(entry.size) bytes.
        :returns: the entry, with the MD5 of the content.
        """
        self._gzip.add(_header(entry))
        if entry.kind != FILE:
            return entry
        md5 = hashlib.new("md5", usedforsecurity=False)
        size = 0
        for chunk in content:
            size += len(chunk)
            md5.update(chunk)
            self._gzip.add(chunk)
        if size != entry.size:
            raise BadArchive(f"{entry.path} has {size} bytes, not {entry.size}")
        self._gzip.add(bytes(-size % 512))
        return entry._replace(value=md5.hexdigest())

    def finish(self, control: Control) -> None:
        """Write what is left, with the final content of the control archive; not yet synced."""
        self._gzip.add(_END)
        self._gzip.finish()
        if self._size % 2:
            write_all(self._fd, b"\n")
        stored = _stored(control)
        if len(stored) != self._room:
            raise BadArchive("the control archive has another size than was planned")
        padding = b"\n" * (len(stored) % 2)
        head = _member("control.tar.gz", len(stored)) + stored + padding + _member("data.tar.gz", self._size)
        os.lseek(self._fd, self._at, os.SEEK_SET)
        write_all(self._fd, head)
        os.lseek(self._fd, 0, os.SEEK_END)

    def _write(self, data: bytes) -> None:
        self._size += len(data)
        write_all(self._fd, data)


class Deb:
    """Reads a package file from its beginning to its end; all checksums on the way are checked.

    :param fd: a package file open for reading; stays the caller's.
    :ivar control: name → content of the control archive.
    :ivar sha256: of the whole file, once M(entries) has come to its end.
    :ivar size: of the whole file, likewise.
    :raises BadArchive: it is damaged, or something else; also while M(entries) is read.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._sha = hashlib.sha256()
        self.size = 0
        self.sha256 = ""
        self.control: dict[str, bytes] = {}
        if self._raw(len(_MAGIC)) != _MAGIC:
            raise BadArchive("it is no ar archive")
        if self._raw(self._next("debian-binary")) != _VERSION:
            raise BadArchive("it has another format than 2.0")
        size = self._next("control.tar.gz")
        for entry, content in _members(_Inflated(self._raw, size)):
            if entry.kind == FILE:
                self.control[entry.path[1:]] = b"".join(content)
        self._raw(size % 2)

    def entries(self) -> t.Iterator[Entry]:
        """All it has, in its order."""
        size = self._next("data.tar.gz")
        for entry, content in _members(_Inflated(self._raw, size)):
            if entry.kind == FILE:
                md5 = hashlib.new("md5", usedforsecurity=False)
                for chunk in content:
                    md5.update(chunk)
                entry = entry._replace(value=md5.hexdigest())
            yield entry
        self._raw(size % 2)
        if os.read(self._fd, 1):
            raise BadArchive("something follows its end")
        self.sha256 = self._sha.hexdigest()

    def _raw(self, size: int) -> bytes:
        found = []
        left = size
        while left:
            data = os.read(self._fd, left)
            if not data:
                raise BadArchive("it ends too early")
            self._sha.update(data)
            found.append(data)
            left -= len(data)
        self.size += size
        return found[0] if len(found) == 1 else b"".join(found)

    def _next(self, name: str) -> int:
        header = self._raw(_HEADER)
        found, size = header[:16].rstrip(b" ").rstrip(b"/"), header[48:58].strip()
        if header[58:] != b"`\n" or not size.isdigit() or found != name.encode():
            raise BadArchive(f"it has no {name} where it should be")
        return int(size)


class _Inflated:
    """What a gzip stream of a known size holds.

    :param raw: reads just as many bytes of the stream.
    """

    def __init__(self, raw: t.Callable[[int], bytes], size: int) -> None:
        self._raw, self._left = raw, size
        self._inflate = zlib.decompressobj(31)
        self._buffer = memoryview(b"")

    def some(self, limit: int) -> bytes:
        """At most C(limit) bytes; none at the end."""
        while not self._buffer:
            packed = self._inflate.unconsumed_tail
            if self._inflate.eof:
                if self._left or self._inflate.unused_data:
                    raise BadArchive("something follows the end of its data")
                return b""
            if not packed and self._left:
                packed = self._raw(min(self._left, _CHUNK))
                self._left -= len(packed)
            elif not packed:
                raise BadArchive("its data ends too early")
            try:
                self._buffer = memoryview(self._inflate.decompress(packed, 4 * _CHUNK))
            except zlib.error as error:
                raise BadArchive(str(error)) from error
        data = bytes(self._buffer[:limit])
        self._buffer = self._buffer[len(data) :]
        return data

    def exactly(self, size: int) -> t.Iterator[bytes]:
        """Just as many bytes, in pieces."""
        while size:
            data = self.some(size)
            if not data:
                raise BadArchive("its data ends too early")
            size -= len(data)
            yield data


def _members(stream: _Inflated) -> t.Iterator[tuple[Entry, t.Iterator[bytes]]]:
    """The members of a tar archive and their contents; what is not read of a content is skipped."""
    long: dict[bytes, str] = {}
    while True:
        block = b"".join(stream.exactly(512))
        if not any(block):
            break
        try:
            info = tarfile.TarInfo.frombuf(block, _ENCODING, "surrogateescape")
        except tarfile.TarError as error:
            raise BadArchive(f"a header is damaged: {error}") from error
        size = info.size if info.type not in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE) else 0
        content = stream.exactly(size)
        if info.type in (tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK):
            long[info.type] = os.fsdecode(b"".join(content).rstrip(b"\0"))
        else:
            name = long.pop(tarfile.GNUTYPE_LONGNAME, info.name)
            target = long.pop(tarfile.GNUTYPE_LONGLINK, info.linkname)
            kind = _KINDS.get(info.type, OTHER)
            value = {LINK: target, HARD: _path(target)}.get(kind, "")
            yield Entry(_path(name), kind, value, size, info.mode, info.uid, info.gid, int(info.mtime)), content
            for dummy in content:
                pass
        for dummy in stream.exactly(-size % 512):
            pass
    # To the end, where the checksum is.
    while stream.some(_CHUNK):
        pass


def _path(name: str) -> str:
    plain = name.rstrip("/")
    if plain in (".", ""):
        return "/."
    return plain[1:] if plain.startswith("./") else f"/{plain}"


def _name(path: str) -> str:
    return f".{path}" if path != "/." else "."


def _header(entry: Entry) -> bytes:
    info = tarfile.TarInfo(_name(entry.path))
    # No names of users: dpkg would look them up, and they may stand for others by then.
    info.type, info.mode, info.uid, info.gid, info.mtime = (_TYPES[entry.kind], *entry[4:])
    info.size = entry.size if entry.kind == FILE else 0
    if entry.kind in (LINK, HARD):
        info.linkname = entry.value if entry.kind == LINK else _name(entry.value)
    return info.tobuf(tarfile.GNU_FORMAT, _ENCODING, "surrogateescape")


_HEADER = 60


def _member(name: str, size: int) -> bytes:
    return f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{size:<10}`\n".encode()


def _even(size: int) -> int:
    return size + size % 2


def _stored(control: Control) -> bytes:
    """The control archive, in a gzip stream whose size depends on the sizes of its contents only."""
    parts = [_header(Entry("/.", DIRECTORY, "", 0, 0o755, 0, 0, 0))]
    for name, (mode, content) in control.items():
        parts += [
            _header(Entry(f"/{name}", FILE, "", len(content), mode, 0, 0, 0)),
            content,
            bytes(-len(content) % 512),
        ]
    deflate = zlib.compressobj(0, zlib.DEFLATED, 31)
    return deflate.compress(b"".join(parts) + _END) + deflate.flush()
