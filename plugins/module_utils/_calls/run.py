"""The one place where modules begin, and where errors become C(fail_json)."""

from __future__ import annotations

import traceback
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import NeedsLibrary, SageError

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

    from ansible_collections.intellistream.sage.plugins.module_utils._calls.argspec import ArgumentSpec


def run(spec: ArgumentSpec, work: t.Callable[[AnsibleModule], t.Mapping[str, object]]) -> None:
    """Create the module, do the work, exit with its result.

    :param work: gets the module, returns the result for C(exit_json).
    """
    module = spec.create_module()
    try:
        result = work(module)
    except NeedsLibrary as error:
        # The package manager's library belongs to the system's Python, whatever Ansible was told to use.
        respawn(error.library)
        module.fail_json(msg=str(error), error=error.as_dict())
    except SageError as error:
        module.fail_json(msg=str(error), error=error.as_dict())
    except OSError as error:
        module.fail_json(
            msg=f"The operating system refused: {error}. What to do: mend that and run again.",
            error={"kind": "OSError", "what": str(error)},
            exception=traceback.format_exc(),
        )
    module.exit_json(**result)


def respawn(library: str) -> None:
    """Go on in a Python of the system that has a library; returns when there is none, or this is it."""
    from ansible.module_utils.common import respawn as ansible

    if ansible.has_respawned():
        return
    interpreter = ansible.probe_interpreters_for_module(["/usr/bin/python3", "/usr/libexec/platform-python"], library)
    if interpreter:
        ansible.respawn_module(interpreter)
