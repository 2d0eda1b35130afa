"""What rpm makes and no package owns: directories above files, and files of a transaction that was killed.

rpm makes the directories that a package's files need, and leaves them when the files go, unless a package owns
them. It unpacks each file under a temporary name; killed, it leaves those.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import re
import stat
import struct
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._content import item as content_item
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.private import write_all

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.private import PrivateDir
    from ansible_collections.intellistream.sage.plugins.plugin_utils._structures import ItemWriter

#: Lists what a change is going to make.
INCOMING = "incoming"
# linux/stat.h
_AT_FDCWD, _NOFOLLOW, _BTIME, _SIZE = -100, 0x100, 0x800, 256
_MASK, _SECONDS = 0, 80
# Directories that a system has, whoever made them.
_STANDARD = re.compile(r"/[^/]*|/(usr|var|usr/local)/[^/]+")
_TEMPORARY = re.compile(r"(.+);[0-9a-f]{8}")


def absent_of(files: t.Iterable[str]) -> set[str]:
    """Which of these paths, and of the directories above them, are not there."""
    absent: set[str] = set()
    there: set[str] = set()
    for path in files:
        while path not in absent and path not in there:
            (there if os.path.lexists(path) else absent).add(path)
            path = os.path.dirname(path)
    return absent


def expect(where: PrivateDir, items: ItemWriter, files: t.Iterable[str]) -> list[str]:
    """List what a change is going to make; returns what was written."""
    absent = absent_of(files)
    if not absent:
        return []
    data = b"".join(os.fsencode(path) + b"\0" for path in sorted(absent))
    fd = where.open(INCOMING, os.O_RDWR | os.O_CREAT | os.O_EXCL)
    try:
        write_all(fd, data)
        item = content_item.item_of(content_item.FILE, os.fstat(fd), hashlib.sha256(data).hexdigest())
    finally:
        os.close(fd)
    items.section(INCOMING)
    items.add(INCOMING, item)
    return [INCOMING]


def incoming(data: bytes | None) -> set[str]:
    """The paths that a capture listed."""
    return {os.fsdecode(path) for path in (data or b"").split(b"\0") if path}


def born(path: str) -> float:
    """When something was made, seconds since the epoch; 0 where the file system or C library does not tell."""
    buffer = ctypes.create_string_buffer(_SIZE)
    try:
        statx = ctypes.CDLL(None, use_errno=True).statx
    except (OSError, AttributeError):
        return 0
    if statx(_AT_FDCWD, os.fsencode(path), _NOFOLLOW, _BTIME, buffer) != 0:
        return 0
    (mask,) = struct.unpack_from("=I", buffer.raw, _MASK)
    seconds, nanoseconds = struct.unpack_from("=qI", buffer.raw, _SECONDS)
    return float(seconds + nanoseconds / 1e9) if mask & _BTIME else 0


def made_since(files: t.Iterable[str], when: float) -> set[str]:
    """The directories above these files that were made since then; never one that systems have anyway."""
    found: set[str] = set()
    seen: set[str] = set()
    for path in files:
        directory = os.path.dirname(path)
        while directory not in seen:
            seen.add(directory)
            if not _STANDARD.fullmatch(directory) and not os.path.islink(directory) and born(directory) >= when:
                found.add(directory)
            directory = os.path.dirname(directory)
    return found


def deserted(directories: t.Iterable[str], owned: t.Callable[[str], bool]) -> list[str]:
    """Those that are empty and that no package owns, the innermost first; also what is empty without them."""
    found: list[str] = []
    for directory in sorted(directories, reverse=True):
        try:
            left = {f"{directory}/{name}" for name in os.listdir(directory)}
        except OSError:
            continue
        if left <= set(found) and not os.path.islink(directory) and not owned(directory):
            found.append(directory)
    return found


def temporary(files: t.Iterable[str], when: float) -> list[str]:
    """What killed transactions left since then of unpacking these files."""
    names: dict[str, set[str]] = {}
    for path in files:
        directory, dummy, name = path.rpartition("/")
        names.setdefault(directory, set()).add(name)
    found = []
    for directory, wanted in names.items():
        try:
            entries = os.listdir(directory or "/")
        except OSError:
            continue
        for entry in entries:
            match = _TEMPORARY.fullmatch(entry)
            if match is not None and match.group(1) in wanted:
                path = f"{directory}/{entry}"
                info = os.lstat(path)
                if info.st_ctime >= when and not stat.S_ISDIR(info.st_mode):
                    found.append(path)
    return found
