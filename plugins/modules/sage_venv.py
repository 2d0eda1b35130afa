#!/usr/bin/python

# Copyright (c) 2026, IntelliStream
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: sage_venv
short_description: Make the virtual environment SAGE lives in
version_added: 1.0.0
description:
  - Chooses a Python interpreter and a tool to install with, and makes a virtual environment.
  - An environment that works and is new enough is left alone.
  - It makes the environment whole or not at all; one that an earlier run could not finish is made anew.
options:
  path:
    description:
      - Where the virtual environment is, usually C(<sage_root>/.sage/venv).
      - Directories above it that do not exist are made with mode C(0755).
    type: path
    required: true
  python:
    description:
      - The interpreter for the environment, a path, a name on C(PATH) or a version such as V(3.12).
      - With V(auto) it is the newest on C(PATH) that is at least O(minimum), and an existing environment may be of any
        interpreter that is.
    type: str
    default: auto
  minimum:
    description:
      - The oldest version of Python that will do. SAGE needs 3.11.
    type: str
    default: '3.11'
  recreate:
    description:
      - Make the environment anew if it does not work any more, is not of the wanted interpreter, or was made for
        another path, which its commands name.
        Everything in it is lost.
      - Without it, such an environment is an error. One that is in order is never made anew.
    type: bool
    default: false
extends_documentation_fragment:
  - intellistream.sage.attributes
  - intellistream.sage.installer
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  platform:
    platforms: posix
notes:
  - In check mode uv is not fetched; the result assumes that fetching it will work.
  - uv hard-links files from its cache into the environment where both are on one file system. That is fast, and it
    means that editing a file of the environment in place also edits uv's cache. Set C(UV_LINK_MODE=copy) on the host
    to have copies.
author:
  - IntelliStream (@intellistream)
seealso:
  - module: intellistream.sage.sage_resolve
  - module: intellistream.sage.sage_install
"""

EXAMPLES = r"""
- name: Make the virtual environment with whatever fits best
  intellistream.sage.sage_venv:
    path: /opt/sage/.sage/venv
    tools: /opt/sage/.sage/tools

- name: Make it of one interpreter, with pip
  intellistream.sage.sage_venv:
    path: /opt/sage/.sage/venv
    python: /opt/python3.12/bin/python3
    installer: pip
"""

RETURN = r"""
python:
  description: The interpreter of the environment.
  returned: success
  type: str
  sample: /opt/sage/.sage/venv/bin/python
version:
  description: Its version.
  returned: success
  type: str
  sample: 3.11.2
base:
  description: The interpreter the environment was made of.
  returned: success
  type: str
  sample: /usr/bin/python3.11
group:
  description: The group of hosts that this one can share a plan with; for M(intellistream.sage.sage_plan).
  returned: success
  type: str
  sample: linux-x86_64-glibc2_36-cp311
installer:
  description: The tool to install with, V(uv) or V(pip).
  returned: success
  type: str
  sample: uv
uv:
  description: Path of uv; empty with pip.
  returned: success
  type: str
  sample: /usr/local/bin/uv
reason:
  description: Why it is this tool, when O(installer=auto) had to fetch or to do without uv; empty otherwise.
  returned: success
  type: str
  sample: uv is not on this host
created:
  description: Whether the environment was made, or made anew.
  returned: success
  type: bool
  sample: true
replaced:
  description: Name and version of what was in an environment that was made anew.
  returned: success
  type: dict
  sample: {isage: 0.3.2.3}
others:
  description:
    - What others had put into an environment that was made anew, and is not in the new one. These are files of
      distributions that they edited, and files and directories that nothing explains. Paths are relative to the
      environment.
  returned: success
  type: list
  elements: str
  sample: ["notebooks (a directory with 2 files)"]
actions:
  description: What was, or would be, done.
  returned: success
  type: list
  elements: str
  sample: ["make the virtual environment /opt/sage/.sage/venv of /usr/bin/python3.11 (3.11.2) with uv"]
"""

import typing as t

from ansible_collections.intellistream.sage.plugins.module_utils._calls.installer_options import (
    index_of,
    installer_spec,
)
from ansible_collections.intellistream.sage.plugins.module_utils._calls.run import run
from ansible_collections.intellistream.sage.plugins.module_utils._installers import create_venv
from ansible_collections.intellistream.sage.plugins.module_utils._plans import host_group

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

SPEC = installer_spec(
    {
        "path": {"type": "path", "required": True},
        "python": {"type": "str", "default": "auto"},
        "minimum": {"type": "str", "default": "3.11"},
        "recreate": {"type": "bool", "default": False},
    },
    places=("path",),
)


def work(module: AnsibleModule) -> t.Mapping[str, object]:
    """See to it that there is an environment, and say which group of hosts it makes this one belong to."""
    venv = create_venv.ensure(module.params, index_of(module), check_mode=module.check_mode)
    return {**venv.result(), "group": host_group.of(venv.python.executable).name}


def main() -> None:
    """Run as an Ansible module."""
    run(SPEC, work)


if __name__ == "__main__":
    main()
