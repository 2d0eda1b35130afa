"""Where the shell comes from that C(rollback.sh) is made of: files in this folder, C(*.sh).

Ansible sends nothing of C(module_utils) to a host that is not Python. So the controller packs them into an option of
each module that writes the script; a program that runs on a host alone has them with it, in the same folder.
"""

from __future__ import annotations

import base64
import json
import os
import typing as t
import zlib

from ansible_collections.intellistream.sage.plugins.module_utils._base.errors import StateError

OPTION = "script_sources"
_ENDING = ".sh"
_HEADER = "# shellcheck "
_FOLDER = os.path.dirname(__file__)
# Name of a file → its text, where the controller sent them.
_received: dict[str, str] = {}


def packed() -> str:
    """All of them as one option of a module."""
    return base64.b64encode(zlib.compress(json.dumps(everything()).encode(), 9)).decode()


def receive(options: dict[str, t.Any]) -> None:
    """Take out of a module's options what the controller sent, before the module does anything.

    :raises StateError: nothing of use came, and nothing lies here.
    """
    text = options.pop(OPTION, None)
    try:
        if text:
            _received.update(json.loads(zlib.decompress(base64.b64decode(text))))
        else:
            source("run")
    except (ValueError, zlib.error) as error:
        raise _missing(f"cannot be read ({error})") from error


def source(name: str) -> str:
    """One of them.

    :param name: without its ending.
    :raises StateError: it is not here.
    """
    file = f"{name}{_ENDING}"
    try:
        return _received[file] if _received else _read(file)
    except (OSError, KeyError) as error:
        raise _missing(f"({file}) did not come with what runs here") from error


def everything() -> dict[str, str]:
    """Name of a file → its text, for what is to run elsewhere.

    :raises StateError: they are not here.
    """
    if _received:
        return dict(_received)
    try:
        return {file: _read(file) for file in sorted(os.listdir(_FOLDER)) if file.endswith(_ENDING)}
    except OSError as error:
        raise _missing("did not come with what runs here") from error


def members() -> dict[str, bytes]:
    """The same as files of a program, see M(_base.zipapp.build)."""
    return {f"{os.path.basename(_FOLDER)}/{file}": text.encode() for file, text in everything().items()}


def _read(file: str) -> str:
    """The text of a file, without the lines above it that only an editor, a linter and whoever changes it need."""
    # In an archive there is nothing to open. Ansible's own loader returns nothing for what is not there.
    data = t.cast("t.Any", __spec__).loader.get_data(os.path.join(_FOLDER, file))
    if data is None:
        raise FileNotFoundError(file)
    text = bytes(data).decode()
    return text.partition("\n\n")[2] if text.startswith(_HEADER) else text


def _missing(what: str) -> StateError:
    return StateError(
        f"The shell that rollback.sh is made of {what}.",
        untouched="everything.",
        advice="call the module in a task or with ansible -m, by its full name: the action of that name sends it "
        "along. Where that was done, install the collection on the controller again.",
    )
