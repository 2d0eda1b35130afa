"""What packages of rpm overwrote although it was not theirs, put back once they have gone.

A path that some package owns which stays is left to that.
"""

from __future__ import annotations

import stat
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._content import item as content_item
from ansible_collections.intellistream.sage.plugins.module_utils._content.item import ABSENT, DIRECTORY, FILE, Item
from ansible_collections.intellistream.sage.plugins.module_utils._content.parents import difference, remove
from ansible_collections.intellistream.sage.plugins.module_utils._content.put_back import put_back
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.absolute import ParentDirectories
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.tree import Tree
from ansible_collections.intellistream.sage.plugins.module_utils._rpm import database, undo_conflicts
from ansible_collections.intellistream.sage.plugins.module_utils._rpm.database import LEFTOVERS

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._kind.interface import Layer
    from ansible_collections.intellistream.sage.plugins.module_utils._rpm.undo_files import PackageFiles


class _Kept(t.NamedTuple):
    """:ivar at: the place of its content in the layer's directory; empty for what has none."""

    layer: Layer
    at: str
    item: Item


class Overwritten:
    """What the captures kept of it.

    :param layers: oldest first.
    :param files: of the captured packages; which of several captures is older decides about a path.
    :param going: keys of the packages that are brought back or erased.
    :param resumed: an earlier attempt was interrupted.
    :ivar outdated: what is in the way of a change that did not happen yet is not what was captured any more.
    """

    def __init__(
        self,
        layers: t.Sequence[Layer],
        files: t.Iterable[tuple[Layer, PackageFiles]],
        going: t.Container[str],
        resumed: bool,
    ) -> None:
        self._layers = layers
        self._resumed = resumed
        self.outdated = False
        self._kept: dict[str, _Kept] = {}
        for layer in layers:
            for path, (at, item) in (layer.manifest.get("overwritten") or {}).items():
                self._kept.setdefault(path, _Kept(layer, at, Item(*item)))
        for layer, each in files:
            for path in [path for path in self._kept if path in each.wanted]:
                if layers.index(self._kept[path].layer) < layers.index(layer):
                    each.wanted.pop(path)
                else:
                    self._kept.pop(path)
        ts = database.transaction_set()
        for path in list(self._kept):
            shared = self._sharing(path)
            # Told by rpm's own database, which an undo that is repeated finds changed.
            if any(one.key not in going and one.key not in shared for one in database.owners(ts, path)):
                self._kept.pop(path)

    def _sharing(self, path: str) -> dict[str, int]:
        """The packages that had it, too, with the state that rpm had it in."""
        return dict((self._kept[path].layer.manifest.get("shared") or {}).get(path) or ())

    def paths(self) -> set[str]:
        """All that is looked after here."""
        return set(self._kept)

    def unkept(self, key: str) -> t.Iterator[str]:
        """What a package may have overwritten and was not kept, for people."""
        for layer in self._layers:
            yield from (layer.manifest.get("unkept") or {}).get(key) or ()

    def judge(self, headers: t.Sequence[t.Any], left: t.Mapping[str, t.Any], known: bool) -> t.Iterator[str]:
        """The paths that are neither as captured nor as a package brought them: somebody edited them since.

        :param headers: of the installed versions of what goes.
        :param left: of configuration files, path → item.
        :param known: the change ran to its end, and no undo of it was begun.
        """
        self._leave_untouched({path for header in headers for path in header["FILENAMES"] or ()})
        pristine = undo_conflicts.pristine(headers, self._kept)
        # What rpm leaves beside configuration which is not as it brought it.
        for path in {path for header in headers for path in undo_conflicts.configuration(header)}:
            if path in self._kept and self._kept[path].item.kind == FILE:
                for ending in LEFTOVERS:
                    self._kept.setdefault(path + ending, _Kept(self._kept[path].layer, "", Item(ABSENT)))
        if not known:
            return
        with ParentDirectories() as parents:
            for path, kept in sorted(self._kept.items()):
                if kept.item.kind in (DIRECTORY, ABSENT) or path.endswith(LEFTOVERS):
                    continue
                if undo_conflicts.theirs(
                    parents, path, kept.item, left.get(path), pristine.get(path, ()), kept.layer.time
                ):
                    yield path

    def _leave_untouched(self, brought: t.Container[str]) -> None:
        """Look no longer after what no package brought: the change did not happen, and it is its owner's.

        :param brought: the paths of what is installed.
        """
        with ParentDirectories() as parents:
            for path, kept in list(self._kept.items()):
                found = undo_conflicts.found_at(parents, path)
                # Killed, rpm knows nothing yet of what it unpacked.
                if found is None or found.kind == ABSENT:
                    touched = self._resumed or kept.layer.after is None
                else:
                    touched = undo_conflicts.was_packed(found, kept.layer.time)
                if path not in brought and not touched and not path.endswith(LEFTOVERS):
                    self.outdated = self.outdated or bool(difference(parents, path, kept.item))
                    self._kept.pop(path)
        for path in [path for path in self._kept if path.endswith(LEFTOVERS)]:
            if path.rpartition(".")[0] not in self._kept:
                self._kept.pop(path)

    def differing(self) -> list[str]:
        """The paths that are not as they were."""
        return [path for path, dummy in self.differences()]

    def differences(self) -> list[tuple[str, str]]:
        """(path, why) of each path that is not as it was."""
        with ParentDirectories() as parents:
            found = [(path, difference(parents, path, kept.item)) for path, kept in sorted(self._kept.items())]
        return [(path, why) for path, why in found if why]

    def check(self) -> None:
        """Check what is kept by its hash.

        :raises StoreError: something is missing or damaged.
        """
        for kept in self._kept.values():
            if kept.at:
                with Tree.of(kept.layer.where) as store:
                    content_item.verify(store, kept.at, kept.item)

    def mend(self) -> None:
        """Make everything what it was; can be repeated."""
        for path in self.differing():
            kept = self._kept[path]
            with ParentDirectories() as parents, Tree.of(kept.layer.where) as store:
                if kept.item.kind == ABSENT:
                    remove(parents, path)
                    continue
                tree, name = parents.make(path)
                there = tree.lstat(name)
                if kept.item.kind != DIRECTORY and there is not None and stat.S_ISDIR(there.st_mode):
                    # One that is not empty is told by verifying.
                    tree.rmdir(name)
                put_back(store, kept.at, tree, name, kept.item)

    def uncertain(self) -> list[str]:
        """What rpm's database says otherwise of the packages that such a path is of, too."""
        ts = database.transaction_set()
        shared = [(path, sharing) for path in sorted(self._kept) for sharing in [self._sharing(path)] if sharing]
        return [
            f"{one.key}: {path} was overwritten, and stays recorded so"
            for path, sharing in shared
            for one in database.owners(ts, path)
            if sharing.get(one.key, database.NORMAL) != database.state_of(ts, one, path)
        ]
