"""What of virtual environments goes when SAGE is removed."""

from __future__ import annotations

import glob
import os
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._content import beside, whole
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.private import STATE_DIR
from ansible_collections.intellistream.sage.plugins.module_utils._kind.removal import Part

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._kind.removal import RecordedCapture

_ENVIRONMENT = "the virtual environment"


def removal(root: str, captures: t.Sequence[RecordedCapture] | None) -> list[Part]:  # noqa: ARG001 # of all kinds
    """A P(_kind.removal.Removal): the environment with all that is in it, whoever put it there."""
    path = os.path.join(root, STATE_DIR, "venv")
    parts = []
    if os.path.lexists(path) and (os.path.islink(path) or not os.path.isdir(path)):
        parts.append(Part(path, _ENVIRONMENT, "it is a symbolic link or a file, which no installation makes"))
    elif whole.remains(path):
        parts.append(Part(path, _ENVIRONMENT))
    broken = sorted(glob.glob(f"{glob.escape(path)}.broken-*"))
    parts += [Part(other, "a broken environment that a rollback kept") for other in broken]
    stored = beside.stored_beside(path)
    return parts + [Part(other, "a captured environment", of_record=True) for other in stored]
