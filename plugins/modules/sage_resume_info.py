#!/usr/bin/python
# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: sage_resume_info
version_added: 1.0.0
short_description: Tell whether an installation is finished, or from which phase on it would run
description:
  - Compares what M(intellistream.sage.sage_checkpoint) recorded with what is wanted and with what is there.
  - Writes nothing, waits for nobody, and takes to a host two fifths of what M(intellistream.sage.sage_checkpoint) does.
    Where an installation is finished, nothing else has to be called.
  - Warns of rollback points of the installation whose content is gone or hurt, see RV(resume).
extends_documentation_fragment:
  - intellistream.sage.attributes.info
  - intellistream.sage.state
options:
  inputs:
    description: What is wanted, as for O(intellistream.sage.sage_checkpoint#module:inputs).
    type: dict
    required: true
author:
  - IntelliStream (@intellistream)
seealso:
  - module: intellistream.sage.sage_checkpoint
  - module: intellistream.sage.sage_checkpoint_info
"""

EXAMPLES = r"""
- name: Look whether all is done already
  intellistream.sage.sage_resume_info:
    root: /opt/sage
    inputs:
      python_deps:
        version: 0.3.2.4
  register: found

- name: Begin, or continue
  intellistream.sage.sage_checkpoint:
    root: /opt/sage
    inputs:
      python_deps:
        version: 0.3.2.4
  when: not found.finished
"""

RETURN = r"""
finished:
  description:
    - Whether nothing is left to do. False also where something has to be mended, taken back or learned before, which
      M(intellistream.sage.sage_checkpoint) tells.
  returned: success
  type: bool
  sample: true
resume:
  description: The verdict, as returned by RV(intellistream.sage.sage_checkpoint#module:resume).
  returned: success
  type: dict
  sample: {state: finished, needed: false, phase: null, reasons: [], phases_to_run: [], damaged: []}
install_id:
  description: The current installation, or null.
  returned: success
  type: str
  sample: "20251115_143000"
progress:
  description: The keys of C(install_progress.json).
  returned: success
  type: dict
  sample: {install_id: "20251115_143000", current_phase: cleanup}
phases:
  description: The status of each phase.
  returned: success
  type: dict
  sample: {environment_setup: completed, submodule_sync: skipped}
data:
  description: What was recorded about each phase with its latest transition, for those that have such data.
  returned: success
  type: dict
  sample: {submodule_sync: isage comes from the index}
rollback_points:
  description: The rollback points of the installation that can be undone, oldest first.
  returned: success
  type: list
  elements: str
  sample: ["20251115_143000.1"]
head:
  description: The newest line of the ledger, as RV(intellistream.sage.sage_checkpoint#module:head).
  returned: always
  type: dict
  sample: {seq: 7, offset: 4211, hash: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08}
captured_total:
  description: What all captures of the installation took.
  returned: success
  type: dict
  contains:
    files:
      description: Number of files.
      type: int
      sample: 3412
    bytes:
      description: Their size. Hard links need none of it before the original is gone.
      type: int
      sample: 41943040
    seconds:
      description: Time that it took.
      type: float
      sample: 0.41
unverified:
  description:
    - What could not be verified of what is installed, a sentence for each distribution. Files that cannot be read, that
      have no hash in C(RECORD), or that C(RECORD) does not list any more.
  returned: success
  type: list
  elements: str
  sample: []
altered:
  description: Whether the installation has changed the system, and not all of that was undone.
  returned: success
  type: bool
  sample: true
"""

import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._calls.run import ArgumentSpec, printable, run
from ansible_collections.intellistream.sage.plugins.module_utils._calls.state_options import STATE_OPTIONS
from ansible_collections.intellistream.sage.plugins.module_utils._calls.verdict import look

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

SPEC = ArgumentSpec({"inputs": {"type": "dict", "required": True}}).merge(STATE_OPTIONS)


def work(module: AnsibleModule) -> t.Mapping[str, object]:
    """Options to one look."""
    options = module.params
    result = look(options["root"], options["checkpoint_dir"], options["inputs"])
    for point in result["resume"]["damaged"]:
        module.warn(printable(f"Rollback point {point['point']} cannot be used: {'; '.join(point['problems'])}."))
    return result


def main() -> None:
    """Entry point."""
    run(SPEC, work)


if __name__ == "__main__":
    main()
