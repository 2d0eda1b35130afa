"""A directory tree as a compressed tar, written and read as a stream.

Any tar reads it. Times in nanoseconds and extended attributes are in headers of our own, since those of
others hold fractions and text. Reading takes plain files and directories only, and writes by descriptor.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import json
import os
import tarfile
import typing as t
import zlib

from ansible_collections.intellistream.sage.plugins.module_utils._base.compression import (
    Refused,
    compressor,
    decompressor,
)
from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import UnsafePath
from ansible_collections.intellistream.sage.plugins.module_utils._content.item import (
    DIRECTORY,
    FILE,
    Item,
    apply_metadata,
)
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.private import write_all
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.tree import Tree, parts

_CHUNK = 1 << 20
_TIME, _XATTRS = "SAGE.mtime_ns", "SAGE.xattrs"
# What a store keeps of a mode; manifests have all of it.
_MODE = 0o777
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


_Found = t.Iterator[tuple[tarfile.TarFile, tarfile.TarInfo]]


class Written(t.NamedTuple):
    """What went into an archive, or came out of it.

    :ivar seal: SHA-256 over names, attributes and content hashes of all members, in their order.
    :ivar files: how many files.
    :ivar bytes: of their content.
    """

    seal: str
    files: int
    bytes: int


def write(tree: Tree, fd: int, suffix: str) -> Written:
    """Write all of C(tree) into the open file.

    :raises OSError: the disk refused.
    :raises Refused: the program failed.
    """
    seal = _Seal()
    with (
        compressor(fd, suffix) as stream,
        tarfile.open(
            fileobj=stream, mode="w|", format=tarfile.PAX_FORMAT, encoding="utf-8", errors="surrogateescape"
        ) as tar,
    ):
        for path, is_directory in _order(tree):
            member = _Member(tree, path, is_directory)
            try:
                tar.addfile(member.info, member)  # type: ignore[arg-type]
            finally:
                member.close()
            # They are of no more use, and there may be very many.
            tar.members = []  # type: ignore[attr-defined]
            seal.add(path, member.item, member.sha.hexdigest())
    return seal.written()


def read(fd: int, suffix: str, into: Tree | None) -> Written:
    """Read a whole archive, from the file's beginning.

    :param into: where to extract it to, an empty tree; None only reads.
    :raises OSError: the disk refused what is extracted.
    :raises Refused: it cannot be read, or holds something else than plain files and directories below.
    """
    seal = _Seal()
    directories: list[tuple[str, Item]] = []
    with _members(fd, suffix) as found:
        for tar, info in found:
            item = _item(info)
            content = _checked(tar.extractfile(info)) if item.kind == FILE else None
            sha = hashlib.sha256()
            with _target(into, info.name, item.kind) as write_to:
                while content is not None:
                    data = _guard(content.read, _CHUNK)
                    if not data:
                        break
                    sha.update(data)
                    if write_to >= 0:
                        write_all(write_to, data)
                if write_to >= 0:
                    apply_metadata(write_to, item)
            if item.kind == DIRECTORY:
                directories.append((info.name, item))
            seal.add(info.name, item, sha.hexdigest())
    if into is not None:
        # Last, and the deepest first: their content would change their times, their modes forbid content.
        for path, item in reversed(directories):
            apply_metadata(into.enter(path), item)
        into.forget()
    return seal.written()


def first(fd: int, suffix: str, name: str) -> bytes | None:
    """The content of the member C(name), reading no further than it; None when it is not there.

    :raises Refused: the archive cannot be read.
    """
    with _members(fd, suffix, partly=True) as found:
        for tar, info in found:
            if info.name == name and info.isreg():
                return bytes(_guard(_checked(tar.extractfile(info)).read))
    return None


class _Seal:
    """Counts and seals members."""

    def __init__(self) -> None:
        self.sha = hashlib.sha256()
        self.files = self.bytes = 0

    def add(self, path: str, item: Item, content: str) -> None:
        self.sha.update(json.dumps([path, *item, content], sort_keys=True).encode() + b"\n")
        self.files += item.kind == FILE
        self.bytes += item.size

    def written(self) -> Written:
        return Written(self.sha.hexdigest(), self.files, self.bytes)


class _Member:
    """One path of a tree on its way into an archive; hashed while it is read."""

    def __init__(self, tree: Tree, path: str, is_directory: bool) -> None:
        self.sha = hashlib.sha256()
        self.fd = os.dup(tree.enter(path)) if is_directory else tree.open_file(path)
        stat = os.fstat(self.fd)
        try:
            xattrs = {name: os.getxattr(self.fd, name).hex() for name in os.listxattr(self.fd)}
        except OSError:
            xattrs = {}
        kind, size = (DIRECTORY, 0) if is_directory else (FILE, stat.st_size)
        mode = stat.st_mode & _MODE
        self.item = Item(kind, "", size, stat.st_mtime_ns, mode, stat.st_uid, stat.st_gid, False, xattrs)
        self.info = info = tarfile.TarInfo(path)
        info.type = tarfile.DIRTYPE if is_directory else tarfile.REGTYPE
        info.size, info.mode, info.uid, info.gid = size, mode, stat.st_uid, stat.st_gid
        info.mtime = stat.st_mtime_ns // 1_000_000_000
        info.pax_headers = {_TIME: str(stat.st_mtime_ns)}
        if xattrs:
            info.pax_headers[_XATTRS] = json.dumps(xattrs)

    def read(self, size: int) -> bytes:
        """As tarfile asks for it."""
        data = os.read(self.fd, size)
        self.sha.update(data)
        return data

    def close(self) -> None:
        """Give the descriptor back."""
        os.close(self.fd)


def _order(tree: Tree) -> t.Iterator[tuple[str, bool]]:
    """Everything, the manifests first, a directory before its content."""
    top = tree.listing("")
    yield from ((name, False) for name, is_directory in top if not is_directory)
    for name, is_directory in top:
        if is_directory:
            yield name, True
            yield from tree.walk(name)


def _item(info: tarfile.TarInfo) -> Item:
    """What a member is, refused unless it is one of ours."""
    why = ""
    try:
        parts(info.name)
    except UnsafePath:
        why = "its name leads elsewhere"
    if info.type not in (tarfile.REGTYPE, tarfile.DIRTYPE) or info.issparse():
        why = "it is no plain file or directory"
    elif info.mode & ~_MODE:
        why = f"its mode is {info.mode:04o}"
    try:
        mtime = int(info.pax_headers[_TIME])
        xattrs = json.loads(info.pax_headers.get(_XATTRS, "{}"))
        if not all(isinstance(value, str) and bytes.fromhex(value) is not None for value in xattrs.values()):
            why = "its attributes are not readable"
    except (KeyError, ValueError, AttributeError) as error:
        raise Refused(f"{info.name!r} in it was not written by this collection") from error
    if why:
        raise Refused(f"{info.name!r} in it is refused: {why}")
    kind = DIRECTORY if info.isdir() else FILE
    return Item(kind, "", info.size if kind == FILE else 0, mtime, info.mode, info.uid, info.gid, False, xattrs)


@contextlib.contextmanager
def _target(into: Tree | None, path: str, kind: str) -> t.Iterator[int]:
    """A new file to write a member into; -1 where there is nothing to write."""
    if into is None:
        yield -1
        return
    try:
        above, name = into.parent(path)
        if kind == DIRECTORY:
            os.mkdir(name, 0o700, dir_fd=above)
            fd = -1
        else:
            fd = os.open(name, _NEW, 0o600, dir_fd=above)
    except (FileNotFoundError, FileExistsError, UnsafePath) as error:
        raise Refused(f"{path!r} in it is refused: {error}") from error
    try:
        yield fd
    finally:
        if fd >= 0:
            os.close(fd)


def _checked(stream: t.IO[bytes] | None) -> t.IO[bytes]:
    if stream is None:
        raise Refused("a file in it has no content")
    return stream


def _guard(call: t.Callable[..., t.Any], *arguments: t.Any) -> t.Any:
    """Reading an archive: whatever is wrong with it is one error."""
    try:
        return call(*arguments)
    except (tarfile.TarError, gzip.BadGzipFile, EOFError, zlib.error, ValueError) as error:
        raise Refused(f"it is damaged ({error})") from error


@contextlib.contextmanager
def _members(fd: int, suffix: str, partly: bool = False) -> t.Iterator[_Found]:
    os.lseek(fd, 0, os.SEEK_SET)
    with contextlib.ExitStack() as stack:
        stream = stack.enter_context(decompressor(fd, suffix, partly))
        tar = _guard(_open, stream)

        def each() -> _Found:
            while True:
                info = _guard(tar.next)
                if info is None:
                    break
                tar.members = []
                yield tar, info
            # The program ends, and can be asked how it went, once all was read.
            while _guard(stream.read, _CHUNK):
                pass

        yield each()


def _open(stream: t.IO[bytes]) -> tarfile.TarFile:
    return tarfile.open(fileobj=stream, mode="r|", encoding="utf-8", errors="surrogateescape")
