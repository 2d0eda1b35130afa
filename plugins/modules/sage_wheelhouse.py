#!/usr/bin/python

# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: sage_wheelhouse
short_description: Bring wheels to hosts that reach no index
version_added: 1.0.0
description:
  - Finds out which wheels of a lock file this host is going to install, for its platform and not the controller's.
  - What is not in O(source) yet is fetched into it, once for all hosts, by the URLs and hashes of the lock file.
  - What this host lacks of that travels in one piece, and is checked by hash on the controller and on the host.
options:
  state:
    description:
      - V(present) brings the wheels.
      - V(fetched) fetches O(wheels) into O(path) on this host, and from there into O(source) on the controller. For a
        host that the task is delegated to, where the controller itself reaches no index either.
      - V(absent) removes the wheels from O(path).
    type: str
    choices: [present, fetched, absent]
    default: present
  path:
    description:
      - Directory on the host.
    type: path
    required: true
  source:
    description:
      - Directory on the controller. With an empty one wheels are there for as long as Ansible runs.
    type: path
  fetch:
    description:
      - Fetch into O(source) what it lacks. Otherwise nothing is brought then, and RV(wanting) tells what it lacks.
    type: bool
    default: true
  lock:
    description:
      - Path on the controller of the lock file; required for V(present).
      - A requirements file tells no URLs; all wheels have to be in O(source) then.
    type: path
  group:
    description:
      - The group of hosts this one belongs to, as RV(intellistream.sage.sage_plan#module:group). Saves asking the host.
    type: str
  venv:
    description:
      - The virtual environment, for finding out the group.
    type: path
  distributions:
    description:
      - The plan, as RV(intellistream.sage.sage_resolve#module:plan.distributions). What is kept needs no wheel.
    type: list
    elements: dict
    default: []
  wheels:
    description:
      - For V(fetched) what to fetch, RV(wanting) of V(present).
    type: list
    elements: dict
    default: []
    suboptions:
      file:
        description: Name of the wheel.
        type: str
        required: true
      digest:
        description: Its hash, such as V(sha256:...).
        type: str
        required: true
      size:
        description: Its size in bytes.
        type: int
      url:
        description: Where it can be had.
        type: str
  bundle:
    description:
      - Set by the part that runs on the controller.
    type: path
extends_documentation_fragment:
  - intellistream.sage.attributes
  - intellistream.sage.installer
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  platform:
    platforms: posix
notes:
  - Of the options about the installer and the index O(index_url), O(extra_index_urls), O(find_links) and
    O(ca_certificate) are used, for user names, passwords and certificates when fetching.
author:
  - IntelliStream (@intellistream)
seealso:
  - module: intellistream.sage.sage_plan
  - module: intellistream.sage.sage_install
"""

EXAMPLES = r"""
- name: Bring what this host lacks
  intellistream.sage.sage_wheelhouse:
    path: /opt/sage/.sage/wheelhouse
    source: /srv/wheels
    lock: pylock.toml
    venv: /opt/sage/.sage/venv
    distributions: "{{ resolved.plan.distributions }}"

- name: Install from there
  intellistream.sage.sage_install:
    venv: /opt/sage/.sage/venv
    distributions: "{{ resolved.plan.distributions }}"
    find_links: [/opt/sage/.sage/wheelhouse]
    no_index: true
"""

RETURN = r"""
sent:
  description: Names of the wheels that were, or would be, brought to the host.
  returned: O(state=present)
  type: list
  elements: str
  sample: [isage-0.3.2.4-py3-none-any.whl]
bytes:
  description: What travelled to the host; V(0) in check mode.
  returned: O(state=present)
  type: int
  sample: 453703
wanting:
  description: What O(source) lacks; always empty with O(fetch=true).
  returned: O(state=present)
  type: list
  elements: dict
fetched:
  description: Names of the wheels that were fetched by this call.
  returned: O(state=present) or O(state=fetched)
  type: list
  elements: str
removed:
  description: Names of the wheels that were, or would be, removed.
  returned: O(state=absent)
  type: list
  elements: str
"""

import os
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._calls.installer_options import (
    index_of,
    installer_spec,
)
from ansible_collections.intellistream.sage.plugins.module_utils._calls.run import run
from ansible_collections.intellistream.sage.plugins.module_utils._installers import interpreter
from ansible_collections.intellistream.sage.plugins.module_utils._plans import fetch_wheels, host_group, wheelhouse
from ansible_collections.intellistream.sage.plugins.module_utils._plans.wheelhouse import Wheel

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

SPEC = installer_spec(
    {
        "state": {"type": "str", "choices": ["present", "fetched", "absent"], "default": "present"},
        "path": {"type": "path", "required": True},
        "source": {"type": "path"},
        "fetch": {"type": "bool", "default": True},
        "lock": {"type": "path"},
        "group": {"type": "str"},
        "venv": {"type": "path"},
        "distributions": {"type": "list", "elements": "dict", "default": []},
        "wheels": {
            "type": "list",
            "elements": "dict",
            "default": [],
            "options": {
                "file": {"type": "str", "required": True},
                "digest": {"type": "str", "required": True},
                "size": {"type": "int"},
                "url": {"type": "str"},
            },
        },
        "bundle": {"type": "path"},
    },
    places=("venv",),
)


def work(module: AnsibleModule) -> dict[str, t.Any]:
    """The part on the host: compare, take in what has arrived, fetch, or remove."""
    options = module.params
    path, state = os.path.abspath(options["path"]), options["state"]
    if state == "absent":
        removed = wheelhouse.remove(path, dry=module.check_mode)
        return {"changed": bool(removed), "removed": removed}
    index = index_of(module)
    wheels = [Wheel.of(options_of_wheel) for options_of_wheel in options["wheels"]]
    if state == "fetched":
        fetched = [] if module.check_mode else fetch_wheels.fetch(wheels, path, index)
        return {"changed": bool(fetched), "fetched": fetched}
    if options["bundle"]:
        wheelhouse.accept(path, options["bundle"], wheels)
        return {"changed": True}
    if options["venv"]:
        return {"changed": False, "group": host_group.of(interpreter.in_venv(options["venv"])).name}
    lacking = wheelhouse.missing(path, wheels)
    return {"changed": False, "missing": lacking.files, "free": lacking.free}


def main() -> None:
    """Run as an Ansible module."""
    run(SPEC, work)


if __name__ == "__main__":
    main()
