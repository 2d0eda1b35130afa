"""What belonged to no package before a change overwrote it, or would go with the package that took it."""

from __future__ import annotations

import os
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._content import item as content_item
from ansible_collections.intellistream.sage.plugins.module_utils._content import listing
from ansible_collections.intellistream.sage.plugins.module_utils._content.item import FILE, Item
from ansible_collections.intellistream.sage.plugins.module_utils._content.put_back import put_back
from ansible_collections.intellistream.sage.plugins.module_utils._dpkg import overwrites, undo_files
from ansible_collections.intellistream.sage.plugins.module_utils._dpkg.database import Database
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.tree import Tree

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._kind.interface import Layer

_BELOW = "others"


class _Kept(t.NamedTuple):
    item: Item
    layer: Layer

    def store(self) -> Tree:
        return Tree.of(self.layer.where)


class Others:
    """Files, links and directories of nobody's, by real path; of several captures the oldest decides.

    :ivar prints: path → fingerprint of what was there.
    """

    def __init__(self, layers: t.Sequence[Layer]) -> None:
        self._kept: dict[str, _Kept] = {}
        self.prints: dict[str, str] = {}
        for layer in layers:
            wanted = layer.manifest.get("others") or {}
            if not wanted or layer.items is None:
                continue
            for path, item in layer.items.read(next(one for one in layer.items.sections if not one.name)):
                if path.startswith(f"{_BELOW}/"):
                    self._kept.setdefault(path[len(_BELOW) :], _Kept(item, layer))
            for path, print_ in wanted.items():
                self.prints.setdefault(path, print_)

    def verify(self) -> None:
        """Check what was captured by its hash.

        :raises StoreError: something is missing or damaged.
        """
        for path, kept in self._kept.items():
            if kept.item.kind == FILE:
                with kept.store() as store:
                    content_item.verify(store, f"{_BELOW}{path}", kept.item)

    def changed(self) -> list[str]:
        """What somebody has put at paths that no package has, each with its path."""
        return [path for path in self._differing(()) if os.path.lexists(path)]

    def lacking(self, names: t.Collection[str]) -> list[str]:
        """How it differs now, each with its path.

        :param names: of packages that let go of what they have.
        """
        return [f"{path} {why}" for path, why in self._differing(names).items()]

    def restore(self) -> None:
        """Put back what no package has; can be repeated."""
        # Directories before what is in them.
        for path in sorted(self._differing(())):
            kept = self._kept[path]
            os.makedirs(os.path.dirname(path), exist_ok=True)
            tree = listing.parent(path)
            if tree is None:
                continue
            with tree, kept.store() as store:
                put_back(store, f"{_BELOW}{path}", tree, os.path.basename(path), kept.item)
                tree.flush()

    def _differing(self, names: t.Collection[str]) -> dict[str, str]:
        """Path → how it differs, of what no other packages than these have."""
        if not self._kept:
            return {}
        owners = overwrites.owners(Database(), self._kept)
        found = {}
        for path, kept in self._kept.items():
            if owners.get(path, set()).difference(names):
                continue
            with kept.store() as store:
                why = undo_files.differs(path, kept.item, store, f"{_BELOW}{path}")
            if why:
                found[path] = why
        return found
