"""What of git work trees goes when SAGE is removed."""

from __future__ import annotations

import os
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import UnsafePath
from ansible_collections.intellistream.sage.plugins.module_utils._content import beside, whole
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.ownership import check_owned
from ansible_collections.intellistream.sage.plugins.module_utils._git.command import GitError
from ansible_collections.intellistream.sage.plugins.module_utils._git.repository import Repository
from ansible_collections.intellistream.sage.plugins.module_utils._kind.removal import Part

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._kind.removal import RecordedCapture

_CLONE = "the clone that SAGE was built from"
_MOST_LOSSES = 3


def removal(root: str, captures: t.Sequence[RecordedCapture] | None) -> list[Part]:
    """A P(_kind.removal.Removal): the clone, if the record tells that an installation made it, and no work is lost."""
    path = os.path.join(root, "src")
    parts = [Part(other, "a captured clone", of_record=True) for other in beside.stored_beside(path)]
    if os.path.lexists(path):
        parts.append(Part(path, _CLONE, _stays(path, captures)))
    elif whole.remains(path):
        # An interrupted removal, or rollback, has taken it away already.
        parts.append(Part(path, _CLONE))
    return parts


def _stays(path: str, captures: t.Sequence[RecordedCapture] | None) -> str:
    """Why a clone stays; empty where it goes."""
    own = [capture for capture in captures or () if capture.spec.get("path") == path]
    if captures is not None and not own:
        return "no installation made it"
    facts = own[0].manifest() if own else None
    if facts is None:
        return "whether an installation made it is not known any more"
    if facts["exists"]:
        return "it was there before SAGE was installed"
    try:
        # git runs what a repository names.
        check_owned(path)
        losses = Repository(path).unsaved_work()
    except (GitError, UnsafePath) as error:
        losses = [error.what if isinstance(error, UnsafePath) else str(error)]
    if not losses:
        return ""
    more = f", and {len(losses) - _MOST_LOSSES} more" if len(losses) > _MOST_LOSSES else ""
    return f"with it would be lost: {', '.join(losses[:_MOST_LOSSES])}{more}"
