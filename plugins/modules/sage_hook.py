#!/usr/bin/python
# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: sage_hook
version_added: 1.0.0
short_description: Capture what runs of apt and dnf outside of Ansible replace
description:
  - Makes apt and dnf 4 start a program before they change packages. It makes a rollback point of exactly the packages
    that are going to be replaced or removed, to which M(intellistream.sage.sage_rollback) goes back.
  - The program is one file, V(hook.pyz) in C(.sage) below O(root), which runs without Ansible, by the system's own
    Python. After the run it records what the run has left, so that later changes by others are told from it, and
    warns of packages that were not installed properly.
  - A run that M(intellistream.sage.sage_backup) has just captured is not captured twice. Rollbacks are not captured.
  - A run of apt or dnf is never kept from going on, unless O(strict) is set.
  - Runs of C(dpkg) and C(rpm) themselves, of dnf 5 and of zypper start no such program, and are not captured.
  - Needs root. No directory that leads to the program may be writable by others.
extends_documentation_fragment:
  - intellistream.sage.attributes.full
  - intellistream.sage.state
  - intellistream.sage.script
options:
  state:
    description:
      - Whether apt and dnf capture. V(absent) removes exactly what V(present) made, and no rollback point.
    type: str
    choices: [present, absent]
    default: present
  strict:
    description:
      - End a run of apt or dnf, before it has changed anything, if what it replaces cannot be captured.
      - With the environment variable E(SAGE_CAPTURE) set to V(off), a single run goes on without being captured.
      - If V(false), there is a warning, and the run goes on.
    type: bool
    default: false
author:
  - IntelliStream (@intellistream)
seealso:
  - module: intellistream.sage.sage_backup
  - module: intellistream.sage.sage_rollback
"""

EXAMPLES = r"""
- name: Capture every run of apt and dnf on this host
  intellistream.sage.sage_hook:
    root: /opt/sage
  become: true

- name: End runs that cannot be captured
  intellistream.sage.sage_hook:
    root: /opt/sage
    strict: true
  become: true

- name: Leave apt and dnf alone again
  intellistream.sage.sage_hook:
    root: /opt/sage
    state: absent
  become: true
"""

RETURN = r"""
files:
  description: The files of the hook that are on the host now.
  returned: success
  type: list
  elements: str
  sample:
    - /opt/sage/.sage/hook.pyz
    - /etc/apt/apt.conf.d/80intellistream-sage-3f0a92c1
head:
  description: The newest line of the ledger, as RV(intellistream.sage.sage_checkpoint#module:head).
  returned: always
  type: dict
  sample: {seq: 7, offset: 4211, hash: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08}
"""

import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._calls.run import ArgumentSpec, run
from ansible_collections.intellistream.sage.plugins.module_utils._calls.script_options import SCRIPT_OPTIONS, receiving
from ansible_collections.intellistream.sage.plugins.module_utils._calls.state_options import STATE_OPTIONS
from ansible_collections.intellistream.sage.plugins.module_utils._hooks.install import arrange

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

    from ansible_collections.intellistream.sage.plugins.plugin_utils._structures import HookSettings

SPEC = ArgumentSpec(
    {
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        "strict": {"type": "bool", "default": False},
    }
).merge(STATE_OPTIONS, SCRIPT_OPTIONS)


def work(module: AnsibleModule) -> t.Mapping[str, object]:
    """Options to one call."""
    names = (*STATE_OPTIONS.options, "strict")
    settings = t.cast("HookSettings", {name: module.params[name] for name in names})
    return arrange(settings, module.params["state"] == "present", module.check_mode)


def main() -> None:
    """Entry point."""
    run(SPEC, receiving(work))


if __name__ == "__main__":
    main()
