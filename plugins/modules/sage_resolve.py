#!/usr/bin/python

# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: sage_resolve
short_description: Find out exactly what an installation of SAGE would change
version_added: 1.0.0
description:
  - Asks uv or pip what has to be installed, and changes nothing of the environment.
  - The answer, the plan, says for each distribution which version will be there, whether it is added, replaced or kept,
    and which files are acceptable. Capture what it replaces, then pass it to M(intellistream.sage.sage_install).
  - What is installed is kept as far as the requirements allow.
options:
  venv:
    description:
      - The virtual environment.
      - If there is none, the plan is made for an empty one of O(python).
    type: path
    required: true
  sources:
    description:
      - Directories of Python projects on the host to install instead of what the index has.
      - One that is not editable is always in the plan as to be installed, since its content may have changed while its
        version has not.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: The directory with C(pyproject.toml).
        type: path
        required: true
      extras:
        description: Extras to install.
        type: list
        elements: str
        default: []
      editable:
        description: Install a reference to the directory rather than a copy of it.
        type: bool
        default: false
  lock:
    description:
      - Text of a lock file, a C(pylock.toml) (PEP 751) or a requirements file in which everything is pinned.
      - The plan is then exactly what it pins for this host. No index is asked.
      - O(requirements) then only have to be among what it pins.
    type: str
  lock_file:
    description:
      - Lock file on the host to write the whole result to. It is a C(pylock.toml) if the name ends in C(.toml),
        else a requirements file with hashes.
      - It is written only if its content changes.
    type: path
  keep:
    description:
      - Versions by name, to be kept as far as the requirements allow where the distribution is not installed.
      - What was in force before an environment is made anew, RV(intellistream.sage.sage_checkpoint#module:versions) and
        RV(intellistream.sage.sage_venv#module:replaced).
      - Where they cannot be kept, none of them is, which is a warning.
    type: dict
    default: {}
  recreated:
    description:
      - The environment is made anew, RV(intellistream.sage.sage_venv#module:created). In check mode the plan is then
        made for an empty one.
      - What O(keep) has and the plan has not is a warning.
    type: bool
    default: false
  first_party:
    description:
      - Patterns of the names that are SAGE's own.
    type: list
    elements: str
    default: [isage, isage-*]
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
notes:
  - RV(ignore:changed) is about O(lock_file) only.
  - On a host that has neither the environment nor uv nor a pip, check mode cannot know the plan, nor where one of
    O(sources) is not there yet; RV(plan.known) is then V(false).
author:
  - IntelliStream (@intellistream)
seealso:
  - module: intellistream.sage.sage_venv
  - module: intellistream.sage.sage_install
"""

EXAMPLES = r"""
- name: Find out what installing SAGE would change
  intellistream.sage.sage_resolve:
    venv: /opt/sage/.sage/venv
    requirements: [isage]
  register: resolved

- name: Show it
  ansible.builtin.debug:
    msg: "{{ resolved.plan.distributions | rejectattr('action', 'eq', 'keep') }}"

- name: Take exactly what a lock file says
  intellistream.sage.sage_resolve:
    venv: /opt/sage/.sage/venv
    lock: "{{ lookup('ansible.builtin.file', 'pylock.toml') }}"
"""

RETURN = r"""
plan:
  description: The plan.
  returned: success
  type: dict
  contains:
    known:
      description: Whether the plan could be made; only ever V(false) in check mode.
      type: bool
    installer:
      description: The tool that made it, V(uv) or V(pip).
      type: str
    notes:
      description: What a person should know about it.
      type: list
      elements: str
    distributions:
      description: Every distribution of the result, sorted by name.
      type: list
      elements: dict
      contains:
        name:
          description: Normalised name.
          type: str
        version:
          description: Version that will be there; V(null) if only building would tell.
          type: str
        group:
          description: V(sage) for what O(first_party) matches, else V(third_party).
          type: str
        action:
          description: V(add), V(replace) or V(keep).
          type: str
        from_version:
          description: Version that is there now, V(null) if none.
          type: str
        hashes:
          description: Hashes of the acceptable files, empty if unknown.
          type: list
          elements: str
        path:
          description: Source directory; only for what comes from one.
          type: str
        editable:
          description: Whether the source is referred to rather than copied; only with RV(plan.distributions[].path).
          type: bool
third_party:
  description: The distributions of the plan that are not SAGE's own, to pass to M(intellistream.sage.sage_install).
  returned: success
  type: list
  elements: dict
sage:
  description: SAGE's own distributions, to pass to M(intellistream.sage.sage_install) afterwards.
  returned: success
  type: list
  elements: dict
result:
  description:
    - What will be there, names and versions only, by group; for the option C(result) of a transition of
      M(intellistream.sage.sage_checkpoint).
  returned: success
  type: dict
  sample: {"third_party": [{"name": "pyyaml", "version": "6.0.3"}], "sage": [{"name": "isage", "version": "0.3.2.4"}]}
changing:
  description:
    - Those of RV(result) that will be added or replaced; what has to be captured.
  returned: success
  type: dict
  sample: {"third_party": [], "sage": [{"name": "isage", "version": "0.3.2.4"}]}
lock_file:
  description: O(lock_file) as an absolute path, V(null) if there is none.
  returned: success
  type: str
lock_text:
  description: What O(lock_file) says then. In check mode empty where the plan cannot be known.
  returned: success, where O(lock_file) is given
  type: str
lock_changed:
  description: Whether O(lock_file) was, or would be, written.
  returned: success
  type: bool
"""

import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._calls.installer_options import (
    index_of,
    installer_spec,
)
from ansible_collections.intellistream.sage.plugins.module_utils._calls.run import run
from ansible_collections.intellistream.sage.plugins.module_utils._installers import lockfile
from ansible_collections.intellistream.sage.plugins.module_utils._installers.resolve import resolve

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

SPEC = installer_spec(
    {
        "venv": {"type": "path", "required": True},
        "sources": {
            "type": "list",
            "elements": "dict",
            "default": [],
            "options": {
                "path": {"type": "path", "required": True},
                "extras": {"type": "list", "elements": "str", "default": []},
                "editable": {"type": "bool", "default": False},
            },
        },
        "lock": {"type": "str"},
        "lock_file": {"type": "path"},
        "keep": {"type": "dict", "default": {}},
        "recreated": {"type": "bool", "default": False},
        "first_party": {"type": "list", "elements": "str", "default": ["isage", "isage-*"]},
    },
    {"mutually_exclusive": [("lock", "lock_file")]},
    resolving=True,
    places=("venv",),
)


def work(module: AnsibleModule) -> t.Mapping[str, object]:
    """Resolve; write the lock file if one is asked for."""
    lock_file, check_mode = module.params["lock_file"], module.check_mode
    resolved = resolve(module.params, index_of(module), check_mode=check_mode)
    for note in resolved.notes:
        module.warn(note)
    lock_diff = None
    if lock_file and resolved.is_known:
        lock_diff = lockfile.update_file(lock_file, resolved.lock_file_text, check_mode=check_mode)
    return {
        "changed": lock_diff is not None,
        "lock_changed": lock_diff is not None,
        "lock_file": lock_file,
        **({"lock_text": resolved.lock_file_text} if lock_file else {}),
        **resolved.result(),
        "diff": [resolved.diff(), *([lock_diff] if lock_diff else [])],
    }


def main() -> None:
    """Run as an Ansible module."""
    run(SPEC, work)


if __name__ == "__main__":
    main()
