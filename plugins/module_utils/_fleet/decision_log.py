"""The decision log of fleet runs, a directory on the controller: each decision is written once, and never changes.

It holds an identity (C(.identity)), which runs were opened here for which hosts (C(.<run>.<digest>.opened)), one
decision per run (C(<run>.json)), and, where several controllers share a run, one vote per controller
(C(.<run>.<part>.vote)). All are write-once files of M(_filesystem.write_once).
"""

from __future__ import annotations

import hashlib
import os
import time
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base import clock
from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import InputError, StateError
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.write_once import (
    WriteOnceDir,
    damaged,
    open_write_once,
)

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.write_once import Content

COMMIT, ABORT = "commit", "abort"
IDENTITY = ".identity"
_OPENED, _DIGITS = ".opened", 16
_LETTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")


class LogIdentity(t.NamedTuple):
    """The content of C(.identity): what tells a decision log from others.

    Written by the first controller that opens the directory; read by every call of
    M(intellistream.sage.sage_decision).

    :ivar decision_log: 32 random hexadecimal digits. Hosts remember it with the run, so a directory of the same name on
        another controller is not mistaken for this one.
    :ivar where: the controller's host name and the directory, C(host:/path), as it was made. For people.
    """

    decision_log: str
    where: str


class FleetDecision(t.NamedTuple):
    """The content of C(<run>.json): what was decided about a run.

    Written by the first controller that decides; read by every controller that decides or asks about the run.

    :ivar run: the id of the run, which is also the file's name.
    :ivar decision: V(commit) or V(abort).
    :ivar hosts: the names of the hosts that it is about, sorted. Of a presumed abort, the hosts that asked first.
    :ivar time: local ISO time with milliseconds and zone when it was decided.
    :ivar by: host name, user id and process id of the controller, in words.
    :ivar why: the reason, for people.
    :ivar decision_log: the identity of the decision log that the run's hosts were told to ask.
    :ivar deadline: ISO time (UTC) by which all hosts have to learn of a commit, when they have a dead-man's switch;
        else None. For people: no clock of a host is compared with it.
    """

    run: str
    decision: str
    hosts: list[str]
    time: str
    by: str
    why: str
    decision_log: str
    deadline: str | None = None


class OpenedRun(t.NamedTuple):
    """The content of C(.<run>.<digest>.opened): that a run is this decision log's.

    Written by each controller of the run before anything is changed on a host; read when a host asks about the run: no
    host can have a decision written about a run that is not known here, or that it has no part in.

    :ivar run: the id of the run.
    :ivar hosts: the names of the hosts that this controller knows of it, sorted; empty where it did not say.
    :ivar time: local ISO time with milliseconds and zone when it was opened.
    """

    run: str
    hosts: list[str]
    time: str


class PartVote(t.NamedTuple):
    """The content of C(.<run>.<part>.vote): what one of several controllers of a run says of its hosts.

    Written by that controller when all its hosts are prepared; read by the other controllers of the run.

    :ivar run: the id of the run.
    :ivar part: the number of the controller, from 1 to C(parts).
    :ivar parts: how many controllers there are.
    :ivar hosts: the names of its hosts, sorted.
    :ivar until: seconds since the epoch until which a commit could still be delivered to them; None when at any time.
        Clocks of controllers are compared here, and only here.
    """

    run: str
    part: int
    parts: int
    hosts: list[str]
    until: float | None


class DecisionLog:
    """An open decision log, as a context manager.

    :ivar path: the directory.
    :ivar identity: what tells it from others, see M(LogIdentity.decision_log).
    :ivar where: where it was made, for people.
    """

    def __init__(self, files: WriteOnceDir, identity: LogIdentity) -> None:
        self._files = files
        self.path = files.path
        self.identity = identity.decision_log
        self.where = identity.where

    def __enter__(self) -> DecisionLog:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the directory back."""
        self._files.close()

    def read(self, run: str) -> FleetDecision | None:
        """What was decided about a run, durable when this returns; None when nothing was.

        :raises InputError: this cannot be the id of a run.
        :raises StateError: there is something, but it is damaged, edited, somebody else's or cannot be read.
        """
        name = _decision_name(run)
        content = self._files.read(name)
        if content is None:
            return None
        path = self._files.path_of(name)
        decision = _parsed(FleetDecision, content, path)
        if decision.run != run or decision.decision not in (COMMIT, ABORT):
            raise damaged(path, f"it is not a decision about run {run}")
        return decision

    def write(self, decision: FleetDecision) -> tuple[FleetDecision, bool]:
        """Decide, unless that was done before.

        :returns: the decision that stands, durable, and whether it is this one.
        :raises StateError: what stands is damaged, edited, somebody else's or cannot be read.
        :raises StorageError: the disk refused; nobody may act on anything.
        """
        name = _decision_name(decision.run)
        dummy, is_ours = self._files.write(name, decision._asdict())
        standing = self.read(decision.run)
        if standing is None:
            raise damaged(self._files.path_of(name), "it went away")
        return standing, is_ours

    def open(self, run: str, hosts: t.Iterable[str]) -> None:
        """Record that a run is this decision log's, durably; the same hosts are recorded once.

        :raises InputError: this cannot be the id of a run.
        :raises StateError: what stands is damaged, edited, somebody else's or cannot be read.
        :raises StorageError: the disk refused; no host may be told of the run.
        """
        names = sorted(set(hosts))
        digest = hashlib.sha256("\0".join(names).encode("utf-8", "surrogatepass")).hexdigest()[:_DIGITS]
        opened = OpenedRun(run, names, time=clock.now())
        name = f".{check_run(run)}.{digest}{_OPENED}"
        # Opened before: nothing is staged, which a killed call would leave for nobody to remove.
        if self._files.read(name) is None:
            self._files.write(name, opened._asdict())

    def opened(self, run: str) -> list[OpenedRun]:
        """What controllers have recorded of a run when they opened it; empty for one that is not this decision log's.

        :raises InputError: this cannot be the id of a run.
        :raises StateError: a record is damaged, edited, somebody else's or cannot be read.
        """
        begin = f".{check_run(run)}."
        records = []
        for name in self._files.names():
            digest = name[len(begin) : -len(_OPENED)]
            if name == f"{begin}{digest}{_OPENED}" and len(digest) == _DIGITS:
                content = self._files.read(name)
                if content is not None:
                    records.append(_parsed(OpenedRun, content, self._files.path_of(name)))
        return records

    def vote(self, vote: PartVote) -> PartVote:
        """Record what a controller says of its hosts; what it said first stands, and is returned.

        :raises StateError: what stands is damaged, edited, somebody else's or cannot be read.
        :raises StorageError: the disk refused; nothing was said.
        """
        name = _vote_name(vote.run, vote.part)
        content, dummy = self._files.write(name, vote._asdict())
        return _parsed(PartVote, content, self._files.path_of(name))

    def votes(self, run: str, parts: int) -> list[PartVote]:
        """What the controllers of a run have said so far, by part.

        :param parts: how many controllers there are.
        :raises InputError: they do not agree on how many they are.
        :raises StateError: a vote is damaged, edited, somebody else's or cannot be read.
        """
        votes = []
        for part in range(1, parts + 1):
            name = _vote_name(run, part)
            content = self._files.read(name)
            if content is not None:
                votes.append(_parsed(PartVote, content, self._files.path_of(name)))
        if any(vote.parts != parts for vote in votes):
            raise InputError(
                f"Run {run} is cut into {parts} parts here, and into {' and '.join(str(vote.parts) for vote in votes)} "
                "elsewhere.",
                untouched="everything.",
                advice="Give all controllers of the run the same number of parts.",
            )
        return votes


_Parsed = t.TypeVar("_Parsed", LogIdentity, FleetDecision, OpenedRun, PartVote)


def _parsed(kind: type[_Parsed], content: Content, path: str) -> _Parsed:
    """The content of a file as what it is; the file's hash says that its fields are as they were written."""
    try:
        fields: dict[str, t.Any] = {name: content[name] for name in kind._fields}
    except KeyError as error:
        raise damaged(path, f"it lacks {error}") from error
    return kind(**fields)


def open_log(path: str, create: bool = False) -> DecisionLog | None:
    """Open a decision log.

    :param path: its directory.
    :param create: make it when there is none; else nothing is written in it either.
    :returns: None when there is none and C(create) is false.
    :raises StateError: it has decisions but no identity, or a damaged one.
    :raises UnsafePath: others can write there.
    """
    files = open_write_once(path, create)
    if files is None:
        return None
    try:
        # In this order: another controller may be making the decision log, and decides after that.
        has_decisions = any(name.endswith(".json") for name in files.names())
        content = files.read(IDENTITY)
        if content is None:
            if has_decisions:
                raise StateError(
                    f"{path} has decisions but no {IDENTITY}, so it is not known whose they are.",
                    untouched="everything.",
                    advice=f"Restore {IDENTITY} from a copy, or name another directory.",
                )
            if create:
                made = LogIdentity(os.urandom(16).hex(), f"{os.uname().nodename}:{path}")
                content, dummy = files.write(IDENTITY, made._asdict())
        if content is not None:
            return DecisionLog(files, _parsed(LogIdentity, content, files.path_of(IDENTITY)))
    except BaseException:
        files.close()
        raise
    files.close()
    return None


def check_run(run: str) -> str:
    """The id of a run, fit to be the name of a file.

    :raises InputError: it is not.
    """
    if not run or len(run) > 100 or run[0] in "._-" or not _LETTERS.issuperset(run):
        raise InputError(
            f"{run!r} cannot be the id of a run.",
            untouched="everything.",
            advice="Use up to 100 letters, digits, dots, hyphens and underscores; begin with a letter or digit.",
        )
    return run


def new_run() -> str:
    """An id that no other run has: the time in UTC, and random digits."""
    return f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{os.urandom(5).hex()}"


def make_decision(
    run: str, decision: str, hosts: t.Iterable[str], why: str, decision_log: str, deadline: str | None = None
) -> FleetDecision:
    """A decision of this controller, now; see M(FleetDecision) for the parameters."""
    by = f"{os.uname().nodename}, user id {os.geteuid()}, process {os.getpid()}"
    return FleetDecision(
        run,
        decision,
        hosts=sorted(set(hosts)),
        time=clock.now(),
        by=by,
        why=why,
        decision_log=decision_log,
        deadline=deadline,
    )


def _decision_name(run: str) -> str:
    return f"{check_run(run)}.json"


def _vote_name(run: str, part: int) -> str:
    # Begins with a dot, as no run does.
    return f".{check_run(run)}.{part}.vote"
