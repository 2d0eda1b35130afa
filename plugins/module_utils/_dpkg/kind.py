"""The kind of Debian packages."""

from __future__ import annotations

import os

from ansible_collections.intellistream.sage.plugins.module_utils._kind.packages import PackagesKind

_STATUS = "/var/lib/dpkg/status"


class DpkgKind(PackagesKind):
    """Packages of dpkg."""

    name = "dpkg"
    manager = "apt"
    resource = "_dpkg.resource:DpkgResource"
    command_back = (
        "apt-get install --allow-downgrades --allow-change-held-packages --no-install-recommends"
        " -o Dpkg::Options::=--force-confold {where}/*.deb"
    )
    command_away = "dpkg --purge"

    def here(self) -> bool:
        return os.path.isfile(_STATUS) and os.path.getsize(_STATUS) > 0
