#!/usr/bin/python
# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: sage_check
version_added: 1.0.0
short_description: Check a record, what it has captured and what is installed, and mend what can be mended
description:
  - Looks at the ledger from its first line to its last, at everything that was captured, at what is installed, and for
    what killed runs have left, and names each thing that is not as it has to be.
  - Reads every captured file, and every file of the recorded distributions, which takes as long as reading them does.
  - Without O(repair) it writes nothing and waits for nobody. It never asks an index, and never runs what was installed.
  - With O(repair) it mends what follows from the ledger without guessing, and looks again. The progress file and
    C(rollback.sh) are written anew, a last line that was never finished is put aside, files that a killed run has left
    half written are removed, and so is a dead-man's switch of an installation that has ended. Captured content that is
    gone or was changed is made again where the same content is at hand.
  - The module does not fail for what it finds.
extends_documentation_fragment:
  - intellistream.sage.attributes
  - intellistream.sage.state
  - intellistream.sage.script
attributes:
  check_mode:
    support: full
  diff_mode:
    support: N/A
    details:
      - What was mended is in RV(repaired).
options:
  repair:
    description:
      - Mend what can be mended without guessing. Everything else is told, and left as it is.
    type: bool
    default: false
author:
  - IntelliStream (@intellistream)
seealso:
  - module: intellistream.sage.sage_checkpoint_info
  - module: intellistream.sage.sage_retention
"""

EXAMPLES = r"""
- name: Check a record, and fail where something is wrong
  intellistream.sage.sage_check:
    root: /opt/sage
  register: checked
  failed_when: not checked.intact

- name: Mend what can be mended
  intellistream.sage.sage_check:
    root: /opt/sage
    repair: true
"""

RETURN = r"""
exists:
  description: Whether there is a record.
  returned: success
  type: bool
  sample: true
intact:
  description:
    - Whether all was looked at, and nothing is wrong. What is noted, and what was left behind and the next run looks
      after, is not wrong.
  returned: success
  type: bool
  sample: true
at_work:
  description:
    - The run that is at work on O(root) right now, so that not all was looked at, or null. As
      RV(intellistream.sage.sage_checkpoint_info#module:at_work).
  returned: success
  type: dict
  sample: null
findings:
  description: What is not as it has to be, what is wrong first.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description:
        - V(ledger_altered), a line of the ledger is not what was written, or is missing.
        - V(lost_tail), the ledger once had more lines.
        - V(unfinished_line), its last line was never finished.
        - V(foreign_record), it is another root's or another machine's.
        - V(unknown_format), another version has written what cannot be read.
        - V(record_unreadable), V(store_unreadable), it cannot be read.
        - V(progress_missing), V(progress_altered), V(progress_stale), C(install_progress.json) is gone, was edited, or
          is behind.
        - V(script_differs), C(rollback.sh) is not what it has to be.
        - V(point_damaged), content of a rollback point is gone or was changed, so it cannot be used. It is mended where
          the same content is at hand, in the farm, another point or the tree itself.
        - V(farm_damaged), what the farm holds for the next capture is not what its name says, and is removed; or it is
          not the collection's, and stays.
        - V(drift), what is installed is not as it was recorded.
        - V(foreign), somebody else's distribution is in the environment, or is another one than when it was captured.
        - V(unverified), files of what is installed could not be verified.
        - V(mode_changed), modes or owners of installed files, or of their directories, are others than when they were
          verified.
        - V(table_unusable), the table of what was verified is gone or was changed, so a rerun cannot look at it.
        - V(unfinished_installation), V(unfinished_rollback), V(unfinished_script), V(unrecorded_script), V(in_doubt),
          something was begun and has not ended.
        - V(stale_switch), V(overdue_switch), a dead-man's switch is armed for what has ended, or has not fired.
        - V(stray_file), V(stray_content), V(kept_aside), files that a killed run has left, or that were put aside.
        - V(at_work), a run is at work, or what a dead one left, so that only the ledger and what was captured were
          looked at.
      type: str
      sample: point_damaged
    severity:
      description: V(wrong), V(note) where nothing has to be done, or V(left) behind by a run.
      type: str
      sample: wrong
    text:
      description: What it is, and where.
      type: str
      sample: rollback point 20251115_143000.1 cannot be used, /opt/sage/.sage/checkpoints/store/20251115_143000 is gone
    mendable:
      description: Whether O(repair) mends it.
      type: bool
      sample: false
repaired:
  description: What was mended, or in check mode would be.
  returned: success
  type: list
  elements: str
  sample: []
checked:
  description: How much was looked at.
  returned: success
  type: dict
  contains:
    lines:
      description: Lines of the ledger; null where it cannot be read.
      type: int
      sample: 9
    points:
      description: Rollback points that can be undone.
      type: int
      sample: 3
    files:
      description: Captured files in them.
      type: int
      sample: 1203
    bytes:
      description: Bytes in these.
      type: int
      sample: 43210000
    seconds:
      description: How long it took.
      type: float
      sample: 1.2
  sample: {lines: 9, points: 3, files: 1203, bytes: 43210000, seconds: 1.2}
head:
  description: The newest line of the ledger, as RV(intellistream.sage.sage_checkpoint#module:head).
  returned: always
  type: dict
  sample: {seq: 7, offset: 4211, hash: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08}
"""

import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._calls.respawn import respawning
from ansible_collections.intellistream.sage.plugins.module_utils._calls.run import ArgumentSpec, run
from ansible_collections.intellistream.sage.plugins.module_utils._calls.script_options import SCRIPT_OPTIONS, receiving
from ansible_collections.intellistream.sage.plugins.module_utils._calls.state_options import STATE_OPTIONS
from ansible_collections.intellistream.sage.plugins.module_utils._fsck.check import check
from ansible_collections.intellistream.sage.plugins.module_utils._records.session import Engine
from ansible_collections.intellistream.sage.plugins.module_utils._registry import carry_packages

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

CARRIES = (carry_packages.parts,)
SPEC = ArgumentSpec({"repair": {"type": "bool", "default": False}}).merge(STATE_OPTIONS, SCRIPT_OPTIONS)


def work(module: AnsibleModule) -> t.Mapping[str, object]:
    """Options to one call."""
    return check(Engine.from_options(module.params), module.params["repair"], module.check_mode)


def main() -> None:
    """Entry point."""
    run(SPEC, receiving(respawning(work)))


if __name__ == "__main__":
    main()
