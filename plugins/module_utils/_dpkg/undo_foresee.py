"""What an undo of packages would do to others, asked of apt before anything is changed."""

from __future__ import annotations

import tempfile
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._dpkg import apt
from ansible_collections.intellistream.sage.plugins.module_utils._dpkg.undo_goals import slot_of

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._dpkg.database import Package
    from ansible_collections.intellistream.sage.plugins.module_utils._dpkg.undo_goals import Goal, Slot


class Dragged(t.NamedTuple):
    """A package of somebody else that cannot stay.

    :ivar why: what it would lack.
    """

    package: Package
    why: str


def dragged(goals: t.Mapping[Slot, Goal], now: t.Mapping[Slot, Package], native: str) -> list[Dragged]:
    """What cannot stay once all goals are reached, because of what it needs.

    Whatever half-done state there is now: apt is asked about the end.
    """
    end = {slot: one for slot, one in now.items() if slot not in goals}
    end.update((slot, goal.saved.record) for slot, goal in goals.items() if goal.saved is not None)
    found: list[Dragged] = []
    lacking: dict[str, str] | None = None
    while True:
        unmet = _unmet(end.values())
        if unmet and lacking is None:
            # What lacks something now does so without this.
            lacking = _unmet(now.values())
        new = []
        for name, why in unmet.items():
            plain, dummy, arch = name.partition(":")
            slot = slot_of(plain, arch, native)
            if slot in end and slot not in goals and name not in (lacking or {}):
                new.append(Dragged(end.pop(slot), why))
        if not new:
            return found
        found += new


def _unmet(packages: t.Iterable[Package]) -> dict[str, str]:
    with tempfile.NamedTemporaryFile("w", prefix="sage-", encoding="utf-8", errors="surrogateescape") as file:
        file.write("\n".join(one.stanza for one in packages))
        file.flush()
        return apt.unmet(file.name)


def by_apt(debs: t.Sequence[Goal], erase: t.Sequence[Goal], others: t.Sequence[Dragged], native: str) -> bool:
    """Whether apt itself would do this and nothing else.

    :param others: go as well.
    """
    steps = apt.simulate([goal.saved.path for goal in debs if goal.saved], [goal.argument for goal in erase])
    if steps is None:
        return False
    coming, going = {goal.slot for goal in debs}, {goal.slot for goal in erase}
    going |= {slot_of(one.package.name, one.package.arch, native) for one in others}
    found: dict[bool, set[Slot]] = {True: set(), False: set()}
    for step in steps:
        name, dummy, arch = step.name.partition(":")
        found[step.word == "Inst"].add(slot_of(name, arch, native))
    return found[True] == coming and found[False] == going
