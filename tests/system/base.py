# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The container's root put back after every test, whatever a test left: packages, databases, half-done runs."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import subprocess
from typing import NamedTuple

# Not part of the system under test.
OUTSIDE = frozenset({b"/proc", b"/sys", b"/dev", b"/run", b"/tmp", b"/collections", b"/library", b"/venv", b"/.base"})
# Given by the container's engine as mounts of their own.
MOUNTED = frozenset({b"/etc/hosts", b"/etc/hostname", b"/etc/resolv.conf"})


class Look(NamedTuple):
    """What changes whenever a file does, and what only a change of content or place does."""

    ctime: int
    inode: int
    mode: int
    owner: tuple[int, int]


def _look(info: os.stat_result) -> Look:
    return Look(info.st_ctime_ns, info.st_ino, info.st_mode, (info.st_uid, info.st_gid))


def walk(top: bytes = b"/") -> dict[bytes, Look]:
    """Everything below the root, without what is outside of the system; parents come before what they contain."""
    found: dict[bytes, Look] = {}
    waiting = [top]
    while waiting:
        directory = waiting.pop()
        with os.scandir(directory) as entries:
            for entry in entries:
                if entry.path in OUTSIDE or entry.path in MOUNTED:
                    continue
                info = entry.stat(follow_symlinks=False)
                found[entry.path] = _look(info)
                if stat.S_ISDIR(info.st_mode):
                    waiting.append(entry.path)
    return found


class Base:
    """A copy of the root as it is now."""

    def __init__(self, copy: bytes = b"/.base") -> None:
        self._copy = copy
        os.makedirs(copy, 0o700)
        excluded = [b"--exclude=." + path for path in sorted(OUTSIDE | MOUNTED)]
        with subprocess.Popen(
            [b"tar", b"-C", b"/", b"--xattrs", b"--xattrs-include=*", *excluded, b"-cf", b"-", b"."],
            stdout=subprocess.PIPE,
        ) as reader:
            subprocess.run(
                ["tar", "-C", copy, "--xattrs", "--xattrs-include=*", "-xpf", "-"], stdin=reader.stdout, check=True
            )
        if reader.returncode:
            raise RuntimeError("the root cannot be copied")
        self._looks = walk()

    def restore(self) -> list[str]:
        """Put everything back that differs; returns the paths."""
        now = walk()
        changed = []
        # The innermost new ones first.
        for path in sorted(now.keys() - self._looks.keys(), reverse=True):
            changed.append(path)
            if stat.S_ISDIR(now[path].mode):
                os.rmdir(path)
            else:
                os.unlink(path)
        directories, others = [], []
        for path, look in self._looks.items():
            if now.get(path) == look:
                continue
            changed.append(path)
            if stat.S_ISDIR(look.mode):
                if path in now and not stat.S_ISDIR(now[path].mode):
                    os.unlink(path)
                os.makedirs(path, exist_ok=True)
                directories.append(path)
            else:
                others.append(path)
        self._put(others)
        for path in reversed(directories):
            shutil.copystat(self._copy + path, path)
            os.chown(path, *self._looks[path].owner)
            os.chmod(path, stat.S_IMODE(self._looks[path].mode))
        # What comes or goes in a directory is seen of the directory, and cp gives all above what they have in the copy.
        touched = set(changed)
        for path in changed:
            while path != b"/":
                path = os.path.dirname(path)
                touched.add(path)
        for path in touched & self._looks.keys():
            self._looks[path] = _look(os.lstat(path))
        return [os.fsdecode(path) for path in sorted(changed)]

    def _put(self, paths: list[bytes]) -> None:
        for path in paths:
            with contextlib.suppress(FileNotFoundError):
                if stat.S_ISDIR(os.lstat(path).st_mode):
                    shutil.rmtree(path)
                else:
                    os.unlink(path)
        # A program that has begun costs more than what it copies.
        for first in range(0, len(paths), 500):
            some = [path.lstrip(b"/") for path in paths[first : first + 500]]
            subprocess.run([b"cp", b"-a", b"--parents", b"-t", b"/", b"--", *some], check=True, cwd=self._copy)
