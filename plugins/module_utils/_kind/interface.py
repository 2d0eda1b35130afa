"""The interface of a kind of resource: something that can be captured and put back.

A kind is one folder and one line in C(_registry/registry.py); nothing else names it. M(Kind) is what can be said of a
resource by its options and by what was recorded of it, in C(kind.py); M(Resource) looks at the host, in C(resource.py).
Other parts are imported by name, where they are used.
"""

from __future__ import annotations

import abc
import os
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import InputError

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._content.item import Item
    from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.private import PrivateDir
    from ansible_collections.intellistream.sage.plugins.plugin_utils._events import (
        PackageChange,
        TakenResource,
    )
    from ansible_collections.intellistream.sage.plugins.plugin_utils._structures import ItemReader, ItemWriter
    from ansible_collections.intellistream.sage.plugins.plugin_utils._undo import Undo, UndoOptions

Facts = dict[str, t.Any]
# The options of one resource: as a user gave them, or as the ledger keeps them.
Spec = t.Mapping[str, t.Any]
# What is held where nothing can be linked: what a change is going to replace, or all that is there. C(scope) of a spec.
SYSTEM = "system"
SCOPE_OPTION = {"type": "str", "choices": ["plan", SYSTEM], "default": "plan"}


def scoped(specs: t.Iterable[Spec], scope: str) -> list[Spec]:
    """Specs that tell their kinds what is to be held."""
    return [{**spec, "scope": scope} for spec in specs]


class Layer(t.NamedTuple):
    """One capture of a resource, as an undo needs it.

    :ivar spec: what the change was going to do (the resource's options at capture).
    :ivar manifest: what C(capture) returned.
    :ivar where: the captured content.
    :ivar items: what C(capture) wrote to its writer; None when it wrote nothing.
    :ivar completed: the change that followed ran to its end.
    :ivar farm: of the root: where content lies that no point has been given yet; None where the manifest names none.
    :ivar time: when it was captured, seconds since the epoch.
    :ivar after: facts that were observed once the change had ended; None when nobody looked.
    :ivar seen: path → a table of what is there and below, of whoever has looked a moment ago.
    """

    spec: Spec
    manifest: Facts
    where: PrivateDir
    items: ItemReader | None = None
    completed: bool = True
    time: float = 0.0
    after: Facts | None = None
    farm: PrivateDir | None = None
    seen: t.Mapping[str, t.Any] = {}


class VersionsChange(t.NamedTuple):
    """What a rollback point tells of the names and versions in one resource.

    :ivar before: name → version at the capture; None when that cannot be read.
    :ivar after: name → version that the change was going to leave: empty when nobody knew it yet, None for a removal.
    :ivar entire: the change was going to remove the resource.
    """

    path: str
    before: dict[str, str] | None
    after: dict[str, str | None]
    entire: bool = False


class PlainCopy(t.NamedTuple):
    """A file in C(backups/) that tells people what was there before an installation.

    :ivar name: of the file, with C({}) for the id of the installation. The first capture that has content decides.
    :ivar content: C(_folder.module:function), which makes it of a P(Layer); None when that has nothing to tell.
    """

    name: str
    content: str


class Kind(abc.ABC):
    """A kind of resource.

    :cvar name: in options and in the ledger.
    :cvar alias: stands, in options, for whichever of several kinds this host uses.
    :cvar system: about packages of the operating system, which not every module carries.
    :cvar manager: the program whose runs outside of Ansible are captured as this kind, by a hook.
    :cvar options: of one resource beside C(kind), as an argument specification.
    :cvar identity: those options that tell two resources apart.
    :cvar joined: all of it is one resource: an older capture may hold what a newer one is inside of.
    :cvar runs: programs, hooks or settings at its path are run, so it has to be this user's or root's.
    :cvar contains: resources of other kinds may lie in one of it, and are put back after it.
    :cvar forks: it can be captured by a process of its own.
    :cvar pins: a capture holds something outside of the store, see M(Resource.release).
    :cvar farms: what a capture holds lies in the root's farm until the change has ended, see P(Layer.farm).
    :cvar drifts_when_settled: what a change left is looked at for drift, not only the results of phases.
    :cvar script: C(_folder.module:class), a P(_kind.script.Script); empty without one, and C(no_script) says why.
    :cvar drift: C(_folder.module:function), a P(_kind.drift.Drift).
    :cvar removal: C(_folder.module:function), a P(_kind.removal.Removal): what goes with SAGE when that is removed, and
        what stays. Empty where nothing of the kind is the collection's.
    """

    name: t.ClassVar[str]
    alias: t.ClassVar[str] = ""
    system: t.ClassVar[bool] = False
    manager: t.ClassVar[str] = ""
    options: t.ClassVar[t.Mapping[str, Facts]] = {}
    identity: t.ClassVar[tuple[str, ...]] = ("path",)
    joined: t.ClassVar[bool] = False
    runs: t.ClassVar[bool] = False
    contains: t.ClassVar[bool] = False
    forks: t.ClassVar[bool] = False
    pins: t.ClassVar[bool] = False
    farms: t.ClassVar[bool] = False
    drifts_when_settled: t.ClassVar[bool] = False
    plain_copies: t.ClassVar[tuple[PlainCopy, ...]] = ()
    script: t.ClassVar[str] = ""
    no_script: t.ClassVar[str] = "this script cannot put back all that was changed."
    drift: t.ClassVar[str] = "_kind.drift:compare"
    removal: t.ClassVar[str] = ""

    @abc.abstractmethod
    def make(self, spec: Spec) -> Resource:
        """The resource that C(spec) describes.

        :raises InputError: it lacks what the kind needs.
        :raises NotCarried: what runs here does not carry the kind's modules.
        :raises NeedsLibrary: this Python has not what the kind needs.
        """

    def here(self) -> bool:
        """Whether this host is one that this kind is about; only asked where an alias stands for several."""
        return True

    def path_of(self, spec: Spec) -> str:
        """The path of a resource that has one.

        :raises InputError: it has none.
        """
        if not spec.get("path"):
            raise InputError(f"A resource of kind {self.name} needs a path.", untouched="everything.")
        return os.path.normpath(str(spec["path"]))

    def recorded(self, spec: Spec) -> Facts:
        """A spec as the ledger keeps it: nothing that is unset."""
        return {"kind": self.name, **{name: spec[name] for name in self.options if spec.get(name)}}

    def key(self, spec: Spec) -> str:
        """What tells two resources apart, whatever a change was going to do with them."""
        return repr([self.name, *(spec.get(name) for name in self.identity)])

    def slow(self, spec: Spec) -> bool:
        """Whether a capture takes so long that a process of its own is worthwhile."""
        return False

    def of_root(self, root: str) -> Spec | None:
        """What to capture of the root of an installation where nobody says what will change; None for nothing."""
        return None

    def covers(self, spec: Spec) -> bool:
        """Whether a capture by these options holds all that a change of the resource replaces, as far as was said."""
        return True

    def brought(self, spec: Spec) -> list[tuple[str, str]]:
        """Names and versions that a change brings; the version is empty where any will do."""
        return []

    def change(
        self, spec: Spec, captured: TakenResource, manifest: t.Callable[[], Facts | None]
    ) -> VersionsChange | None:
        """What a rollback point tells of names and versions; None when the kind has none.

        :param captured: the resource as the C(captured) event has it.
        :param manifest: reads what the capture returned; None when that is gone.
        """
        return None

    def stored(self, items: ItemReader) -> t.Iterator[tuple[str, Item]]:
        """Name below the directory of the content, and item, of each file that a capture has there.

        :param items: what the capture listed.
        """
        for section in items.sections:
            for path, item in items.read(section):
                if item.kind == "file":
                    yield path, item

    def versions(self, facts: Facts) -> dict[str, str]:
        """Name → version in facts of M(Resource.observe)."""
        return {}

    def by_hand(self, facts: Facts) -> list[str]:
        """The commands by which people put a capture back where neither module nor script can.

        :param facts: what the capture returned. C({where}) stands for the directory of its content.
        """
        return []


class Resource(abc.ABC):
    """Something that can be captured and put back.

    :cvar kind: its name in options and in the ledger.
    :cvar settles: what a change left is recorded, see M(after).
    :ivar path: what it is about, for messages and for telling two resources apart.
    :ivar watched: after a capture it is changed by others than the engine, who may write in place.
    """

    kind: t.ClassVar[str]
    settles: t.ClassVar[bool] = False
    path: str
    watched: bool = True

    @abc.abstractmethod
    def plan(self) -> list[str]:
        """What a change would touch, for people."""

    def planned(self) -> list[PackageChange]:
        """What a package manager is going to change."""
        return []

    def moved_from(self) -> str:
        """The path that it was made for, where it was moved since and works nowhere else; else empty."""
        return ""

    def others(self) -> list[str]:
        """What others have put into it that goes when it is made anew, for people."""
        return []

    def set_aside(self, where: PrivateDir) -> None:
        """Take it out of the way, into the content directory of the capture that has it as a whole."""
        raise NotImplementedError

    @abc.abstractmethod
    def observe(self) -> Facts:
        """Cheap JSON-able facts of what is there now; recorded as the result of a phase."""

    @abc.abstractmethod
    def differences(self, recorded: Facts) -> list[str]:
        """Why C(recorded) facts hold no longer; empty when they do. No content is hashed."""

    def drift(self, recorded: Facts) -> list[str]:
        """The same as M(differences), where it need not be quick."""
        return self.differences(recorded)

    @abc.abstractmethod
    def need(self, device: int | None = None) -> tuple[int, int]:
        """(files, bytes) a capture would write to a store on file system C(device)."""

    @abc.abstractmethod
    def capture(self, where: PrivateDir, items: ItemWriter, farm: PrivateDir | None = None) -> Facts:
        """Capture content into C(where) and its list to C(items); returns further facts once all is on disk.

        The facts have C(files) and C(bytes), and whatever an undo needs beyond the list; C(farm), true, where content
        lies in the farm.

        :param farm: of the root, where the kind C(farms); shared by all its captures. It may be on another file system
            than what is captured.
        :raises CaptureError: something cannot be captured.
        """

    def after(self, layer: Layer) -> Facts | None:
        """What the change after a capture left, for C(Layer.after); None when an undo knows that by itself.

        :raises ChangeFailed: the change did not succeed, although nobody said so.
        """
        return None

    def unchanged(self, layer: Layer) -> bool:
        """Whether all that a capture holds is still so, and no change of it was announced; False where nobody knows."""
        return False

    def lost(self, layer: Layer, thorough: bool) -> list[str]:
        """What a capture holds that is no file of its list, and is gone.

        :param thorough: look as closely as an undo does; else at names.
        """
        return []

    def mend(self, layer: Layer, sources: t.Callable[[], t.Iterator[PrivateDir]], apply: bool) -> bool:
        """Make again what M(lost) names, where the same content is at hand; what is nowhere else stays as it is.

        :param sources: the root's farm, and the contents of other captures, one after the other.
        :param apply: do it; else only say whether it could be done.
        :returns: whether all of it is well then.
        """
        return False

    def release(self, manifest: Facts) -> None:
        """Let go of what one capture holds outside of the store."""
        return

    @abc.abstractmethod
    def undo(self, layers: t.Sequence[Layer], options: UndoOptions) -> Undo:
        """Compute one way back through several captures of this resource.

        :param layers: the captures to go back through, oldest first; the oldest of each item wins.
        """
