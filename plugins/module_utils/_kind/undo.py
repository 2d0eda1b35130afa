"""The way back for a kind of resource; what merely captures does not carry it."""

from __future__ import annotations

import abc
import typing as t

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.private import PrivateDir
    from ansible_collections.intellistream.sage.plugins.module_utils._kind.interface import Facts
    from ansible_collections.intellistream.sage.plugins.plugin_utils._events import Brought

PLAN_KEYS = ("install", "erase", "restore", "remove")


class UndoOptions(t.NamedTuple):
    """How to go back.

    :ivar force: take the captured side of conflicts and keep the other aside.
    :ivar resumed: an earlier attempt of the same undo was interrupted.
    :ivar ours: what installations of this host's ledger brought.
    :ivar erase_after: what was added at this time (seconds since the epoch) or before stays.
    :ivar keep_broken: keep what is there now beside the result, for diagnosis.
    """

    force: bool = False
    resumed: bool = False
    ours: Brought = {}
    erase_after: float | None = None
    keep_broken: str = ""


class Undo(abc.ABC):
    """A computed way back for one resource: check mode shows it, a run executes the very same.

    :ivar plan: what will be C(install)ed, C(erase)d, C(restore)d and C(remove)d, for people.
    :ivar conflicts: what somebody else changed in the meantime and the undo would overwrite.
    :ivar into: where what is removed as a whole is kept, once M(keep) was called.
    :ivar kept: what stays although it was added since, as C(erase_after) asks for, for people.
    :ivar inexact: what cannot be undone for certain, and why, for people.
    :cvar whole: it takes away all that is there now, to where M(keep) says or for good.
    :ivar seen: path → a table of what M(verify) saw there and below, of kinds that look at whole trees.
    :ivar newest: where the newest capture is that it goes back through, so that what others did is kept aside there.
    """

    whole = False

    def __init__(self) -> None:
        self.plan: dict[str, list[str]] = {key: [] for key in PLAN_KEYS}
        self.conflicts: list[str] = []
        self.kept: list[str] = []
        self.inexact: list[str] = []
        self.into: PrivateDir | None = None
        self.newest: PrivateDir | None = None
        self.seen: dict[str, t.Any] = {}

    @abc.abstractmethod
    def check(self) -> None:
        """Check every captured item that will be used by its hash.

        :raises StoreError: one is missing or damaged; nothing was changed.
        """

    @abc.abstractmethod
    def execute(self) -> None:
        """Go back; can be repeated after having been interrupted anywhere."""

    @abc.abstractmethod
    def verify(self) -> list[str]:
        """Every difference left between what was captured and what is there; empty is exact."""

    def redo(self) -> Facts | None:
        """What to capture before executing, so that this undo can itself be undone; None: it cannot."""
        return None

    def keep(self, where: PrivateDir) -> None:
        """Keep what is removed as a whole in the content directory of the capture that M(redo) asked for."""
        self.into = where

    def touches(self) -> bool:
        """Whether executing would change anything."""
        return any(self.plan.values())
