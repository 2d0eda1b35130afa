#!/usr/bin/python
# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: sage_request
version_added: 1.0.0
short_description: Read and check the variables of the role once
description:
  - Reads all variables C(sage_*) of the host, converts each by the type that the role documents, checks them, and
    returns what is asked for. The role takes it from there, and reads no variable again.
  - Refuses with one line for each thing that is wrong, before any host is asked. Of many hosts for which
    the same is wrong one says it, and the others name that one.
  - Refuses names that are nearly those of a variable, and warns of others that begin with C(sage_).
  - Refuses a host whose facts hold a name C(sage_*). They would outrank the inventory.
  - Runs on the controller and asks the host nothing.
extends_documentation_fragment:
  - intellistream.sage.attributes.info
options:
  entry_point:
    description:
      - The file of the role's tasks whose variables are meant.
    type: str
    choices: [main.yml, lock.yml, status.yml, resolve_doubt.yml, check.yml, clean.yml, rollback.yml, remove.yml]
    default: main.yml
author:
  - IntelliStream (@intellistream)
"""

EXAMPLES = r"""
- name: Read the variables of an installation
  intellistream.sage.sage_request:
  register: request

- name: Tell what is asked for
  ansible.builtin.debug:
    msg: "SAGE {{ request.version or 'as it is' }} in {{ request.root }}"
"""

RETURN = r"""
root:
  description: What C(sage_root) says. Each variable of the role is returned by its name without C(sage_).
  returned: success
  type: str
  sample: /opt/sage
task_environment:
  description: The environment of all tasks on the host, from C(sage_environment), proxies and C(sage_ca_certificate).
  returned: success
  type: dict
  sample: {https_proxy: "http://proxy.example.org:3128"}
lease_terms:
  description: C(sage_lease) and C(sage_wait) in seconds, as C(seconds) and C(wait).
  returned: success
  type: dict
  sample: {seconds: 600.0, wait: 0.0}
phase_inputs:
  description:
    - By phase, what its result depends on, with a hash of the lock files. What a branch stands for is not in it yet.
  returned: success, for C(main.yml)
  type: dict
  sample: {environment_setup: {python: auto}, submodule_sync: {source: index}}
follows_branch:
  description: Whether C(sage_repository_version) is looked up in each run, since it is no commit.
  returned: success, for C(main.yml)
  type: bool
  sample: false
"""

import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import InputError
from ansible_collections.intellistream.sage.plugins.module_utils._calls.run import ArgumentSpec, run

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

SPEC = ArgumentSpec(
    {
        "entry_point": {
            "type": "str",
            "choices": [
                "main.yml",
                "lock.yml",
                "status.yml",
                "resolve_doubt.yml",
                "check.yml",
                "clean.yml",
                "rollback.yml",
                "remove.yml",
            ],
            "default": "main.yml",
        },
    }
)


def work(_module: AnsibleModule) -> t.Mapping[str, object]:
    """Variables are on the controller."""
    raise InputError("sage_request is done by its action plugin, on the controller.", untouched="everything.")


def main() -> None:
    """Entry point."""
    run(SPEC, work)


if __name__ == "__main__":
    main()
