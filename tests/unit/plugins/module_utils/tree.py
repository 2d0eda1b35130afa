# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The oracle for undo: a whole tree as data, read without anything of the engine."""

from __future__ import annotations

import hashlib
import os
import stat

Snapshot = dict[str, tuple[object, ...]]


def snapshot(root: str | os.PathLike[str], *, times: bool = True) -> Snapshot:
    """Relative path → kind, mode, owner, group, content, time of each thing below.

    Byte code is left out where its source is there: an interpreter makes it anew.

    :param times: compare modification times of files.
    """
    top = os.fspath(root)
    found: Snapshot = {}
    if not os.path.lexists(top):
        return found
    paths = [top]
    for directory, directories, files in os.walk(top):
        if os.path.basename(directory) == "__pycache__":
            sources = os.path.dirname(directory)
            files = [name for name in files if not os.path.exists(os.path.join(sources, f"{name.split('.', 1)[0]}.py"))]
            paths += [os.path.join(directory, name) for name in files]
            continue
        paths += [os.path.join(directory, name) for name in [*directories, *files] if name != "__pycache__"]
    for path in paths:
        info = os.lstat(path)
        name = os.path.relpath(path, top)
        common = (stat.S_IMODE(info.st_mode), info.st_uid, info.st_gid)
        if stat.S_ISLNK(info.st_mode):
            found[name] = ("link", os.readlink(path))
        elif stat.S_ISREG(info.st_mode):
            with open(path, "rb") as stream:
                content = hashlib.sha256(stream.read()).hexdigest()
            found[name] = ("file", *common, content, info.st_mtime_ns if times else 0)
        else:
            found[name] = ("directory" if stat.S_ISDIR(info.st_mode) else "special", *common)
    return found


def changes(before: Snapshot, after: Snapshot) -> dict[str, tuple[object, object]]:
    """What differs, for a readable assertion: C(assert changes(a, b) == {})."""
    return {
        name: (before.get(name), after.get(name))
        for name in sorted({*before, *after})
        if before.get(name) != after.get(name)
    }
