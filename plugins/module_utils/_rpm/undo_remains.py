"""What rpm leaves of packages that an undo erases: C(.rpmsave) and the like, and directories.

Beside the configuration of captured packages, that was captured. Of packages that were added since, nobody could
know it then; so it is noted before the transaction, and what was there is kept, since rpm overwrites it.
"""

from __future__ import annotations

import hashlib
import json
import os
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._content import item as content_item
from ansible_collections.intellistream.sage.plugins.module_utils._content.aside import keep_aside
from ansible_collections.intellistream.sage.plugins.module_utils._content.item import ABSENT, FILE, Item
from ansible_collections.intellistream.sage.plugins.module_utils._content.parents import difference, remove
from ansible_collections.intellistream.sage.plugins.module_utils._content.put_back import put_back
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.absolute import ParentDirectories
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.tree import Tree
from ansible_collections.intellistream.sage.plugins.module_utils._rpm import database, undo_litter
from ansible_collections.intellistream.sage.plugins.module_utils._rpm.database import LEFTOVERS

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.private import PrivateDir

_NOTES = "leftovers.json"
_KEPT = "leftovers"


class Leftovers:
    """Files beside configuration, and directories that the change made.

    :param where: keeps the notes, for whoever has to finish this.
    """

    def __init__(self, where: PrivateDir) -> None:
        self._where = where
        self._paths: set[str] = set()
        self._items: dict[str, Item] = {}
        self._directories: set[str] = set()
        self._brought: set[str] = set()
        self._unpacked: set[str] = set()
        self._since = 0.0

    def brought(self, paths: t.Iterable[str], known: t.Iterable[str], when: float) -> None:
        """Look after what the change made, or was killed while making, and what it was unpacked under.

        :param paths: that were not there before the change.
        :param known: of captured packages.
        :param when: the time of the first capture.
        """
        self._brought |= set(paths) - set(known)
        self._unpacked = {*paths, *known}
        self._since = when

    def strays(self, owned: t.Container[str] = ()) -> list[str]:
        """Files that the change made and no package owns.

        :param owned: known to be a package's.
        """
        ts = database.transaction_set()
        found = [path for path in self._brought if path not in owned and os.path.lexists(path)]
        found = [path for path in found if os.path.islink(path) or not os.path.isdir(path)]
        found = [path for path in found if not database.owners(ts, path)]
        return sorted({*found, *undo_litter.temporary(self._unpacked, self._since)})

    def above(self, files: t.Iterable[str], when: float) -> None:
        """Look after the directories above these files that were made since then."""
        self._directories |= undo_litter.made_since(files, when)

    def beside(self, configuration: t.Iterable[str]) -> None:
        """Look after what is beside these files."""
        self._paths.update(path + suffix for path in configuration for suffix in LEFTOVERS)

    def without(self, paths: t.Container[str]) -> None:
        """Leave these to others."""
        self._paths = {path for path in self._paths if path not in paths}

    def note(self, resumed: bool) -> None:
        """Remember what is there before anything is changed; what an interrupted undo noted stands.

        Only files: rpm writes nothing else, and puts nothing in the place of anything else.
        """
        noted = json.loads((self._where.read(_NOTES) if resumed else None) or b"{}")
        self._items = {path: Item(*item) for path, item in noted.get("items", {}).items()}
        self._directories.update(noted.get("directories", ()))
        with self._where.child(_KEPT, create=True) as kept, Tree.of(kept) as to:
            with ParentDirectories() as parents:
                for path in sorted(self._paths - set(self._items)):
                    tree, name = parents.at(path)
                    info = tree.lstat(name) if tree is not None else None
                    kind = content_item.kind_of(info)
                    if kind == ABSENT:
                        self._items[path] = Item(ABSENT)
                    elif tree is not None and kind == FILE:
                        to.unlink(_name(path))
                        found, digest, xattrs = content_item.copy(tree, name, to, _name(path))
                        self._items[path] = content_item.item_of(FILE, found, digest)._replace(xattrs=xattrs)
            to.flush()
        self._where.write(_NOTES, json.dumps({"items": self._items, "directories": sorted(self._directories)}).encode())

    def differences(self) -> list[tuple[str, str]]:
        """(path, why) of each that is not as it was noted."""
        with ParentDirectories() as parents:
            found = [(path, difference(parents, path, item)) for path, item in self._items.items()]
        new = [*self.strays(), *self._deserted()]
        return [(path, why) for path, why in found if why] + [(path, "is new") for path in new]

    def _deserted(self) -> list[str]:
        ts = database.transaction_set()
        directories = self._directories | self._brought
        return undo_litter.deserted(directories, lambda path: bool(database.owners(ts, path)))

    def mend(self) -> None:
        """Make all as it was noted."""
        for path in self.strays():
            # Somebody may have made it.
            keep_aside(path, self._where)
            os.unlink(path)
        for path in self._deserted():
            os.rmdir(path)
        for path, dummy in self.differences():
            with ParentDirectories() as parents, Tree.of(self._where) as store:
                if self._items[path].kind == ABSENT:
                    remove(parents, path)
                else:
                    tree, name = parents.make(path)
                    put_back(store, f"{_KEPT}/{_name(path)}", tree, name, self._items[path])


def _name(path: str) -> str:
    """Where the content of a path is kept."""
    return hashlib.sha256(os.fsencode(path)).hexdigest()
