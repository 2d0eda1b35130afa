"""The file by which a dead-man's switch is armed, renewed and disarmed.

C(deadman.json) in the state directory: one JSON object with the fields of M(Mark), written anew by every call of the
record. It is read and written under the engine's lock only, and without it no switch fires. So disarming is removing
it, and that happens with the call that ends an installation, or has taken it back.
"""

from __future__ import annotations

import json
import time
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base import clock
from ansible_collections.intellistream.sage.plugins.module_utils._base.host import boot_id
from ansible_collections.intellistream.sage.plugins.module_utils._records.lease import fields_of

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.private import PrivateDir
    from ansible_collections.intellistream.sage.plugins.module_utils._records.installation import Installation
    from ansible_collections.intellistream.sage.plugins.module_utils._records.session import Session
    from ansible_collections.intellistream.sage.plugins.plugin_utils._events import FiredRecord
    from ansible_collections.intellistream.sage.plugins.plugin_utils._structures import SwitchStatus

NAME = "deadman.json"
# Of that file, see docs/formats.md.
FORMAT = 1
PROGRAM = "deadman.pyz"
# What it could not do, for people.
LOG = "deadman.log"


class Mark(t.NamedTuple):
    """An armed switch.

    Written by M(intellistream.sage.sage_deadman) and, renewed, by every call of the record; read by those and by the
    switch's program.

    :ivar install_id: the installation that it takes back.
    :ivar token: 16 random hexadecimal digits; they tell it from one that was armed before.
    :ivar after: after how many seconds of silence it fires.
    :ivar boot_id: which boot of the host C(due) counts in; empty where the kernel does not say.
    :ivar due: when it fires, in seconds since that boot, suspended time included.
    :ivar wall: the same in seconds since the epoch, for after a reboot.
    :ivar method: what starts its program: V(systemd), V(at) or V(process); empty until that is known.
    :ivar handle: the timer's unit, the job's number or the process id, as text.
    :ivar more: fields that this version does not know, as a newer one of the same format wrote them.
    """

    install_id: str
    token: str
    after: float
    boot_id: str
    due: float
    wall: float
    method: str = ""
    handle: str = ""
    more: t.Mapping[str, object] = {}

    def seconds_left(self) -> float:
        """Seconds until it is due; negative when it is overdue."""
        if self.boot_id == boot_id():
            return self.due - clock.since_boot()
        # Another boot's clock says nothing; the other one may have been set.
        return min(self.after, self.wall - time.time())

    def renewed(self) -> Mark:
        """The same, with its time beginning anew."""
        due = clock.since_boot() + self.after
        return self._replace(boot_id=boot_id(), due=due, wall=time.time() + self.after)


def make(install_id: str, token: str, after: float) -> Mark:
    """A switch that is armed now, and fires after C(after) seconds of silence."""
    return Mark(install_id, token, after=after, boot_id="", due=0.0, wall=0.0).renewed()


def read(state: PrivateDir | None) -> Mark | None:
    """What is armed; None when nothing is, or it cannot be understood.

    :param state: the state directory; None when there is none yet.
    :raises UnknownFormat: another version armed it.
    """
    content = state.read(NAME) if state is not None else None
    if content is None:
        return None
    fields = fields_of(content, NAME, FORMAT, "everything; the dead-man's switch stays armed.")
    if fields is None:
        return None
    try:
        own_fields = {name: fields.pop(name) for name in Mark._fields if name != "more"}
    except KeyError:
        return None
    return Mark(**own_fields, more=fields)


def write(state: PrivateDir, mark: Mark) -> None:
    """Arm, durably.

    :raises StorageError: the disk refused; what was armed before still is.
    """
    fields = mark._asdict()
    state.write(NAME, json.dumps({"format": FORMAT, **fields.pop("more"), **fields}).encode())


def at_work(installation: Installation | None, mark: Mark) -> bool:
    """Whether the installation that it was armed for is the current one, and has not ended."""
    return (
        installation is not None
        and installation.install_id == mark.install_id
        and (installation.unfinished or installation.status == "prepared")
    )


def renew_or_disarm(session: Session) -> None:
    """Renew the switch, since a call has come; disarm it when its installation has ended.

    :raises StorageError: the disk refused; what was armed before still is.
    """
    mark = read(session.where) if session.writes else None
    if mark is None or session.where is None:
        return
    if at_work(session.installation, mark):
        write(session.where, mark.renewed())
    else:
        remove(session)


def remove(session: Session) -> None:
    """Disarm; the program that waits finds that out by itself."""
    if session.where is not None and session.writes and session.where.read(NAME) is not None:
        session.where.remove(NAME)
        session.where.remove(PROGRAM)


def status(session: Session, before: FiredRecord | None = None) -> SwitchStatus:
    """What people and the controller want to know of the switch.

    :param before: C(fired) of the installation that was current when the call began.
    """
    mark = read(session.where)
    installation = session.installation
    armed = mark is not None and at_work(installation, mark)
    return {
        "armed": armed,
        "seconds_left": round(mark.seconds_left(), 1) if mark is not None and armed else None,
        "fired": before or (installation.fired if installation is not None else None),
    }
