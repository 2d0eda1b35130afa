#!/usr/bin/python
# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: sage_checkpoint_info
version_added: 1.0.0
short_description: Tell how far an installation has come and what can be undone
description:
  - Reads the record that M(intellistream.sage.sage_checkpoint) keeps, and compares it with what is there.
  - Writes nothing, waits for nobody, and also reads a record that it may not write.
extends_documentation_fragment:
  - intellistream.sage.attributes.info
  - intellistream.sage.state
options:
  inputs:
    description:
      - What is wanted, as for O(intellistream.sage.sage_checkpoint#module:inputs).
      - If not given, the verdict in RV(resume) only tells whether the record still holds.
    type: dict
  history:
    description:
      - Read the whole ledger, check its chain from the first line on, and return all installations.
    type: bool
    default: true
  drift:
    description:
      - Compare what the record says with what is on disk, and return the differences as RV(drift).
      - Reads every file of the recorded distributions, which takes as long as reading them does.
    type: bool
    default: false
author:
  - IntelliStream (@intellistream)
seealso:
  - module: intellistream.sage.sage_checkpoint
"""

EXAMPLES = r"""
- name: Ask whether an unfinished installation waits
  intellistream.sage.sage_checkpoint_info:
    root: /opt/sage
  register: found

- name: Show why it has to continue where
  ansible.builtin.debug:
    var: found.resume.reasons
  when: found.resume.needed

- name: Find out what somebody changed by hand
  intellistream.sage.sage_checkpoint_info:
    root: /opt/sage
    drift: true
  register: found
  failed_when: found.drift | length > 0
"""

RETURN = r"""
exists:
  description: Whether there is a record.
  returned: success
  type: bool
  sample: true
install_id:
  description: The current installation, or null.
  returned: success
  type: str
  sample: "20251115_143000"
status:
  description:
    - Its status, one of V(running), V(prepared), V(completed), V(failed), V(rolled_back), V(abandoned), or null.
  returned: success
  type: str
  sample: completed
version:
  description:
    - The version of C(isage) that is in the environment now, whatever the record says. Null where there is none.
    - Where an upgrade was interrupted there may be several, joined by C(and).
  returned: success
  type: str
  sample: 0.3.2.4
at_work:
  description: The run that is at work on O(root) right now, or null. One whose controller is known to be gone is none.
  returned: success
  type: dict
  contains:
    run:
      description: Its id.
      type: str
      sample: 634a78478063
    user:
      description: Who started it.
      type: str
      sample: alice
    controller:
      description: Where.
      type: str
      sample: deploy.example.org
    since:
      description: Since when.
      type: str
      sample: "2025-11-15T14:30:00.000+08:00"
    silent:
      description: Seconds since its last call.
      type: float
      sample: 3.1
    told:
      description: The same for people.
      type: str
      sample: run 634a78478063 of alice on deploy.example.org is at work since 2025-11-15T14:30:00 (last call 3 s ago)
  sample: null
script:
  description: What C(rollback.sh) did that is not on record yet. Null where it did nothing.
  returned: success
  type: dict
  contains:
    ended:
      description: Whether it came to its end. If not, it, or a rollback, has to be run again.
      type: bool
      sample: true
    time:
      description: When it ended, or began last.
      type: str
      sample: "2025-11-15T14:31:00.000+08:00"
    tid:
      description: The change that it took back; empty where that is not known.
      type: str
      sample: "20251115_143000"
    partial:
      description: Whether it could not take back all of it.
      type: bool
      sample: false
    told:
      description: The same for people.
      type: str
      sample: rollback.sh took back the change 20251115_143000 at 2025-11-15T14:31:00, which is not on record yet
  sample: null
in_force:
  description:
    - The installation whose result is on the host, or null. It is the current one, unless that was rolled back.
  returned: success
  type: str
  sample: "20251115_143000"
fleet:
  description: How the current installation stands in the fleet run it was prepared for. Null if it was for none.
  returned: success
  type: dict
  contains:
    state:
      description:
        - V(in_doubt), it waits for the decision. V(aborting), it has to be rolled back. V(committing), so it has, since
          the run is one that rolls back and was committed. V(undid_itself), it was rolled back without knowing the
          decision. V(committed). V(aborted). V(diverged), it was rolled back although the decision was that it stays.
      type: str
      sample: in_doubt
    run:
      description: The id of the run.
      type: str
      sample: 20251115T143000Z-5f0c3a9be1
    decision_log:
      description: The identity of the decision log that has the decision, for M(intellistream.sage.sage_decision).
      type: str
      sample: 0d5a4a2f7e2a4f0b9f0c5c8c6c1e9f11
    where:
      description: The same for people.
      type: str
      sample: deploy.example.org:/home/deploy/.local/state/intellistream-sage/fleet
    since:
      description: When it was prepared.
      type: str
      sample: "2025-11-15T14:30:00.000+08:00"
    decision:
      description: What it has learned, V(commit), V(abort) or null.
      type: str
      sample: null
    asks:
      description: Whether the decision is needed before anything else may begin on the host.
      type: bool
      sample: true
    to:
      description: What it has to be rolled back to, or null.
      type: str
      sample: null
    install_id:
      description: The installation.
      type: str
      sample: "20251115_143000"
    rollback:
      description: The rollback that it is prepared for, or null if the run is one that installs.
      type: dict
      sample: null
  sample: null
timing:
  description: What was estimated for the current installation, and what it took. Null if no window was set.
  returned: success
  type: dict
  contains:
    phases:
      description: By phase C(expected) and C(took) in seconds; C(took) is null of one that did not end.
      type: dict
      sample: {python_deps: {expected: 300.0, took: 41.3}}
    undo:
      description: The same of an undo, as estimated last.
      type: dict
      sample: {expected: 12.5, took: null}
    seconds_left:
      description: Seconds that were left of the window when the last phase began.
      type: float
      sample: 2400.0
  sample: null
deadman:
  description: The dead-man's switch, as RV(intellistream.sage.sage_checkpoint#module:deadman).
  returned: success
  type: dict
  sample: {armed: false, seconds_left: null, fired: null}
progress:
  description:
    - The keys of C(install_progress.json), computed from the ledger. Where the last attempt was undone, what is done,
      and the labels, are of the installation that is in force again.
  returned: success
  type: dict
  sample: {install_id: "20251115_143000", current_phase: python_deps}
progress_file:
  description:
    - What the file on disk is worth. V(stale) means that a run was killed between its two writes; the next call
      mends it. V(edited) means that somebody changed it. V(ahead) means that the ledger has lost its last
      lines, and the file tells of more.
  returned: success
  type: str
  sample: current
phases:
  description: The phases of the current installation with their status, times, data and recorded results.
  returned: success
  type: dict
  sample: {python_deps: {status: completed}}
resume:
  description: The verdict, as returned by RV(intellistream.sage.sage_checkpoint#module:resume).
  returned: success
  type: dict
  sample: {state: finished, needed: false, phase: null, reasons: [], phases_to_run: [], damaged: []}
rollback_points:
  description: All rollback points that can be undone, oldest first. Those of RV(damaged) are not among them.
  returned: success
  type: list
  elements: dict
  sample: [{point: "20251115_143000.1", phase: python_deps}]
damaged:
  description:
    - Rollback points whose content is gone or hurt. Looked at are names and sizes; M(intellistream.sage.sage_check) and
      a rollback read all of it.
  returned: success
  type: list
  elements: dict
  contains:
    point:
      description: The rollback point.
      type: str
      sample: "20251115_143000.1"
    problems:
      description: What is gone or hurt.
      type: list
      elements: str
      sample: [/opt/sage/.sage/checkpoints/store/20251115_143000/20251115_143000.1 is gone]
  sample: []
installations:
  description: All installations, oldest first.
  returned: when O(history) is true
  type: list
  elements: dict
  sample: [{install_id: "20251115_143000", status: completed}]
transactions:
  description: What each change did to which distributions, newest first.
  returned: when O(history) is true
  type: list
  elements: dict
  contains:
    tid:
      description: The id of the change.
      type: str
      sample: "20251115_143000"
    time:
      description: When it began.
      type: str
      sample: "2025-11-15T14:30:00.000+08:00"
    origin:
      description: Who made it, V(installation), V(hand), V(hook) or V(rollback).
      type: str
      sample: installation
    status:
      description: As RV(status); of what is no installation V(completed), or V(rolled_back) once it was undone.
      type: str
      sample: completed
    changed:
      description: Whether it changed anything. An installation that did not is an attempt, and not counted.
      type: bool
      sample: true
    packages:
      description:
        - What went, C([-]), and what came, C([+]), sorted by name.
        - What went is not known of a rollback point that was pruned or is damaged.
      type: list
      elements: str
      sample: ["[-] numpy 1.26.4", "[+] numpy 2.3.4"]
    rollback_points:
      description:
        - Its rollback points, oldest first, those that were undone or pruned too. C(undone) and
          C(pruned) are times, or null. C(redo) is true of what was captured before a rollback, C(damaged) of what
          cannot be used.
      type: list
      elements: dict
      sample:
        - id: "20251115_143000.1"
          time: "2025-11-15T14:31:00.000+08:00"
          phase: python_deps
          description: before the third-party distributions
          files: 1203
          bytes: 43210000
          undone: null
          pruned: null
          redo: false
          damaged: false
installed_by:
  description: Distributions that installations brought, each with the id of the one that did so last.
  returned: when O(history) is true
  type: dict
  sample: {numpy: "20251115_143000"}
drift:
  description:
    - Every difference between the record of RV(in_force) and the host, sorted. Null when there is no record to read.
    - Byte code, and files of distributions that were not recorded, are not compared.
  returned: when O(drift) is true
  type: list
  elements: dict
  contains:
    kind:
      description: The kind of the resource.
      type: str
      sample: venv
    path:
      description: The file, or the resource.
      type: str
      sample: /opt/sage/.sage/venv/lib/python3.12/site-packages/numpy/version.py
    what:
      description: What is different.
      type: str
      sample: was edited (numpy 2.3.4)
    theirs:
      description: It is about what others installed, and no installation puts it right.
      type: bool
      sample: false
ledger:
  description: The state of the ledger.
  returned: success
  type: dict
  contains:
    path:
      description: Where the record lies.
      type: str
      sample: /opt/sage/.sage/checkpoints
    lines:
      description: How many lines it has; null when O(history) is false.
      type: int
      sample: 9
    intact:
      description: Whether every line follows from the one before it.
      type: bool
      sample: true
    broken_at:
      description: The number of the first line that does not, or null.
      type: int
      sample: null
    message:
      description: What is wrong, or an empty string.
      type: str
      sample: ""
head:
  description: The newest line of the ledger, as RV(intellistream.sage.sage_checkpoint#module:head).
  returned: always
  type: dict
  sample: {seq: 7, offset: 4211, hash: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08}
"""

import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._calls.respawn import respawning
from ansible_collections.intellistream.sage.plugins.module_utils._calls.run import ArgumentSpec, run
from ansible_collections.intellistream.sage.plugins.module_utils._calls.state_options import STATE_OPTIONS
from ansible_collections.intellistream.sage.plugins.module_utils._records.session import Engine
from ansible_collections.intellistream.sage.plugins.module_utils._registry import carry_packages
from ansible_collections.intellistream.sage.plugins.module_utils._reports.report import report

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

CARRIES = (carry_packages.parts,)
SPEC = ArgumentSpec(
    {
        "inputs": {"type": "dict"},
        "history": {"type": "bool", "default": True},
        "drift": {"type": "bool", "default": False},
    }
).merge(STATE_OPTIONS)


def work(module: AnsibleModule) -> t.Mapping[str, object]:
    """Options to one call."""
    options = module.params
    return report(Engine.from_options(module.params), options["inputs"], options["history"], options["drift"])


def main() -> None:
    """Entry point."""
    run(SPEC, respawning(work))


if __name__ == "__main__":
    main()
