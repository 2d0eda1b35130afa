# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A rollback.sh that has every part there is, for shellcheck and for people who want to read one.

It goes back with an environment and a work tree that were there and with ones that were not, and with files of a change
that was interrupted. Nothing of that exists.

    PYTHONPATH=.ansible/collections python scripts/rollback_sh.py >rollback.sh
"""

from __future__ import annotations

import sys
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._footprint.shell import ObservedTree
from ansible_collections.intellistream.sage.plugins.module_utils._rollback_shell.script import render

_HASH = "0" * 64
_COMMIT = "0" * 40
_REPOSITORY = {
    "branch": "main",
    **dict.fromkeys(("head", "staged", "work"), _COMMIT),
    **{name: {} for name in ("added", "modules", "gitdirs", "sections")},
}
# Spec and header of each capture.
_CAPTURES: t.Sequence[tuple[dict[str, t.Any], dict[str, t.Any]]] = (
    ({"kind": "files", "path": "", "paths": ["/srv/it's a file"]}, {}),
    ({"kind": "git", "path": "/srv/clone"}, {"exists": True, "repository": _REPOSITORY}),
    ({"kind": "git", "path": "/srv/new clone"}, {"exists": False}),
    ({"kind": "venv", "path": "/srv/venv"}, {"existed": True}),
    ({"kind": "venv", "path": "/srv/new venv"}, {"existed": False}),
)
# Number of a capture → what its kind has to look at.
_OBSERVED = {0: [ObservedTree("/srv/it's a file", 0, _HASH, 0, None)]}


def every_part(kinds: t.Container[str] = ("files", "git", "venv"), interrupted: bool = True) -> bytes:
    """The script.

    :param kinds: what it goes back with.
    :param interrupted: nobody looked at what the change left.
    """
    captures = [(spec, header) for spec, header in _CAPTURES if spec["kind"] in kinds]
    point = {
        "point": "point",
        "install_id": "installation",
        "specs": [spec for spec, dummy in captures],
        "resources": [{**spec, "sha256": _HASH} for spec, dummy in captures],
        "observed": _OBSERVED if interrupted else {},
    }
    target = {
        "machine": _HASH[:32],
        "tid": "20260101_000000",
        "time": "2026-01-01T00:00:00+00:00",
        "generation": _HASH,
        "store": "/srv/.sage/checkpoints/store",
        "command": "ansible-playbook intellistream.sage.rollback_sage",
    }
    headers = {("point", number): header for number, (dummy, header) in enumerate(captures)}
    return render("/srv/.sage/checkpoints", target, [point], headers)


if __name__ == "__main__":
    sys.stdout.buffer.write(every_part())
