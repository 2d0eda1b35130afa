# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What to do about what M(intellistream.sage.sage_check) finds: the controller's own words, never a host's."""

from __future__ import annotations

import typing as t


class Advice(t.NamedTuple):
    """What to do about a finding.

    :ivar text: for people.
    :ivar playbook: that does it; empty where none does.
    :ivar mends: the playbook is told to mend.
    """

    text: str
    playbook: str = ""
    mends: bool = False


_LEDGER = (
    "Keep everything as it is, and restore ledger.jsonl and the store from a copy of the host. Without a copy: move "
    "the checkpoint directory aside and install again; what came before can then not be undone"
)
_WRITE_ANEW = Advice("Its content follows from the ledger. Write it anew", "check_sage", mends=True)
_REMOVE = Advice("The next run looks after it. To do so now", "check_sage", mends=True)
_ROLL_BACK = Advice("A rollback finishes what was begun, and puts it on record", "rollback_sage")
UNKNOWN = Advice("docs/troubleshooting.md has more")
# By the names that sage_check documents.
BY_FINDING = {
    "ledger_altered": Advice(_LEDGER),
    "lost_tail": Advice(
        f"{_LEDGER}. install_progress.json.ahead tells how far it had come; remove it when all is well"
    ),
    "record_unreadable": Advice(_LEDGER),
    "foreign_record": Advice("Do what is said above: it is a copy, or was moved"),
    "unknown_format": Advice("Do what is said above: another version of the collection wrote it"),
    "unfinished_line": _REMOVE,
    "progress_missing": _WRITE_ANEW,
    "progress_altered": _WRITE_ANEW,
    "progress_stale": _REMOVE,
    "script_differs": _WRITE_ANEW,
    "point_damaged": Advice(
        "There is no way back past that point, unless it is mended, or its content is restored from a copy of the "
        "host. Younger points are as good as before, and so is what is installed"
    ),
    "farm_damaged": Advice(
        "What is damaged is removed, and captured again when it is needed. Move what is somebody's elsewhere",
        "check_sage",
        mends=True,
    ),
    "store_unreadable": Advice("Look at its owners, its modes, and the disk"),
    "foreign": Advice("It is not the role's, and stays as it is"),
    "unverified": Advice(
        "Where a file cannot be read, remove what bars that, such as a link. Where RECORD lacks what it had, remove "
        "that directory ending in .dist-info, and the distribution is installed anew. Then install again",
        "install_sage",
    ),
    "mode_changed": Advice("Put them back with chmod and chown, where nobody wants them so"),
    "drift": Advice(
        "Install again: that puts back distributions that are gone, have another version, or have files that were "
        "edited. To keep an edit, take it out of the environment first. What cannot be read is not installed over: "
        "remove what bars it before, such as a link. Where a distribution has no RECORD, and no index its version, the "
        "installation fails, and names the directory to remove first",
        "install_sage",
    ),
    "table_unusable": Advice("Install again, which verifies again and writes it anew", "install_sage"),
    "unfinished_installation": Advice("Install again, which continues; or roll back", "install_sage"),
    "unfinished_rollback": _ROLL_BACK,
    "unfinished_script": _ROLL_BACK,
    "unrecorded_script": _ROLL_BACK,
    "in_doubt": Advice("Have the decision of the fleet run delivered", "finish_sage"),
    "stale_switch": _REMOVE,
    "overdue_switch": Advice("Its timer is gone. Roll back what it was armed for", "rollback_sage"),
    "stray_file": _REMOVE,
    "stray_content": Advice("Retention removes it", "clean_sage"),
    "kept_aside": Advice("Compare it with install_progress.json, then remove it"),
    "at_work": Advice(
        "Check again when it has ended. A run whose controller is lost counts as dead sage_lease (10 minutes) after "
        "its last call",
        "check_sage",
    ),
}
