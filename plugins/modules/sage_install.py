#!/usr/bin/python

# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: sage_install
short_description: Install exactly the distributions of a plan
version_added: 1.0.0
description:
  - Installs the distributions that M(intellistream.sage.sage_resolve) planned, in those versions, from files with those
    hashes, and nothing else. Nothing is resolved again.
  - Verifies afterwards that the environment has exactly those versions, with the content that C(RECORD) has hashes of.
  - Starts neither uv nor pip if everything is there already. What is there, but was edited, emptied or removed in part,
    is installed anew, and not from the cache of uv, which an edit in place reaches through hard links.
options:
  venv:
    description:
      - The virtual environment.
    type: path
    required: true
  distributions:
    description:
      - What to install, as RV(intellistream.sage.sage_resolve#module:plan.distributions) or a part of it.
    type: list
    elements: dict
    required: true
  lock:
    description:
      - Text of the lock file that O(distributions) were planned from. One that M(intellistream.sage.sage_plan) made
        with the same index says where the files are; uv then fetches them without asking the index.
    type: str
  check_dependencies:
    description:
      - Check that every one of O(distributions) has what it requires, with the tool's own check.
      - What distributions of others lack is a warning.
      - In check mode only where nothing would be changed.
    type: bool
    default: false
extends_documentation_fragment:
  - intellistream.sage.attributes
  - intellistream.sage.installer
  - intellistream.sage.installer.distributions
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  platform:
    platforms: posix
notes:
  - A distribution with a O(distributions[].path) that is not editable is installed each time, since its content may
    have changed while its version has not.
  - A failure may leave some of the distributions replaced, pip goes back only with the one that failed. Capture them
    first with M(intellistream.sage.sage_backup) or M(intellistream.sage.sage_checkpoint).
  - Byte code is left to the interpreter, with either tool.
author:
  - IntelliStream (@intellistream)
seealso:
  - module: intellistream.sage.sage_resolve
  - module: intellistream.sage.sage_backup
"""

EXAMPLES = r"""
- name: Find out what has to be installed
  intellistream.sage.sage_resolve:
    venv: /opt/sage/.sage/venv
    requirements: [isage]
  register: resolved

- name: Install what others have made
  intellistream.sage.sage_install:
    venv: /opt/sage/.sage/venv
    distributions: "{{ resolved.third_party }}"

- name: Install SAGE itself
  intellistream.sage.sage_install:
    venv: /opt/sage/.sage/venv
    distributions: "{{ resolved.sage }}"
"""

RETURN = r"""
installed:
  description: What was, or would be, added.
  returned: success
  type: list
  elements: dict
  sample: [{"name": "pyyaml", "version": "6.0.3"}]
replaced:
  description: What was, or would be, replaced.
  returned: success
  type: list
  elements: dict
  sample: [{"name": "isage", "version": "0.3.2.4", "from_version": "0.3.2.3"}]
kept:
  description: Number of distributions that were right already.
  returned: success
  type: int
  sample: 1
installer:
  description: The tool that installed, V(uv) or V(pip); empty if there was nothing to do.
  returned: success
  type: str
  sample: uv
said:
  description:
    - What was, or would be, installed, a line for each distribution, and the last lines that the tool printed, for
      O(intellistream.sage.sage_checkpoint#module:said).
  returned: success
  type: list
  elements: str
  sample: [isage 0.3.2.3 -> 0.3.2.4]
wrong_records:
  description:
    - Path relative to the environment → SHA-256 of files that are not as the C(RECORD) of their distribution says,
      though they have just come from its archive. It is empty where C(RECORD) lists what is no file. A warning names
      them. For O(intellistream.sage.sage_verify#module:wrong_records).
  returned: success
  type: dict
  sample: {}
"""

import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._calls.installer_options import (
    DISTRIBUTION,
    index_of,
    installer_spec,
)
from ansible_collections.intellistream.sage.plugins.module_utils._calls.run import printable, run
from ansible_collections.intellistream.sage.plugins.module_utils._installers import install

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

SPEC = installer_spec(
    {
        "venv": {"type": "path", "required": True},
        "lock": {"type": "str"},
        "check_dependencies": {"type": "bool", "default": False},
        "distributions": {
            "type": "list",
            "elements": "dict",
            "required": True,
            "options": DISTRIBUTION,
        },
    },
    places=("venv",),
)


def work(module: AnsibleModule) -> t.Mapping[str, object]:
    """Install what is not there yet."""
    outcome = install.carry_out(module.params, index_of(module), check_mode=module.check_mode)
    for requirement in outcome.unmet:
        module.warn(requirement)
    for sentence in outcome.pending.wrong_records:
        module.warn(f"{printable(sentence)}. It was published so: its RECORD is wrong. Tell those who publish it.")
    return outcome.result()


def main() -> None:
    """Run as an Ansible module."""
    run(SPEC, work)


if __name__ == "__main__":
    main()
