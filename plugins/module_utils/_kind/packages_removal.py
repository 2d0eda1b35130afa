"""What of packages of the operating system stays when SAGE is removed."""

from __future__ import annotations

import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._kind import changes
from ansible_collections.intellistream.sage.plugins.module_utils._kind.removal import Part

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._kind.removal import RecordedCapture


def removal(root: str, captures: t.Sequence[RecordedCapture] | None) -> list[Part]:  # noqa: ARG001 # of all kinds
    """A P(_kind.removal.Removal): others may use by now what an installation brought, so packages stay."""
    altered = [capture.resource.get("changes") or () for capture in captures or () if capture.in_force]
    lines = [line for planned in altered for line in changes.listed(planned)]
    stays = "others may use them by now; to take them back, roll back before SAGE is removed"
    return [Part(", ".join(lines), "packages of the system", stays)] if lines else []
