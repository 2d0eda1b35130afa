# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One file that runs on its own, made of what the module itself came in."""

from __future__ import annotations

import ast
import io
import os
import typing as t
import zipfile

from ansible_collections.intellistream.sage.plugins.module_utils import _hook_main
from ansible_collections.intellistream.sage.plugins.module_utils._errors import StateError

_PACKAGE = "ansible_collections.intellistream.sage.plugins.module_utils"
_TIME = (1980, 1, 1, 0, 0, 0)
Source = t.Callable[[str], "bytes | None"]


def build(settings: t.Mapping[str, t.Any], interpreter: str) -> bytes:
    """The program: the same for the same settings and sources, byte for byte.

    :param settings: for P(_hook_main.main).
    :param interpreter: the Python of the system.
    :raises StateError: the sources cannot be found.
    """
    files = {"__main__.py": _start(settings)}
    parts = _PACKAGE.split(".")
    for depth in range(1, len(parts) + 1):
        files["/".join([*parts[:depth], "__init__.py"])] = b""
    for name, source in closure("_hook_main", _source()).items():
        files["/".join([*parts, f"{name}.py"])] = source
    archive = io.BytesIO()
    archive.write(f"#!{interpreter} -I\n".encode())
    with zipfile.ZipFile(archive, "a", zipfile.ZIP_DEFLATED) as content:
        for path, source in sorted(files.items()):
            content.writestr(zipfile.ZipInfo(path, _TIME), source, zipfile.ZIP_DEFLATED)
    return archive.getvalue()


def _start(settings: t.Mapping[str, t.Any]) -> bytes:
    return (
        f"import sys\n\nfrom {_PACKAGE}._hook_main import main\n\nsys.exit(main({dict(settings)!r}, sys.argv[1:]))\n"
    ).encode()


def _source() -> Source:
    """Where this module's own sources are: in the archive that Ansible sent, or in a directory."""
    here = os.path.dirname(os.path.abspath(_hook_main.__file__))
    archive = getattr(_hook_main.__spec__.loader, "archive", None) if _hook_main.__spec__ else None
    if archive is None:
        return lambda name: _read(os.path.join(here, f"{name}.py"))
    inside = os.path.relpath(here, archive)
    with zipfile.ZipFile(archive) as content:
        found = {name: content.read(name) for name in content.namelist() if name.startswith(f"{inside}/")}
    return lambda name: found.get(f"{inside}/{name}.py")


def _read(path: str) -> bytes | None:
    try:
        with open(path, "rb") as stream:
            return stream.read()
    except FileNotFoundError:
        return None


def closure(start: str, source: Source) -> dict[str, bytes]:
    """A module of this collection with all it imports, wherever an import stands.

    :raises StateError: one of them is not there.
    """
    found: dict[str, bytes] = {}
    waiting = [start]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        text = source(name)
        if text is None:
            raise StateError(f"The hook's program needs {name}, which is not in what Ansible sent.")
        found[name] = text
        waiting += [other for other in _imported(text) if other not in found]
    return found


def _imported(text: bytes) -> list[str]:
    names = []
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.ImportFrom) or not (node.module or "").startswith(_PACKAGE):
            continue
        inside = (node.module or "")[len(_PACKAGE) + 1 :]
        # Either `from …module_utils._x import y` or `from …module_utils import _x`.
        names += [inside] if inside else [alias.name for alias in node.names]
    return names
