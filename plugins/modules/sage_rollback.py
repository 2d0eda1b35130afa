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
  - What finished installations had left is captured before it is taken back, as a rollback point
    (RV(redo_point)). Going back to that point brings it back.
extends_documentation_fragment:
  - intellistream.sage.attributes.full
  - intellistream.sage.state
  - intellistream.sage.script
options:
  to:
    description:
      - What to go back to. Always the state that was captured when the target began.
      - V(last) means the last installation that began, or the last rollback point that was made by hand
        (without O(intellistream.sage.sage_backup#module:phase)), whichever is newer. Where that one changed nothing, or
        was undone already, there is nothing to undo. It never goes back past it.
      - Or the id of an installation, the id of a rollback point, or the name of a phase of the current
        installation. What hooks captured since, see M(intellistream.sage.sage_hook), stays as it is. It is undone where
        the point of a hook or a date is named.
      - V(unfinished) finishes what an interrupted rollback began, or records what C(rollback.sh) did, and undoes
        nothing more.
      - Or a date, such as V(2 hours ago), V(a fortnight ago), V(yesterday 10:05pm), V(24 Sep),
        V(2003-07-31T23:26:00+02:00) or V(@1059693960), in the forms of C(cvs -D); docs/dates.md of the collection lists
        them. What began then or later is undone. Dates that are ambiguous or in the future are refused.
    type: str
    default: last
  resources:
    description:
      - Undo only resources of these kinds. The rollback points then stay usable for the others.
    type: list
    elements: str
    choices: [files, venv, git, dpkg, rpm]
  force:
    description:
      - Take the captured side of conflicts. Edited files and distributions' leftovers are kept in the store under
        C(aside); a directory where a package has configuration is renamed instead, to C(<name>.sage-<time>).
    type: bool
    default: false
  erase_installed_after:
    description:
      - A date, as for O(to). What was added at that time or before is not erased, although it was added after the
        target began. What was replaced is put back all the same.
      - Without it all is erased that was added since the target began, since that brought it. RPM's own rollback kept
        such packages.
    type: str
  keep_broken:
    description:
      - Keep what is there now for diagnosis, as C(<venv>.broken-<install id>) beside the virtual environment.
        It shares no file with the environment that is put back.
        A rollback with this option cannot itself be undone.
    type: bool
    default: false
  seconds_left:
    description:
      - How many seconds are left of a maintenance window. When the rollback is estimated to take longer, by those that
        this host has seen, the module fails before it changes anything.
    type: float
  prepare:
    description:
      - The fleet run whose decision the rollback waits for. Nothing is rolled back yet; the host only prepares to, and
        is in doubt until M(intellistream.sage.sage_checkpoint) tells it what was decided. After V(commit) this module
        does what was prepared, whatever its other options are then.
      - Where nothing is to be rolled back, nothing is prepared.
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

- name: Go back to how it was two hours ago
  intellistream.sage.sage_rollback:
    root: /opt/sage
    to: 2 hours ago
  register: undone

- name: Bring back what that took away
  intellistream.sage.sage_rollback:
    root: /opt/sage
    to: "{{ undone.redo_point }}"

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
target:
  description: O(to) as it means the same when it is used later. V(last) became an id, and a date is exact.
  returned: success
  type: str
  sample: "20251115_143000"
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
kept:
  description: What stays because of O(erase_installed_after), and what O(keep_broken) made.
  returned: success
  type: list
  elements: str
  sample: []
inexact:
  description:
    - What cannot be undone for certain, such as effects of the scripts of the system's packages, or what an earlier
      rollback with O(resources) has taken back without keeping it.
  returned: success
  type: list
  elements: str
  sample: []
redo_point:
  description:
    - The rollback point that holds what was taken back, for O(to). It is null when nothing was worth keeping,
      or could not be captured, and in check mode.
  returned: success
  type: str
  sample: "20251115_143000.3"
seconds:
  description: How long it took.
  returned: success
  type: float
  sample: 0.412
exact:
  description:
    - Whether everything is as it was captured. What was captured is, or the module fails; V(false) means that more may
      have been changed, as RV(inexact) says.
  returned: success
  type: bool
  sample: true
fleet:
  description:
    - How the host stands in the fleet run of O(prepare), as
      RV(intellistream.sage.sage_checkpoint_info#module:fleet). Null where nothing is to be rolled back.
  returned: with O(prepare)
  type: dict
  sample: null
head:
  description: The newest line of the ledger, as RV(intellistream.sage.sage_checkpoint#module:head).
  returned: always
  type: dict
  sample: {seq: 7, offset: 4211, hash: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08}
"""

import time
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._calls.respawn import respawning
from ansible_collections.intellistream.sage.plugins.module_utils._calls.rollback import prepare_rollback, rollback
from ansible_collections.intellistream.sage.plugins.module_utils._calls.run import RUN_OPTIONS, ArgumentSpec, run
from ansible_collections.intellistream.sage.plugins.module_utils._calls.script_options import SCRIPT_OPTIONS, receiving
from ansible_collections.intellistream.sage.plugins.module_utils._calls.state_options import STATE_OPTIONS
from ansible_collections.intellistream.sage.plugins.module_utils._maintenance.check import TimeBudget
from ansible_collections.intellistream.sage.plugins.module_utils._records.session import Engine
from ansible_collections.intellistream.sage.plugins.module_utils._registry import carry_packages
from ansible_collections.intellistream.sage.plugins.module_utils._registry.registry import KINDS
from ansible_collections.intellistream.sage.plugins.module_utils._undo.rollback import RollbackRequest

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

CARRIES = (carry_packages.parts,)
SPEC = ArgumentSpec(
    {
        "to": {"type": "str", "default": "last"},
        "resources": {"type": "list", "elements": "str", "choices": list(KINDS)},
        "force": {"type": "bool", "default": False},
        "erase_installed_after": {"type": "str"},
        "keep_broken": {"type": "bool", "default": False},
        "seconds_left": {"type": "float"},
        "prepare": {"type": "dict", "options": RUN_OPTIONS},
    }
).merge(STATE_OPTIONS, SCRIPT_OPTIONS)


def work(module: AnsibleModule) -> t.Mapping[str, object]:
    """Options to one call."""
    begun = time.monotonic()
    options = module.params
    request = RollbackRequest(
        options["to"],
        options["force"],
        kinds=options["resources"] or [],
        erase_installed_after=options["erase_installed_after"] or "",
        keep_broken=options["keep_broken"],
        window=TimeBudget(options["seconds_left"], begun, expected={}) if options["seconds_left"] is not None else None,
    )
    if options["prepare"]:
        result: t.Mapping[str, object] = prepare_rollback(
            Engine.from_options(module.params), request, options["prepare"], module.check_mode
        )
    else:
        result = rollback(Engine.from_options(module.params), request, module.check_mode)
    return {**result, "seconds": round(time.monotonic() - begun, 1)}


def main() -> None:
    """Entry point."""
    run(SPEC, receiving(respawning(work)))


if __name__ == "__main__":
    main()
