"""Virtual environments in C(rollback.sh)."""

from __future__ import annotations

import os
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.names import canonical
from ansible_collections.intellistream.sage.plugins.module_utils._kind.script import (
    Script,
    ScriptCapture,
    ScriptLines,
    ScriptRefusal,
    escape,
    joined,
)
from ansible_collections.intellistream.sage.plugins.module_utils._venv.shell_installed import VENV
from ansible_collections.intellistream.sage.plugins.module_utils._venv.shell_strays import VENV_EDITS
from ansible_collections.intellistream.sage.plugins.module_utils._venv.shell_undo import VENV_UNDO

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._kind.interface import Spec


class VenvScript(Script):
    """A virtual environment."""

    functions = f"{VENV}\n{VENV_EDITS}\n{VENV_UNDO}"

    def lines(self, captures: t.Sequence[ScriptCapture]) -> ScriptLines | ScriptRefusal | str:
        if any(capture.manifest.get("tables") for capture in captures):
            return "what is in it is put back by the module alone."
        if any(capture.manifest.get("whole") for capture in captures):
            # The one that was moved works nowhere but at its old path.
            return ScriptRefusal(
                "the environment was moved to where it is, made anew here, and cannot be brought back by a script."
            )
        absent = [number for number, capture in enumerate(captures) if not capture.manifest["existed"]]
        if absent:
            return _removal(captures, made_again=bool(absent[0]))
        versions: dict[str, str] = {}
        allowed: dict[str, list[str]] = {}
        directories: dict[str, int] = {}
        take: dict[int, list[str]] = {}
        for capture in captures:
            before = capture.manifest["distributions"]
            everything = bool(capture.spec.get("all"))
            for name, version in (dict.fromkeys(before, "") if everything else _pins(capture.spec)).items():
                if name not in versions:
                    versions[name] = before.get(name, "")
                    if name in before:
                        take.setdefault(capture.number, []).append(name)
                # Without a version the change could leave any.
                allowed.setdefault(name, []).extend((version or "*", *([before[name]] if name in before else [])))
                allowed[name] += ["-"] if everything else []
            directories = {**capture.manifest["dirs"], **directories}
        targets = [
            b" ".join((escape(name), escape(versions[name]) or b"-", *sorted(set(map(_spelled, allowed[name])))))
            for name in sorted(versions)
        ]
        variables = {
            "existed": b"1",
            "targets": joined(targets),
            "dirs": joined(b"%04o %b" % (mode, escape(name)) for name, mode in sorted(directories.items())),
            # An installer that was killed came after the newest capture.
            "since": b"%d" % captures[-1].manifest["captured_ns"],
        }
        return ScriptLines(variables, take)


def _removal(captures: t.Sequence[ScriptCapture], made_again: bool) -> ScriptLines:
    path = os.path.normpath(captures[0].path)
    same = [
        spec
        for capture in captures
        for spec in capture.specs
        if spec["kind"] == captures[-1].spec["kind"] and os.path.normpath(spec["path"]) == path
    ]
    brought = {name for spec in same for name in _pins(spec)}
    return ScriptLines(
        {
            "existed": b"",
            "recreated": b"1" if made_again else b"",
            "brought": b" ".join(map(escape, sorted(brought))),
        }
    )


def _pins(spec: Spec) -> dict[str, str]:
    return {
        canonical(str(distribution["name"])): str(distribution.get("version") or "")
        for distribution in spec.get("distributions") or []
    }


def _spelled(version: str) -> bytes:
    return escape(version.lower().replace("_", "-"))
