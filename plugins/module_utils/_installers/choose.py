"""Which installer it is: pip or uv."""

from __future__ import annotations

import typing as t

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._installers.find_uv import InstallerChoice
    from ansible_collections.intellistream.sage.plugins.module_utils._installers.index import Index
    from ansible_collections.intellistream.sage.plugins.module_utils._installers.interface import (
        Installer,
        InstallTarget,
    )


def create_installer(choice: InstallerChoice, target: InstallTarget, index: Index, timeout: float = 0) -> Installer:
    """The installer that was chosen.

    :param timeout: seconds that one call of it may take; 0 is no limit.
    """
    if choice.name == "uv":
        from ansible_collections.intellistream.sage.plugins.module_utils._installers.uv import Uv

        return Uv(choice.uv, target, index, timeout)
    from ansible_collections.intellistream.sage.plugins.module_utils._installers.pip import Pip

    return Pip(target, index, timeout)
