# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the engine does, each time in a child that a tracer can be put on before it begins.

Reads lines of JSON C([action, root, directory]). Prints the child's process id, and its exit status when it has
ended. The child begins when C(directory/go) appears, and leaves C(directory/answer): C({"ok": true}), or the error
as the modules would return it.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import SageError
from ansible_collections.intellistream.sage.plugins.module_utils._records.session import Engine


def update(engine: Engine) -> None:
    """The end of one phase and the beginning of the next."""
    with engine.session() as session:
        session.move("environment_setup", "completed", "new")
        session.move("submodule_sync", "started")
        session.commit()


def begin(engine: Engine) -> None:
    """An installation; it abandons the unfinished one, if there is one."""
    with engine.session() as session:
        installation = session.installation
        if installation is None or "new" not in installation.inputs:
            session.begin({"new": {}}, {"os": "debian"})
        session.commit()


def reset(engine: Engine) -> None:
    """Forget everything."""
    # The engine imports it late; what an import does is none of the engine's doing.
    assert shutil.rmtree
    engine.reset()


ACTIONS: dict[str, t.Callable[[Engine], None]] = {"update": update, "begin": begin, "reset": reset}


def act(ready: int, action: str, root: str, directory: str) -> None:
    """Carry it out and tell how it went; between the marks go and end."""
    report = os.open(f"{directory}/answer", os.O_WRONLY | os.O_CREAT)
    # From here to the first mark nothing is called that a test counts or refuses.
    os.writev(ready, [b"."])
    while not os.access(f"{directory}/go", os.F_OK):
        time.sleep(0.001)
    answer: dict[str, t.Any] = {"ok": True}
    try:
        ACTIONS[action](Engine(root, lock_timeout=5))
    except SageError as error:
        answer = error.as_dict()
    os.access(f"{directory}/end", os.F_OK)
    # A call that no test refuses.
    os.writev(report, [json.dumps(answer).encode()])


def main() -> None:
    """Serve until nobody asks any more."""
    came, ready = os.pipe()
    for line in sys.stdin:
        pid = os.fork()
        if not pid:
            act(ready, *json.loads(line))
            os._exit(0)
        os.read(came, 1)
        print(pid, flush=True)
        print(os.waitpid(pid, 0)[1], flush=True)


if __name__ == "__main__":
    main()
