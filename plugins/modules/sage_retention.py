#!/usr/bin/python
# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: sage_retention
version_added: 1.0.0
short_description: Remove and compress what is kept to undo installations
description:
  - Content is removed from the oldest end of the history on, whole installations at a time, since the way back to
    an old state leads through all younger ones. What can never be used again is removed at any age, such as what was
    captured for an installation that changed nothing.
  - Points made by hand and by hooks are removed one by one, the oldest first, by the same limits. Going back past one
    that is gone leaves what was changed after it, and says so. A date before one of a hook that is gone is refused,
    since a date means all of the system; the id of an installation leaves that as it is.
  - The last completed installation, an unfinished one, and what an interrupted rollback needs are never removed,
    even where a limit is then exceeded.
  - What the disk refuses becomes a warning. The module does not fail for it.
  - If it is interrupted, run it again. It finishes what it had begun.
extends_documentation_fragment:
  - intellistream.sage.attributes.full
  - intellistream.sage.state
  - intellistream.sage.script
options:
  installations:
    description:
      - Completed installations that can be undone. Those that failed or changed nothing do not count. V(0) is no limit.
      - As many points made by hand are kept, and as many made by hooks.
    type: int
    default: 0
  days:
    description:
      - Days since an installation ended, or a point was made by hand or by a hook. V(0) is no limit.
    type: int
    default: 0
  bytes:
    description:
      - What the store may occupy on its disk, such as V(20G). Files that are also linked elsewhere count nothing,
        since removing them frees nothing. Nor does what is only kept for the next capture, and is no rollback point's.
        V(0) is no limit.
    type: bytes
    default: 0
  uncompressed:
    description:
      - The newest completed installations, which are never compressed.
    type: int
    default: 1
  archive:
    description:
      - Compress the content of older completed installations, with C(zstd) where there is that program, else with
        gzip. It can be used as before.
      - Content that is also linked elsewhere, to a cache of the installer for instance, is left alone, since
        compressing it would need space.
    type: bool
    default: true
  redo:
    description:
      - Keep what brings back what was rolled back. If V(false), that is removed at any age.
    type: bool
    default: true
author:
  - IntelliStream (@intellistream)
seealso:
  - module: intellistream.sage.sage_checkpoint
  - module: intellistream.sage.sage_rollback
"""

EXAMPLES = r"""
- name: Keep what is needed to undo the last three completed installations, if that takes at most 20 GiB
  intellistream.sage.sage_retention:
    root: /opt/sage
    installations: 3
    bytes: 20G

- name: Remove only what can never be used again, and what would bring back what was rolled back
  intellistream.sage.sage_retention:
    root: /opt/sage
    archive: false
    redo: false
"""

RETURN = r"""
pruned:
  description: Rollback points whose content was removed, oldest first.
  returned: success
  type: list
  elements: str
  sample: ["20251115_143000.1"]
archived:
  description: Rollback points whose content was compressed, oldest first.
  returned: success
  type: list
  elements: str
  sample: []
freed_bytes:
  description: What became free. In check mode without what compressing will free, which is not known before.
  returned: success
  type: int
  sample: 1048576
bytes:
  description: What rollback points occupy after that.
  returned: success
  type: int
  sample: 524288
kept:
  description: How many rollback points still have content.
  returned: success
  type: int
  sample: 3
protected:
  description: Why a limit is exceeded.
  returned: success
  type: list
  elements: str
  sample: []
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
from ansible_collections.intellistream.sage.plugins.module_utils._pruning.policy import Limits
from ansible_collections.intellistream.sage.plugins.module_utils._pruning.prune import retain
from ansible_collections.intellistream.sage.plugins.module_utils._records.session import Engine

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

SPEC = ArgumentSpec(
    {
        "installations": {"type": "int", "default": 0},
        "days": {"type": "int", "default": 0},
        "bytes": {"type": "bytes", "default": 0},
        "uncompressed": {"type": "int", "default": 1},
        "archive": {"type": "bool", "default": True},
        "redo": {"type": "bool", "default": True},
    }
).merge(STATE_OPTIONS, SCRIPT_OPTIONS)


def work(module: AnsibleModule) -> t.Mapping[str, object]:
    """Options to one call."""
    limits = Limits(**{name: module.params[name] for name in Limits._fields})
    result = retain(Engine.from_options(module.params), limits, module.check_mode)
    for warning in result["warnings"]:
        module.warn(warning)
    return {name: field for name, field in result.items() if name != "warnings"}


def main() -> None:
    """Entry point."""
    run(SPEC, receiving(work))


if __name__ == "__main__":
    main()
