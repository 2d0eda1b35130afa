# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs a command in a terminal and answers its question: answer.py TEXT ANSWER COMMAND [ARGUMENT...].

TEXT is the end of the question. Passes on what the command writes, and its exit status; 125 when it never asked, or
did not end within ten minutes.
"""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import time


def main() -> int:
    """See the module's docstring."""
    question, answer, command = sys.argv[1].encode(), sys.argv[2].encode(), sys.argv[3:]
    terminal, inside = pty.openpty()
    # setsid makes it the terminal of the command.
    child = subprocess.Popen(["setsid", "--ctty", *command], stdin=inside, stdout=inside, stderr=inside)
    os.close(inside)
    seen, asked, end = b"", False, time.monotonic() + 600
    while time.monotonic() < end:
        if not select.select([terminal], [], [], 1)[0]:
            continue
        try:
            data = os.read(terminal, 65536)
        except OSError:
            # What Linux says when nothing has the terminal open any more.
            break
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        seen += data
        if not asked and question in seen:
            asked = True
            # After the prompt ansible-playbook takes the terminal for itself and throws away what was typed before.
            time.sleep(1)
            os.write(terminal, answer + b"\r")
    else:
        child.kill()
    status = child.wait()
    return status if asked and time.monotonic() < end else 125


if __name__ == "__main__":
    sys.exit(main())
