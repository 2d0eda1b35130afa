# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a package of a test contains, and a directory made of it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple, Union

if TYPE_CHECKING:
    import pathlib


class File(NamedTuple):
    """A regular file. `rpm` are words before its path in a spec: `%config(noreplace)`, `%caps(cap_chown=p)`."""

    content: str | bytes = ""
    mode: int = 0o644
    owner: int = 0
    group: int = 0
    rpm: str = ""


class Directory(NamedTuple):
    """A directory of its own, beside those that files need."""

    mode: int = 0o755
    owner: int = 0
    group: int = 0
    rpm: str = ""


class Link(NamedTuple):
    """A symbolic link."""

    target: str
    rpm: str = ""


class Hard(NamedTuple):
    """Another name of a file named before."""

    path: str
    rpm: str = ""


class Ghost(NamedTuple):
    """Owned by an rpm without being in it."""

    mode: int = 0o644
    rpm: str = "%ghost"


Item = Union[str, bytes, File, Directory, Link, Hard, Ghost]
Items = Mapping[str, Item]


def lay(top: pathlib.Path, items: Items) -> None:
    """Make the files below `top`, which exists; their paths are absolute."""
    for path, item in items.items():
        place = top / path.lstrip("/")
        if isinstance(item, Ghost):
            continue
        for parent in reversed(place.relative_to(top).parents):
            if not (top / parent).is_dir():
                (top / parent).mkdir(mode=0o755)
        if isinstance(item, Link):
            place.symlink_to(item.target)
        elif isinstance(item, Hard):
            os.link(top / item.path.lstrip("/"), place)
        else:
            if isinstance(item, (str, bytes)):
                item = File(item)
            if isinstance(item, Directory):
                place.mkdir(exist_ok=True)
            else:
                place.write_bytes(item.content if isinstance(item.content, bytes) else item.content.encode())
            os.chown(place, item.owner, item.group)
            place.chmod(item.mode)
