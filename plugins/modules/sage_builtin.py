#!/usr/bin/python
# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: sage_builtin
version_added: 1.0.0
short_description: Run a module of ansible-core as this collection runs its own
description:
  - Runs a module of C(ansible.builtin) with the C(environment) of the task, which it gets in what is sent to the host.
    Ansible itself puts the environment into a command line, which every user of the host can read, with the passwords
    of proxies and the tokens in it.
  - Of what the host answers, nothing becomes a fact, a host, a group or a total of the controller. An answer that the
    module never gives makes the task fail, where Ansible takes any for a success.
  - As long as it is at work, and when it ends, it counts as a call of its run, so no other run takes over the root.
  - The role uses no module of ansible-core on hosts in any other way.
extends_documentation_fragment:
  - intellistream.sage.attributes.full
attributes:
  check_mode:
    support: partial
    details:
      - As the module that is run.
  diff_mode:
    support: partial
    details:
      - As the module that is run.
options:
  module:
    description:
      - Name of the module, without C(ansible.builtin).
    type: str
    choices: [command, copy, file, git, package, tempfile]
    required: true
  options:
    description:
      - Its options.
    type: dict
    required: true
author:
  - IntelliStream (@intellistream)
"""

EXAMPLES = r"""
- name: Install a compiler through a proxy with a password
  intellistream.sage.sage_builtin:
    module: package
    options:
      name: gcc
      state: present
  environment:
    https_proxy: "{{ proxy_with_password }}"
"""

RETURN = r""" # """

import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import InputError
from ansible_collections.intellistream.sage.plugins.module_utils._calls.run import ArgumentSpec, run

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

SPEC = ArgumentSpec(
    {
        "module": {
            "type": "str",
            "choices": ["command", "copy", "file", "git", "package", "tempfile"],
            "required": True,
        },
        "options": {"type": "dict", "required": True},
    }
)


def work(_module: AnsibleModule) -> t.Mapping[str, object]:
    """The host gets the other module."""
    raise InputError("sage_builtin is done by its action plugin, on the controller.", untouched="everything.")


def main() -> None:
    """Entry point."""
    run(SPEC, work)


if __name__ == "__main__":
    main()
