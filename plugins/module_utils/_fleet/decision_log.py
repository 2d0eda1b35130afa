# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The place where decisions about fleet runs lie, on the controller: each is written once, and never changes."""

from __future__ import annotations

import os
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base import clock
from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import InputError, StateError
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.write_once import (
    WriteOnceDir,
    damaged,
    open_write_once,
)

COMMIT, ABORT = "commit", "abort"
IDENTITY = ".place"
_LETTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")


class FleetDecision(t.NamedTuple):
    """What was decided about a run.

    :ivar decision: V(commit) or V(abort).
    :ivar hosts: whom it is about.
    :ivar time: ISO time.
    :ivar by: which controller decided.
    :ivar place: the identity of the place that the run's hosts were told to ask.
    :ivar deadline: ISO time by which all hosts have to hear of a commit, when they have a dead-man's switch.
    """

    run: str
    decision: str
    hosts: list[str]
    time: str
    by: str
    why: str
    place: str
    deadline: str | None = None


class PartVote(t.NamedTuple):
    """What one of several controllers of a run, each with hosts of its own, says of them.

    :ivar part: its number, from 1.
    :ivar parts: how many there are.
    :ivar missing: those of its hosts that are not prepared.
    :ivar until: seconds since the epoch until which a commit could still be delivered to them; None when at any time.
    """

    run: str
    part: int
    parts: int
    hosts: list[str]
    missing: list[str]
    until: float | None


class DecisionLog:
    """A directory with decisions.

    :ivar path: the directory.
    :ivar identity: what tells it from a directory of the same name on another controller.
    :ivar where: where it was made, for people.
    """

    def __init__(self, files: WriteOnceDir, identity: str, where: str) -> None:
        self._files = files
        self.path = files.path
        self.identity = identity
        self.where = where

    def __enter__(self) -> DecisionLog:
        return self

    def __exit__(self, *exc: object) -> None:
        self._files.close()

    def read(self, run: str) -> FleetDecision | None:
        """What was decided about a run, durable when this returns; None when nothing was.

        :raises StateError: there is something, but it is damaged, edited, somebody else's or cannot be read.
        """
        name = _name(run)
        content = self._files.read(name)
        if content is None:
            return None
        found = _made(FleetDecision, content, self._files.place(name))
        if found.run != run or found.decision not in (COMMIT, ABORT):
            raise damaged(self._files.place(name), f"it is no decision about run {run}")
        return found

    def write(self, decision: FleetDecision) -> tuple[FleetDecision, bool]:
        """Decide, unless that was done before.

        :returns: the decision that stands, durable, and whether it is this one.
        :raises StorageError: the disk refused; nobody may act on anything.
        """
        dummy, made = self._files.write(_name(decision.run), decision._asdict())
        found = self.read(decision.run)
        if found is None:
            raise damaged(self._files.place(_name(decision.run)), "it went away")
        return found, made

    def vote(self, vote: PartVote) -> PartVote:
        """Say what one's hosts are; what was said first stands, and is returned.

        :raises StorageError: the disk refused; nothing was said.
        """
        name = _vote(vote.run, vote.part)
        content, dummy = self._files.write(name, vote._asdict())
        return _made(PartVote, content, self._files.place(name))

    def votes(self, run: str, parts: int) -> list[PartVote]:
        """What the controllers of a run have said.

        :raises InputError: they do not agree on how many they are.
        """
        names = [_vote(run, part) for part in range(1, parts + 1)]
        contents = [(name, self._files.read(name)) for name in names]
        found = [_made(PartVote, content, self._files.place(name)) for name, content in contents if content is not None]
        if any(vote.parts != parts for vote in found):
            raise InputError(
                f"Run {run} is cut into {parts} parts here, and into {' and '.join(str(one.parts) for one in found)} "
                "elsewhere.",
                untouched="everything.",
                advice="Give all controllers of the run the same number of parts.",
            )
        return found


_Made = t.TypeVar("_Made", FleetDecision, PartVote)


def _made(kind: type[_Made], content: dict[str, t.Any], path: str) -> _Made:
    try:
        return kind(**{key: content[key] for key in kind._fields})
    except KeyError as error:
        raise damaged(path, f"it lacks {error}") from error


def open_log(path: str, create: bool = False) -> DecisionLog | None:
    """Open a place.

    :param create: make it when there is none; else nothing is written in it either.
    :returns: None when there is none and C(create) is false.
    :raises UnsafePath: others can write there.
    """
    files = open_write_once(path, create)
    if files is None:
        return None
    try:
        # In this order: another controller may be making the place, and decides after that.
        decided = any(name.endswith(".json") for name in files.names())
        identity = files.read(IDENTITY)
        if identity is None:
            if decided:
                raise StateError(
                    f"{path} has decisions but no {IDENTITY}: whose they are is not known.",
                    untouched="everything.",
                    advice=f"Restore {IDENTITY} from a copy, or name another directory.",
                )
            if create:
                new = {"place": os.urandom(16).hex(), "where": f"{os.uname().nodename}:{path}"}
                identity, dummy = files.write(IDENTITY, new)
    except BaseException:
        files.close()
        raise
    if identity is None:
        files.close()
        return None
    return DecisionLog(files, str(identity.get("place")), str(identity.get("where")))


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
    """An id that no other run has."""
    import time

    return f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{os.urandom(5).hex()}"


def make_decision(
    run: str, decision: str, hosts: t.Iterable[str], why: str, place: str, deadline: str | None = None
) -> FleetDecision:
    """A decision of this controller, now."""
    by = f"{os.uname().nodename}, user id {os.geteuid()}, process {os.getpid()}"
    return FleetDecision(run, decision, sorted(set(hosts)), clock.now(), by, why, place, deadline)


def _name(run: str) -> str:
    return f"{check_run(run)}.json"


def _vote(run: str, part: int) -> str:
    # Begins with a dot, as no run does.
    return f".{check_run(run)}.{part}.vote"
