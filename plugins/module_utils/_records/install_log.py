"""A log for each installation, for people: what the ledger got, line by line, and what installers said.

Never read by anything here. It lies beside the record, is as private, and goes when retention removes what is older.
"""

from __future__ import annotations

import json
import os
import re
import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._base.redact import redact_text
from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.private import write_all

if t.TYPE_CHECKING:
    from ansible_collections.intellistream.sage.plugins.module_utils._filesystem.private import PrivateDir
    from ansible_collections.intellistream.sage.plugins.plugin_utils._events import Event

LOGS = "logs"
_ENDING = ".log"
_LOG = re.compile(r"\d{8}_\d{6}\.log")
# Bytes of one log: an installer that talks without end fills no disk.
MOST = 4 * 1024 * 1024
_NOT_TOLD = ("settled", "described", "window", "rerooted")


def told(event: Event) -> str:
    """What a log says of an event; empty for those that tell people nothing."""
    fields: t.Mapping[str, t.Any] = event
    name = fields["event"]
    if name in _NOT_TOLD:
        return ""
    if name == "phase":
        return f"{fields['phase']}: {fields['status']}{_data(fields['data'])}"
    if name == "captured":
        resources = fields["resources"]
        files, size = (sum(resource.get(field, 0) for resource in resources) for field in ("files", "bytes"))
        seconds = sum(resource.get("seconds", 0) for resource in resources)
        return f"captured {fields['point']}, {fields['description']}: {files} files, {size} bytes, {seconds:.3f} s"
    shown = {field: text for field, text in fields.items() if field != "event" and text != ""}
    texts = [f"{field} {text}" for field, text in shown.items() if isinstance(text, (str, int))]
    return ", ".join([name.replace("_", " "), *texts])


def _data(data: t.Any) -> str:
    if data in (None, "", {}):
        return ""
    if isinstance(data, dict):
        data = "\n".join(
            f"{name}: {text if isinstance(text, str) else json.dumps(text)}" for name, text in data.items()
        )
    return _below(str(data))


def said(output: t.Sequence[str]) -> str:
    """What a log says of what an installer said."""
    return "the installer said:" + _below("\n".join(output)) if output else ""


def _below(text: str) -> str:
    """Lines that belong to the one above."""
    return "".join(f"\n    {line}" for line in text.splitlines())


def append(state: PrivateDir, install_id: str, time: str, texts: t.Iterable[str], create: bool = True) -> None:
    """Add to the log of an installation.

    :param time: ISO time of all of it.
    :param texts: what happened; empty ones are left out.
    :param create: begin one where there is none.
    :raises SageError: the place is not safe.
    :raises OSError: the disk refused.
    """
    content = "".join(f"{time} {redact_text(text)}\n" for text in texts if text)
    if not content:
        return
    with state.child(LOGS, create=True) as logs:
        try:
            fd = logs.open(install_id + _ENDING, os.O_WRONLY | os.O_APPEND | (os.O_CREAT if create else 0))
        except FileNotFoundError:
            return
        try:
            room = MOST - os.fstat(fd).st_size
            write_all(fd, content.encode("utf-8", "backslashreplace")[: max(room, 0)])
            # What the ledger says is on the disk; a log that a power cut turns into zeros would tell nobody.
            os.fdatasync(fd)
        finally:
            os.close(fd)


def logged(state: PrivateDir) -> list[str]:
    """The ids of installations with a log, oldest first; what somebody else keeps there is none."""
    try:
        with state.child(LOGS) as logs:
            return [name[: -len(_ENDING)] for name in logs.names() if _LOG.fullmatch(name)]
    except FileNotFoundError:
        return []


def before(state: PrivateDir, install_id: str) -> list[str]:
    """The ids of installations with a log that began before another one."""
    return [each for each in logged(state) if each < install_id]


def remove(state: PrivateDir, install_id: str) -> None:
    """Remove a log; nothing to do where it is gone."""
    with state.child(LOGS) as logs:
        logs.remove(install_id + _ENDING)
