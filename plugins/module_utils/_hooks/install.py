"""Put the hook of apt and dnf on a host, and take it away."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base import command
from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import InputError, StateError
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.atomic import replace
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.ownership import (
    check_name,
    check_owned,
    storage_error,
)
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.private import STATE_DIR, sync_directory
from ansible_collections.intellistream.sage.plugins.module_utils._hooks import files

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._hooks.files import HookFile
    from ansible_collections.intellistream.sage.plugins.plugin_utils._structures import HookResult, HookSettings


def arrange(settings: HookSettings, present: bool, check_mode: bool) -> HookResult:
    """Make the hook's files as they are to be.

    :param settings: P(_records.session.Engine)'s parameters and C(strict).
    :param present: whether the hook is to be there.
    :param check_mode: only tell what would be done.
    :returns: C(changed), C(files), C(diff) for the module.
    :raises InputError: this is not root, or the host cannot have a hook.
    :raises UnsafePath: others could replace the program, which root would then run.
    """
    if os.geteuid() != 0:
        raise InputError("Only root can have a hook started by apt or dnf.", advice="Use become: true.")
    root = str(settings["root"])
    check_name(root)
    hook_files = files.hook_files(root, settings, present)
    if present:
        check_owned(os.path.dirname(files.program_path(root)))
    differing = [(file, _content(file.path)) for file in hook_files if _differs(file)]
    if not check_mode:
        for file, dummy in differing:
            _put(file)
    return {
        "changed": bool(differing),
        "files": [file.path for file in hook_files if file.content is not None],
        "diff": [_difference(file, before) for file, before in differing],
    }


def _content(path: str) -> bytes | None:
    try:
        with open(path, "rb") as stream:
            return stream.read()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise storage_error(path, error) from error


def _differs(file: HookFile) -> bool:
    try:
        info = os.lstat(file.path)
    except (FileNotFoundError, NotADirectoryError):
        return file.content is not None
    if stat.S_ISDIR(info.st_mode):
        raise StateError(f"{file.path} is a directory.", untouched="everything.", advice="Remove it.")
    if file.content is None or not stat.S_ISREG(info.st_mode):
        return True
    return (stat.S_IMODE(info.st_mode), info.st_uid) != (file.mode, 0) or _content(file.path) != file.content


def _put(file: HookFile) -> None:
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


def _difference(file: HookFile, before: bytes | None) -> dict[str, str]:
    return {
        "before_header": file.path,
        "after_header": file.path,
        "before": _text(file.path, before),
        "after": _text(file.path, file.content),
    }


def _text(path: str, content: bytes | None) -> str:
    if content is None:
        return ""
    if os.path.basename(path) == files.PROGRAM:
        return f"a program of {len(content)} bytes, SHA-256 {hashlib.sha256(content).hexdigest()}\n"
    return content.decode("utf-8", "replace")
