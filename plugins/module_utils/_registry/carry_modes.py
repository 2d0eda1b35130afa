"""What looks at modes and owners of what was verified; only what checks a record carries that."""

from __future__ import annotations

import typing as t

if t.TYPE_CHECKING:
    import types


def parts() -> tuple[types.ModuleType, ...]:
    """The modules that Ansible sends, see M(_base.by_name)."""
    from ansible_collections.intellistream.sage.plugins.module_utils._venv import modes

    return (modes,)
