# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What every kind of resource can do.

A resource is something that can be captured and put back. A new kind is a new file with one
class of this interface, and one line in C(_resources.py); nothing else knows about kinds.
"""

from __future__ import annotations

import abc
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._errors import RollbackError

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._fs import PrivateDir

Facts = dict[str, t.Any]
PLAN_KEYS = ("install", "erase", "restore", "remove")


class Layer(t.NamedTuple):
    """One capture of a resource, as an undo needs it.

    :ivar spec: what the change was going to do (the resource's options at capture).
    :ivar manifest: what C(capture) returned.
    :ivar where: the captured content.
    :ivar completed: the change that followed ran to its end.
    """

    spec: Facts
    manifest: Facts
    where: PrivateDir
    completed: bool = True


class Undo(abc.ABC):
    """A computed way back for one resource: check mode shows it, a run executes the very same.

    :ivar plan: what will be C(install)ed, C(erase)d, C(restore)d and C(remove)d, for people.
    :ivar conflicts: what somebody else changed in the meantime and the undo would overwrite.
    """

    def __init__(self) -> None:
        self.plan: dict[str, list[str]] = {key: [] for key in PLAN_KEYS}
        self.conflicts: list[str] = []

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

    def touches(self) -> bool:
        """Whether executing would change anything."""
        return any(self.plan.values())


class Resource(abc.ABC):
    """Something that can be captured and put back.

    :cvar kind: its name in options and in the ledger.
    :ivar path: what it is about, for messages and for telling two resources apart.
    """

    kind: t.ClassVar[str]
    path: str

    @abc.abstractmethod
    def plan(self) -> list[str]:
        """What a change would touch, for people."""

    @abc.abstractmethod
    def observe(self) -> Facts:
        """Cheap JSON-able facts of what is there now; recorded as the result of a phase."""

    @abc.abstractmethod
    def differences(self, recorded: Facts) -> list[str]:
        """Why C(recorded) facts hold no longer; empty when they do. No content is hashed."""

    @abc.abstractmethod
    def need(self, device: int | None = None) -> tuple[int, int]:
        """(files, bytes) a capture would write to a store on file system C(device)."""

    @abc.abstractmethod
    def capture(self, where: PrivateDir) -> Facts:
        """Capture into C(where); returns the JSON-able manifest once all is on disk.

        :raises CaptureError: something cannot be captured.
        """

    @abc.abstractmethod
    def undo(self, layers: t.Sequence[Layer], *, force: bool = False, resumed: bool = False, ours: Facts) -> Undo:
        """Compute one way back through several captures of this resource.

        :param layers: the captures to go back through, oldest first; the oldest of each item wins.
        :param force: take the captured side of conflicts and keep the other aside.
        :param resumed: an earlier attempt of the same undo was interrupted.
        :param ours: what installations of this host's ledger brought: kind → path → name → versions.
        """

    def restore(self, manifest: Facts, where: PrivateDir, **options: t.Any) -> None:
        """Put one capture back, without a ledger.

        :raises RollbackError: the result differs from what was captured.
        """
        undo = self.undo([Layer({}, manifest, where)], force=True, ours={}, **options)
        undo.check()
        undo.execute()
        left = undo.verify()
        if left:
            raise RollbackError(f"{self.path} differs from what was captured: {'; '.join(left)}.", differences=left)
