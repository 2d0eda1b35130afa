"""Which paths are safe to use since nobody else can replace them, and how to say that one is not."""

from __future__ import annotations

import errno
import os
import shlex
import stat
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import (
    StateError,
    StorageError,
    UnsafePath,
)

_MAX_LINKS = 40
_PLACE = "that only this user can write to, with all directories above it"
_UNMAPPED = 65534  # the usual /proc/sys/fs/overflowuid
_ALL_IDS = ["0", "0", "4294967295"]
# The path alone: a directory that may be passed through need not be readable.
_PATH = getattr(os, "O_PATH", os.O_RDONLY) | os.O_NOFOLLOW | os.O_CLOEXEC
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EFBIG)


def storage_error(path: str, error: OSError) -> StateError:
    """The error to raise when writing C(path) failed with C(error).

    :returns: P(StorageError) where the disk refused, P(UnsafePath) where permissions did, else P(StateError).
    """
    if error.errno in _FULL:
        return StorageError(
            f"Could not write {path}: {error.strerror}.",
            untouched="the state recorded before this call.",
            advice="Free space or repair the file system, then run again: the run continues from the recorded state.",
            errno=error.errno,
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        return UnsafePath(
            f"No permission to use {path} as user id {os.geteuid()}.",
            untouched="everything.",
            advice=f"{_run_as(_owner_of(path))} Or name another place.",
        )
    return StateError(f"Could not use {path}: {error.strerror}.", untouched="the state recorded before this call.")


def _owner_of(path: str) -> int:
    """Whose a path is, or the nearest directory above that can be seen."""
    while True:
        try:
            return os.lstat(path).st_uid
        except OSError:
            if path == os.path.dirname(path):
                return 0
            path = os.path.dirname(path)


def refuse(path: str, reason: str, advice: str = "Find out who made it, and remove it.") -> t.NoReturn:
    """Refuse a path.

    :param reason: why, half a sentence.
    :raises UnsafePath: always.
    """
    raise UnsafePath(f"{path} is not safe to use: {reason}.", untouched="everything.", advice=advice)


def refuse_foreign(path: str, owner: int) -> t.NoReturn:
    """Refuse what belongs to another user.

    :param owner: the user's id.
    :raises UnsafePath: always.
    """
    reason = f"it belongs to user id {owner}, and this is user id {os.geteuid()}"
    refuse(path, reason, f"{_run_as(owner)} Or name a place {_PLACE}.")


def refuse_shared(path: str) -> t.NoReturn:
    """Refuse what others can write to.

    :raises UnsafePath: always.
    """
    advice = f"Take that right from them, as its owner: chmod go-w {shlex.quote(path)}. Or name a place {_PLACE}."
    refuse(path, "others can write to it", advice)


def _run_as(owner: int) -> str:
    """How to run as a user, for people."""
    import pwd

    try:
        name = pwd.getpwuid(owner).pw_name
    except KeyError:
        name = f"'#{owner}'"
    return f"Run as the user who owns it: -b --become-user {name}, or become_user in the play."


def _others_in(group: int) -> bool:
    """Whether a group has a member besides root and this user; one that nobody has named may have any."""
    import grp
    import pwd

    try:
        members = {*grp.getgrgid(group).gr_mem}
    except KeyError:
        return True
    ours = {0, os.geteuid()}
    accounts = pwd.getpwall()
    members -= {account.pw_name for account in accounts if account.pw_uid in ours}
    return bool(members) or any(account.pw_gid == group and account.pw_uid not in ours for account in accounts)


def _is_shared(fd: int, info: os.stat_result) -> bool:
    """Whether others than its owner can write to what is open: anyone, or somebody in its group or its access list."""
    if info.st_mode & 0o002:
        return True
    if not info.st_mode & 0o020:
        return False
    if os.geteuid() != 0:
        # A user's own group is the user's affair.
        return info.st_uid != os.geteuid()
    try:
        # Where there is a list, the bits of the group are the most that anyone in it has.
        listed = "system.posix_acl_access" in os.listxattr(f"/proc/self/fd/{fd}")
    except (OSError, AttributeError):
        listed = False
    return listed or _others_in(info.st_gid)


def _is_foreign(owner: int) -> bool:
    if owner in (os.geteuid(), 0):
        return False
    if os.geteuid() == 0 or owner != _UNMAPPED:
        return True
    try:
        # Where user ids are mapped, as in a sandbox, those of the administrator may have no number.
        with open("/proc/self/uid_map", encoding="ascii") as file:
            return file.read().split() == _ALL_IDS
    except OSError:
        return True


def check_open(path: str, fd: int, is_last: bool = True) -> None:
    """Refuse what is open when somebody else could replace it, or what is in it.

    :param path: of it, for the message.
    :param is_last: it is what is used, and not a directory on the way to that.
    :raises UnsafePath: it belongs to another user, or others can write to it.
    """
    info = os.fstat(fd)
    if _is_foreign(info.st_uid):
        refuse_foreign(path, info.st_uid)
    if stat.S_ISLNK(info.st_mode) or (info.st_mode & stat.S_ISVTX and stat.S_ISDIR(info.st_mode)):
        return
    # To others than root, the directories of root that lie above are the administrator's affair.
    if (os.geteuid() == 0 or info.st_uid != 0 or is_last) and _is_shared(fd, info):
        refuse_shared(path)


def open_owned(path: str, make: bool = False) -> int | None:
    """Walk to a path, following links, and refuse to pass anything that belongs to somebody else.

    Each component is opened once, relative to the one before it, and looked at on its descriptor. For root that covers
    every directory and link on the way: a user's home is a user's to rearrange (CVE-2024-9902).

    :param path: absolute.
    :param make: make the directories that are missing, durably.
    :returns: a descriptor that stands for the path alone (C(O_PATH)), which the caller closes; None when nothing is
        there, and all that is there of the way to it is safe.
    :raises UnsafePath: a component belongs to another user, or others can write to it.
    """
    todo = _components(path)
    above: list[str] = []
    links = 0
    fd = os.open("/", _PATH)
    try:
        check_open("/", fd, not todo)
        while todo:
            name = todo.pop()
            where = "/" + "/".join([*above, name])
            try:
                below = os.open(name, _PATH, dir_fd=fd)
            except FileNotFoundError:
                # That it is made in a directory on the way there changes nothing about that one.
                if not make:
                    os.close(fd)
                    return None
                below = _make(name, fd, where)
            except OSError as error:
                raise storage_error(where, error) from error
            try:
                check_open(where, below, not todo)
                mode = os.fstat(below).st_mode
                if stat.S_ISLNK(mode):
                    links += 1
                    if links > _MAX_LINKS:
                        refuse(path, "its symbolic links lead in a circle")
                    target = os.readlink("", dir_fd=below)
                    todo += _components(target)
                    os.close(below)
                    if not target.startswith("/"):
                        continue
                    above, below = [], os.open("/", _PATH)
                else:
                    above = above[:-1] if name == ".." else [*above, name]
            except BaseException:
                os.close(below)
                raise
            os.close(fd)
            fd = below
        return fd
    except BaseException:
        os.close(fd)
        raise


def _components(path: str) -> list[str]:
    """The names in a path, the last one first. C(..) is walked like any other: after a link it leads elsewhere."""
    return [name for name in path.split("/") if name not in ("", ".")][::-1]


def _make(name: str, parent: int, path: str) -> int:
    """Make a directory; a descriptor of it."""
    try:
        os.mkdir(name, 0o755, dir_fd=parent)
        # A descriptor of a path alone cannot be synced.
        above = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=parent)
        try:
            os.fsync(above)
        finally:
            os.close(above)
    except FileExistsError:
        pass
    except OSError as error:
        raise storage_error(path, error) from error
    return os.open(name, _PATH, dir_fd=parent)


def check_owned(path: str) -> None:
    """Refuse a path when somebody else could replace it, or a directory or a link on the way to it.

    :raises UnsafePath: a component belongs to another user, or others can write to it.
    """
    check_name(path)
    fd = open_owned(path)
    if fd is not None:
        os.close(fd)


def check_program(path: str) -> None:
    """The same for a program that is about to be run; only root is kept from running other people's.

    :param path: absolute; what is only a name is found on C(PATH), which is this user's.
    :raises UnsafePath: a component belongs to another user, or others can write to it.
    """
    if os.geteuid() == 0 and os.path.isabs(path):
        check_owned(path)


def check_name(path: str) -> None:
    """Refuse what cannot be the path of a directory.

    :raises UnsafePath: C(path) is not absolute, or holds what no file name can hold.
    """
    try:
        possible = os.path.isabs(path) and b"\0" not in os.fsencode(path)
    except UnicodeEncodeError as error:
        if error.encoding != "utf-8":
            # A name like any other, for a Python that names files in UTF-8.
            raise
        possible = False
    if not possible:
        raise UnsafePath(
            f"{path!r} is not an absolute path.",
            untouched="everything.",
            advice="Name a directory from the root (/) on.",
        )
