"""The kind of RPM packages."""

from __future__ import annotations

import importlib.util
import os
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import NeedsLibrary
from ansible_collections.intellistream.sage.plugins.module_utils._kind.packages import PackagesKind

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._kind.interface import Resource, Spec

_DATABASES = ("/var/lib/rpm", "/usr/lib/sysimage/rpm")


class RpmKind(PackagesKind):
    """Packages of rpm."""

    name = "rpm"
    manager = "dnf"
    resource = "_rpm.resource:RpmResource"
    command_back = "rpm -U --oldpackage --replacepkgs --nosignature --nofiledigest {where}/*.rpm"
    command_away = "rpm -e"

    def make(self, spec: Spec) -> Resource:
        if importlib.util.find_spec("rpm") is None:
            raise NeedsLibrary("rpm")
        return super().make(spec)

    def here(self) -> bool:
        return any(os.path.isdir(path) and os.listdir(path) for path in _DATABASES)
