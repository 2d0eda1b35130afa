"""Fetch uv from the index into a directory of ours."""

from __future__ import annotations

import os
import shutil
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base import command
from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import InstallerError, SageError
from ansible_collections.intellistream.sage.plugins.module_utils._installers.find_uv import InstallerChoice, works

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._installers.index import Index
    from ansible_collections.intellistream.sage.plugins.module_utils._installers.interpreter import Interpreter


def fetch(tools: str, python: Interpreter, index: Index, timeout: float) -> str:
    """Fetch uv from the index to C(<tools>/bin/uv) and return that path.

    It is put together beside I(tools) and renamed, so I(tools) holds a whole uv or none.

    :param python: has pip or ensurepip.
    :param timeout: seconds that one call of pip may take; 0 is no limit.
    :raises InstallerError: it cannot be had; nothing is left behind.
    """
    parent = os.path.dirname(os.path.abspath(tools))
    os.makedirs(parent, mode=0o700, exist_ok=True)
    staging = f"{os.path.abspath(tools)}.new-{os.getpid()}"
    try:
        os.mkdir(staging, 0o700)
        pip = _pip_argv(python, staging, timeout)
        settings = index.for_pip()
        command.checked(
            [*pip, "install", "--quiet", "--no-input", "--disable-pip-version-check", "--no-cache-dir"]
            + ["--no-compile", "--only-binary", ":all:", "--target", os.path.join(staging, "new"), *settings.arguments]
            + ["uv"],
            env=settings.env,
            timeout=timeout,
            untouched="everything; no uv was put anywhere.",
        )
        if not works(os.path.join(staging, "new", "bin", "uv")):
            raise InstallerError("The uv that the index offers does not run on this host.")
        if os.path.lexists(tools):
            os.rename(tools, os.path.join(staging, "old"))
        os.rename(os.path.join(staging, "new"), tools)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return os.path.join(tools, "bin", "uv")


def _pip_argv(python: Interpreter, staging: str, timeout: float) -> list[str]:
    if python.pip:
        return [python.executable, "-I", "-m", "pip"]
    if not python.ensurepip:
        raise InstallerError(f"{python.executable} has neither pip nor ensurepip to fetch uv with.")
    place = os.path.join(staging, "venv")
    command.checked([python.executable, "-I", "-m", "venv", place], timeout=timeout)
    return [os.path.join(place, "bin", "python"), "-I", "-m", "pip"]


def obtain(
    choice: InstallerChoice, installer: str, tools: str, python: Interpreter, index: Index, timeout: float
) -> InstallerChoice:
    """Make I(choice) true: fetch uv if it says so, and fall back to pip if that fails and I(installer) allows it.

    :param installer: C(auto) or C(uv), as the user set it.
    :param tools: directory to fetch uv to.
    :param timeout: seconds that one call of pip may take; 0 is no limit.
    :raises InstallerError: uv cannot be had, and the user wants no other.
    """
    if not choice.fetch:
        return choice
    try:
        uv = fetch(tools, python, index, timeout)
        return InstallerChoice("uv", uv, reason="uv was not on this host, it was fetched")
    except (SageError, OSError) as error:
        if installer == "uv":
            raise
        first = str(error).strip().splitlines()
        return InstallerChoice(
            "pip", reason=f"uv is not on this host and cannot be fetched: {first[0] if first else error}"
        )
