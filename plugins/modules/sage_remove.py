#!/usr/bin/python
# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: sage_remove
version_added: 1.0.0
short_description: Remove SAGE from a host
description:
  - Removes what the collection brought. That is the environment, the fetched uv, wheels, copies of lock files, the
    clone, the hook of apt and dnf, what waits to start a dead-man's switch, the record, what it has captured, and the
    directories that were made for all that, if nothing else is in them. Nothing of it can be brought back.
  - Nothing else is touched. What others put beside it is named, and stays. So do packages of the system, a clone with
    work in it that is nowhere else, and what was there before SAGE.
  - What others have put into the environment, or into another directory of these, would be lost with it. It is refused
    as long as there is such, and RV(others) names it, unless O(remove_others) says that it may go. Byte code is not
    meant.
  - It is refused while another run is at work, and where an installation, a rollback or a fleet run has not ended.
  - The record goes last. If the module is interrupted, run it again; it finishes.
  - Where the record is damaged, or a copy of another root's, it goes all the same, and RV(unknown) says what it would
    have told. Needs no network.
extends_documentation_fragment:
  - intellistream.sage.attributes.full
  - intellistream.sage.state
options:
  keep_record:
    description:
      - Leave the record, with all that was captured.
    type: bool
    default: false
  remove_others:
    description:
      - Remove also what others have put into what is removed. Those are distributions that they installed, files of
        distributions that they edited, and files and directories that no installation made.
    type: bool
    default: false
author:
  - IntelliStream (@intellistream)
seealso:
  - module: intellistream.sage.sage_rollback
  - module: intellistream.sage.sage_hook
  - module: intellistream.sage.sage_deadman
"""

EXAMPLES = r"""
- name: Remove SAGE
  intellistream.sage.sage_remove:
    root: /opt/sage
  become: true

- name: Remove SAGE, but not the record of what was installed
  intellistream.sage.sage_remove:
    root: /opt/sage
    keep_record: true
  become: true
"""

RETURN = r"""
removed:
  description: What was removed, or in check mode would be.
  returned: success
  type: list
  elements: dict
  contains:
    path:
      description: Where it was; of what has no path, what it was.
      type: str
      sample: /opt/sage/.sage/venv
    description:
      description: What it was, for people.
      type: str
      sample: the virtual environment
    bytes:
      description:
        - What it occupied. What has several names counts once, and where a directory is in another, in the one that is
          named first.
      type: int
      sample: 36700160
stays:
  description: What stays although it came with SAGE, or lies in the way.
  returned: success
  type: list
  elements: dict
  contains:
    path:
      description: Where it is; of packages their names.
      type: str
      sample: "[+] python3.11-venv 3.11.2-6"
    description:
      description: What it is, for people.
      type: str
      sample: packages of the system
    reason:
      description: Why it stays.
      type: str
      sample: others may use them by now; to take them back, roll back before SAGE is removed
others:
  description:
    - What others have put into what was removed, and was lost with it. Where it was refused for that, it is in
      C(error.others), and C(error.plan) has RV(removed) and RV(stays).
  returned: success
  type: list
  elements: dict
  contains:
    path:
      description: Where it was; of a distribution its name and version.
      type: str
      sample: rich 14.2.0
    description:
      description: What it was, for people.
      type: str
      sample: a distribution that no installation of SAGE brought
unknown:
  description: What cannot be known, since the record is damaged or is not this root's.
  returned: success
  type: list
  elements: str
  sample: []
alternative:
  description:
    - The first installation, if all that it and later ones changed can still be undone. Rolling back to it leaves no
      SAGE either, and can itself be taken back. Else null.
  returned: success
  type: str
  sample: "20251115_143000"
head:
  description: The newest line of the ledger, as RV(intellistream.sage.sage_checkpoint#module:head).
  returned: always
  type: dict
  sample: null
"""

import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._calls.run import ArgumentSpec, run
from ansible_collections.intellistream.sage.plugins.module_utils._calls.state_options import STATE_OPTIONS
from ansible_collections.intellistream.sage.plugins.module_utils._records.session import Engine
from ansible_collections.intellistream.sage.plugins.module_utils._removal.remove import remove

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

SPEC = ArgumentSpec(
    {"keep_record": {"type": "bool", "default": False}, "remove_others": {"type": "bool", "default": False}}
).merge(STATE_OPTIONS)


def work(module: AnsibleModule) -> t.Mapping[str, object]:
    """Options to one call."""
    engine, keep_record = Engine.from_options(module.params), module.params["keep_record"]
    result = remove(engine, keep_record, module.check_mode, module.params["remove_others"])
    for warning in result["warnings"]:
        module.warn(warning)
    return {name: field for name, field in result.items() if name != "warnings"}


def main() -> None:
    """Entry point."""
    run(SPEC, work)


if __name__ == "__main__":
    main()
