#!/usr/bin/python
# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: sage_outcome
version_added: 1.0.0
short_description: Tell a play what became of SAGE on a host
description:
  - Makes one result of what the modules of an installation returned. The role registers it as C(sage_result), and a
    play that includes the role uses it from there.
  - It reports a change when the installation changed SAGE, and not all of that was undone. So it can notify handlers.
  - Runs on the controller and asks the host nothing. What hosts said becomes one line each, without control characters.
extends_documentation_fragment:
  - intellistream.sage.attributes.info
options:
  status:
    description: How it ended, where that was not well.
    type: str
    choices: ['', failed, aborted]
    default: ''
  phases:
    description: The phases that were left to do.
    type: list
    elements: str
    default: []
  record:
    description: What M(intellistream.sage.sage_checkpoint) or M(intellistream.sage.sage_resume_info) returned last.
    type: dict
    default: {}
  plan:
    description: As M(intellistream.sage.sage_resolve) returned it.
    type: dict
    default: {}
  verified:
    description: What C(sage verify) printed.
    type: str
    default: ''
  unverified:
    description: What could not be verified, where that is not in O(record).
    type: list
    elements: str
    default: []
  gone:
    description: What is not in an environment that was made anew, and was in the old one, for people.
    type: list
    elements: str
    default: []
  environment_kept:
    description: Whether an environment was to be made anew where it needs that, and none was.
    type: bool
    default: false
  failure:
    description: What failed, as it is recorded, with C(phase), C(message), C(output) and C(error).
    type: dict
    default: {}
  rollback:
    description: What M(intellistream.sage.sage_rollback) returned.
    type: dict
    default: {}
  not_undone:
    description: Why nothing was undone, where that is so.
    type: str
    default: nothing
  stays:
    description: What stays in force although it failed.
    type: str
    default: ''
  checkpoints:
    description: The directory of the record.
    type: str
    default: ''
  known:
    description:
      - What is known already of how it ended. When that is of this run, it is returned, and nothing else counts.
    type: dict
    default: {}
  began:
    description: When the run began, as RV(intellistream.sage.sage_run_info#module:began), to tell it from others.
    type: float
    required: true
  text:
    description: All of it for people.
    type: str
    default: ''
  summary:
    description:
      - To write RV(text) for people, instead of O(text), from the options that follow. For what ended well.
    type: bool
    default: false
  root:
    description: The directory that SAGE is installed in.
    type: str
    default: ''
  install_mode:
    description: What is installed, as the role's C(sage_install_mode).
    type: str
    default: ''
  checkpointing:
    description: Whether the installation is recorded.
    type: bool
    default: true
  checkpoint_dir:
    description: The directory of the record, where it is not the usual one.
    type: str
    default: ''
  window_end:
    description: When the maintenance window ends, as RV(intellistream.sage.sage_run_info#module:window_end).
    type: float
author:
  - IntelliStream (@intellistream)
seealso:
  - module: intellistream.sage.sage_run_info
"""

EXAMPLES = r"""
- name: Find out whether this is check mode
  intellistream.sage.sage_run_info:
  register: run

- name: Tell the play what became of it
  intellistream.sage.sage_outcome:
    began: "{{ run.began }}"
    phases: "{{ begun.resume.phases_to_run }}"
    record: "{{ ended }}"
  register: sage_result
  notify: intellistream.sage changed
"""

RETURN = r"""
status:
  description:
    - V(installed), V(unchanged) (nothing was to do), V(predicted), V(failed), or V(aborted) (another host failed).
  returned: success
  type: str
  sample: installed
changed:
  description: Whether the installation changed SAGE, and not all of that was undone.
  returned: success
  type: bool
  sample: true
version:
  description: Of SAGE, empty where it is not known.
  returned: success
  type: str
  sample: 0.3.2.4
install_id:
  description: Of the installation, empty without a record.
  returned: success
  type: str
  sample: "20251115_143000"
phase:
  description: The phase that failed.
  returned: success
  type: str
  sample: ''
reason:
  description: Why it failed, in one line.
  returned: success
  type: str
  sample: ''
advice:
  description: What to do about it, in one line; empty where that is not known.
  returned: success
  type: str
  sample: ''
undone:
  description: What was undone after a failure, in one line.
  returned: success
  type: str
  sample: ''
undo_failed:
  description: Whether what was to be undone was not.
  returned: success
  type: bool
  sample: false
stays:
  description: What stays in force although it failed.
  returned: success
  type: str
  sample: ''
unverified:
  description: What of the installed files could not be verified, a line for each distribution.
  returned: success
  type: list
  elements: str
  sample: []
captured:
  description: What all captures of the installation took, C(files), C(bytes) and C(seconds).
  returned: success
  type: dict
  sample: {files: 3412, bytes: 41943040, seconds: 0.41}
log:
  description: The log of the installation, on the host.
  returned: success
  type: str
  sample: /opt/sage/.sage/checkpoints/logs/20251115_143000.log
check_mode:
  description: Whether this is only a prediction.
  returned: success
  type: bool
  sample: false
began:
  description: O(began).
  returned: success
  type: float
  sample: 1763217000.25
message:
  description: What a run ends with on a host where SAGE was not installed; empty elsewhere.
  returned: success
  type: str
  sample: ''
text:
  description: O(text), or what O(summary) asked for.
  returned: success
  type: str
  sample: ''
"""

import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._calls.run import ArgumentSpec, run

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

SPEC = ArgumentSpec(
    {
        "status": {"type": "str", "choices": ["", "failed", "aborted"], "default": ""},
        "phases": {"type": "list", "elements": "str", "default": []},
        "record": {"type": "dict", "default": {}},
        "plan": {"type": "dict", "default": {}},
        "verified": {"type": "str", "default": ""},
        "unverified": {"type": "list", "elements": "str", "default": []},
        "gone": {"type": "list", "elements": "str", "default": []},
        "environment_kept": {"type": "bool", "default": False},
        "failure": {"type": "dict", "default": {}},
        "rollback": {"type": "dict", "default": {}},
        "not_undone": {"type": "str", "default": "nothing"},
        "stays": {"type": "str", "default": ""},
        "checkpoints": {"type": "str", "default": ""},
        "known": {"type": "dict", "default": {}},
        "began": {"type": "float", "required": True},
        "text": {"type": "str", "default": ""},
        "summary": {"type": "bool", "default": False},
        "root": {"type": "str", "default": ""},
        "install_mode": {"type": "str", "default": ""},
        "checkpointing": {"type": "bool", "default": True},
        "checkpoint_dir": {"type": "str", "default": ""},
        "window_end": {"type": "float"},
    }
)


def work(module: AnsibleModule) -> t.Mapping[str, object]:
    """The action plugin of this name does all of it."""
    return {"changed": False, "began": module.params["began"]}


def main() -> None:
    """Entry point."""
    run(SPEC, work)


if __name__ == "__main__":
    main()
