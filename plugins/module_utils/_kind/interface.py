# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What every kind of resource can do.

A resource is something that can be captured and put back. A new kind is a new file with one
class of this interface, and one line in C(_registry/registry.py); nothing else knows about kinds.
"""

from __future__ import annotations

import abc
import typing as t

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._content.manifest import Items, Writer
    from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.private import PrivateDir

Facts = dict[str, t.Any]
PLAN_KEYS = ("install", "erase", "restore", "remove")


class Layer(t.NamedTuple):
    """One capture of a resource, as an undo needs it.

    :ivar spec: what the change was going to do (the resource's options at capture).
    :ivar manifest: what C(capture) returned.
    :ivar where: the captured content.
    :ivar items: what C(capture) wrote to its writer; None when it wrote nothing.
    :ivar completed: the change that followed ran to its end.
    :ivar time: when it was captured, seconds since the epoch.
    :ivar after: facts that were observed once the change had ended; None when nobody looked.
    """

    spec: Facts
    manifest: Facts
    where: PrivateDir
    items: Items | None = None
    completed: bool = True
    time: float = 0.0
    after: Facts | None = None


class How(t.NamedTuple):
    """How to go back.

    :ivar force: take the captured side of conflicts and keep the other aside.
    :ivar resumed: an earlier attempt of the same undo was interrupted.
    :ivar ours: what installations of this host's ledger brought: kind → path → name → versions.
    :ivar erase_after: what was added at this time (seconds since the epoch) or before stays.
    :ivar keep_broken: keep what is there now beside the result, for diagnosis.
    """

    force: bool = False
    resumed: bool = False
    ours: Facts = {}
    erase_after: float | None = None
    keep_broken: str = ""


class Undo(abc.ABC):
    """A computed way back for one resource: check mode shows it, a run executes the very same.

    :ivar plan: what will be C(install)ed, C(erase)d, C(restore)d and C(remove)d, for people.
    :ivar conflicts: what somebody else changed in the meantime and the undo would overwrite.
    :ivar into: where what is removed as a whole is kept, once M(keep) was called.
    :ivar kept: what stays although it was added since, as C(erase_after) asks for, for people.
    :ivar inexact: what cannot be undone for certain, and why, for people.
    """

    def __init__(self) -> None:
        self.plan: dict[str, list[str]] = {key: [] for key in PLAN_KEYS}
        self.conflicts: list[str] = []
        self.kept: list[str] = []
        self.inexact: list[str] = []
        self.into: PrivateDir | None = None

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


class Resource(abc.ABC):
    """Something that can be captured and put back.

    :cvar kind: its name in options and in the ledger.
    :cvar settles: what a change left is recorded, see M(after).
    :ivar path: what it is about, for messages and for telling two resources apart.
    """

    kind: t.ClassVar[str]
    settles: t.ClassVar[bool] = False
    path: str

    @abc.abstractmethod
    def plan(self) -> list[str]:
        """What a change would touch, for people."""

    def planned(self) -> list[Facts]:
        """What a package manager is going to change, mappings C(name), C(arch), C(before), C(after)."""
        return []

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
    def capture(self, where: PrivateDir, items: Writer) -> Facts:
        """Capture content into C(where) and its list to C(items); returns further facts once all is on disk.

        The facts have C(files) and C(bytes), and whatever an undo needs beyond the list.

        :raises CaptureError: something cannot be captured.
        """

    def after(self, manifest: Facts) -> Facts | None:
        """What the change after a capture left, for C(Layer.after); None when an undo knows that by itself.

        :param manifest: what the capture returned.
        :raises ChangeFailed: the change did not succeed, although nobody said so.
        """
        return None

    @abc.abstractmethod
    def undo(self, layers: t.Sequence[Layer], how: How) -> Undo:
        """Compute one way back through several captures of this resource.

        :param layers: the captures to go back through, oldest first; the oldest of each item wins.
        """
