"""Git work trees in C(rollback.sh)."""

from __future__ import annotations

import os
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._kind.script import (
    Script,
    ScriptCapture,
    ScriptLines,
    escape,
    joined,
)

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._kind.interface import Facts


class GitScript(Script):
    """A git work tree; the oldest capture decides."""

    def lines(self, captures: t.Sequence[ScriptCapture]) -> ScriptLines | str:
        captured = captures[0].manifest
        if not captured["exists"]:
            return ScriptLines({"recreated": b""}, ("removal", "git", "git_absent"))
        outer = captured["repository"]
        if _announced(outer):
            return f"files were announced with git add --intent-to-add in {captures[0].path}."
        return ScriptLines(
            {
                "repositories": joined(_repositories(".", outer)),
                "outer_work": outer["work"].encode(),
                "gitdirs": joined(map(escape, outer["gitdirs"])),
                "sections": joined(map(escape, outer["sections"])),
            },
            ("git", "git_present"),
        )


def _repositories(name: str, state: Facts) -> t.Iterator[bytes]:
    branch = escape(state["branch"]) if state["branch"] else b"-"
    yield b" ".join((escape(name), state["head"].encode(), branch, state["staged"].encode(), state["work"].encode()))
    for inner, below in state["modules"].items():
        yield from _repositories(os.path.normpath(os.path.join(name, inner)), below)


def _announced(state: Facts) -> bool:
    return bool(state["added"]) or any(_announced(inner) for inner in state["modules"].values())
