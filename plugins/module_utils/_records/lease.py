"""Who is at work on a root: a run holds a lease on it, which every call of the run renews.

A run is one process of Ansible on one controller. Two of them on one root would each take the other's work for what
somebody left half done. So the first has the root to itself, until it has ended or is dead. A lease is void at once
when its controller knows that the run's process is gone; what that left at work on the host is ended. Otherwise it
counts as dead once it was silent for long enough, and no process of the run lives on the host.

C(lease.json) in the state directory is read and written under the engine's lock; whoever only asks reads it without.
"""

from __future__ import annotations

import json
import os
import time
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base import clock, host
from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import Leased, UnknownFormat
from ansible_collections.intellistream.sage.plugins.module_utils._records import stray_processes

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.private import PrivateDir
    from ansible_collections.intellistream.sage.plugins.module_utils._records.installation import Installation

NAME = "lease.json"
# Of that file, see docs/formats.md.
FORMAT = 1
_NOT_WRITTEN = ("more", "touched")
# Seconds in which a lease need not be renewed.
_FRESH = 1.0


class Run(t.NamedTuple):
    """A run, as its controller tells of it.

    :ivar run: its id.
    :ivar controller: the controller's name, for people.
    :ivar pid_namespace: what tells in which list of processes C(pid) counts.
    :ivar pid: of the process of Ansible.
    :ivar started: when that process started, in the kernel's ticks.
    :ivar user: who started it.
    :ivar host: the name that the inventory has for this host.
    :ivar seconds: of silence, until its lease counts as dead.
    :ivar hold: it keeps the lease after this call, whatever is at work.
    :ivar prunes: it keeps the lease after this call where captures can be pruned, which is what it does next.
    :ivar release: it has ended with this call, whatever is unfinished.
    :ivar brief: it has the lease for this call only, unless it had it before.
    :ivar dead: ids of runs whose processes their controller knows to be gone.
    """

    run: str
    controller: str = ""
    pid_namespace: str = ""
    pid: int = 0
    started: str = ""
    user: str = ""
    host: str = ""
    seconds: float = 600.0
    hold: bool = False
    prunes: bool = False
    release: bool = False
    brief: bool = False
    dead: t.Sequence[str] = ()


class Lease(t.NamedTuple):
    """A lease on a root.

    :ivar held: the run is at work. Else the root is free, and this tells only which run worked here last.
    :ivar since: when the run came, local ISO time.
    :ivar boot_id: the boot of the host in which C(renewed) counts; empty where the kernel does not say.
    :ivar renewed: seconds since that boot, when the run last called.
    :ivar wall: the same in seconds since the epoch, for after a reboot.
    :ivar more: fields that this version does not know.
    :ivar touched: seconds since the epoch, when the file was last touched: by this call, or by a later one of the run
        that knows nothing of the record, see P(_base.heartbeat).
    """

    run: str
    controller: str
    pid_namespace: str
    pid: int
    started: str
    user: str
    host: str
    seconds: float
    held: bool
    since: str
    boot_id: str
    renewed: float
    wall: float
    more: t.Mapping[str, object] = {}
    touched: float = 0.0

    def silent(self) -> float:
        """Seconds since its last call."""
        now = time.time()
        if self.boot_id and self.boot_id == host.boot_id():
            silence = clock.since_boot() - self.renewed
        else:
            silence = now - self.wall
        # A time to come is that of a clock that was set back since.
        return min(silence, now - self.touched) if self.touched <= now else silence

    def is_dead(self, caller: Run | None) -> bool:
        """Whether the controller of a run that asks knows the process of this one to be gone."""
        return caller is not None and self.run in caller.dead

    def as_dict(self) -> dict[str, t.Any]:
        """What the controller has to know to say whether the run is alive, and people."""
        names = ("run", "controller", "pid_namespace", "pid", "started", "user", "host", "since", "seconds")
        facts = {name: getattr(self, name) for name in names}
        return {**facts, "silent": round(max(self.silent(), 0.0), 1), "age": round(self._age(), 1)}

    def _age(self) -> float:
        """Seconds since the run came; 0 where that is not known."""
        # Only where somebody is refused.
        import datetime as dt

        try:
            return max(time.time() - dt.datetime.fromisoformat(self.since).timestamp(), 0.0)
        except (ValueError, TypeError):
            return 0.0


def fields_of(content: bytes, name: str, known: int, untouched: str = "everything.") -> dict[str, t.Any] | None:
    """The object in a small JSON file without its format; None if it is no such file.

    :raises UnknownFormat: another version wrote it.
    """
    try:
        fields: dict[str, t.Any] = json.loads(content)
        number = fields.pop("format")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    if number != known:
        text = f"{name} has format {number!r}, this version reads {known}"
        raise UnknownFormat(text, untouched=untouched, format=number, known=known)
    return fields


def read(state: PrivateDir | None) -> Lease | None:
    """The lease that there is; None when nobody ever had one, or it cannot be understood.

    :raises UnknownFormat: another version wrote it.
    """
    if state is None:
        return None
    try:
        stream = os.fdopen(state.open(NAME, os.O_RDONLY), "rb")
    except FileNotFoundError:
        return None
    with stream:
        content, touched = stream.read(), os.fstat(stream.fileno()).st_mtime
    fields = fields_of(content, NAME, FORMAT)
    if fields is None:
        return None
    try:
        own_fields = {name: fields.pop(name) for name in Lease._fields if name not in _NOT_WRITTEN}
    except KeyError:
        return None
    return Lease(**own_fields, more=fields, touched=touched)


def at_work(state: PrivateDir | None, root: str, caller: Run | None) -> Lease | None:
    """The run that is at work on a root, and is not the one that asks; None where the root is free.

    Whoever refuses, waits, checks or tells asks here, so that all of them say the same of one run.

    :param root: where SAGE is installed.
    :param caller: the run that asks, with what its controller knows; None outside of a run. What a run itself started,
        such as a hook of the package manager, belongs to it.
    :returns: the lease of a dead run, too, while processes that it left are at work.
    :raises UnknownFormat: another version wrote it.
    """
    lease = read(state)
    if lease is None or not lease.held or lease.run == _run_of(caller):
        return None
    is_dead = lease.is_dead(caller) or lease.silent() > lease.seconds
    return None if is_dead and not stray_processes.of_run(root, lease.run) else lease


def told(lease: Lease, root: str, caller: Run | None) -> str:
    """What people are told of a run that M(at_work) named, without a full stop."""
    run = f"run {lease.run} of {lease.user or 'somebody'} on {lease.controller or 'another controller'}"
    last = f"last call {max(lease.silent(), 0.0):.0f} s ago"
    if not lease.is_dead(caller) and lease.silent() <= lease.seconds:
        return f"{run} is at work since {lease.since[:19]} ({last})"
    processes = ", ".join(map(str, stray_processes.of_run(root, lease.run)))
    return f"{run} is dead ({last}) and has left processes at work, which the next run ends: {processes}"


def _run_of(caller: Run | None) -> str:
    return caller.run if caller is not None else os.environ.get(stray_processes.RUN, "")


def refuse(state: PrivateDir | None, root: str, caller: Run | None, ends: bool = True) -> None:
    """Refuse where another run is at work. What a dead one left at work is ended.

    :param root: where SAGE is installed.
    :param ends: false in check mode, which ends nothing.
    :param caller: the run that asks, as for M(at_work).
    :raises Leased: another run is at work, or the same one under another name of this host.
    :raises Busy: what a dead run left does not end.
    """
    lease = read(state)
    if lease is None:
        return
    if lease.run == _run_of(caller):
        # Two calls, of which each is a matter of its own, may come by two names, one after the other.
        if caller is not None and caller.host != lease.host and (lease.held or not caller.brief):
            raise Leased(
                f"{root} is at work in this run already, on the host that the inventory calls {lease.host}: "
                f"{caller.host} is a second name of it.",
                untouched="everything.",
                advice=f"Leave one of the two names out of the play, for instance with --limit '!{caller.host}'.",
                lease=lease.as_dict(),
                waits=False,
            )
        return
    if lease.held and lease.is_dead(caller):
        if ends:
            stray_processes.kill(root, run=lease.run)
        return
    if at_work(state, root, caller) is None:
        return
    raise Leased(
        f"{root} is at work: {lease.user or 'somebody'} on {lease.controller or 'another controller'} has a run on it "
        f"since {lease.since[:19]} (run {lease.run}, last call {max(lease.silent(), 0.0):.0f} s ago).",
        untouched="everything.",
        advice="Wait for it to end, or let this run wait for it: sage_wait=30m. A run that is dead counts as such at "
        f"once on its own controller, elsewhere {lease.seconds:g} s after its last call, when it has no process left "
        "on the host.",
        lease=lease.as_dict(),
        waits=True,
    )


def take(state: PrivateDir, caller: Run, held: bool) -> None:
    """Write that a run is at work, or that it has ended; under the lock, once nothing is to be refused.

    :raises StorageError: the disk refused.
    """
    before = read(state)
    mine = before is not None and before.run == caller.run
    if before is not None and mine and before.held == held and before.silent() < _FRESH:
        return
    lease = Lease(
        run=caller.run,
        controller=caller.controller,
        pid_namespace=caller.pid_namespace,
        pid=caller.pid,
        started=caller.started,
        user=caller.user,
        host=caller.host,
        seconds=caller.seconds,
        held=held,
        since=before.since if mine and before is not None else clock.now(),
        boot_id=host.boot_id(),
        renewed=clock.since_boot(),
        wall=time.time(),
        more=before.more if mine and before is not None else {},
    )
    fields = {name: content for name, content in lease._asdict().items() if name not in _NOT_WRITTEN}
    state.write(NAME, json.dumps({"format": FORMAT, **lease.more, **fields}).encode())


def put_back(state: PrivateDir, content: bytes | None) -> None:
    """What was there before a call that had the lease for its own duration.

    :param content: of the file; None where there was none.
    :raises StorageError: the disk refused.
    """
    if content is not None:
        state.write(NAME, content)
    else:
        end(state)


def end(state: PrivateDir) -> None:
    """The run that is at work is none any more: its dead-man's switch has taken everything back.

    :raises StorageError: the disk refused.
    """
    if state.read(NAME) is not None:
        state.remove(NAME)


def refuse_foreign(installation: Installation, run: str) -> None:
    """Refuse a transition of a run that lost the installation to another one.

    :param run: the id of the run that asks; empty outside of one.
    :raises Leased: another run went on with it.
    """
    if not run or not installation.run or installation.run == run:
        return
    raise Leased(
        f"Installation {installation.install_id} is no longer this run's ({run}): run {installation.run} went on with "
        "it.",
        untouched="everything.",
        advice="This run was silent for longer than sage_lease, so it counted as dead. Look at the status, then run "
        "again.",
        lease={"run": installation.run},
        waits=False,
    )
