"""What takes content into the store; what merely looks carries none of it."""

from __future__ import annotations

import typing as t

if t.TYPE_CHECKING:
    import types


def parts() -> tuple[types.ModuleType, ...]:
    """The modules that Ansible sends, see M(_base.by_name)."""
    from ansible_collections.intellistream.sage.plugins.module_utils._files import capture as files_capture
    from ansible_collections.intellistream.sage.plugins.module_utils._git import capture as git_capture
    from ansible_collections.intellistream.sage.plugins.module_utils._venv import capture as venv_capture

    return files_capture, git_capture, venv_capture
