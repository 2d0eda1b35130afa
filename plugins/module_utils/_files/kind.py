"""The kind of named paths."""

from __future__ import annotations

import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.by_name import ByName
from ansible_collections.intellistream.sage.plugins.module_utils._kind.interface import Kind, PlainCopy

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._kind.interface import Resource, Spec

_RESOURCE: ByName[t.Callable[[list[str]], Resource]] = ByName("_files.resource:FilesResource")


class FilesKind(Kind):
    """Named files, links and directories."""

    name = "files"
    options = {"path": {"type": "path"}, "paths": {"type": "list", "elements": "path"}}
    identity = ("path", "paths")
    joined = True
    forks = True
    plain_copy = PlainCopy("pyproject_{}.toml", "_files.capture:project")
    script = "_files.script:FilesScript"

    def make(self, spec: Spec) -> Resource:
        return _RESOURCE.load()(list(spec.get("paths") or ([spec["path"]] if spec.get("path") else [])))
