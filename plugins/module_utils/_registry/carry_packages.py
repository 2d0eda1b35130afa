"""The kinds of resources that are packages of the system; only modules that ask for those carry them."""

from __future__ import annotations

import typing as t

if t.TYPE_CHECKING:
    import types


def parts() -> tuple[types.ModuleType, ...]:
    """The modules that Ansible sends, see M(_base.by_name)."""
    from ansible_collections.intellistream.sage.plugins.module_utils._dpkg import kind as dpkg_kind
    from ansible_collections.intellistream.sage.plugins.module_utils._dpkg import resource as dpkg_resource
    from ansible_collections.intellistream.sage.plugins.module_utils._rpm import kind as rpm_kind
    from ansible_collections.intellistream.sage.plugins.module_utils._rpm import resource as rpm_resource

    return dpkg_kind, dpkg_resource, rpm_kind, rpm_resource
