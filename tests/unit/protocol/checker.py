# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An explicit-state model checker: every state that can be reached is visited, breadth first.

So the first counterexample that is found is a shortest one. States are hashable values; a model says where it begins
and what can happen next.
"""

from __future__ import annotations

import typing as t

State = t.TypeVar("State", bound=t.Hashable)


class Step(t.Generic[State]):
    """Something that can happen.

    :ivar label: what happens, in words.
    :ivar fault: nobody may count on it, and it may stop happening: a crash, a cut, a failure.
    """

    __slots__ = ("label", "after", "fault")

    def __init__(self, label: str, after: State, fault: bool = False) -> None:
        self.label = label
        self.after = after
        self.fault = fault


class Model(t.Protocol[State]):
    """What is checked."""

    def initial(self) -> State:
        """Where it begins."""

    def steps(self, state: State) -> t.Iterable[Step[State]]:
        """All that can happen in a state."""


class Property(t.Generic[State]):
    """What must hold in each state, or between each state and the next.

    :ivar words: the property in words.
    :ivar broken: what is wrong in a state, or empty.
    :ivar broken_by: what is wrong with a step, or empty; None when nothing can be.
    """

    def __init__(
        self,
        name: str,
        words: str,
        broken: t.Callable[[State], str] = lambda dummy: "",
        broken_by: t.Callable[[State, State], str] | None = None,
    ) -> None:
        self.name = name
        self.words = words
        self.broken = broken
        self.broken_by = broken_by


class Counterexample(t.NamedTuple):
    """How a property is broken.

    :ivar trace: from the beginning: what happened, and what was then.
    """

    name: str
    what: str
    trace: list[tuple[str, str]]

    def __str__(self) -> str:
        lines = [f"{self.name} is broken: {self.what}"]
        for number, (label, state) in enumerate(self.trace):
            lines += [f"{number:3}. {label}", f"       {state}"]
        return "\n".join(lines)


class Explored(t.Generic[State]):
    """All reachable states of a model, or those up to the first that breaks a property.

    :ivar found: the counterexample, or None.
    """

    def __init__(self, model: Model[State], properties: t.Sequence[Property[State]], limit: int = 2_000_000) -> None:
        self._model = model
        begin = model.initial()
        self._came: dict[State, tuple[State, str] | None] = {begin: None}
        # Without faults, backwards: from which states one gets here.
        self._before: dict[State, list[State]] = {}
        self.steps = 0
        self.found = self._broken(begin, properties)
        on_steps = [one for one in properties if one.broken_by is not None]
        # What is appended while it is gone through is gone through too.
        queue = [begin]
        for state in queue:
            if self.found is not None:
                break
            self._expand(state, queue, properties, on_steps)
            assert len(queue) < limit, "too many states"

    @property
    def states(self) -> int:
        """How many states there are."""
        return len(self._came)

    def _expand(
        self,
        state: State,
        queue: list[State],
        properties: t.Sequence[Property[State]],
        on_steps: t.Sequence[Property[State]],
    ) -> None:
        for step in self._model.steps(state):
            self.steps += 1
            new = step.after not in self._came
            if new:
                self._came[step.after] = (state, step.label)
                queue.append(step.after)
            if not step.fault:
                self._before.setdefault(step.after, []).append(state)
            for one in on_steps:
                what = one.broken_by(state, step.after) if one.broken_by is not None else ""
                if what:
                    trace = [*self.trace(state), (step.label, str(step.after))]
                    self.found = Counterexample(one.name, what, trace)
            if new and self.found is None:
                self.found = self._broken(step.after, properties)
            if self.found is not None:
                return

    def _broken(self, state: State, properties: t.Sequence[Property[State]]) -> Counterexample | None:
        for one in properties:
            what = one.broken(state)
            if what:
                return Counterexample(one.name, what, self.trace(state))
        return None

    def trace(self, state: State) -> list[tuple[str, str]]:
        """How one gets to a state."""
        lines = []
        came = self._came[state]
        while came is not None:
            lines.append((came[1], str(state)))
            state = came[0]
            came = self._came[state]
        return [("it begins", str(state)), *reversed(lines)]

    def any(self, wanted: t.Callable[[State], bool]) -> list[tuple[str, str]] | None:
        """How one gets to a state of some kind; None when there is none."""
        return next((self.trace(state) for state in self._came if wanted(state)), None)

    def stuck(self, good: t.Callable[[State], bool]) -> Counterexample | None:
        """A state from which no good one can be reached any more although faults end, or a good one that is left.

        Where there is neither, each run in which faults end and nothing that stays possible is put off for ever
        (strong fairness) comes to a good state and stays in good ones.
        """
        goal = {state for state in self._came if good(state)}
        reach, queue = set(goal), list(goal)
        for state in queue:
            for before in self._before.get(state, ()):
                if before not in reach:
                    reach.add(before)
                    queue.append(before)
        for state in self._came:
            if state not in reach:
                return Counterexample("liveness", "from here it never ends well", self.trace(state))
            if state not in goal and any(before in goal for before in self._before.get(state, ())):
                return Counterexample("liveness", "what had ended well does not stay so", self.trace(state))
        return None
