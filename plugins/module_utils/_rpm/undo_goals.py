"""Where an undo of rpm packages goes: per package the oldest capture that tells of it decides."""

from __future__ import annotations

import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._rpm import database, scripts

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._kind.interface import Facts, Layer
    from ansible_collections.intellistream.sage.plugins.module_utils._rpm.database import Package

Versions = frozenset[str]
_NONE: Versions = frozenset()


class Goal(t.NamedTuple):
    """What a package goes back to.

    :ivar key: as in a capture's facts.
    :ivar shown: its name for people.
    :ivar layer: the capture that decides.
    :ivar facts: of the captured package; None when it was not there.
    :ivar passed: all versions that the captured changes went through.
    :ivar last: what the newest of them left, or was going to leave.
    :ivar known: the newest change ran to its end.
    :ivar was: it was there.
    """

    key: str
    name: str
    arch: str
    shown: str
    layer: Layer
    facts: Facts | None
    passed: Versions
    last: Versions
    known: bool
    was: bool

    @property
    def lost(self) -> bool:
        """It was there, and is not among what was captured."""
        return self.was and self.facts is None

    @property
    def evr(self) -> str:
        """The version to go back to; empty when it was not there."""
        return str(self.facts["evr"]) if self.facts is not None else ""

    @property
    def wanted(self) -> Versions:
        """The versions that are to be there."""
        return frozenset((self.evr,)) if self.facts is not None else _NONE

    def expects(self, now: Versions, resumed: bool) -> bool:
        """Whether what is installed now comes from the captured changes or from undoing them."""
        if now in (self.wanted, self.last):
            return True
        half = not self.known or resumed or len(now) > 1
        return half and now <= self.passed | self.last


def goals(layers: t.Sequence[Layer], unplanned: t.Sequence[t.Mapping[str, Facts]]) -> list[Goal]:
    """One for each package that any of the captured changes is about, or that one brought without having planned it.

    :param layers: oldest first.
    :param unplanned: for each of them, from C(_rpm/unplanned.each).
    """
    found: dict[str, Goal] = {}
    for layer, beside in zip(layers, unplanned):
        left = (layer.after or {}).get("known")
        more = [{**one, "key": key} for key, one in beside.items() if one["ours"]]
        for change in [*layer.manifest["changes"], *more]:
            key = change["key"]
            old = found.get(key)
            if old is None and key in beside and change["before"]:
                # It was not captured.
                continue
            after = _versions(change.get("after"))
            if left is not None and key not in beside:
                after = _versions(left.get(key))
            passed = after | _versions(change.get("before")) | _versions(change.get("after"))
            if old is not None:
                found[key] = old._replace(passed=old.passed | passed, last=after, known=layer.completed)
                continue
            facts = layer.manifest["packages"].get(key)
            name, arch, was = change["name"], change["arch"], bool(change.get("before"))
            found[key] = Goal(key, name, arch, "", layer, facts, passed, after, layer.completed, was)
    names = [goal.name for goal in found.values()]
    return [
        goal._replace(shown=f"{goal.name}.{goal.arch}" if names.count(goal.name) > 1 else goal.name)
        for dummy, goal in sorted(found.items())
    ]


def stays(goal: Goal, protected: t.Mapping[str, str], erase_after: float | None) -> str:
    """Why what was added stays; empty when it goes.

    :param protected: keys of what is never erased, with the reason.
    :param erase_after: what was added then or before stays.
    """
    if goal.facts is not None or goal.lost:
        return ""
    if goal.key in protected:
        return protected[goal.key]
    early = erase_after is not None and goal.layer.time <= erase_after
    return "it was installed before the given date" if early else ""


def _versions(value: t.Any) -> Versions:
    """What a fact says is installed: nothing, a version, or several."""
    if not value:
        return _NONE
    return frozenset((value,)) if isinstance(value, str) else frozenset(value)


def now(ts: t.Any, goal: Goal) -> list[Package]:
    """What is installed of a package."""
    return [one for one in database.named(ts, goal.name) if one.key == goal.key]


def versions(packages: t.Iterable[Package]) -> Versions:
    """Their versions."""
    return frozenset(one.evr for one in packages)


def newest_tid(layers: t.Iterable[Layer]) -> int:
    """The newest TID: of what is installed, and of what was when it was captured."""
    tids = [int(header["INSTALLTID"] or 0) for header in database.transaction_set().dbMatch()]
    return max([*tids, *(int(layer.manifest.get("tid") or 0) for layer in layers)])


def uncertain(goal: Goal, headers: t.Iterable[t.Any], unkept: t.Iterable[str]) -> list[str]:
    """What scripts of the captured version and of those that go may have done, or do, beside their files.

    :param unkept: what is known not to have been captured.
    """
    reasons = [*unkept, *(str(why) for why in (goal.facts or {}).get("inexact") or ())]
    reasons += [why for header in headers for why in scripts.inexact(header)]
    return [f"{goal.shown}: {why}" for why in dict.fromkeys(reasons)]
