"""Put the hook of apt and dnf on a host, and take it away."""

from __future__ import annotations

import hashlib
import os
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import InputError
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.ownership import check_name, check_owned
from ansible_collections.intellistream.sage.plugins.module_utils._hooks import files
from ansible_collections.intellistream.sage.plugins.module_utils._hooks.places import (
    PROGRAM,
    content_of,
    differs,
    program_path,
    put,
)

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._hooks.places import HookFile
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
        check_owned(os.path.dirname(program_path(root)))
    differing = [(file, content_of(file.path)) for file in hook_files if differs(file)]
    if not check_mode:
        for file, dummy in differing:
            put(file)
    return {
        "changed": bool(differing),
        "files": [file.path for file in hook_files if file.content is not None],
        "diff": [_difference(file, before) for file, before in differing],
    }


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
    if os.path.basename(path) == PROGRAM:
        return f"a program of {len(content)} bytes, SHA-256 {hashlib.sha256(content).hexdigest()}\n"
    return content.decode("utf-8", "replace")
