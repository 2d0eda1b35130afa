"""Named paths in C(rollback.sh): what is touched, as a list."""

from __future__ import annotations

import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._footprint import shell
from ansible_collections.intellistream.sage.plugins.module_utils._kind.script import Script, ScriptCapture, ScriptLines

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._footprint.shell import ObservedTree
    from ansible_collections.intellistream.sage.plugins.module_utils._kind.interface import Layer


class FilesScript(Script):
    """Named files, links and directories."""

    def observed(self, layer: Layer) -> list[ObservedTree]:
        return shell.observed(layer)

    def lines(self, captures: t.Sequence[ScriptCapture]) -> ScriptLines:
        variables = shell.variables(captures, lambda _top, _path, _sides: shell.ITSELF)
        return ScriptLines(variables, (*shell.sources(captures), "files"))
