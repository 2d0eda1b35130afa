"""What modules that use the state begin with; the others need no engine, and carry none."""

from __future__ import annotations

import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._calls.run import run
from ansible_collections.intellistream.sage.plugins.module_utils._records.session import Engine

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

__all__ = ["engine", "run"]


def engine(module: AnsibleModule) -> Engine:
    """The engine for the module's state options."""
    options = module.params
    return Engine(options["root"], options["checkpoint_dir"], options["lock_timeout"], options["repackage_dir"])
