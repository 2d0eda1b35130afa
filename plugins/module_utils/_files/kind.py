"""The kind of named paths."""

from __future__ import annotations

import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.by_name import ByName
from ansible_collections.intellistream.sage.plugins.module_utils._kind.interface import Kind, PlainCopy

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._content.item import Item
    from ansible_collections.intellistream.sage.plugins.module_utils._kind.interface import Facts, Resource, Spec
    from ansible_collections.intellistream.sage.plugins.plugin_utils._structures import ItemReader

_RESOURCE: ByName[t.Callable[[list[str]], Resource]] = ByName("_files.resource:FilesResource")
# What says which distributions are in an environment.
_SAYING = ("requirements.txt", "pyproject.toml")


class FilesKind(Kind):
    """Named files, links and directories."""

    name = "files"
    options = {"path": {"type": "path"}, "paths": {"type": "list", "elements": "path"}}
    identity = ("path", "paths")
    joined = True
    forks = True
    plain_copies = (
        PlainCopy("requirements_{}.txt", "_files.capture:requirements"),
        PlainCopy("pyproject_{}.toml", "_files.capture:project"),
    )
    script = "_files.script:FilesScript"

    def make(self, spec: Spec) -> Resource:
        return _RESOURCE.load()(list(spec.get("paths") or ([spec["path"]] if spec.get("path") else [])))

    def stored(self, items: ItemReader) -> t.Iterator[tuple[str, Item]]:
        # Its tables tell what it holds, see M(_files.resource.FilesResource.lost).
        return iter(())

    def of_root(self, root: str) -> Facts:
        return {
            "kind": self.name,
            "paths": [f"{root}/{directory}{name}" for directory in ("", "src/") for name in _SAYING],
        }
