#!/usr/bin/python
# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: sage_rollback
version_added: 1.0.0
short_description: Go back to what was captured
description:
  - Undoes everything that was changed since a target began, newest first, as one computed state. Each
    distribution and path is touched once.
  - Needs no network, no index and no repository.
  - Every captured item is checked by its hash before it is used, and everything is compared with the capture
    afterwards. The module ends exact, or fails and names every difference.
  - What others changed in the meantime is a conflict. The module then fails before it changes anything and
    names every one.
  - If it is interrupted, run it again. It finishes what it had begun.
extends_documentation_fragment:
  - intellistream.sage.attributes.full
  - intellistream.sage.state
options:
  to:
    description:
      - What to go back to. Always the state that was captured when the target began.
      - V(last) means the last installation, or the last rollback point that was made by hand
        (without O(intellistream.sage.sage_backup#module:phase)), whichever is newer.
      - Or the id of an installation, the id of a rollback point, or the name of a phase of the current
        installation.
    type: str
    default: last
  resources:
    description:
      - Undo only resources of these kinds. The rollback points then stay usable for the others.
    type: list
    elements: str
    choices: [files, venv, git]
  force:
    description:
      - Take the captured side of conflicts. Edited files and distributions' leftovers are kept in the store under
        C(aside).
    type: bool
    default: false
author:
  - IntelliStream (@intellistream)
seealso:
  - module: intellistream.sage.sage_backup
  - module: intellistream.sage.sage_checkpoint_info
"""

EXAMPLES = r"""
- name: Undo the last installation
  intellistream.sage.sage_rollback:
    root: /opt/sage

- name: Show what going back to the beginning of a phase would do
  intellistream.sage.sage_rollback:
    root: /opt/sage
    to: python_deps
  check_mode: true
  diff: true

- name: Go back to a rollback point, whatever others changed since
  intellistream.sage.sage_rollback:
    root: /opt/sage
    to: 20251115_143000.2
    force: true
"""

RETURN = r"""
msg:
  description: What was done, in RPM's form.
  returned: always
  type: str
  sample: Rollback packages (+1/-1) to Sat Nov 15 14:30:00 2025 (20251115_143000)
plan:
  description: What was done, or in check mode would be.
  returned: success
  type: dict
  contains:
    install:
      description: Distributions put back.
      type: list
      elements: str
      sample: [numpy 1.26.4]
    erase:
      description: Distributions erased.
      type: list
      elements: str
      sample: [numpy 2.3.4]
    restore:
      description: Files, distributions and work trees put back to what they were.
      type: list
      elements: str
      sample: [/opt/sage/config/config.yaml (has 12 bytes, had 10)]
    remove:
      description: Paths removed or put aside.
      type: list
      elements: str
      sample: []
conflicts:
  description: What others changed and O(force) overruled.
  returned: success
  type: list
  elements: str
  sample: []
undone:
  description: The rollback points that were used up, newest first.
  returned: success
  type: list
  elements: str
  sample: ["20251115_143000.2", "20251115_143000.1"]
exact:
  description: Whether everything is as it was captured. If not, the module fails.
  returned: success
  type: bool
  sample: true
"""

import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._argspec import STATE_OPTIONS, ArgumentSpec
from ansible_collections.intellistream.sage.plugins.module_utils._module import engine, run
from ansible_collections.intellistream.sage.plugins.module_utils._resources import KINDS
from ansible_collections.intellistream.sage.plugins.module_utils._rollback import rollback

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

SPEC = ArgumentSpec(
    {
        "to": {"type": "str", "default": "last"},
        "resources": {"type": "list", "elements": "str", "choices": list(KINDS)},
        "force": {"type": "bool", "default": False},
    }
).merge(STATE_OPTIONS)


def work(module: AnsibleModule) -> dict[str, t.Any]:
    """Options to one call."""
    options = module.params
    return rollback(engine(module), options["to"], options["force"], options["resources"] or [], module.check_mode)


def main() -> None:
    """Entry point."""
    run(SPEC, work)


if __name__ == "__main__":
    main()
