#!/usr/bin/python

# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: sage_plan
short_description: Make one plan for all hosts of a kind
version_added: 1.0.0
description:
  - Hosts that the same wheels suit, of the same system, architecture, C library and interpreter, are a group. One host
    of a group resolves, and the answer is kept on the controller as a lock file, C(pylock.<group>.toml) (PEP 751).
    The others wait for it. Pass it to M(intellistream.sage.sage_resolve) as
    O(intellistream.sage.sage_resolve#module:lock).
  - It is resolved as if nothing were installed, so that every host of a group would find the same. Nothing is changed
    on a host but caches of uv or pip; what it needs and a host does not have is temporary.
  - A host that cannot resolve fails, and the next one takes over. After three of them the others do not try.
options:
  venv:
    description:
      - The virtual environment, whose interpreter decides on the group.
      - If there is none, it is decided for one of O(python).
    type: path
    required: true
  group:
    description:
      - The group of this host, as RV(intellistream.sage.sage_venv#module:group). Saves asking the host.
    type: str
  directory:
    description:
      - Directory on the controller that the lock files are in. A relative one is as seen from where Ansible was
        started.
      - Without it a plan is kept for as long as Ansible runs.
    type: path
  make:
    description:
      - Make a plan where there is none for these O(requirements). One that was not made by this module is always used
        as it is.
      - Otherwise only find the one in O(directory), and fail if there is none.
    type: bool
    default: true
  refresh:
    description:
      - Make it anew, once in a run, whatever is there.
    type: bool
    default: false
  on_controller:
    description:
      - Let the controller resolve for the group, with a uv of its own. For hosts none of which reaches an index.
    type: bool
    default: false
  verify:
    description:
      - Give the plan of one host to others only if it answers O(requirements), and if for the hashes of all its files
        the index vouches that is set up on the controller (O(index_url), or what its pip uses), or a wheel or lock file
        in O(wheelhouse), O(find_links) or O(directory) there.
      - Where nobody vouches for a file, the plan is not shared, and each host has one of its own (RV(shared)). Where
        the index says something else, the host fails, and the next one takes over.
    type: bool
    default: true
  wheelhouse:
    description:
      - Directory with wheels on the controller, for O(verify).
    type: path
  resolve:
    description:
      - Set by the part that runs on the controller.
    type: bool
    default: false
extends_documentation_fragment:
  - intellistream.sage.attributes
  - intellistream.sage.installer
  - intellistream.sage.installer.resolving
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  platform:
    platforms: posix
author:
  - IntelliStream (@intellistream)
seealso:
  - module: intellistream.sage.sage_resolve
  - module: intellistream.sage.sage_wheelhouse
"""

EXAMPLES = r"""
- name: One lock file per group of hosts
  intellistream.sage.sage_plan:
    venv: /opt/sage/.sage/venv
    requirements: [isage]
    directory: locks
  register: shared

- name: Find out what it would change here
  intellistream.sage.sage_resolve:
    venv: /opt/sage/.sage/venv
    lock: "{{ lookup('ansible.builtin.file', shared.path) }}"
"""

RETURN = r"""
group:
  description: The group of this host.
  returned: success
  type: str
  sample: linux-x86_64-glibc2_36-cp311
path:
  description: The lock file on the controller.
  returned: success
  type: str
  sample: /srv/locks/pylock.linux-x86_64-glibc2_36-cp311.toml
shared:
  description: Whether other hosts of the group get this plan. If not, RV(path) is for this host alone.
  returned: success
  type: bool
  sample: true
msg:
  description: Whose plan it is and who vouches for it, or why it is not shared.
  returned: when a plan was made
  type: str
  sample: "The plan of linux-x86_64-glibc2_36-cp311 is that of web1; the index vouches for its 12 files."
made:
  description: Whether this host resolved, or the controller for it, rather than finding the plan there.
  returned: success
  type: bool
  sample: false
"""

import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._calls.installer_options import (
    index_of,
    installer_spec,
)
from ansible_collections.intellistream.sage.plugins.module_utils._calls.run import run
from ansible_collections.intellistream.sage.plugins.module_utils._plans import group_plan, host_group

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

SPEC = installer_spec(
    {
        "venv": {"type": "path", "required": True},
        "group": {"type": "str"},
        "directory": {"type": "path"},
        "make": {"type": "bool", "default": True},
        "refresh": {"type": "bool", "default": False},
        "on_controller": {"type": "bool", "default": False},
        "verify": {"type": "bool", "default": True},
        "wheelhouse": {"type": "path"},
        "resolve": {"type": "bool", "default": False},
    },
    resolving=True,
    places=("venv",),
)


def work(module: AnsibleModule) -> dict[str, t.Any]:
    """The part on the host: say which group it belongs to, and resolve for it if that is asked for."""
    options = module.params
    index = index_of(module)
    python = group_plan.venv_interpreter(options)
    group = host_group.of(python.executable)
    result: dict[str, t.Any] = {"changed": False, "group": group.name}
    if options["resolve"]:
        result["lock"] = group_plan.resolve_here(options, index, group, python)
    return result


def main() -> None:
    """Run as an Ansible module."""
    run(SPEC, work)


if __name__ == "__main__":
    main()
