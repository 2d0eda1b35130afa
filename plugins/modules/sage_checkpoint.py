#!/usr/bin/python
# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: sage_checkpoint
version_added: 1.0.0
short_description: Record how far an installation has come
description:
  - Begins an installation, moves its phases through their states and ends it.
  - Everything one call does is recorded at once, durably, or not at all. Any number of processes may
    call at the same time.
  - The record is a hash-chained ledger; C(install_progress.json) beside it is a view of it.
  - An installation ends by itself when all its phases are completed or skipped.
extends_documentation_fragment:
  - intellistream.sage.attributes.full
  - intellistream.sage.scope
  - intellistream.sage.state
  - intellistream.sage.script
options:
  state:
    description:
      - V(present) keeps the record and does what the other options say.
      - V(absent) removes the whole record with all captured content. What was installed stays, but can no
        longer be undone.
    type: str
    choices: [present, absent]
    default: present
  inputs:
    description:
      - What is wanted, as a mapping from the name of a phase to a mapping of the inputs that the result of
        that phase depends on.
      - When given, the module judges whether the last installation is finished and still what is recorded and
        wanted. If so, nothing happens. If it is unfinished, it is continued. Otherwise a new one begins, from
        the earliest phase whose result no longer holds.
      - Of an input C(files_on_host), a list of absolute paths, the content of each file is recorded and compared.
      - Credentials are removed before anything is recorded.
    type: dict
  resume:
    description:
      - Continue an unfinished installation. If V(false), begin a new one from the first phase.
    type: bool
    default: true
  recover:
    description:
      - First look whether a phase was killed after its capture, or a rollback was, and if so do nothing else. What
        the phase has changed must be taken back before it begins as if for the first time. RV(recover) tells what
        M(intellistream.sage.sage_rollback) has to go to; then call this module again without this option.
      - A phase that ended, also one that failed, is left alone.
    type: bool
    default: false
  all_or_nothing:
    description:
      - The installation belongs to a run that is all or none. When it is not finished, a later call with O(recover)
        tells to roll back all of it, whatever run that call is of.
    type: bool
    default: false
  prepare:
    description:
      - The fleet run whose decision the installation waits for once all its phases are done. It is then V(prepared),
        and not completed. Recorded together with O(transitions).
      - When it was completed before, nothing was changed, and this does nothing.
    type: dict
    suboptions:
      run:
        description: The id of the run, as M(intellistream.sage.sage_decision) returned it.
        type: str
        required: true
      decision_log:
        description: The identity of the decision log where the decision will be.
        type: str
        required: true
      where:
        description: The same for people.
        type: str
        default: ''
      install_id:
        description: The installation that is meant. It is an error when another run has begun another one meanwhile.
        type: str
  decided:
    description:
      - What was decided about the fleet run that the installation was prepared for. After V(commit) the installation is
        completed. After V(abort) it has to be rolled back, as RV(recover) says.
      - If the run is one that rolls back, it is the other way round.
      - Nothing else is done in the same call.
    type: dict
    suboptions:
      run:
        description: The id of the run.
        type: str
        required: true
      decision:
        description: What was decided.
        type: str
        required: true
        choices: [commit, abort]
  seconds_left:
    description:
      - How many seconds are left of a maintenance window. A phase begins only when what it is expected to take, and
        what an undo takes then, fits into them. Otherwise the module fails, with the numbers, and nothing of the phase
        is recorded or was changed.
      - When an installation begins, also all of its phases that this host's record knows have to fit together.
      - Seconds, not a time, since clocks of hosts differ.
    type: float
  expected:
    description:
      - What phases are known to take, in seconds, by phase. It counts instead of the record of past installations.
    type: dict
    default: {}
  said:
    description:
      - Lines that an installer said, for the log of the installation. Credentials are removed. When nothing else is
        recorded, they are not either.
    type: list
    elements: str
    default: []
  install_mode:
    description:
      - Goes into C(install_progress.json) as it is. Without it an installation has that of the one in force.
    type: str
  environment_name:
    description:
      - Goes into C(install_progress.json) as it is. Without it an installation has that of the one in force.
    type: str
  python_path:
    description:
      - Goes into C(install_progress.json) as it is. Without it an installation has that of the one in force.
    type: str
  phase:
    description:
      - The phase to move, for a single transition.
      - Mutually exclusive with O(transitions).
    type: str
    choices: [environment_setup, submodule_sync, python_deps, sage_packages, verification, cleanup]
  status:
    description:
      - The status to move O(phase) to.
      - Starting a phase sets all later ones back to pending, because they rest on it.
    type: str
    choices: [pending, started, completed, skipped, failed]
  data:
    description:
      - What to remember about the transition, free text or a mapping.
    type: raw
  transitions:
    description:
      - Several transitions, recorded together.
      - With O(inputs), those of phases that need not run are passed over.
    type: list
    elements: dict
    suboptions:
      phase:
        description: The phase to move.
        type: str
        required: true
        choices: [environment_setup, submodule_sync, python_deps, sage_packages, verification, cleanup]
      status:
        description: The status to move it to.
        type: str
        required: true
        choices: [pending, started, completed, skipped, failed]
      data:
        description: What to remember about the transition, free text or a mapping.
        type: raw
      description:
        description: A description of the rollback point made by O(transitions[].capture).
        type: str
      result:
        description:
          - Resources whose present state is recorded as the result of the phase. A later call with O(inputs)
            notices when it no longer holds.
        type: list
        elements: dict
        suboptions: &resource
          kind:
            description: The kind of the resource.
            type: str
            required: true
            choices: [files, venv, git]
          path:
            description: Where it is; for V(venv) and V(git).
            type: path
          paths:
            description: The files and directories; for V(files).
            type: list
            elements: path
          distributions:
            description:
              - The distributions in question, mappings with C(name) and C(version); for V(venv).
              - If empty, a result takes in the interpreter only, and a capture the whole venv where it is absent.
            type: list
            elements: dict
      capture:
        description:
          - Resources to capture as a rollback point before the phase counts as started.
        type: list
        elements: dict
        suboptions: *resource
author:
  - IntelliStream (@intellistream)
seealso:
  - module: intellistream.sage.sage_checkpoint_info
  - module: intellistream.sage.sage_backup
  - module: intellistream.sage.sage_retention
  - module: intellistream.sage.sage_rollback
"""

EXAMPLES = r"""
- name: Begin an installation, or find out that nothing is left to do
  intellistream.sage.sage_checkpoint:
    root: /opt/sage
    install_mode: standard
    inputs:
      environment_setup: {python: python3.11}
      python_deps: {version: "0.3.2.4"}
  register: begun

- name: Record that a phase begins
  intellistream.sage.sage_checkpoint:
    root: /opt/sage
    phase: python_deps
    status: started

- name: End one phase and begin the next, with its capture, in one call
  intellistream.sage.sage_checkpoint:
    root: /opt/sage
    transitions:
      - phase: python_deps
        status: completed
        result:
          - kind: venv
            path: /opt/sage/.sage/venv
            distributions: [{name: pyyaml, version: "6.0.3"}]
      - phase: sage_packages
        status: started
        capture:
          - kind: venv
            path: /opt/sage/.sage/venv
            distributions: [{name: isage, version: "0.3.2.4"}]

- name: Find out whether something was killed
  intellistream.sage.sage_checkpoint:
    root: /opt/sage
    recover: true
  register: found

- name: Take back what it has changed
  intellistream.sage.sage_rollback:
    root: /opt/sage
    to: "{{ found.recover.to }}"
  when: found.recover is not none

- name: Record a failure in free text
  intellistream.sage.sage_checkpoint:
    root: /opt/sage
    phase: python_deps
    status: failed
    data: Package installation failed

- name: Forget everything, also what could be undone
  intellistream.sage.sage_checkpoint:
    root: /opt/sage
    state: absent
"""

RETURN = r"""
install_id:
  description: The current installation, which is also the transaction id.
  returned: success
  type: str
  sample: "20251115_143000"
progress:
  description: The content of C(install_progress.json).
  returned: success
  type: dict
  sample:
    install_id: "20251115_143000"
    start_time: "2025-11-15T14:30:00.000+08:00"
    current_phase: python_deps
    completed_phases: [environment_setup, submodule_sync]
    failed_phases: []
    install_mode: standard
    environment_name: .sage/venv
    python_path: /usr/bin/python3.11
    backup_created: true
    can_rollback: true
    last_update: "2025-11-15T14:35:00.000+08:00"
    last_error: null
    additional_data: {submodule_sync: isage comes from the index}
phases:
  description: The status of each phase.
  returned: success
  type: dict
  sample: {environment_setup: completed, submodule_sync: skipped, python_deps: started}
data:
  description: What was recorded about each phase with its latest transition, for those that have such data.
  returned: success
  type: dict
  sample: {submodule_sync: isage comes from the index}
resume:
  description: The verdict, as it was before this call changed anything.
  returned: when O(inputs) is given
  type: dict
  contains:
    state:
      description: One of V(none), V(unfinished), V(finished), V(outdated).
      type: str
      sample: unfinished
    needed:
      description: Whether an unfinished installation waits to be continued.
      type: bool
      sample: true
    phase:
      description: The earliest phase that must run, or null.
      type: str
      sample: python_deps
    damaged:
      description:
        - Rollback points of the installation that cannot be used, as
          RV(intellistream.sage.sage_checkpoint_info#module:damaged). No phase runs again for that.
      type: list
      elements: dict
      sample: []
    reasons:
      description: Mappings with C(phase) and C(reason).
      type: list
      elements: dict
      sample: [{phase: python_deps, reason: it failed}]
    phases_to_run:
      description: That phase and all after it.
      type: list
      elements: str
      sample: [python_deps, sage_packages, verification, cleanup]
rollback_points:
  description: The rollback points of the installation that can be undone, oldest first.
  returned: success
  type: list
  elements: str
  sample: ["20251115_143000.1"]
captured:
  description:
    - The rollback points that this call made, each with C(id), C(description), C(phase), C(files), C(bytes),
      C(seconds), C(packages) and C(inexact) as M(intellistream.sage.sage_backup) returns it.
  returned: when something was captured
  type: list
  elements: dict
  sample:
    - id: "20251115_143000.1"
      description: before environment_setup
      phase: environment_setup
      files: 2
      bytes: 812
      seconds: 0.004
      packages: []
      inexact: []
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
run:
  description: The id of the run that the call belongs to. Empty if there is none.
  returned: success
  type: str
  sample: 634a78478063
recover:
  description: What has to be rolled back before this module does what was asked for. Null when there is nothing.
  returned: success
  type: dict
  contains:
    to:
      description: The value for O(intellistream.sage.sage_rollback#module:to).
      type: str
      sample: python_deps
  sample: null
script:
  description: What C(rollback.sh) did that is not on record yet, for people. Null when there is nothing.
  returned: success
  type: str
  sample: null
fleet:
  description:
    - How the installation stands in the fleet run it was prepared for, as
      RV(intellistream.sage.sage_checkpoint_info#module:fleet). Null if it was for none. Where C(asks) is true, nothing
      was begun, since the decision has to be learned first.
  returned: success
  type: dict
  sample: null
window:
  description: What was estimated. Null without O(seconds_left), and where no phase begins.
  returned: success
  type: dict
  contains:
    seconds_left:
      description: Seconds that were left of the window.
      type: float
      sample: 2400.0
    undo:
      description: Seconds that an undo of the installation takes, a safety factor included.
      type: float
      sample: 12.5
    undo_measured:
      description: Whether that rests on rollbacks of this host.
      type: bool
      sample: true
    expected:
      description: Seconds by phase, of those that begin, and with O(inputs) of all that are left.
      type: dict
      sample: {python_deps: 300.0}
    measured:
      description: Those phases of which it is not a default.
      type: list
      elements: str
      sample: []
  sample: null
timing:
  description: What was estimated for the current installation, and what it took.
  returned: when it was begun with O(seconds_left)
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
deadman:
  description: The host's dead-man's switch, see M(intellistream.sage.sage_deadman).
  returned: success
  type: dict
  contains:
    armed:
      description: Whether it is armed. Each call of this module makes its time begin anew, or ends the installation.
      type: bool
      sample: true
    seconds_left:
      description: Seconds until it fires, or null.
      type: float
      sample: 600.0
    fired:
      description:
        - When the installation that was current before this call was taken back by it, C(time), C(after) and C(by).
          Else null.
      type: dict
      sample: null
  sample: {armed: false, seconds_left: null, fired: null}
prunable:
  description:
    - Whether the store holds more than what the current installation can be undone with, so that
      M(intellistream.sage.sage_retention) may find something to remove or to compress.
  returned: when something was recorded
  type: bool
  sample: false
changes:
  description:
    - What the installation did to distributions, in all its runs. C(from_version) is empty of one that was absent,
      C(version) where only building told it.
  returned: when this call ended the last phase
  type: list
  elements: dict
  sample: [{name: isage, from_version: 0.3.2.3, version: 0.3.2.4}]
others:
  description: What others had put into an environment that was moved, and is made anew.
  returned: when phases are left, and something was moved
  type: list
  elements: str
  sample: []
versions:
  description:
    - Name and version of what was in force before, for O(intellistream.sage.sage_resolve#module:keep). So the same
      versions come back where an environment has to be made anew.
  returned: when phases are left of O(inputs)
  type: dict
  sample: {isage: 0.3.2.3}
moved:
  description:
    - Paths of environments that were made for another path, since their root was moved, and work nowhere else. They
      are captured as a whole and taken out of the way, so that they are made anew.
  returned: when phases are left of O(inputs)
  type: list
  elements: str
  sample: []
repaired:
  description: What had to be mended before the record could be used.
  returned: success
  type: list
  elements: str
  sample: []
head:
  description:
    - The newest line of the ledger when the call had ended. Null where there is no record, or none that can be read.
  returned: always
  type: dict
  contains:
    seq:
      description: Its number, from 1.
      type: int
      sample: 7
    offset:
      description: Where it begins in C(ledger.jsonl), in bytes.
      type: int
      sample: 4211
    hash:
      description: Its SHA-256, in hexadecimal.
      type: str
      sample: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
"""

import time
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._calls.checkpoint import (
    CheckpointRequest,
    checkpoint,
    deliver_decision,
    reset,
)
from ansible_collections.intellistream.sage.plugins.module_utils._calls.run import RUN_OPTIONS, ArgumentSpec, run
from ansible_collections.intellistream.sage.plugins.module_utils._calls.script_options import SCRIPT_OPTIONS, receiving
from ansible_collections.intellistream.sage.plugins.module_utils._calls.state_options import STATE_OPTIONS
from ansible_collections.intellistream.sage.plugins.module_utils._kind.interface import SCOPE_OPTION, scoped
from ansible_collections.intellistream.sage.plugins.module_utils._maintenance.check import TimeBudget
from ansible_collections.intellistream.sage.plugins.module_utils._records.installation import PHASES, STATUSES
from ansible_collections.intellistream.sage.plugins.module_utils._records.session import Engine
from ansible_collections.intellistream.sage.plugins.module_utils._registry import registry

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

_RESOURCES = {"type": "list", "elements": "dict", "options": registry.options()}
_STATUS = {"type": "str", "choices": [status for status in STATUSES if status != "rolled_back"]}
_PHASE = {"type": "str", "choices": list(PHASES)}
_LABELS = ("install_mode", "environment_name", "python_path")

SPEC = ArgumentSpec(
    {
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        "inputs": {"type": "dict"},
        "resume": {"type": "bool", "default": True},
        "recover": {"type": "bool", "default": False},
        "all_or_nothing": {"type": "bool", "default": False},
        "prepare": {"type": "dict", "options": {**RUN_OPTIONS, "install_id": {"type": "str"}}},
        "decided": {
            "type": "dict",
            "options": {
                "run": {"type": "str", "required": True},
                "decision": {"type": "str", "required": True, "choices": ["commit", "abort"]},
            },
        },
        "seconds_left": {"type": "float"},
        "expected": {"type": "dict", "default": {}},
        "said": {"type": "list", "elements": "str", "default": []},
        "capture_scope": SCOPE_OPTION,
        **{name: {"type": "str"} for name in _LABELS},
        "phase": _PHASE,
        "status": _STATUS,
        "data": {"type": "raw"},
        "transitions": {
            "type": "list",
            "elements": "dict",
            "options": {
                "phase": {**_PHASE, "required": True},
                "status": {**_STATUS, "required": True},
                "data": {"type": "raw"},
                "description": {"type": "str"},
                "result": _RESOURCES,
                "capture": _RESOURCES,
            },
        },
    },
    {
        "required_together": [("phase", "status")],
        "required_by": {"data": ["phase"]},
        "mutually_exclusive": [
            ("phase", "transitions"),
            *(("decided", name) for name in ("inputs", "phase", "transitions", "prepare")),
        ],
    },
).merge(STATE_OPTIONS, SCRIPT_OPTIONS)


def work(module: AnsibleModule) -> t.Mapping[str, object]:
    """Options to one call."""
    asked = time.monotonic()
    options = module.params
    if options["state"] == "absent":
        return reset(Engine.from_options(module.params), module.check_mode)
    if options["decided"]:
        decided = options["decided"]
        return deliver_decision(
            Engine.from_options(module.params), decided["run"], decided["decision"], module.check_mode
        )
    transitions = options["transitions"] or []
    if options["phase"]:
        transitions = [{name: options[name] for name in ("phase", "status", "data")}]
    for transition in transitions:
        transition["capture"] = scoped(transition.get("capture") or [], options["capture_scope"])
    labels = {name: options[name] for name in _LABELS}
    window = None
    if options["seconds_left"] is not None:
        expected = {phase: float(seconds) for phase, seconds in options["expected"].items()}
        window = TimeBudget(options["seconds_left"], asked, expected=expected)
    request = CheckpointRequest(
        options["inputs"],
        options["resume"],
        labels=labels,
        transitions=transitions,
        recover=options["recover"],
        prepare=options["prepare"],
        window=window,
        all_or_nothing=options["all_or_nothing"],
        said=options["said"],
    )
    result = checkpoint(Engine.from_options(module.params), request, module.check_mode)
    fired = result["deadman"]["fired"]
    if fired is not None and options["inputs"] is not None:
        module.warn(
            f"The dead-man's switch of this host took back what the last run had done, at {fired['time']}, after "
            f"{fired['after']:g} s without a sign of the controller."
        )
    return result


def main() -> None:
    """Entry point."""
    run(SPEC, receiving(work))


if __name__ == "__main__":
    main()
