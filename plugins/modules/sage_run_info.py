# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: sage_run_info
version_added: 1.0.0
short_description: Tell whether the tasks around it only predict, and refuse keywords that break them
description:
  - Tells whether this task runs in check mode, whoever asked for that. C(ansible_check_mode) knows only C(--check) on
    the command line, and not the keyword C(check_mode) of a play, role, block or task.
  - Refuses keywords of the play that would break what comes after it.
  - Runs on the controller and asks the host nothing.
extends_documentation_fragment:
  - intellistream.sage.attributes.info
options:
  barrier:
    description:
      - All hosts have to meet before some of the tasks that come, so any O(ignore:strategy) but V(linear) is refused.
    type: bool
    default: false
  all_or_nothing:
    description:
      - No host may be taken out of the play because another one failed. So O(ignore:any_errors_fatal) and
        O(ignore:max_fail_percentage) are refused, and what O(barrier) refuses.
    type: bool
    default: false
  asks:
    description:
      - A person is asked a question while the run is at work. Where there is no terminal to ask at, that is refused.
    type: bool
    default: false
  window:
    description:
      - How long all hosts of the play have a maintenance window, such as V(45m) or a number of seconds. The first one
        to ask begins it for all, later batches included; nothing that a host says moves its end.
    type: str
    default: ''
  deadline:
    description:
      - When that window ends, as the role's O(ignore:sage_deadline) says. With O(window) too, what is earlier counts.
    type: str
    default: ''
author:
  - IntelliStream (@intellistream)
"""

EXAMPLES = r"""
- name: Find out whether this is check mode
  intellistream.sage.sage_run_info:
  register: run

- name: Do what only a real run may do
  ansible.builtin.command: /usr/local/bin/announce
  when: not run.check_mode
"""

RETURN = r"""
check_mode:
  description: Whether the task runs in check mode.
  returned: success
  type: bool
  sample: false
lockstep:
  description: Whether all hosts finish a task before the next one begins, so that one of them can speak for all.
  returned: success
  type: bool
  sample: true
began:
  description: When the task ran, in seconds by the controller's clock.
  returned: success
  type: float
  sample: 1763217000.25
window_end:
  description: When the window ends, in seconds since the epoch by the controller's clock.
  returned: success, where O(window) or O(deadline) is given
  type: float
  sample: 1764496800.0
"""

import time
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._calls.run import ArgumentSpec, run

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

SPEC = ArgumentSpec(
    {
        "barrier": {"type": "bool", "default": False},
        "all_or_nothing": {"type": "bool", "default": False},
        "asks": {"type": "bool", "default": False},
        "window": {"type": "str", "default": ""},
        "deadline": {"type": "str", "default": ""},
    }
)


def work(module: AnsibleModule) -> t.Mapping[str, object]:
    """What the task says of itself."""
    return {"changed": False, "check_mode": module.check_mode, "lockstep": False, "began": time.time()}


def main() -> None:
    """Entry point."""
    run(SPEC, work)


if __name__ == "__main__":
    main()
