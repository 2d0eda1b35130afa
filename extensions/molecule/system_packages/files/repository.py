# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Makes a repository of packages on a host, the only one it knows: repository.py dpkg|rpm DIRECTORY old|new.

`old` has foo 1 and bar 1, `new` adds foo 2, which needs goo and bar 2, and a package whose script fails.
"""

from __future__ import annotations

import pathlib
import sys
from typing import Any

from ansible_collections.intellistream.sage.tests.system import debs, rpms
from ansible_collections.intellistream.sage.tests.system.content import File

CONF = "/etc/foo.conf"


def contents(kind: str, version: str) -> dict[str, Any]:
    """Files of foo, with its configuration."""
    data = {"/opt/foo/data": version, "/opt/foo/tool": File("#!/bin/sh\n", 0o4755)}
    if kind == "dpkg":
        return {"files": {**data, CONF: f"{version}\n"}, "conffiles": [CONF]}
    return {"files": {**data, CONF: File(f"{version}\n", rpm="%config(noreplace)")}}


def main(kind: str, directory: str, age: str) -> None:
    """See the module's docstring."""
    where = pathlib.Path(directory)
    repository: Any = debs.Repository(where) if kind == "dpkg" else rpms.Repository(where)
    if age == "old":
        repository.build("foo", "1", **contents(kind, "1"))
        repository.build("bar", "1", files={"/opt/bar/data": "1"})
    else:
        needs: dict[str, Any] = {"depends": "goo, bar (>= 2)"}
        broken: dict[str, Any] = {"scripts": {"postinst": "exit 1"}}
        if kind == "rpm":
            needs, broken = {"fields": ["Requires: goo", "Requires: bar >= 2"]}, {"scripts": {"post": "exit 1"}}
        repository.build("foo", "2", **contents(kind, "2"), **needs)
        repository.build("bar", "2", files={"/opt/bar/data": "2"})
        repository.build("goo", "1", files={"/opt/goo/data": "1"})
        repository.build("broken", "1", files={"/opt/broken/data": "1"}, **broken)
    repository.offer()


if __name__ == "__main__":
    main(*sys.argv[1:])
