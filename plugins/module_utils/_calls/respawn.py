"""Going on in a Python of the system: it has the package manager's library, whatever Ansible was told to use.

A file of its own, so that only modules that look at packages carry what Ansible needs for it.
"""

from __future__ import annotations

import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import NeedsLibrary

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

Work = t.Callable[["AnsibleModule"], t.Mapping[str, object]]


def respawning(work: Work) -> Work:
    """The same work, begun anew in another Python where this one lacks a library.

    :raises NeedsLibrary: no other has it, or this is that other one.
    """

    def work_or_respawn(module: AnsibleModule) -> t.Mapping[str, object]:
        try:
            return work(module)
        except NeedsLibrary as error:
            _respawn(error.library)
            raise

    return work_or_respawn


def _respawn(library: str) -> None:
    """Ends this process when the module has run in another Python; returns when none has the library."""
    from ansible.module_utils.common import respawn

    if respawn.has_respawned():
        return
    interpreter = respawn.probe_interpreters_for_module(["/usr/bin/python3", "/usr/libexec/platform-python"], library)
    if interpreter:
        respawn.respawn_module(interpreter)
