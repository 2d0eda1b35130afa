"""What controllers say at the barrier of a fleet run, and what they ask for hosts in doubt."""

from __future__ import annotations

import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import InputError
from ansible_collections.intellistream.sage.plugins.module_utils._fleet.decision_log import (
    ABORT,
    COMMIT,
    check_run,
)


class BarrierVote(t.NamedTuple):
    """What a controller says of its hosts once all of them are prepared, or are not going to be.

    :ivar run: the id of the fleet run.
    :ivar vote: V(commit) or V(abort).
    :ivar hosts: all hosts of the run that this controller knows.
    :ivar prepared: those of C(hosts) that said that they are prepared.
    :ivar why: the reason, for people; empty for one that is made from the rest.
    :ivar part: which of C(parts) controllers of the run this is, from 1; each has hosts of its own.
    :ivar parts: how many controllers share the run.
    :ivar wait: how many seconds to wait for the votes of the other controllers.
    :ivar seconds_left: host → seconds until its dead-man's switch fires; hosts without one are missing.
    :ivar seconds_needed: how many seconds it takes to deliver a commit to all hosts.
    """

    run: str
    vote: str
    hosts: list[str]
    prepared: list[str]
    why: str = ""
    part: int = 1
    parts: int = 1
    wait: float = 0.0
    seconds_left: t.Mapping[str, float] = {}
    seconds_needed: float = 0.0

    def check(self) -> None:
        """Refuse what makes no sense.

        :raises InputError: nothing was decided.
        """
        check_run(self.run)
        strangers = sorted({*self.prepared, *self.seconds_left} - set(self.hosts))
        problem = ""
        if not self.hosts:
            problem = "A run without hosts cannot be decided."
        elif strangers:
            problem = f"Not among the hosts of run {self.run}: {', '.join(strangers)}."
        elif not 1 <= self.part <= self.parts:
            problem = f"There is no part {self.part} of {self.parts}."
        if problem:
            raise InputError(problem, untouched="everything; nothing was decided.")

    def decision(self, waited: float, reason: str = "") -> tuple[str, str]:
        """What this controller's own hosts allow.

        :param waited: seconds since C(seconds_left) was measured.
        :param reason: why commit is decided, where the vote says nothing.
        :returns: V(commit) or V(abort), and why.
        """
        missing = sorted(set(self.hosts) - set(self.prepared))
        too_late = sorted(
            host
            for host in self.hosts
            if host in self.seconds_left and self.seconds_left[host] - waited <= self.seconds_needed
        )
        if self.vote != COMMIT:
            return ABORT, self.why or "the controller wanted it"
        if missing:
            return ABORT, f"not prepared: {some_of(missing)}"
        if too_late:
            seconds = f"{self.seconds_needed:g} s"
            return ABORT, f"less than {seconds} are left until the dead-man's switch fires on {some_of(too_late)}"
        return COMMIT, self.why or reason or f"all {len(set(self.hosts))} hosts are prepared"


class DecisionQuery(t.NamedTuple):
    """What a controller asks for hosts that are in doubt.

    :ivar run: the id of the fleet run.
    :ivar decision_log: the identity of the decision log that the hosts were told to ask.
    :ivar where: where that is, for people; may be empty.
    :ivar hosts: the hosts that ask.
    :ivar word: what the admin says, V(commit) or V(abort), where there is no decision; else empty.
    """

    run: str
    decision_log: str
    where: str = ""
    hosts: t.Sequence[str] = ()
    word: str = ""


def some_of(names: t.Sequence[str]) -> str:
    """The first five names for people, and how many more there are."""
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
