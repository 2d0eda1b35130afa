"""The header of a package made from an installed one: with its files as they are on disk now."""

from __future__ import annotations

import os
import stat
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._rpm import database
from ansible_collections.intellistream.sage.plugins.module_utils._rpm import rpm_file as format_
from ansible_collections.intellistream.sage.plugins.module_utils._rpm.disk import PACKED

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._rpm.disk import Seen

#: The latest time a header can say.
LATEST = 0x7FFFFFFF

_SIZE, _LONGSIZE, _FILESIZES, _LONGFILESIZES = 1009, 5009, 1028, 5008
_MODES, _MTIMES, _LINKS, _FLAGS, _USERS, _GROUPS = 1030, 1034, 1036, 1037, 1039, 1040
_DEVICES, _INODES = 1095, 1096
_FORMAT, _COMPRESSOR, _COMPRESSION, _REMOVETID = 1124, 1125, 1126, 1129
# Of this very installation: its time, transaction, colour and file states, and where it was relocated from.
_INSTALLED = (1008, 1029, 1046, 1099, 1119, 1120, 1121, 1127, 1128)
# Of a payload that this one is not: digests of it unpacked, and all of rpm 6's.
_PAYLOAD = (5097, 5112, 5113, 5114, 5121, 5122, 5123, 5124)
# Those of the signature header, which rpm keeps among the others.
_SIGNATURE = range(256, 300)


class Group(t.NamedTuple):
    """Hard links to one file, as numbers in the header."""

    inode: int
    members: list[int]


def groups(seen: t.Sequence[Seen]) -> dict[int, Group]:
    """For each packed file its hard links in the package, itself among them."""
    found: dict[int, Group] = {}
    by_inode: dict[tuple[int, int], Group] = {}
    for number, one in enumerate(seen):
        if one.how != PACKED or one.info is None or not stat.S_ISREG(one.info.st_mode) or one.info.st_nlink < 2:
            continue
        group = by_inode.setdefault((one.info.st_dev, one.info.st_ino), Group(number + 1, []))
        group.members.append(number)
        found[number] = group
    return found


def refreshed(
    entries: format_.Header, seen: t.Sequence[Seen], groups: t.Mapping[int, Group], tid: int
) -> format_.Header:
    """The tags of an installed header as a package has them, with the files as they are now."""
    kept = {tag: one for tag, one in entries.items() if tag not in _SIGNATURE and tag not in (*_INSTALLED, *_PAYLOAD)}
    kept[_REMOVETID] = format_.numbers(format_.INT32, [tid])
    kept[_FORMAT], kept[_COMPRESSOR] = format_.string(b"cpio"), format_.string(b"gzip")
    kept[_COMPRESSION] = format_.string(b"1")
    if not seen:
        return kept
    names = _Names()
    sizes, modes, mtimes, links, flags, users, owners = [], [], [], [], [], [], []
    total = 0
    for number, one in enumerate(seen):
        file, info = one.file, one.info
        here = info is not None and one.how == PACKED and stat.S_IFMT(info.st_mode) == stat.S_IFMT(file.mode)
        flags.append(file.flags | (database.GHOST if one.how != PACKED else 0))
        if info is None or not here:
            sizes.append(file.size)
            modes.append(file.mode)
            mtimes.append(file.mtime)
            links.append(raw(file.link))
            users.append(raw(file.user))
            owners.append(raw(file.group))
            continue
        modes.append(info.st_mode & 0xFFFF)
        mtimes.append(min(max(int(info.st_mtime), 0), LATEST))
        links.append(os.fsencode(one.link))
        users.append(raw(names.user(file.user, info.st_uid)))
        owners.append(raw(names.group(file.group, info.st_gid)))
        sizes.append(file.size if stat.S_ISDIR(info.st_mode) else info.st_size)
        if stat.S_ISREG(info.st_mode) and (number not in groups or groups[number].members[0] == number):
            total += info.st_size
    for tag in (_SIZE, _LONGSIZE, _FILESIZES, _LONGFILESIZES):
        kept.pop(tag, None)
    if max(sizes) > format_.LARGEST:
        kept[_LONGFILESIZES] = format_.numbers(format_.INT64, sizes)
    else:
        kept[_FILESIZES] = format_.numbers(format_.INT32, sizes)
    if total > format_.LARGEST:
        kept[_LONGSIZE] = format_.numbers(format_.INT64, [total])
    else:
        kept[_SIZE] = format_.numbers(format_.INT32, [total])
    kept[_MODES] = format_.numbers(format_.INT16, modes)
    kept[_MTIMES] = format_.numbers(format_.INT32, mtimes)
    kept[_FLAGS] = format_.numbers(format_.INT32, flags)
    kept[_LINKS], kept[_USERS], kept[_GROUPS] = map(format_.strings, (links, users, owners))
    inodes = [groups[number].inode if number in groups else number + 1 for number in range(len(seen))]
    kept[_INODES] = format_.numbers(format_.INT32, inodes)
    kept[_DEVICES] = format_.numbers(format_.INT32, [1] * len(seen))
    return kept


def raw(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


class _Names:
    """Names of owners; those of the header where they still mean the same. The items know the ids themselves."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str, int], str] = {}

    def user(self, known: str, uid: int) -> str:
        """The name to write for a user id."""
        import pwd

        return self._name("user", known, uid, lambda: pwd.getpwnam(known).pw_uid, lambda: pwd.getpwuid(uid).pw_name)

    def group(self, known: str, gid: int) -> str:
        """The name to write for a group id."""
        import grp

        return self._name("group", known, gid, lambda: grp.getgrnam(known).gr_gid, lambda: grp.getgrgid(gid).gr_name)

    def _name(
        self, kind: str, known: str, number: int, id_of: t.Callable[[], int], name_of: t.Callable[[], str]
    ) -> str:
        if (kind, known, number) not in self._found:
            try:
                same = id_of() == number
            except KeyError:
                same = False
            try:
                self._found[kind, known, number] = known if same else name_of()
            except KeyError:
                self._found[kind, known, number] = known
        return self._found[kind, known, number]


def encoded(entries: format_.Header, digest: str) -> bytes:
    entries = dict(entries)
    entries[format_.PAYLOADDIGEST] = format_.strings([digest.encode()])
    entries[format_.PAYLOADDIGESTALGO] = format_.numbers(format_.INT32, [format_.SHA256])
    return format_.encode(entries)
