# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The cases: main.py STATE CASE, with STATE a directory of this test, or main.py STATE make, remove.

A case ends with an error when the oracle, which knows nothing of the collection, does not find all hosts new or all
hosts as they were; or when the moment that the case is about did not come.
"""

from __future__ import annotations

import pathlib
import sys
import time
import typing as t

import aborted
import back
import decided
from machines import Machines

CASES: dict[str, t.Callable[[Machines], list[str]]] = {
    name: case for module in (aborted, back, decided) for name, case in module.CASES.items()
}


def main(state: str, what: str) -> int:
    """See the module's docstring."""
    machines = Machines(pathlib.Path(state))
    if what in ("make", "remove"):
        getattr(machines, what)()
        return 0
    begun = time.monotonic()
    wrong = CASES[what](machines)
    sys.stdout.write(f"{what}: {time.monotonic() - begun:.0f} s\n" + "".join(f"{line}\n" for line in wrong))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
