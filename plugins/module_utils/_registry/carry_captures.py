"""What takes content into the store, and writes rollback.sh for it; what merely looks carries none of it.

One list: nothing captures without writing the script anew.
"""

from __future__ import annotations

import typing as t

if t.TYPE_CHECKING:
    import types


def parts() -> tuple[types.ModuleType, ...]:
    """The modules that Ansible sends, see M(_base.by_name)."""
    from ansible_collections.intellistream.sage.plugins.module_utils._content import whole
    from ansible_collections.intellistream.sage.plugins.module_utils._files import capture as files_capture
    from ansible_collections.intellistream.sage.plugins.module_utils._files import script as files_script
    from ansible_collections.intellistream.sage.plugins.module_utils._git import capture as git_capture
    from ansible_collections.intellistream.sage.plugins.module_utils._git import script as git_script
    from ansible_collections.intellistream.sage.plugins.module_utils._venv import capture as venv_capture
    from ansible_collections.intellistream.sage.plugins.module_utils._venv import made_for
    from ansible_collections.intellistream.sage.plugins.module_utils._venv import others as venv_others
    from ansible_collections.intellistream.sage.plugins.module_utils._venv import script as venv_script

    return files_capture, files_script, git_capture, git_script, venv_capture, venv_script, made_for, venv_others, whole
