"""What goes and what stays when SAGE is removed, of each kind; only what removes it carries that."""

from __future__ import annotations

import typing as t

if t.TYPE_CHECKING:
    import types


def parts() -> tuple[types.ModuleType, ...]:
    """The modules that Ansible sends, see M(_base.by_name)."""
    from ansible_collections.intellistream.sage.plugins.module_utils._dpkg import kind as dpkg_kind
    from ansible_collections.intellistream.sage.plugins.module_utils._git import capture as git_capture
    from ansible_collections.intellistream.sage.plugins.module_utils._git import removal as git_removal
    from ansible_collections.intellistream.sage.plugins.module_utils._kind import packages_removal
    from ansible_collections.intellistream.sage.plugins.module_utils._rpm import kind as rpm_kind
    from ansible_collections.intellistream.sage.plugins.module_utils._venv import removal as venv_removal

    return dpkg_kind, git_capture, git_removal, packages_removal, rpm_kind, venv_removal
