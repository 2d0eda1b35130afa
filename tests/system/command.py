# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Programs of the container's system, as an admin would start them."""

from __future__ import annotations

import os
import subprocess
from typing import Union

Argument = Union[str, "os.PathLike[str]"]


class Failed(AssertionError):
    """A program that was to succeed did not; all it said is in the message."""


def run(
    *command: Argument, ok: bool = True, text: str | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run it; `ok`: it has to succeed. Keywords in capitals are its environment, `text` is its standard input."""
    done = subprocess.run(
        [os.fspath(word) for word in command],
        input=text if text is not None else "",
        capture_output=True,
        encoding="utf-8",
        errors="surrogateescape",
        env={**os.environ, **environment},
        check=False,
    )
    if ok and done.returncode:
        raise Failed(f"{' '.join(map(str, command))}: {done.returncode}\n{done.stdout}{done.stderr}")
    return done


def apt(*arguments: Argument, ok: bool = True, **environment: str) -> subprocess.CompletedProcess[str]:
    """apt-get without questions; configuration that was edited is kept."""
    keep = "Dpkg::Options::=--force-confold"
    return run("apt-get", "-q", "-y", "-o", keep, *arguments, ok=ok, DEBIAN_FRONTEND="noninteractive", **environment)


def dnf(*arguments: Argument, ok: bool = True, **environment: str) -> subprocess.CompletedProcess[str]:
    """dnf without questions."""
    return run("dnf", "-q", "-y", *arguments, ok=ok, **environment)
