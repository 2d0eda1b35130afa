# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Plans on the controller: one lock file per group of hosts, and who makes it."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import (
    InputError,
    InstallerError,
    StorageError,
)
from ansible_collections.intellistream.sage.plugins.module_utils._installers import lock_request, lockfile

TRIES = 3  # hosts of a group that may fail to resolve before the others are spared it


@contextlib.contextmanager
def alone(directory: str, name: str) -> t.Iterator[None]:
    """Be the only one, of all processes on this controller, that does I(name) in I(directory).

    The system takes the lock from whoever dies with it, so nobody waits for a host that is gone.

    :raises StorageError: the directory cannot be written to.
    """
    try:
        os.makedirs(directory, exist_ok=True)
        # The mode leaves it to the umask who else may take the lock. A link would lead elsewhere.
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        fd = os.open(os.path.join(directory, f".{name}.lock"), flags, 0o666)
    except OSError as error:
        raise StorageError(
            f"The controller cannot write to {directory}: {error.strerror}.",
            untouched="everything.",
            advice="Name a directory that the user who runs Ansible may write to.",
        ) from error
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


class Plans:
    """The plan of one group, for one request.

    :ivar directory: where lock files are kept.
    :ivar request: what is wanted, as the end of a lock file says it.
    """

    def __init__(self, directory: str | None, run: str, group: str, request: str, dry: bool = False) -> None:
        """:param run: a directory that lasts as long as this run of Ansible.
        :param directory: None for a plan that lasts no longer.
        :param dry: check mode.
        """
        self.directory = directory or os.path.join(run, f"sage-plans-{_digest(request)}")
        self.group = group
        self.request = request
        self._dry = dry
        self._run = os.path.join(run, f"sage-plans-of-{_digest(self.directory)}")

    @property
    def path(self) -> str:
        """The lock file, for the name of which PEP 751 has rules."""
        return os.path.join(self.directory, f"pylock.{self.group}.toml")

    @property
    def current(self) -> str:
        """Where the plan is: check mode keeps a new one for the tasks that follow, and not where it belongs."""
        return self._draft if self._dry and os.path.isfile(self._draft) else self.path

    @property
    def _draft(self) -> str:
        return os.path.join(self._run, f"pylock.{self.group}.toml")

    @property
    def _notes(self) -> str:
        return os.path.join(self._run, f"{self.group}.json")

    def alone(self) -> t.ContextManager[None]:
        """Be the only one that makes this plan."""
        os.makedirs(self._run, exist_ok=True)
        return alone(self._run if self._dry else self.directory, f"pylock.{self.group}")

    def read(self) -> str | None:
        """The lock file's text, in check mode what it would be; None when there is none."""
        return lockfile.read_file(self.current)

    def find(self) -> str:
        """The path of the lock file.

        :raises InputError: there is none for this group.
        """
        if not os.path.isfile(self.path):
            others = sorted(name for name in _names(self.directory) if name.startswith("pylock."))
            raise InputError(
                f"There is no lock file for this host: {self.path}, and the directory has "
                f"{', '.join(others) or 'none at all'}.",
                untouched="everything; nothing was installed.",
                advice="Run lock_sage.yml for a host of this group, or set `sage_share_plan: true`.",
            )
        return self.path

    def holds(self, text: str | None, refresh: bool) -> bool:
        """Whether I(text), the plan that is there, is the one that is wanted.

        :param refresh: only one that was made in this run is.
        :raises InputError: hosts of this group want different things.
        :raises InstallerError: enough hosts have tried in vain to make one.
        """
        noted = self._noted()
        if noted.get("request", self.request) != self.request:
            raise InputError(
                f"Hosts of the group {self.group} want different things, and {self.path} can hold one plan. "
                f"This host wants:\n{self.request}Another one:\n{noted['request']}--",
                untouched="everything; nothing was installed on this host.",
                advice="Give hosts that differ in what they want different directories (`sage_lock_dir`), or none.",
            )
        of = lock_request.request_of(text or "")
        if text is not None and (of == self.request or not of) and (noted.get("made") or not refresh):
            if of:
                self._note({**noted, "request": of})
            return True
        failed = noted.get("failed", [])
        if len(failed) >= TRIES:
            hosts = ", ".join(host for host, dummy in failed)
            raise InstallerError(
                f"No plan could be made for {self.group}: {hosts} tried, and the last one said: {failed[-1][1]}",
                untouched="everything; this host has not tried.",
                advice="Fix that and run again.",
            )
        return False

    def write(self, text: str) -> bool:
        """Keep a plan; whether it is another than before.

        :raises StorageError: the controller's disk refused; the old one is still there.
        """
        path = self._draft if self._dry else self.path
        changed = text != self.read()
        try:
            if changed:
                lockfile.write_file(path, text)
            self._note({"made": True, "request": self.request})
        except OSError as error:
            raise StorageError(
                f"The controller cannot write {path}: {error.strerror}.",
                untouched="every host, and the lock file that was there.",
                advice="Make room there, or name another directory.",
            ) from error
        return changed

    def why_not_shared(self) -> str:
        """Why hosts of this group do not share a plan in this run; empty where they do."""
        return str(self._noted().get("not_shared", ""))

    def not_shared(self, reason: str) -> None:
        """Let each host of the group have a plan of its own: nobody vouches for the one that was made."""
        self._note({**self._noted(), "not_shared": reason})

    def keep_for(self, host: str, text: str) -> str:
        """Keep a plan that is for one host alone, as long as this run lasts; its path."""
        directory = os.path.join(self._run, f"of-{_digest(host)}")
        os.makedirs(directory, exist_ok=True)
        path = os.path.join(directory, f"pylock.{self.group}.toml")
        lockfile.write_file(path, text)
        return path

    def failed(self, host: str, message: str) -> None:
        """A host could not resolve."""
        noted = self._noted()
        self._note({**noted, "failed": [*noted.get("failed", []), [host, message]]})

    def _noted(self) -> dict[str, t.Any]:
        return t.cast("dict[str, t.Any]", json.loads(lockfile.read_file(self._notes) or "{}"))

    def _note(self, noted: dict[str, t.Any]) -> None:
        lockfile.write_file(self._notes, json.dumps(noted))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _names(directory: str) -> list[str]:
    try:
        return os.listdir(directory)
    except OSError:
        return []
