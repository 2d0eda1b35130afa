# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The file by which a dead-man's switch is armed, renewed and disarmed.

It is read and written under the engine's lock only, and without it no switch fires. So disarming is removing it, and
that happens with the call that ends an installation, or has taken it back.
"""

from __future__ import annotations

import json
import time
import typing as t

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.private import PrivateDir
    from ansible_collections.intellistream.sage.plugins.module_utils._records.installation import Installation
    from ansible_collections.intellistream.sage.plugins.module_utils._records.session import Session

NAME = "deadman.json"
PROGRAM = "deadman.pyz"
# What it could not do, for people.
LOG = "deadman.log"

Facts = dict[str, t.Any]


class Mark(t.NamedTuple):
    """An armed switch.

    :ivar token: tells it from one that was armed before.
    :ivar after: seconds of silence after which it fires.
    :ivar boot_id: which boot of the host C(due) counts in.
    :ivar due: seconds since that boot.
    :ivar wall: the same as seconds since the epoch, for after a reboot.
    :ivar method: V(systemd), V(at) or V(process).
    :ivar handle: the timer's unit, the job's number or the process id.
    """

    install_id: str
    token: str
    after: float
    boot_id: str
    due: float
    wall: float
    method: str = ""
    handle: str = ""

    def left(self) -> float:
        """Seconds until it is due."""
        if self.boot_id == boot_id():
            return self.due - _passed()
        # Another boot's clock says nothing; the other one may have been set.
        return min(self.after, self.wall - time.time())

    def renewed(self) -> Mark:
        """The same, heard of now."""
        return self._replace(boot_id=boot_id(), due=_passed() + self.after, wall=time.time() + self.after)


def boot_id() -> str:
    """What tells this boot from others."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as stream:
            return stream.read().strip()
    except OSError:
        return ""


def _passed() -> float:
    """Seconds that nobody sets, and that go on while the host sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


def make(install_id: str, token: str, after: float) -> Mark:
    """A switch that is armed now."""
    return Mark(install_id, token, after, "", 0.0, 0.0).renewed()


def read(where: PrivateDir | None) -> Mark | None:
    """What is armed; None when nothing is, or it cannot be understood."""
    content = where.read(NAME) if where is not None else None
    if content is None:
        return None
    try:
        found = json.loads(content)
        return Mark(*(found[name] for name in Mark._fields))
    except (ValueError, KeyError, TypeError):
        return None


def write(where: PrivateDir, mark: Mark) -> None:
    """Arm, durably.

    :raises StorageError: the disk refused; what was armed before still is.
    """
    where.write(NAME, json.dumps(mark._asdict()).encode())


def at_work(installation: Installation | None, mark: Mark) -> bool:
    """The installation that it was armed for is the current one, and has not ended."""
    return (
        installation is not None
        and installation.install_id == mark.install_id
        and (installation.unfinished or installation.status == "prepared")
    )


def renew_or_disarm(session: Session) -> None:
    """Whoever comes is heard of: a switch begins anew, or is disarmed when what it is for has ended."""
    mark = read(session.where) if session.writes else None
    if mark is None or session.where is None:
        return
    if at_work(session.installation, mark):
        write(session.where, mark.renewed())
    else:
        remove(session)


def remove(session: Session) -> None:
    """Disarm; what waits finds that out by itself."""
    if session.where is not None and session.writes and session.where.read(NAME) is not None:
        session.where.remove(NAME)
        session.where.remove(PROGRAM)


def status(session: Session, before: Facts | None = None) -> Facts:
    """What people and the controller want to know.

    :param before: C(fired) of the installation that was current when the call began.
    """
    mark = read(session.where)
    one = session.installation
    armed = mark is not None and at_work(one, mark)
    return {
        "armed": armed,
        "seconds_left": round(mark.left(), 1) if mark is not None and armed else None,
        "fired": before or (one.fired if one is not None else None),
    }
