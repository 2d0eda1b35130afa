"""Where a virtual environment was made for: its scripts name that path, and work nowhere else."""

from __future__ import annotations

import os
import re

_ACTIVATE = re.compile(rb"^\s*(?:export\s+)?VIRTUAL_ENV=(['\"]?)(/[^'\"\n]*)\1\s*$", re.MULTILINE)


def moved_from(venv: str, stored: str = "") -> str:
    """The path that an environment was made for, when that is another place; else empty.

    :param venv: where it is used, absolute. One that tells no path, such as a relocatable one, was not moved.
    :param stored: where it lies now, when that is elsewhere.
    """
    try:
        with open(os.path.join(stored or venv, "bin", "activate"), "rb") as stream:
            match = _ACTIVATE.search(stream.read(65536))
    except OSError:
        return ""
    made_for = os.fsdecode(match[2]) if match else ""
    if not made_for or os.path.realpath(made_for) == os.path.realpath(venv):
        return ""
    try:
        # One directory may have several names, by a bind mount for instance.
        return "" if os.path.samefile(made_for, venv) else made_for
    except OSError:
        return made_for
