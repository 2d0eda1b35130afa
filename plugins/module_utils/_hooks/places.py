"""Where the files of the hook of apt and dnf go, and how they are written and removed."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import stat
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base import command
from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import (
    InputError,
    InstallerError,
    StateError,
)
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.atomic import replace
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.ownership import storage_error
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.private import STATE_DIR, sync_directory

PYTHON = "/usr/bin/python3"
PROGRAM = "hook.pyz"
APT = "/etc/apt/apt.conf.d"
# apt takes a program's options by its name up to the first space, and gives the name to a shell.
_PLAIN = re.compile(r"[A-Za-z0-9/._+@%-]+")


class HookFile(t.NamedTuple):
    """One file of the hook.

    :ivar path: absolute.
    :ivar content: None: it is not to be there.
    :ivar mode: its permissions; 0 where it is not to be there.
    """

    path: str
    content: bytes | None
    mode: int


def program_path(root: str) -> str:
    """Where the program lies.

    :raises InputError: apt could not start it there.
    """
    path = os.path.join(os.path.normpath(root), STATE_DIR, PROGRAM)
    if not _PLAIN.fullmatch(path):
        raise InputError(
            f"apt cannot start a hook as {path}.",
            untouched="everything.",
            advice="Use a root of letters, digits and ._+@%- only.",
        )
    return path


def mark_of(root: str) -> str:
    """What tells the files of one root from those of another: two roots on a host have a hook each."""
    return hashlib.sha256(os.path.normpath(root).encode()).hexdigest()[:8]


def snippet_path(root: str) -> str:
    """Where apt is told to start the program."""
    return f"{APT}/80intellistream-sage-{mark_of(root)}"


def plugin_path(root: str) -> str:
    """Where dnf's plugin goes; empty when there is no dnf 4."""
    plugins = dnf_plugins()
    return os.path.join(plugins, f"intellistream_sage_{mark_of(root)}.py") if plugins else ""


def unused_files(root: str) -> list[HookFile]:
    """All files of a hook that is not to be there, in the order in which they are to be removed: the program last.

    :raises InputError: no hook can be there.
    """
    program = program_path(root)
    paths = [path for path in (snippet_path(root), plugin_path(root), program) if path]
    return [HookFile(path, content=None, mode=0) for path in paths]


def dnf_plugins() -> str:
    """The directory of dnf's plugins; empty when there is no dnf 4."""
    if not shutil.which("dnf"):
        return ""
    try:
        outcome = command.run([PYTHON, "-I", "-c", "import dnf.const; print(dnf.const.PLUGINPATH)"], timeout=60)
    except InstallerError:
        return ""
    path = outcome.stdout.strip()
    return path if outcome.rc == 0 and os.path.isabs(path) else ""


def content_of(path: str) -> bytes | None:
    try:
        with open(path, "rb") as stream:
            return stream.read()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise storage_error(path, error) from error


def differs(file: HookFile) -> bool:
    try:
        info = os.lstat(file.path)
    except (FileNotFoundError, NotADirectoryError):
        return file.content is not None
    if stat.S_ISDIR(info.st_mode):
        raise StateError(f"{file.path} is a directory.", untouched="everything.", advice="Remove it.")
    if file.content is None or not stat.S_ISREG(info.st_mode):
        return True
    return (stat.S_IMODE(info.st_mode), info.st_uid) != (file.mode, 0) or content_of(file.path) != file.content


def put(file: HookFile) -> None:
    """Durably and at once: a run of apt meanwhile sees the old file or the new one."""
    directory, name = os.path.split(file.path)
    try:
        if file.content is None:
            os.unlink(file.path)
            _uncache(file.path)
            _remove_if_unused(directory)
            if os.path.isdir(directory):
                sync_directory(directory)
        else:
            os.makedirs(directory, 0o755, exist_ok=True)
            # apt and dnf ignore files with such a name.
            replace(file.path, os.path.join(directory, f".{name}.tmp"), file.content, file.mode)
    except OSError as error:
        raise storage_error(file.path, error) from error


def _uncache(path: str) -> None:
    """Remove the byte code that Python wrote of a plugin, and its directory if nothing else is in it."""
    directory, name = os.path.split(path)
    cache = os.path.join(directory, "__pycache__")
    if not name.endswith(".py") or not os.path.isdir(cache):
        return
    for other in os.listdir(cache):
        if other.startswith(f"{name[:-3]}.") and other.endswith(".pyc"):
            os.unlink(os.path.join(cache, other))
    if not os.listdir(cache):
        os.rmdir(cache)


def _remove_if_unused(directory: str) -> None:
    """Remove a directory that was made for the hook: nothing is in it, and it is of no package."""
    if os.listdir(directory) or os.path.basename(directory) == STATE_DIR:
        return
    for query in (["dpkg-query", "--search", directory], ["rpm", "-qf", directory]):
        if shutil.which(query[0]) and command.run(query).rc == 0:
            return
    os.rmdir(directory)
