"""The option by which the controller sends what C(rollback.sh) is made of."""

from __future__ import annotations

import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._calls.run import ArgumentSpec
from ansible_collections.intellistream.sage.plugins.module_utils._rollback_shell import sources

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

Work = t.Callable[["AnsibleModule"], t.Mapping[str, object]]

# It is long and the same in every call: no log of a host needs it.
SCRIPT_OPTIONS = ArgumentSpec({sources.OPTION: {"type": "str", "no_log": True}})


def receiving(work: Work) -> Work:
    """The same work, once what the controller sent was taken out of the options.

    :raises StateError: by that work, before anything is done: it did not come.
    """

    def receive_and_work(module: AnsibleModule) -> t.Mapping[str, object]:
        sources.receive(module.params)
        return work(module)

    return receive_and_work
