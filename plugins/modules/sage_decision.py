#!/usr/bin/python
# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: sage_decision
version_added: 1.0.0
short_description: Decide a fleet run on the controller, once
description:
  - Keeps the decisions about runs that install or roll back many hosts, all or none. Runs on the controller as the user
    who started Ansible, whatever host it is for and whatever C(become), connection and interpreter that has.
  - A decision is written once and never changes. It is on the disk before the module returns it, so whatever is
    delivered to a host can be delivered again after any crash.
  - Any number of controllers may decide about the same run at the same time. All of them get the same answer.
  - A decision file may be copied to another controller, never edited or removed. A missing decision means V(abort).
extends_documentation_fragment:
  - intellistream.sage.attributes.full
options:
  fleet_dir:
    description:
      - The decision log, a directory with a C(<run>.json) for each run. It is made with mode 0700 when needed, and only
        the user who runs the controller may be able to write there.
      - Controllers that share a run share this directory. It needs hard links, and a file system that keeps what was
        synced.
    type: path
    default: ~/.local/state/intellistream-sage/fleet
  state:
    description:
      - V(opened) makes the directory, records the run, and tells the identity that hosts remember with the run. Do that
        before anything is changed on a host.
      - V(decided) decides, or tells what was decided, once all hosts have been prepared or have not.
      - V(finished) finishes a run that left hosts in doubt; it tells what they have to do. If nobody has decided, it
        decides V(abort). If this is not the decision log that the hosts were told to ask, it decides nothing, and says
        so in RV(in_doubt). Nor does it about a run that was not opened here, or for a host that is none of that run.
    type: str
    choices: [opened, decided, finished]
    required: true
  run:
    description:
      - The id of the run, up to 100 letters, digits, dots, hyphens and underscores.
      - With O(state=opened) one is made when it is not given.
    type: str
  want:
    description:
      - What this controller wants. V(commit) becomes V(abort) when not all of O(hosts) are in O(prepared).
    type: str
    choices: [commit, abort]
    default: commit
  hosts:
    description:
      - With O(state=opened) all hosts of the run that this controller knows; only these may ask about it later. Without
        them any host may.
      - With O(state=decided) all hosts of the run that this controller knows, those that were not reached included.
      - With O(state=finished) the hosts that ask.
    type: list
    elements: str
    default: []
  prepared:
    description:
      - Those of O(hosts) that said that they are prepared.
    type: list
    elements: str
    default: []
  why:
    description:
      - Why, for people. If not set, it is made from the rest.
    type: str
  part:
    description:
      - Which one of O(parts) controllers of the run this is.
    type: int
    default: 1
  parts:
    description:
      - How many controllers run parts of this run at the same time, each with hosts of its own, such as job slices.
        Commit is then decided when each one of them has said that its hosts are prepared.
    type: int
    default: 1
  wait:
    description:
      - How many seconds to wait for the other parts. Then V(abort) is decided.
    type: float
    default: 600
  seconds_left:
    description:
      - For hosts with a dead-man's switch, the seconds until it fires, by host.
    type: dict
    default: {}
  seconds_needed:
    description:
      - The seconds it takes to deliver a commit to all hosts. If less is left on one host, V(abort) is decided.
    type: float
    default: 60
  decision_log:
    description:
      - The identity of the decision log that the hosts remember. Required with O(state=finished).
    type: str
  where:
    description:
      - What the hosts remember of where that is, for messages.
    type: str
    default: ''
  word:
    description:
      - What the administrator says, who knows what the other hosts of the run did. It is written down, and holds for
        all hosts that ask here later. It does not count when there is a decision.
    type: str
    choices: [commit, abort]
author:
  - IntelliStream (@intellistream)
seealso:
  - module: intellistream.sage.sage_checkpoint
  - module: intellistream.sage.sage_rollback
"""

EXAMPLES = r"""
- name: Get ready before anything is changed
  intellistream.sage.sage_decision:
    state: opened
  run_once: true
  register: fleet

- name: Decide
  intellistream.sage.sage_decision:
    state: decided
    run: "{{ fleet.run }}"
    hosts: "{{ ansible_play_hosts_all }}"
    prepared: "{{ ansible_play_hosts | select('in', prepared_hosts) | list }}"
  run_once: true
  register: decision

- name: Ask for a host that was away
  intellistream.sage.sage_decision:
    state: finished
    run: "{{ doubt.run }}"
    decision_log: "{{ doubt.decision_log }}"
    where: "{{ doubt.where }}"
    hosts: ["{{ inventory_hostname }}"]
    word: "{{ sage_fleet_finish | default(omit) }}"
"""

RETURN = r"""
run:
  description: The id of the run.
  returned: success
  type: str
  sample: 20251115T143000Z-5f0c3a9be1
decision:
  description: What holds, V(commit) or V(abort). It is null while nobody has decided.
  returned: success
  type: str
  sample: commit
in_doubt:
  description: Whether the hosts that asked have to stay as they are, because it cannot be decided here.
  returned: success
  type: bool
  sample: false
hosts:
  description: The hosts that the decision is about. After a presumed abort, those that asked first.
  returned: success
  type: list
  elements: str
  sample: [web1, web2]
why:
  description: Why it was decided so.
  returned: success
  type: str
  sample: all 2 hosts are prepared
by:
  description: The controller that decided.
  returned: success
  type: str
  sample: deploy.example.org, user id 1000, process 4711
time:
  description: When it was decided.
  returned: success
  type: str
  sample: "2025-11-15T14:30:00.000+08:00"
deadline:
  description: By when all hosts have to learn of a commit, if they have a dead-man's switch.
  returned: success
  type: str
  sample: "2025-11-15T06:40:00+00:00"
decision_log:
  description:
    - The identity of the decision log, which hosts remember with the run. It tells directories of the same name on
      different controllers apart.
  returned: success
  type: str
  sample: 0d5a4a2f7e2a4f0b9f0c5c8c6c1e9f11
where:
  description: Where the decision log was made, for people.
  returned: success
  type: str
  sample: deploy.example.org:/home/deploy/.local/state/intellistream-sage/fleet
msg:
  description: The decision in a sentence, or why there is none and who has it.
  returned: success
  type: str
  sample: "Run r1: commit, since all 2 hosts are prepared. Decided at 2025-11-15T14:30:00.000+08:00 by deploy."
"""

import math
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import InputError
from ansible_collections.intellistream.sage.plugins.module_utils._calls.run import ArgumentSpec, run
from ansible_collections.intellistream.sage.plugins.module_utils._fleet.barrier import BarrierVote, DecisionQuery
from ansible_collections.intellistream.sage.plugins.module_utils._fleet.decide import decide, open_run, resolve_doubt

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

SPEC = ArgumentSpec(
    {
        "fleet_dir": {"type": "path", "default": "~/.local/state/intellistream-sage/fleet"},
        "state": {"type": "str", "choices": ["opened", "decided", "finished"], "required": True},
        "run": {"type": "str"},
        "want": {"type": "str", "choices": ["commit", "abort"], "default": "commit"},
        "hosts": {"type": "list", "elements": "str", "default": []},
        "prepared": {"type": "list", "elements": "str", "default": []},
        "why": {"type": "str"},
        "part": {"type": "int", "default": 1},
        "parts": {"type": "int", "default": 1},
        "wait": {"type": "float", "default": 600},
        "seconds_left": {"type": "dict", "default": {}},
        "seconds_needed": {"type": "float", "default": 60},
        "decision_log": {"type": "str"},
        "where": {"type": "str", "default": ""},
        "word": {"type": "str", "choices": ["commit", "abort"]},
    },
    {
        "required_if": [
            ("state", "decided", ["run"]),
            ("state", "finished", ["run", "decision_log"]),
        ]
    },
)


def work(module: AnsibleModule) -> t.Mapping[str, object]:
    """Options to one call."""
    return carry_out(module.params, module.check_mode)


def carry_out(options: t.Mapping[str, t.Any], check_mode: bool) -> t.Mapping[str, object]:
    """What the state says.

    :param options: checked, with their defaults.
    """
    path = options["fleet_dir"]
    if options["state"] == "opened":
        return open_run(path, options["run"], check_mode, options["hosts"])
    if options["state"] == "finished":
        query = DecisionQuery(
            options["run"],
            options["decision_log"],
            where=options["where"],
            hosts=options["hosts"],
            word=options["word"] or "",
        )
        return resolve_doubt(path, query, check_mode)
    vote = BarrierVote(
        options["run"],
        options["want"],
        hosts=options["hosts"],
        prepared=options["prepared"],
        why=options["why"] or "",
        part=options["part"],
        parts=options["parts"],
        wait=options["wait"],
        seconds_left=_seconds(options["seconds_left"]),
        seconds_needed=options["seconds_needed"],
    )
    return decide(path, vote, check_mode)


def _seconds(by_host: t.Mapping[str, object]) -> dict[str, float]:
    """Numbers by host, however YAML spelled them; what is no duration leaves no time.

    :raises InputError: one is no number.
    """
    try:
        numbers = {str(host): float(str(seconds)) for host, seconds in by_host.items()}
    except ValueError as error:
        raise InputError("seconds_left has to be numbers of seconds by host.", untouched="everything.") from error
    return {host: seconds if math.isfinite(seconds) else 0.0 for host, seconds in numbers.items()}


def main() -> None:
    """Entry point."""
    run(SPEC, work)


if __name__ == "__main__":
    main()
