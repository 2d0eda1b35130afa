"""Make a package again from what is installed: its header, with its files as they are on disk now.

The digests in the header stay the pristine ones, so that rpm still knows what was edited. All
else about a file is as it is now. What was written is read back completely before it counts.
"""

from __future__ import annotations

import hashlib
import os
import stat
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import CaptureError
from ansible_collections.intellistream.sage.plugins.module_utils._content import item as content_item
from ansible_collections.intellistream.sage.plugins.module_utils._content.item import DIRECTORY, FILE, LINK, Item
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.absolute import (
    Directories,
    changed_meanwhile,
    unchanged,
)
from ansible_collections.intellistream.sage.plugins.module_utils._rpm import database, disk
from ansible_collections.intellistream.sage.plugins.module_utils._rpm import header as rpm_header
from ansible_collections.intellistream.sage.plugins.module_utils._rpm import rpm_file as format_
from ansible_collections.intellistream.sage.plugins.module_utils._rpm.disk import PACKED, Seen

_CHUNK = 1 << 20


class Repackaged(t.NamedTuple):
    """A package that was written.

    :ivar sha256: of the package file, in hex.
    :ivar files: path and item of all that the package has, in its order; devices left out.
    """

    sha256: str
    size: int
    files: list[tuple[str, Item]]


def repackage(header: t.Any, seen: t.Sequence[Seen], directories: Directories, fd: int, tid: int) -> Repackaged:
    """Write a package to an open file, and read it back.

    :param seen: what is on disk, for each file of the header.
    :param tid: for the mark that rpm's own repackaging made.
    :raises CaptureError: a file changed in the meantime, or what was written is not what was read.
    """
    groups = rpm_header.groups(seen)
    entries = rpm_header.refreshed(format_.parse(header.unload()), seen, groups, tid)
    nevr = header["NEVRA"].encode("utf-8", "surrogateescape")
    # Digests and sizes have the same length whatever they are.
    begin = len(format_.preamble(nevr, b"", 0)) + len(rpm_header.encoded(entries, "0" * 64))
    os.lseek(fd, begin, os.SEEK_SET)
    payload = format_.Payload(fd)
    try:
        items = _pack(payload, seen, groups, directories)
        digest = payload.finish()
    finally:
        payload.close()
    encoded = rpm_header.encoded(entries, digest)
    os.pwrite(fd, format_.preamble(nevr, encoded, payload.unpacked) + encoded, 0)
    sha256 = _read_back(fd, begin, digest, header["NEVRA"], items)
    paths = [(one.file.path, item) for one, item in zip(seen, items) if item is not None]
    return Repackaged(sha256, begin + payload.packed, paths)


def _pack(
    payload: format_.Payload,
    seen: t.Sequence[Seen],
    groups: t.Mapping[int, rpm_header.Group],
    directories: Directories,
) -> list[Item | None]:
    """Write the archive; returns an item for each file of the header, None for devices."""
    large = any(one.how == PACKED and one.info is not None and one.info.st_size > format_.LARGEST for one in seen)
    items: list[Item | None] = [None] * len(seen)
    # Hard links one after another: rpm takes what comes before the last of them for their content.
    linked = [number for number, group in groups.items() if group.members[0] == number]
    order = [number for number in range(len(seen)) if number not in groups]
    order += [member for number in linked for member in groups[number].members]
    for number in order:
        one = seen[number]
        if one.how != PACKED or one.info is None:
            continue
        group = groups.get(number)
        head = _head(number, one, group, stat.S_IFMT(one.info.st_mode) == stat.S_IFMT(one.file.mode))
        payload.write(format_.member(head, large))
        if not stat.S_ISREG(one.info.st_mode):
            if head.size:
                payload.write(os.fsencode(one.link) + format_.padding(head.size))
            items[number] = disk.item_of(directories, one.file.path, one.info)
        elif group is None:
            items[number] = _content(payload, one, directories)
        elif group.members[-1] == number:
            # Of hard links, the last one in the header has the content.
            item = _content(payload, one, directories)
            for member in group.members:
                items[member] = item
    payload.write(format_.TRAILER)
    return items


def _head(number: int, one: Seen, group: rpm_header.Group | None, refreshed: bool) -> format_.Member:
    info = t.cast("os.stat_result", one.info)
    mode, size, links, inode = info.st_mode, 0, 1, number + 1
    if not refreshed:
        # A link in the place of a directory.
        mode = one.file.mode
    elif stat.S_ISLNK(mode):
        size = len(os.fsencode(one.link))
    elif stat.S_ISREG(mode):
        size = info.st_size
        if group is not None:
            inode, links = group.inode, len(group.members)
            size = size if group.members[-1] == number else 0
    mtime = min(max(int(info.st_mtime), 0), rpm_header.LATEST)
    device = info.st_rdev if stat.S_ISCHR(mode) or stat.S_ISBLK(mode) else 0
    rdev = os.major(device) << 8 | os.minor(device) & 0xFF
    return format_.Member(
        number, rpm_header.raw(one.file.path), inode, mode, info.st_uid, info.st_gid, links, mtime, size, rdev
    )


def _content(payload: format_.Payload, one: Seen, directories: Directories) -> Item:
    """Write a file's content, and its padding."""
    known = t.cast("os.stat_result", one.info)
    sha, left = hashlib.sha256(), known.st_size
    fd = directories.open(one.file.path)
    try:
        if not unchanged(known, os.fstat(fd)):
            raise changed_meanwhile(one.file.path)
        while left:
            data = os.read(fd, min(left, _CHUNK))
            if not data:
                raise changed_meanwhile(one.file.path)
            sha.update(data)
            payload.write(data)
            left -= len(data)
        xattrs = content_item.xattrs_of(fd)
        if not unchanged(known, os.fstat(fd)):
            raise changed_meanwhile(one.file.path)
    finally:
        os.close(fd)
    payload.write(format_.padding(known.st_size))
    return content_item.item_of(FILE, known, sha.hexdigest())._replace(xattrs=xattrs)


def _read_back(fd: int, begin: int, digest: str, nevra: str, items: t.Sequence[Item | None]) -> str:
    """Read the whole package as rpm will, and compare it with what was read from the disk; returns its SHA-256."""
    rpm = database.rpm_module()
    whole, sha = hashlib.sha256(), hashlib.sha256()
    os.lseek(fd, 0, os.SEEK_SET)
    whole.update(os.read(fd, begin))
    while True:
        data = os.read(fd, _CHUNK)
        if not data:
            break
        whole.update(data)
        sha.update(data)
    why = "" if sha.hexdigest() == digest else "its payload is not what was written"
    os.lseek(fd, 0, os.SEEK_SET)
    try:
        ts = rpm.TransactionSet()
        ts.setVSFlags(database.unsigned(rpm))
        header = ts.hdrFromFdno(fd)
        why = why or _compared(rpm.files(header).archive(rpm.fd(fd, "r", "gzdio")), items)
        why = why or ("" if header["NEVRA"] == nevra else f"rpm takes it for {header['NEVRA']}")
    except (rpm.error, OSError) as error:
        why = f"rpm cannot read it: {error}"
    if why:
        raise CaptureError(
            f"The package made from the installed {nevra} is not right: {why}.",
            untouched="everything.",
            advice="Check the disk with the store on it; if that is sound, report this as a fault of the collection.",
        )
    return whole.hexdigest()


def _compared(archive: t.Any, items: t.Sequence[Item | None]) -> str:
    """How an archive differs from what was read; empty when it does not."""
    left = {number for number, item in enumerate(items) if item is not None}
    for file in archive:
        item = items[file.fx] if file.fx < len(items) else None
        left.discard(file.fx)
        if item is None:
            # A device.
            continue
        if item.kind == LINK and stat.S_ISLNK(file.mode) and os.fsdecode(file.linkto) != item.value:
            return f"{file.name} points to {file.linkto}, not {item.value}"
        if item.kind == FILE and archive.hascontent():
            if file.size != item.size:
                return f"{file.name} has {file.size} bytes, not {item.size}"
            sha, size = hashlib.sha256(), item.size
            while size:
                data = archive.read(min(size, _CHUNK))
                if not data:
                    return f"{file.name} ends early"
                sha.update(data)
                size -= len(data)
            if sha.hexdigest() != item.value:
                return f"{file.name} has other content"
        elif item.kind == DIRECTORY and not stat.S_ISDIR(file.mode):
            return f"{file.name} is no directory"
    return f"{len(left)} files are missing" if left else ""
