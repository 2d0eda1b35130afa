"""The kind of git work trees."""

from __future__ import annotations

import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.by_name import ByName
from ansible_collections.intellistream.sage.plugins.module_utils._kind.interface import Kind

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._kind.interface import Resource, Spec

_RESOURCE: ByName[t.Callable[[str], Resource]] = ByName("_git.resource:GitResource")


class GitKind(Kind):
    """A git work tree with its submodules."""

    name = "git"
    contains = True
    options = {"path": {"type": "path"}}
    runs = True
    pins = True
    script = "_git.script:GitScript"
    removal = "_git.removal:removal"

    def make(self, spec: Spec) -> Resource:
        return _RESOURCE.load()(self.path_of(spec))
