"""Named paths in C(rollback.sh): what is touched, as a list."""

from __future__ import annotations

import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._footprint import shell
from ansible_collections.intellistream.sage.plugins.module_utils._kind.script import Script, ScriptCapture, ScriptLines

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._footprint.shell import ObservedTree
    from ansible_collections.intellistream.sage.plugins.module_utils._kind.interface import Layer

_FUNCTIONS = r"""# --- Files, links and directories: each stands for itself ---

files_check() {
    stray=theirs foreign='' partly=''
    paths_check
}

files_plan() { paths_plan; }
files_execute() { paths_execute ''; }
files_verify() {
    foreign='' partly=''
    paths_verify
}

"""


class FilesScript(Script):
    """Named files, links and directories."""

    shared = (shell.SHELL,)
    functions = _FUNCTIONS

    def observed(self, layer: Layer) -> list[ObservedTree]:
        return shell.observed(layer)

    def lines(self, captures: t.Sequence[ScriptCapture]) -> ScriptLines:
        return ScriptLines(shell.variables(captures, lambda _top, _path, _sides: shell.ITSELF))
