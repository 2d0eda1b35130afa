"""The options every module that calls pip or uv has in common."""

from __future__ import annotations

import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base import heartbeat
from ansible_collections.intellistream.sage.plugins.module_utils._base.redact import has_credentials
from ansible_collections.intellistream.sage.plugins.module_utils._calls.run import ArgumentSpec, Spec
from ansible_collections.intellistream.sage.plugins.module_utils._installers.index import Index

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

_TOOL: Spec = {
    "installer": {"type": "str", "choices": ["auto", "uv", "pip"], "default": "auto"},
    "uv": {"type": "path"},
    "tools": {"type": "path"},
    "timeout": {"type": "int", "default": 0},
}
_INDEX: Spec = {
    "index_url": {"type": "str"},
    "extra_index_urls": {"type": "list", "elements": "str", "default": []},
    "find_links": {"type": "list", "elements": "str", "default": []},
    "no_index": {"type": "bool", "default": False},
    "ca_certificate": {"type": "path"},
    "offline": {"type": "bool", "default": False},
}
_RESOLVING: Spec = {
    "python": {"type": "str", "default": "auto"},
    "minimum": {"type": "str", "default": "3.11"},
    "requirements": {"type": "list", "elements": "str", "default": []},
    "constraints": {"type": "list", "elements": "str", "default": []},
}

# Of one planned distribution.
DISTRIBUTION: Spec = {
    "name": {"type": "str", "required": True},
    "version": {"type": "str"},
    "hashes": {"type": "list", "elements": "str", "default": []},
    "path": {"type": "path"},
    "editable": {"type": "bool", "default": False},
    "group": {"type": "str"},
    "action": {"type": "str"},
    "from_version": {"type": "str"},
}


def installer_spec(
    options: Spec, rules: Spec | None = None, *, places: tuple[str, ...], resolving: bool = False
) -> ArgumentSpec:
    """What a module that calls pip or uv accepts; the doc fragment C(installer) documents what they have in common.

    :param options: the module's own, as C(argument_spec) of AnsibleModule.
    :param rules: C(mutually_exclusive) and their like.
    :param places: options of the module's own that name such a place, see P(_calls.argspec.ArgumentSpec).
    :param resolving: the module also has what is to be resolved, and for which Python.
    """
    options = {**options, **(_RESOLVING if resolving else {}), **_TOOL, **_INDEX}
    return ArgumentSpec(options, rules or {}, places=("tools", *places), always=_beat)


def _beat(dummy: t.Mapping[str, t.Any]) -> t.Mapping[str, object]:
    """Once the call has ended, however it did: what it took is no silence of the run. Nothing to tell."""
    heartbeat.beat()
    return {}


def index_of(module: AnsibleModule) -> Index:
    """The module's index options; URLs with credentials are kept out of everything it returns.

    :raises InputError: the CA bundle does not exist.
    """
    index = Index.from_options(module.params)
    for url in (index.index_url or "", *index.extra_index_urls, *index.find_links):
        if has_credentials(url):
            # An option with no_log would hide every index there is, also the harmless ones.
            module.no_log_values.add(url)
    return index
