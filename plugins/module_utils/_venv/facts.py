"""Facts of a virtual environment's interpreter, without running it when that can be avoided."""

from __future__ import annotations

import os
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import InstallerError

_ASK = "import sys; print('%d.%d.%d' % sys.version_info[:3])"


def facts(venv: str, recorded: t.Mapping[str, t.Any] | None = None) -> dict[str, t.Any]:
    """C(python) (real path, or empty), C(version) (or empty) and C(binary) (device, inode, size, ctime).

    :param recorded: earlier facts; the same binary is not asked again.
    """
    real = os.path.realpath(os.path.join(venv, "bin", "python"))
    try:
        info = os.stat(real)
    except OSError:
        return {"python": "", "version": "", "binary": []}
    binary = [info.st_dev, info.st_ino, info.st_size, info.st_ctime_ns]
    if recorded and recorded.get("binary") == binary and recorded.get("python") == real:
        return {"python": real, "version": recorded.get("version", ""), "binary": binary}
    return {"python": real, "version": _version(os.path.join(venv, "bin", "python")), "binary": binary}


def _version(python: str) -> str:
    from ansible_collections.intellistream.sage.plugins.module_utils._base import command

    try:
        # Isolated and without site: nothing that lies in the environment is run.
        done = command.run([python, "-I", "-S", "-c", _ASK], timeout=30)
    except InstallerError:
        return ""
    return done.stdout.strip() if done.rc == 0 else ""
