#!/usr/bin/python
# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: sage_deadman
version_added: 1.0.0
short_description: Let a host take an installation back by itself
description:
  - Arms a dead-man's switch. After O(after) seconds of silence the host takes the installation that is at work back by
    itself, without the controller, without Ansible and without a network.
  - Every call of M(intellistream.sage.sage_checkpoint) makes the time begin anew. So O(after) has to be longer than the
    longest phase takes.
  - Ending the installation disarms the switch, in the very call that ends it, and so does rolling it back with
    M(intellistream.sage.sage_rollback). O(state=disarmed) is for everything else.
  - It never fires while another call is at work on the record, nor for another installation than the one it was armed
    for. That it fired is recorded before it touches anything. Then nothing goes on from there.
  - Processes that the installation has left at work on the host are ended before. They are found by the variable
    C(SAGE_INSTALLATION) in its environment, C(<install id>@<root>), which the role sets for all tasks.
  - After a reboot only C(at) still fires. Otherwise the next contact takes back what was begun.
extends_documentation_fragment:
  - intellistream.sage.attributes.full
  - intellistream.sage.state
  - intellistream.sage.script
options:
  state:
    description:
      - V(armed) needs an installation that has begun and not ended.
      - V(disarmed) also stops the timer, job or process that waits. It does nothing when no switch is armed.
    type: str
    choices: [armed, disarmed]
    default: armed
  after:
    description:
      - After how many seconds of silence it fires. Required with O(state=armed).
    type: float
  method:
    description:
      - What fires it. V(systemd), a timer of the system's manager, for root. V(at), a job of a running C(atd), from one
        minute on. V(process), a process of its own, which a reboot ends, and a C(logind) with C(KillUserProcesses).
      - V(auto) is the first of these that works.
    type: str
    choices: [auto, systemd, at, process]
    default: auto
author:
  - IntelliStream (@intellistream)
seealso:
  - module: intellistream.sage.sage_checkpoint
  - module: intellistream.sage.sage_rollback
"""

EXAMPLES = r"""
- name: Take the installation back after ten minutes of silence
  intellistream.sage.sage_deadman:
    root: /opt/sage
    after: 600

- name: Change the network
  ansible.builtin.import_tasks: network.yml

- name: Reconnect, so that the new network is known to work
  ansible.builtin.meta: reset_connection

- name: Disarm the switch
  intellistream.sage.sage_deadman:
    root: /opt/sage
    state: disarmed
"""

RETURN = r"""
msg:
  description: What was done, for people.
  returned: success
  type: str
  sample: It fires after 600 s of silence.
armed:
  description: Whether it is armed now.
  returned: success
  type: bool
  sample: true
method:
  description: What fires it, or null.
  returned: success
  type: str
  sample: systemd
seconds_left:
  description: Seconds until it fires, unless a call comes before. Null when it is not armed.
  returned: success
  type: float
  sample: 600.0
fires_at:
  description: The same as a time of the host's clock, which may be wrong.
  returned: success
  type: str
  sample: "2025-11-15T14:40:00.000+08:00"
fired:
  description:
    - When it has fired for the current installation, C(time), C(after) how many seconds of silence, and C(by) which
      method. Else null.
  returned: success
  type: dict
  sample: null
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
from ansible_collections.intellistream.sage.plugins.module_utils._deadman_switch.switch import METHODS, arm, disarm
from ansible_collections.intellistream.sage.plugins.module_utils._records.session import Engine

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

SPEC = ArgumentSpec(
    {
        "state": {"type": "str", "choices": ["armed", "disarmed"], "default": "armed"},
        "after": {"type": "float"},
        "method": {"type": "str", "choices": ["auto", *METHODS], "default": "auto"},
    },
    {"required_if": [("state", "armed", ("after",))]},
).merge(STATE_OPTIONS, SCRIPT_OPTIONS)


def work(module: AnsibleModule) -> t.Mapping[str, object]:
    """Options to one call."""
    options = module.params
    if options["state"] == "disarmed":
        return disarm(Engine.from_options(module.params), module.check_mode)
    return arm(Engine.from_options(module.params), options["after"], options["method"], module.check_mode)


def main() -> None:
    """Entry point."""
    run(SPEC, receiving(work))


if __name__ == "__main__":
    main()
