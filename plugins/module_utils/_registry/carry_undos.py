"""The ways back; what merely captures carries none of them."""

from __future__ import annotations

import typing as t

if t.TYPE_CHECKING:
    import types


def parts() -> tuple[types.ModuleType, ...]:
    """The modules that Ansible sends, see M(_base.by_name)."""
    from ansible_collections.intellistream.sage.plugins.module_utils._files import undo as files_undo
    from ansible_collections.intellistream.sage.plugins.module_utils._git import undo as git_undo
    from ansible_collections.intellistream.sage.plugins.module_utils._storage import archive
    from ansible_collections.intellistream.sage.plugins.module_utils._venv import undo_existence as venv_undo

    return archive, files_undo, git_undo, venv_undo
