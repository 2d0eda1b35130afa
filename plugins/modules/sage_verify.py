#!/usr/bin/python

# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: sage_verify
short_description: Verify what was installed, and record the evidence
version_added: 1.0.0
description:
  - Looks at what the finished phases of the installation left, compares an environment with its plan, imports modules
    and runs commands, and records what it looked at.
  - Every file of those distributions is read, and compared with the hash that the distribution's C(RECORD) has of it.
    What was edited, emptied or removed is named, and M(intellistream.sage.sage_install) installs it anew. Byte code
    is passed over. What cannot be read, has no hash in C(RECORD), or is not in it any more, is not verified, which is a
    warning and recorded.
  - Writes a table of these files into the record, by which a rerun sees what was edited since, without reading it.
  - Without that record M(intellistream.sage.sage_checkpoint) completes neither the phase V(verification) nor an
    installation, nor prepares it for a fleet run. A verification that failed and was ignored, or left out, is none.
  - Nothing of the directory and the home of the user who runs it may help or hinder. Commands run in C(/), with homes
    where nothing can be made.
options:
  venv:
    description:
      - The virtual environment, for O(distributions) and O(imports).
    type: path
  distributions:
    description:
      - What was to be installed, as RV(intellistream.sage.sage_resolve#module:plan.distributions) or a part of it.
    type: list
    elements: dict
    default: []
  wrong_records:
    description:
      - Files that are right although C(RECORD) says otherwise, as
        RV(intellistream.sage.sage_install#module:wrong_records) of each installation. They are named, and recorded for
        later calls.
    type: dict
    default: {}
  check_dependencies:
    description:
      - Check that every one of O(distributions) has what it requires, with the installer's own check. What others lack
        is a warning.
    type: bool
    default: true
  imports:
    description:
      - Modules that the environment's interpreter has to be able to import, isolated from user and directory.
    type: list
    elements: str
    default: []
  commands:
    description:
      - What has to end with 0.
    type: list
    elements: dict
    default: []
    suboptions:
      argv:
        description: The program with its arguments.
        type: list
        elements: str
        required: true
      shows:
        description: A regular expression that has to be found in what it prints.
        type: str
  record:
    description:
      - Compare with the record of the installation, and record the evidence there. Then the phase V(verification)
        has to be at work.
    type: bool
    default: true
extends_documentation_fragment:
  - intellistream.sage.attributes
  - intellistream.sage.state
  - intellistream.sage.installer
  - intellistream.sage.installer.distributions
attributes:
  check_mode:
    support: full
    details: No code of what was installed is run.
  diff_mode:
    support: none
  platform:
    platforms: posix
author:
  - IntelliStream (@intellistream)
seealso:
  - module: intellistream.sage.sage_checkpoint
  - module: intellistream.sage.sage_install
"""

EXAMPLES = r"""
- name: Begin the verification
  intellistream.sage.sage_checkpoint:
    root: /opt/sage
    phase: verification
    status: started

- name: Verify SAGE
  intellistream.sage.sage_verify:
    root: /opt/sage
    venv: /opt/sage/.sage/venv
    distributions: "{{ resolved.plan.distributions }}"
    imports: [sage.foundation, sage.runtime]
    commands:
      - argv: [/opt/sage/.sage/venv/bin/sage, verify]
        shows: 'core *: *ok'

- name: End the installation
  intellistream.sage.sage_checkpoint:
    root: /opt/sage
    transitions:
      - {phase: verification, status: completed}
      - {phase: cleanup, status: completed}
"""

RETURN = r"""
evidence:
  description: What was looked at, as it is recorded.
  returned: success
  type: dict
  contains:
    resources:
      description: Kind and path of the results of phases that were compared with what was recorded of them.
      type: list
      elements: str
      sample: [venv /opt/sage/.sage/venv]
    versions:
      description: Distributions that were found in the version that was wanted.
      type: dict
      sample: {isage: 0.3.2.4}
    files:
      description: Number of their files that were looked at.
      type: int
      sample: 1987
    imports:
      description: Modules that were imported.
      type: list
      elements: str
      sample: [sage.foundation, sage.runtime]
    commands:
      description: What was run, with the SHA-256 of what it printed.
      type: list
      elements: dict
      sample: []
    wrong_records:
      description: Files that are right although C(RECORD) says otherwise, as O(wrong_records).
      returned: where there are any
      type: dict
      sample: {}
    unverified:
      description: What could not be verified, a sentence for each distribution.
      returned: where there is such
      type: list
      elements: str
      sample: []
    cut:
      description: Path of each C(RECORD) that lists less than was verified before, and its SHA-256.
      returned: where there is such
      type: dict
      sample: {}
    table:
      description: The environment that a table of its files was written of, and the SHA-256 of that.
      returned: with O(record), where files of an environment were looked at
      type: dict
      sample:
        path: /opt/sage/.sage/venv
        sha256: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
output:
  description: What the last command printed.
  returned: success
  type: str
  sample: "core : ok"
head:
  description: The newest line of the ledger, as RV(intellistream.sage.sage_checkpoint#module:head).
  returned: always
  type: dict
  sample: {seq: 7, offset: 4211, hash: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08}
"""

import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._calls.installer_options import (
    DISTRIBUTION,
    index_of,
    installer_spec,
)
from ansible_collections.intellistream.sage.plugins.module_utils._calls.run import printable, run
from ansible_collections.intellistream.sage.plugins.module_utils._calls.state_options import STATE_OPTIONS
from ansible_collections.intellistream.sage.plugins.module_utils._calls.verify import verify
from ansible_collections.intellistream.sage.plugins.module_utils._records.session import Engine

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

SPEC = installer_spec(
    {
        "venv": {"type": "path"},
        "distributions": {
            "type": "list",
            "elements": "dict",
            "default": [],
            "options": DISTRIBUTION,
        },
        "check_dependencies": {"type": "bool", "default": True},
        "wrong_records": {"type": "dict", "default": {}},
        "imports": {"type": "list", "elements": "str", "default": []},
        "commands": {
            "type": "list",
            "elements": "dict",
            "default": [],
            "options": {
                "argv": {"type": "list", "elements": "str", "required": True},
                "shows": {"type": "str"},
            },
        },
        "record": {"type": "bool", "default": True},
    },
    places=("venv",),
).merge(STATE_OPTIONS)


def work(module: AnsibleModule) -> t.Mapping[str, object]:
    """Options to one call."""
    options = module.params
    engine = Engine.from_options(options) if options["record"] else None
    verified = verify(engine, options, index_of(module), check_mode=module.check_mode)
    for warning in verified.warnings:
        module.warn(printable(warning))
    return verified.result


def main() -> None:
    """Run as an Ansible module."""
    run(SPEC, work)


if __name__ == "__main__":
    main()
