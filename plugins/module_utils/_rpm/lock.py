"""Who else is at work on rpm's packages: waited for, and kept out meanwhile."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import importlib
import os
import time
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base import processes
from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import Busy
from ansible_collections.intellistream.sage.plugins.module_utils._rpm.database import dbpath, dnf_module, rpm_module

TIMEOUT = 60.0
_PAUSE = 0.2
_DNF = "/var/lib/dnf"
# dnf's own locks; each holds the number of the process that has it.
_PIDS = (
    f"{_DNF}/rpmdb_lock.pid",
    "/var/cache/dnf/metadata_lock.pid",
    "/var/cache/dnf/download_lock.pid",
)


def _rpm_lock() -> str:
    path = str(rpm_module().expandMacro("%{?_rpmlock_path}"))
    return path if path.startswith("/") else os.path.join(dbpath(), ".rpm.lock")


def holder() -> str:
    """Who holds rpm's or dnf's lock, for people; empty when nobody does."""
    try:
        # rpm's own lock belongs to its process, so trying it here and closing it harms nobody.
        fd = os.open(_rpm_lock(), os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        fd = -1
    if fd >= 0:
        try:
            fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EAGAIN):
                return f"another transaction of rpm ({_rpm_lock()})"
        finally:
            os.close(fd)
    for path in _PIDS:
        try:
            with open(path, encoding="ascii", errors="replace") as stream:
                pid = int(stream.read().strip() or 0)
        except (OSError, ValueError):
            continue
        # A dead process leaves its file behind; dnf looks past it, too. One that has started this one waits for it.
        if pid and os.path.isdir(f"/proc/{pid}") and pid not in processes.ancestors():
            return f"dnf, process {pid} ({path})"
    return ""


def wait(timeout: float | None = None) -> None:
    """Wait until nobody else changes packages.

    :param timeout: seconds; M(TIMEOUT) when None.
    :raises Busy: somebody still does; nothing was changed.
    """
    limit = TIMEOUT if timeout is None else timeout
    deadline = time.monotonic() + limit
    while True:
        who = holder()
        if not who:
            return
        if time.monotonic() >= deadline:
            raise Busy(
                f"The packages have been locked for {limit:g} s by {who}.",
                untouched="every package.",
                advice="Wait for it to end, then run the same rollback again.",
            )
        time.sleep(_PAUSE)


@contextlib.contextmanager
def held() -> t.Iterator[None]:
    """dnf's lock on the packages, where there is dnf: rpm has one for each transaction only.

    :raises Busy: dnf took it in the meantime.
    """
    if dnf_module() is None or not os.path.isdir(_DNF):
        yield
        return
    failure = importlib.import_module("dnf.exceptions").LockError
    lock = importlib.import_module("dnf.lock").build_rpmdb_lock(_DNF, True)
    try:
        lock.__enter__()
    except failure as error:
        raise Busy(
            f"dnf began to work on the packages: {error}.",
            untouched="every package.",
            advice="Wait for it to end, then run the same rollback again.",
        ) from error
    try:
        yield
    finally:
        lock.__exit__(None, None, None)
