# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether nothing at all is left to do, at the least cost: it is all that a rerun of a finished installation asks."""

from __future__ import annotations

import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base import host
from ansible_collections.intellistream.sage.plugins.module_utils._base.redact import redact
from ansible_collections.intellistream.sage.plugins.module_utils._calls.verdict import judge
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.private import open_state
from ansible_collections.intellistream.sage.plugins.module_utils._records import progress
from ansible_collections.intellistream.sage.plugins.module_utils._records.record import Record
from ansible_collections.intellistream.sage.plugins.module_utils._records.script_marks import was_run

Result = dict[str, t.Any]


def look(root: str, checkpoint_dir: str | None, inputs: dict[str, t.Any]) -> Result:
    """C(finished), the verdict as C(resume), and what M(_records.progress.told) tells.

    :raises StateError: the record cannot be read.
    """
    where = open_state(root, checkpoint_dir)
    try:
        record = Record(where, where.path if where is not None else root)
        installation = record.installation
        verdict = judge(record.effective(), redact(inputs), host.facts())
        finished = (
            verdict.phase is None
            and installation is not None
            and installation.status == "completed"
            and installation.undoing is None
            and not installation.promised
            and not record.repaired
            and not (where is not None and was_run(where))
        )
        told = progress.told(installation)
        return {"changed": False, "finished": finished, "resume": verdict.as_dict(), **told}
    finally:
        if where is not None:
            where.close()
