# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a listing costs after 2N installations against N, in one run: history.py [N]

Each installation is rolled back, so that what is in force lies behind all of them. Linear is 2.
"""

from __future__ import annotations

import pathlib
import sys
import tempfile
import time

from ansible_collections.intellistream.sage.plugins.module_utils._calls.rollback import rollback
from ansible_collections.intellistream.sage.plugins.module_utils._reports.report import report
from ansible_collections.intellistream.sage.plugins.module_utils._undo.rollback import RollbackRequest
from ansible_collections.intellistream.sage.tests.unit.plugins.module_utils.sagehost import SageHost


def main() -> None:
    """Install, roll back and list; print the cost of both listings and their ratio."""
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    costs = []
    with tempfile.TemporaryDirectory() as directory:
        host = SageHost(pathlib.Path(directory)).make()
        for version in range(2 * number):
            host.install(str(version))
            rollback(host.engine, RollbackRequest("last"), check_mode=False)
            if version + 1 in (number, 2 * number):
                begun = time.process_time()
                report(host.engine, None, history=True)
                costs.append(time.process_time() - begun)
    print(f"{number}: {costs[0]:.3f} s; {2 * number}: {costs[1]:.3f} s; ratio {costs[1] / costs[0]:.2f}")


if __name__ == "__main__":
    main()
