"""What of virtual environments goes when SAGE is removed."""

from __future__ import annotations

import glob
import os
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.names import canonical
from ansible_collections.intellistream.sage.plugins.module_utils._content import beside, whole
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.private import STATE_DIR
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.tree import Tree
from ansible_collections.intellistream.sage.plugins.module_utils._kind.removal import OthersThing, Part
from ansible_collections.intellistream.sage.plugins.module_utils._venv import others as venv_others

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._kind.removal import RecordedCapture

_ENVIRONMENT = "the virtual environment"
_UNKNOWN = "No record tells which distributions of the environment SAGE brought, and which somebody else installed."


def removal(root: str, captures: t.Sequence[RecordedCapture] | None) -> list[Part]:
    """A P(_kind.removal.Removal): the environment, with what others have put into it."""
    path = os.path.join(root, STATE_DIR, "venv")
    parts = []
    if os.path.lexists(path) and (os.path.islink(path) or not os.path.isdir(path)):
        parts.append(Part(path, _ENVIRONMENT, "it is a symbolic link or a file, which no installation makes"))
    elif os.path.lexists(path):
        brought = _brought(path, captures)
        parts.append(
            Part(path, _ENVIRONMENT, others=_others(path, brought), unknown=_UNKNOWN if brought is None else "")
        )
    elif whole.remains(path):
        # An interrupted removal has taken it away already.
        parts.append(Part(path, _ENVIRONMENT))
    broken = sorted(glob.glob(f"{glob.escape(path)}.broken-*"))
    parts += [Part(other, "a broken environment that a rollback kept") for other in broken]
    stored = beside.stored_beside(path)
    return parts + [Part(other, "a captured environment", of_record=True) for other in stored]


def _brought(path: str, captures: t.Sequence[RecordedCapture] | None) -> dict[str, list[str]] | None:
    """Distribution → versions that installations brought and that were not undone; None where no record tells."""
    own = [capture for capture in captures or () if capture.spec.get("path") == path]
    if not own:
        return None
    brought: dict[str, list[str]] = {}
    for capture in own:
        for each in (capture.spec.get("distributions") or ()) if capture.in_force else ():
            brought.setdefault(canonical(str(each["name"])), []).append(str(each.get("version") or ""))
    return brought


def _others(path: str, brought: venv_others.Brought | None) -> list[OthersThing]:
    """What is not of the installations, for people."""
    venv = Tree.open(path)
    if venv is None:
        return []
    with venv:
        others = venv_others.find(venv, brought)
        return [
            *(OthersThing(each.name, _installed(each)) for each in others.distributions),
            *(OthersThing(venv.name(each.path), "edited since it was installed") for each in others.edited),
            *(OthersThing(venv.name(each.path), each.description) for each in others.paths),
        ]


def _installed(other: venv_others.OthersDistribution) -> str:
    if not other.instead_of:
        return "a distribution that no installation of SAGE brought"
    return f"a distribution that somebody installed in the place of {' or '.join(other.instead_of)}"
