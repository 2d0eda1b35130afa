"""What each package goes back to: of several captures the oldest that knows it decides."""

from __future__ import annotations

import os
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._content import item as content_item
from ansible_collections.intellistream.sage.plugins.module_utils._content.item import FILE, Item
from ansible_collections.intellistream.sage.plugins.module_utils._dpkg import status
from ansible_collections.intellistream.sage.plugins.module_utils._dpkg.database import (
    ALL,
    CONFIG_FILES,
    NOT_INSTALLED,
    Package,
    load,
)
from ansible_collections.intellistream.sage.plugins.module_utils._dpkg.deb_file import Deb
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.tree import Tree

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._kind.interface import Facts, Layer

_STATUS = "status"
# (name, architecture): what one instance of a package takes the place of.
Slot = tuple[str, str]


def slot_of(name: str, arch: str, native: str) -> Slot:
    """C(all) and the native architecture take each other's place."""
    return name, native if arch in ("", ALL, native) else arch


def index(packages: t.Iterable[Package], native: str) -> dict[Slot, Package]:
    """Packages by the place they take; those that are not there at all left out."""
    found = [one for one in packages if one.state != NOT_INSTALLED]
    return {slot_of(one.name, one.arch, native): one for one in found}


class Saved(t.NamedTuple):
    """A package as it was captured.

    :ivar facts: the manifest's.
    :ivar record: what dpkg had recorded.
    :ivar extras: full path → item of what a package file cannot hold.
    :ivar deb: the package file's item; None for a package of which only its configuration was there.
    """

    key: str
    facts: Facts
    record: Package
    layer: Layer
    extras: dict[str, Item]
    deb: Item | None

    @property
    def path(self) -> str:
        """Where the package file is."""
        return os.path.join(self.layer.where.path, str(self.facts["deb"]))

    @property
    def removed(self) -> bool:
        """Only its configuration was there."""
        return bool(self.facts["state"] == CONFIG_FILES)

    def at(self, path: str) -> str:
        """Where the content of an extra is, relative to the content directory."""
        return f"extra/{self.key}{path}"

    def has(self, script: str) -> bool:
        """The package file has this maintainer script."""
        if self.deb is None:
            return False
        with Tree.of(self.layer.where) as store:
            fd = store.open_file(str(self.facts["deb"]))
        try:
            return script in Deb(fd).control
        finally:
            os.close(fd)

    def verify(self) -> None:
        """Check what will be used by its hash.

        :raises StoreError: something is missing or damaged.
        """
        with Tree.of(self.layer.where) as store:
            if self.deb is not None:
                content_item.verify(store, str(self.facts["deb"]), self.deb)
            for path, item in self.extras.items():
                if item.kind == FILE:
                    content_item.verify(store, self.at(path), item)


class Goal(t.NamedTuple):
    """What one package goes back to.

    :ivar slot: its place.
    :ivar key: under which it was captured, or came.
    :ivar saved: None when it was not there.
    :ivar versions: that recorded changes have led through; None stands for its absence.
    :ivar left: what the newest change left of it; None when nobody looked.
    :ivar looked: somebody looked.
    :ivar completed: the newest change ran to its end.
    :ivar layer: the capture that decides.
    :ivar again: a change put the same version in place again, so that its version tells nothing.
    :ivar foreign: not of the architecture that names without one mean.
    """

    slot: Slot
    key: str
    saved: Saved | None
    versions: set[str | None]
    left: Facts | None
    looked: bool
    completed: bool
    layer: Layer
    again: bool
    foreign: bool

    @property
    def time(self) -> float:
        """When it was captured."""
        return self.layer.time

    @property
    def title(self) -> str:
        """Its name for people: with the architecture only when that is not the usual one."""
        name, dummy, arch = self.key.rpartition(":")
        return name if arch in (ALL, self.slot[1]) else self.key

    @property
    def argument(self) -> str:
        """Its name for apt and dpkg."""
        return ":".join(self.slot) if self.foreign else self.slot[0]


def goals(layers: t.Sequence[Layer]) -> dict[Slot, Goal]:
    """What each package that recorded changes were about goes back to.

    :param layers: oldest first.
    :raises StoreError: the captured records are damaged.
    """
    found: dict[Slot, Goal] = {}
    for layer in layers:
        native = str(layer.manifest["arch"])
        saved = _saved(layer, native)
        for change in _changes(layer, saved, native):
            slot = slot_of(change["name"], change["arch"], native)
            kept = saved.get(slot)
            if kept is None and change["before"] is not None:
                # Its configuration only, say, of which nothing was there to capture.
                continue
            key = kept.key if kept is not None else f"{change['name']}:{change['arch']}"
            # Left is told of all packages of the change; what is not named is not there.
            left = (layer.after or {}).get("packages", {})
            remained = next((left[name] for name in left if key_slot(name, native) == slot), None)
            old = found.get(slot)
            versions = set(old.versions) if old is not None else set()
            versions |= {change["before"], change["after"]}
            versions |= {kept.facts["version"]} if kept is not None else set()
            versions |= {remained["version"] if remained else None} if layer.after is not None else set()
            # A package that loses all of its files to another one disappears.
            versions |= {None} if kept is not None and kept.key in (layer.manifest.get("taken") or []) else set()
            found[slot] = Goal(
                slot,
                old.key if old is not None else key,
                old.saved if old is not None else kept,
                versions,
                remained,
                layer.after is not None,
                layer.completed,
                old.layer if old is not None else layer,
                (old is not None and old.again)
                or (change["before"] is not None and change["before"] == change["after"]),
                slot[1] != native,
            )
    return found


def _changes(layer: Layer, saved: t.Mapping[Slot, Saved], native: str) -> t.Iterator[Facts]:
    named = set()
    for change in layer.manifest["changes"]:
        named.add(slot_of(change["name"], change["arch"], native))
        yield change
    for slot, kept in saved.items():
        if slot not in named:
            version = kept.facts["version"]
            yield {"name": kept.record.name, "arch": kept.record.arch, "before": version, "after": version}


def key_slot(key: str, native: str) -> Slot:
    """The place that C(name:arch) takes."""
    name, dummy, arch = key.rpartition(":")
    return slot_of(name, arch, native)


def _saved(layer: Layer, native: str) -> dict[Slot, Saved]:
    """Every package a capture has."""
    if layer.items is None or not layer.manifest["packages"]:
        return {}
    records: dict[str, Package] = {}
    found = {}
    with Tree.of(layer.where) as store:
        for section in layer.items.sections:
            items = dict(layer.items.read(section))
            if not section.name:
                content_item.verify(store, _STATUS, items[_STATUS])
                records = status.parse(load(os.path.join(layer.where.path, _STATUS)))
                continue
            facts = layer.manifest["packages"][section.name]
            begins = f"extra/{section.name}/"
            extras = {f"/{path[len(begins) :]}": item for path, item in items.items() if path.startswith(begins)}
            kept = Saved(
                section.name, facts, records[section.name], layer, extras, items.get(str(facts.get("deb") or ""))
            )
            found[key_slot(section.name, native)] = kept
    return found
