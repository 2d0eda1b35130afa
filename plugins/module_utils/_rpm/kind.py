"""The kind of RPM packages."""

from __future__ import annotations

import importlib.util
import os
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import NeedsLibrary
from ansible_collections.intellistream.sage.plugins.module_utils._kind.packages import PackagesKind

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._content.item import Item
    from ansible_collections.intellistream.sage.plugins.module_utils._kind.interface import Resource, Spec
    from ansible_collections.intellistream.sage.plugins.plugin_utils._structures import ItemReader

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

    def stored(self, items: ItemReader) -> t.Iterator[tuple[str, Item]]:
        for section in items.sections:
            # The other section of a package lists what is packed in it.
            for path, item in items.read(section) if section.info != "files" else ():
                if item.kind == "file":
                    yield path, item

    def here(self) -> bool:
        return any(os.path.isdir(path) and os.listdir(path) for path in _DATABASES)
